package release

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Do is what is done next.
type Do string

// The steps, in the order in which a release takes them.
const (
	Update      Do = "update"     // replace the code, if it is still what it was
	Publish     Do = "publish"    // make a version of it
	BeginCanary Do = "canary"     // give it its share of the requests
	MarkCanary  Do = "marked"     // note that it has it: the time counts from now
	Watch       Do = "watch"      // see how it does
	Back        Do = "back"       // take the requests away from it again
	Switch      Do = "switch"     // give it all of them
	Live        Do = "live"       // note that it has them
	Probe       Do = "probe"      // see that it answers at the origin
	Plan        Do = "plan"       // write down what will be invalidated
	Invalidate  Do = "invalidate" // send that, and wait until it is completed
	Verify      Do = "verify"     // look through the edge
	Warm        Do = "warm"       // fetch what was made cold
	Done        Do = "done"       // nothing is left
	Wait        Do = "wait"       // look again a little later
	Stop        Do = "stop"       // give up
)

// Step is what is done next, and why.
type Step struct {
	Do   Do
	For  string // what is waited for
	Saw  string // of that
	Why  string // it is given up, or gone back
	Hint string // what a person can do
}

// Next decides. It knows nothing but what it is given, so that a run that was
// ended anywhere goes on where the last one was.
func Next(w Wanted, j Journal, s Seen) Step {
	switch {
	case j.Finished():
		return Step{Do: Done}
	case w.Alias != "" && s.Alias == nil:
		return Step{Do: Stop, Why: "there is no alias " + w.Alias, Hint: fmt.Sprintf("make it once: aws lambda create-alias --function-name %s --name %s --function-version VERSION", w.Function, w.Alias)}
	case j.Version == "" && j.Live.IsZero():
		return code(w, j, s)
	case w.Alias != "" && j.Live.IsZero():
		return toAlias(w, j, s)
	default:
		return live(w, j, s)
	}
}

// code decides until the code is what is wanted, and published if it has to be.
func code(w Wanted, j Journal, s Seen) Step {
	ready, failed := s.Latest.Health.Ready(w.Alias == "")
	tried := j.Guard != "" && s.Latest.Revision != j.Guard // the update was done, or somebody else did one
	is := w.Code == s.Latest.ID() || w.Code == "" && tried
	switch {
	case failed != nil && tried:
		return Step{Do: Stop, Why: failed.Error(), Hint: "mend it and release again"}
	case failed == nil && !ready.Holds:
		return Step{Do: Wait, For: "the update of " + w.Function, Saw: ready.Saw}
	case failed == nil && is && w.Alias == "":
		return Step{Do: Live}
	case failed == nil && is:
		return Step{Do: Publish}
	case failed == nil && tried && s.Latest.ID() != j.Before.Code:
		return Step{Do: Stop, Why: "somebody else has replaced the code meanwhile, with " + short(s.Latest.ID()), Hint: "release again to have it replaced"}
	case s.Alias != nil && len(s.Alias.Weights) > 0:
		return Step{Do: Stop, Why: "somebody else's canary is under way: the alias " + w.Alias + " " + weights(s.Alias), Hint: "end that first"}
	}
	return Step{Do: Update}
}

// toAlias decides until the alias points to the version alone.
func toAlias(w Wanted, j Journal, s Seen) Step {
	share, only := s.Alias.Weights[j.Version], s.Alias.Version == j.Version && len(s.Alias.Weights) == 0
	ready, failed := s.Published.Health.Ready(true)
	switch {
	case j.Canary.Failed != "" && share > 0:
		return Step{Do: Back, Why: j.Canary.Failed}
	case j.Canary.Failed != "":
		return Step{Do: Stop, Why: "the canary failed: " + j.Canary.Failed, Hint: "mend the code and release again"}
	case w.Code != "" && s.Published.ID() != w.Code:
		return Step{Do: Stop, Why: "version " + j.Version + " is not what was to be released, but " + short(s.Published.ID()), Hint: "somebody else releases at the same time; release again"}
	case failed != nil:
		return Step{Do: Stop, Why: "version " + j.Version + ": " + failed.Error(), Hint: "mend it and release again"}
	case !ready.Holds:
		return Step{Do: Wait, For: "version " + j.Version, Saw: ready.Saw}
	case s.SharedErr != nil:
		return Step{Do: Stop, Why: s.SharedErr.Error(), Hint: "ask for less of it, or for a higher quota, and run this again"}
	case !s.Shared.Holds:
		return Step{Do: Wait, For: "provisioned concurrency", Saw: s.Shared.Saw}
	case only:
		return Step{Do: Live}
	case s.Alias.Version != j.Version && s.Alias.Version != j.Before.Version || len(s.Alias.Weights) > 0 && share == 0:
		return Step{Do: Stop, Why: "somebody else has moved the alias " + w.Alias + ": it " + weights(s.Alias), Hint: "release again if it is to move on"}
	case w.Canary > 0 && s.Alias.Version != j.Version:
		return canary(w, j, s, share)
	}
	return Step{Do: Switch}
}

func canary(w Wanted, j Journal, s Seen, share float64) Step {
	c := j.Canary
	switch over := s.Now.Sub(c.Since) >= w.CanaryFor; {
	case share == 0 && c.Since.IsZero():
		return Step{Do: BeginCanary}
	case share == 0:
		return Step{Do: Stop, Why: "somebody else has ended the canary", Hint: "release again to begin it anew"}
	case c.Since.IsZero():
		return Step{Do: MarkCanary}
	case c.sick(w.Tolerate) != "":
		return Step{Do: Back, Why: c.sick(w.Tolerate)}
	case over && !c.seen(w.CanaryFor):
		return Step{Do: Watch}
	case over && c.unseen() != "":
		return Step{Do: Back, Why: c.unseen()}
	case over:
		return Step{Do: Switch}
	}
	return Step{Do: Watch}
}

// live decides from when the new code has all requests.
func live(w Wanted, j Journal, s Seen) Step {
	switch {
	case w.Alias != "" && (s.Alias.Version != j.Version || len(s.Alias.Weights) > 0):
		return Step{Do: Stop, Why: "somebody else has moved the alias " + w.Alias + ": it " + weights(s.Alias), Hint: "release again if it is to move on"}
	case w.Alias == "" && w.Code != "" && s.Latest.ID() != w.Code:
		return Step{Do: Stop, Why: "somebody else has replaced the code meanwhile, with " + short(s.Latest.ID()), Hint: "release again to have it replaced"}
	case s.SharedErr != nil:
		return Step{Do: Stop, Why: s.SharedErr.Error(), Hint: "ask for less of it, or for a higher quota, and run this again"}
	case !s.Shared.Holds:
		return Step{Do: Wait, For: "provisioned concurrency", Saw: s.Shared.Saw}
	case w.Probe && !j.Probed:
		return Step{Do: Probe}
	case len(w.Patterns) > 0 && len(j.Invalidations) == 0:
		return Step{Do: Plan}
	case len(w.Patterns) > 0 && !j.cleared():
		return Step{Do: Invalidate}
	case w.Verify && !j.Verified:
		return Step{Do: Verify}
	case w.Warm && !j.Warmed:
		return Step{Do: Warm}
	}
	return Step{Do: Done}
}

// Situation says in what state things are, and how to go on or back.
func Situation(w Wanted, j Journal, s Seen) string {
	var is []string
	say := func(format string, args ...any) { is = append(is, fmt.Sprintf(format, args...)) }
	switch {
	case w.Alias == "" && !j.Live.IsZero():
		say("the new code answers")
	case w.Alias == "":
		say("as far as is known, the old code answers")
	case s.Alias != nil:
		say("the alias %s %s", w.Alias, weights(s.Alias))
	}
	if w.Alias != "" && j.Version != "" && j.Live.IsZero() {
		say("the new code is version %s", j.Version)
	}
	switch {
	case j.cleared():
		say("the invalidations are completed")
	case j.sent():
		say("%d of %d invalidations are completed", completed(j), len(j.Invalidations))
	default:
		say("nothing was invalidated")
	}
	if back := wayBack(w, j, s); back != "" {
		say("to go back: %s", back)
	}
	return strings.Join(is, "; ")
}

func completed(j Journal) (n int) {
	for _, r := range j.Receipts {
		if r.State == "completed" {
			n++
		}
	}
	return n
}

// wayBack is the command that brings back what answered before; empty when that
// still does.
func wayBack(w Wanted, j Journal, s Seen) string {
	old := j.Before.Version
	if s.Alias == nil || old == "" || s.Alias.Version == old && len(s.Alias.Weights) == 0 {
		return ""
	}
	back := fmt.Sprintf("aws lambda update-alias --function-name %s --name %s --function-version %s --routing-config AdditionalVersionWeights={}", w.Function, w.Alias, old)
	if j.sent() {
		back += ", and then freshet invalidate with the same patterns"
	}
	return back
}

// weights is where an alias points, in words.
func weights(a *Alias) string {
	text := "points to version " + a.Version
	for _, v := range slices.Sorted(maps.Keys(a.Weights)) {
		text += fmt.Sprintf(" and sends %g %% to version %s", a.Weights[v]*100, v)
	}
	return text
}

// short is enough of a hash to know it by.
func short(id string) string {
	const enough = 19 // sha256: and twelve digits
	if len(id) > enough {
		return id[:enough] + "…"
	}
	return id
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

func plural(n float64, what string) string {
	if n == 1 {
		return number(n) + " " + what
	}
	return number(n) + " " + what + "s"
}
