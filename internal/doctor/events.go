package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// kind is what S3 tells about in one family of events.
type kind struct {
	name   string // what happens
	family string
	single []string // those that make up the family
	least  Level    // what it means that nobody is told
	lost   string   // what follows
}

// kinds are the events that change what viewers should see.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
func kinds() []kind {
	return []kind{
		{"uploads", "s3:ObjectCreated:", []string{"Put", "Post", "Copy", "CompleteMultipartUpload"}, Error, "changed objects stay stale"},
		{"deletions", "s3:ObjectRemoved:", []string{"Delete", "DeleteMarkerCreated"}, Error, "deleted objects are still served"},
		{"lifecycle expirations", "s3:LifecycleExpiration:", []string{"Delete", "DeleteMarkerCreated"}, Warning, "expired objects are still served"},
	}
}

// missing returns the events of a kind that none of rules is about.
func (k kind) missing(rules []Rule) (events []string) {
	has := func(name string) bool {
		return slices.ContainsFunc(rules, func(r Rule) bool { return slices.Contains(r.Events, k.family+name) })
	}
	if has("*") {
		return nil
	}
	for _, name := range k.single {
		if !has(name) {
			events = append(events, k.family+name)
		}
	}
	return events
}

// events looks whether somebody is told of every change.
func (s Seen) events() (findings []Finding) {
	const check = "events"
	switch {
	case s.Own:
		return []Finding{{Level: Note, Check: check, Saw: "does not apply to a running freshet: its bucket tells the pipeline of every change without notification rules"}}
	case s.Bucket == "":
		return []Finding{{Level: Note, Check: check, Saw: "not looked at: no bucket was named or found", Do: "name one with --bucket"}}
	case s.Rules.Err != nil:
		return []Finding{{Level: Warning, Check: check, Saw: "the bucket's notification rules cannot be read: " + why(s.Rules.Err), Do: remedy(s.Rules.Err, "s3:GetBucketNotification")}}
	case s.Rules.Is.EventBridge:
		return []Finding{{Level: OK, Check: check, Saw: "EventBridge is told of every change; whether a rule there passes it on, --canary finds out"}}
	}
	var to []string
	for _, k := range kinds() {
		findings = append(findings, s.told(k)...)
	}
	for _, r := range s.Rules.Is.Rules {
		to = append(to, r.To)
	}
	if len(findings) == 0 {
		slices.Sort(to)
		findings = append(findings, Finding{Level: OK, Check: check, Saw: "uploads, deletions and lifecycle expirations of all keys go to " + strings.Join(slices.Compact(to), ", ")})
	}
	return findings
}

// told says what is not told of one kind of change.
func (s Seen) told(k kind) []Finding {
	const check = "events"
	if k.least == Warning && s.Expiring.Err == nil && !s.Expiring.Is {
		k.least, k.lost = Note, "no lifecycle rule expires anything now"
	}
	var all, filtered []Rule
	for _, r := range s.Rules.Is.Rules {
		if s.everyKey(r) {
			all = append(all, r)
		} else {
			filtered = append(filtered, r)
		}
	}
	gap := k.missing(all)
	if len(gap) == 0 {
		return nil
	}
	do := fmt.Sprintf("add %s* without a filter to the bucket's notification rules", k.family)
	if len(k.missing(slices.Concat(all, filtered))) == 0 {
		var only []string
		for _, r := range filtered {
			if len(k.missing([]Rule{r})) < len(k.single) {
				only = append(only, r.filter())
			}
		}
		return []Finding{{Level: min(k.least, Warning), Check: check, Saw: fmt.Sprintf("%s are told of only for keys that %s", k.name, strings.Join(only, ", or ")),
			Do: do + ", or name the same keys under routes.sources if others are of no interest"}}
	}
	gap = k.missing(slices.Concat(all, filtered))
	if len(gap) == len(k.single) {
		return []Finding{{Level: k.least, Check: check, Saw: fmt.Sprintf("nobody is told of %s: %s", k.name, k.lost), Do: do}}
	}
	return []Finding{{Level: k.least, Check: check, Saw: fmt.Sprintf("nobody is told of %s: %s", strings.Join(gap, ", "), k.lost), Do: do}}
}

// everyKey reports whether a rule is about all keys that viewers reach: all that
// there are, or all below the origin path that every distribution has.
func (s Seen) everyKey(r Rule) bool {
	if r.Suffix != "" {
		return false
	}
	for i := range s.Sites {
		for _, o := range s.feeding(&s.Sites[i]) {
			if !strings.HasPrefix(strings.TrimPrefix(o.OriginPath, "/")+"/", r.Prefix) && r.Prefix != "" || o.OriginPath == "" && r.Prefix != "" {
				return false
			}
		}
	}
	return r.Prefix == "" || slices.ContainsFunc(s.Sites, func(site Site) bool { return s.originIsBucket(&site) })
}

func (r Rule) filter() string {
	switch {
	case r.Suffix == "":
		return fmt.Sprintf("begin with %q", r.Prefix)
	case r.Prefix == "":
		return fmt.Sprintf("end in %q", r.Suffix)
	}
	return fmt.Sprintf("begin with %q and end in %q", r.Prefix, r.Suffix)
}
