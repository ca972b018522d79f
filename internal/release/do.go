package release

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
)

// do takes a step, and notes in the journal what it has done. An *again error is
// no end.
func (r *Release) do(ctx context.Context, step Step, s Seen) error {
	switch step.Do {
	case Update:
		return r.update(ctx, s)
	case Publish:
		return r.publish(ctx, s)
	case BeginCanary:
		return r.point(ctx, s, s.Alias.Version, map[string]float64{r.journal.Version: r.Wanted.Canary})
	case MarkCanary:
		r.journal.Canary.Since = s.Now
		return r.keep()
	case Watch:
		return r.watch(ctx)
	case Back:
		return r.back(ctx, step, s)
	case Switch:
		return r.point(ctx, s, r.journal.Version, nil)
	case Live:
		return r.live(s)
	case Probe:
		return r.probe(ctx)
	case Plan:
		return r.plan(false)
	case Invalidate:
		return r.invalidate(ctx)
	case Verify:
		return r.verify(ctx)
	case Warm:
		return r.outside(ctx, r.Warm, &r.journal.Warmed)
	}
	return fmt.Errorf("nobody knows how to %s", step.Do)
}

// update replaces the code if it is still what was seen.
func (r *Release) update(ctx context.Context, s Seen) error {
	if r.updates++; r.updates > mostUpdates {
		return fmt.Errorf("the code was replaced %d times and is not what was uploaded", mostUpdates)
	}
	r.journal.Guard = s.Latest.Revision
	if err := r.keep(); err != nil {
		return err
	}
	in := &lambda.UpdateFunctionCodeInput{FunctionName: &r.Wanted.Function, RevisionId: &s.Latest.Revision}
	if r.Wanted.Image != "" {
		in.ImageUri = aws.String(r.Wanted.Image)
	} else {
		in.ZipFile = r.Zip
	}
	if _, err := r.Lambda.UpdateFunctionCode(ctx, in); err != nil {
		return asked("replace the code of "+r.Wanted.Function, err, "lambda:UpdateFunctionCode")
	}
	return nil
}

// publish makes a version of the code that was seen, or finds the one that was
// made of it: Lambda makes none of what has not changed since the last.
func (r *Release) publish(ctx context.Context, s Seen) error {
	out, err := r.Lambda.PublishVersion(ctx, &lambda.PublishVersionInput{
		FunctionName: &r.Wanted.Function, CodeSha256: &s.Latest.SHA256, RevisionId: &s.Latest.Revision,
		Description: aws.String("released by freshet"),
	})
	if err != nil {
		return asked("publish "+r.Wanted.Function, err, "lambda:PublishVersion")
	}
	r.journal.Version = aws.ToString(out.Version)
	return r.keep()
}

// point has the alias send its requests to a version, and shares of them to
// others. No shares take away those that there are.
func (r *Release) point(ctx context.Context, s Seen, version string, weights map[string]float64) error {
	if weights == nil {
		weights = map[string]float64{}
	}
	_, err := r.Lambda.UpdateAlias(ctx, &lambda.UpdateAliasInput{
		FunctionName: &r.Wanted.Function, Name: &r.Wanted.Alias, FunctionVersion: &version, RevisionId: &s.Alias.Revision,
		RoutingConfig: &types.AliasRoutingConfiguration{AdditionalVersionWeights: weights},
	})
	if err != nil {
		return asked("move the alias "+r.Wanted.Alias, err, "lambda:UpdateAlias")
	}
	return nil
}

// back writes down first why, so that a run that ends here does not begin the
// canary again.
func (r *Release) back(ctx context.Context, step Step, s Seen) error {
	r.journal.Canary.Failed = step.Why
	if err := r.keep(); err != nil {
		return err
	}
	return r.point(ctx, s, s.Alias.Version, nil)
}

// live notes by what the new code is reached. Caller references are derived from
// it, so that a run without the journal finds the same ones.
func (r *Release) live(s Seen) error {
	r.journal.Live, r.journal.Revision = s.Now, s.Latest.Revision
	if s.Alias != nil {
		r.journal.Revision = s.Alias.Revision
	}
	if l := r.last; l.Version == r.journal.Version && l.Revision == r.journal.Revision && samePatterns(planned(l), r.Wanted.Patterns) {
		r.journal = l // all of this was done
		return nil
	}
	return r.keep()
}

func planned(j Journal) (all []freshet.Pattern) {
	for _, inv := range j.Invalidations {
		all = append(all, inv.Patterns...)
	}
	return all
}

// plan writes down what is sent before it is. Repeated, it is the same patterns
// under other caller references, since what was seen stale is to be removed anew.
func (r *Release) plan(repeated bool) error {
	w := r.Wanted
	r.journal.Planned, r.journal.Repeated = time.Now(), repeated
	r.journal.Invalidations, r.journal.Receipts = nil, nil
	for i, part := range r.Profile.Split(w.Patterns) {
		r.journal.Invalidations = append(r.journal.Invalidations, freshet.Invalidation{
			Distribution: w.Distribution, CallerReference: reference(w, r.journal, i, part), Patterns: part,
		})
	}
	return r.keep()
}

// reference is the same for the same patterns and what answers: a revision of an
// alias, or of the code, is never had twice.
func reference(w Wanted, j Journal, n int, patterns []freshet.Pattern) string {
	h := sha256.New()
	for _, part := range []string{w.Function, w.Alias, j.Version, j.Revision, w.Distribution} {
		_, _ = fmt.Fprintf(h, "%q\n", part)
	}
	for _, p := range patterns {
		_, _ = fmt.Fprintf(h, "%q\n", string(p))
	}
	again := ""
	if j.Repeated {
		again = "-again"
	}
	return fmt.Sprintf("freshet-release-%s-%d%s", strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil))[:26]), n+1, again)
}

// invalidate sends what has no receipt, and waits for all.
func (r *Release) invalidate(ctx context.Context) error {
	for i, inv := range r.journal.Invalidations {
		if i == len(r.journal.Receipts) {
			receipt, err := apply.Send(ctx, r.Driver, inv, apply.Retry{For: r.Within, Each: func(_ freshet.Invalidation, err error) { r.say(Invalidate, "will try again: "+err.Error()) }})
			if err != nil {
				return err
			}
			r.journal.Receipts = append(r.journal.Receipts, receipt)
			if err := r.keep(); err != nil {
				return err
			}
			r.say(Invalidate, fmt.Sprintf("%s %s: %s", receipt.Distribution, receipt.ID, strings.Join(texts(inv.Patterns), " ")))
		}
	}
	profile := r.Profile
	profile.CompletionWithin = r.Within
	for i, receipt := range r.journal.Receipts {
		done, err := apply.Wait(ctx, r.Driver, receipt, profile)
		if err != nil {
			return err
		}
		r.journal.Receipts[i] = done
	}
	return r.keep()
}

func texts(patterns []freshet.Pattern) (all []string) {
	for _, p := range patterns {
		all = append(all, string(p))
	}
	return all
}

// verify looks through the edge. What is stale after completion is invalidated
// once more; the second time it is an error.
func (r *Release) verify(ctx context.Context) error {
	err := r.outside(ctx, r.Verify, &r.journal.Verified)
	var stale *Stale
	if r.journal.Repeated || len(r.journal.Invalidations) == 0 || !errors.As(err, &stale) {
		return err
	}
	r.say(Verify, err.Error()+": invalidating once more")
	r.told = "" // the steps that come again are told again
	return r.plan(true)
}

// outside does what others do with the URLs.
func (r *Release) outside(ctx context.Context, do func(context.Context, Journal) error, done *bool) error {
	if err := do(ctx, r.journal); err != nil {
		return err
	}
	*done = true
	return r.keep()
}

// watchEvery is how often a canary is looked at, and measureEvery how often
// Lambda's own counts are asked for, which are made by the minute.
const (
	watchEvery   = time.Second
	measureEvery = 20 * time.Second
	mostUpdates  = 5
)

// watch looks at the canary once.
func (r *Release) watch(ctx context.Context) error {
	c := &r.journal.Canary
	if r.Sample != nil {
		c.Requests++
		if err := r.Sample(ctx); err != nil && ctx.Err() == nil {
			c.Errors++
			r.say(Watch, err.Error())
		}
	}
	c.Looked = time.Now()
	switch {
	case r.Measure == nil:
		c.Blind = "Lambda's own counts were not asked for"
	case c.seen(r.Wanted.CanaryFor) || time.Since(r.measured) >= measureEvery:
		r.measured = time.Now()
		requests, faults, err := r.Measure(ctx, r.journal.Version, c.Since)
		switch {
		case err == nil:
			c.Measured, c.Faults, c.Blind = requests, faults, ""
		case c.Measured == 0:
			c.Blind = err.Error()
		}
	}
	if err := r.keep(); err != nil {
		return err
	}
	return pause(ctx, watchEvery)
}
