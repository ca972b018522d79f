package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
)

// The steps of a canary, as they are shown.
const (
	stepPut         = "put"
	stepServed      = "served"
	stepChanged     = "changed"
	stepInvalidated = "change invalidated"
	stepCompleted   = "invalidation completed"
	stepFresh       = "new content served"
	stepDeleted     = "deleted"
	stepCleared     = "deletion invalidated"
)

const (
	// remembered is how far back what was invalidated before a canary is looked
	// for: so long may clocks differ.
	remembered = 15 * time.Minute
	// looked is how many invalidations one look reads.
	looked = 25
	// cleanup is how long a canary may take to be removed.
	cleanup = 15 * time.Second
)

// canary judges a canary's way.
func (s Seen) canary(site *Site) []Finding {
	const check = "canary"
	t := site.Trial
	if t == nil {
		saw := "not tried: --canary puts an object into the bucket, waits until it is fresh at the edge and removes it again"
		if !site.Distribution.Config.Enabled || !s.originIsBucket(site) {
			saw = "not tried: no object of the bucket can be seen at this distribution"
		}
		return []Finding{{Level: Note, Check: check, Saw: saw}}
	}
	var findings []Finding
	var way []string
	for _, step := range t.Steps {
		way = append(way, fmt.Sprintf("%s %v", step.Name, shown(step.Took)))
	}
	far := strings.Join(way, ", ")
	if t.Failed == "" {
		findings = append(findings, Finding{Level: OK, Check: check, Saw: t.Key + ": " + far})
	} else {
		if far != "" {
			far = ", after " + far
		}
		findings = append(findings, Finding{Level: Error, Check: check, Saw: fmt.Sprintf("%s: not %s: %s%s", t.Key, t.Failed, why(t.Err), far), Do: mend(t)})
	}
	if t.Failed == stepCleared {
		findings[0].Level = Warning
	}
	if t.Left != nil {
		findings = append(findings, Finding{Level: Warning, Check: check, Saw: fmt.Sprintf("%s is left in the bucket: %s", t.Key, why(t.Left)), Do: "delete it by hand; " + remedy(t.Left, "s3:DeleteObject")})
	}
	return findings
}

func shown(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// mend says what to do about the step that failed.
func mend(t *Trial) string {
	switch t.Failed {
	case stepPut, stepChanged:
		return remedy(t.Err, "s3:PutObject")
	case stepServed:
		return "let the distribution read the bucket (origin access control and the bucket's policy), and look at functions that change the path"
	case stepInvalidated, stepCleared:
		return "look at the notification rules (events), at the logs and dead letters of what they lead to, and whether routes.sources leaves the key out"
	case stepCompleted:
		return "CloudFront takes its time: look again later with aws cloudfront list-invalidations"
	case stepFresh:
		return "freshet explain " + t.Path + " shows what else may be kept: another cache between, or a function that changes the path"
	}
	return remedy(t.Err, "s3:DeleteObject")
}

// flight is a canary under way.
type flight struct {
	Config
	trial  *Trial
	bucket string
	site   *Site
	in     func(*s3.Options)
	left   []string // versions of the object
	inside bool     // the object is in the bucket, for all that is known
	since  time.Time
	before []string                     // IDs of what was invalidated before
	known  map[string][]freshet.Pattern // of invalidations, by ID
	sent   cloudfront.Sent
}

// send puts a canary, changes it and deletes it, and looks at what becomes of
// that at the edge. The object is removed also when ctx is done.
func (c Config) send(ctx context.Context, s *Seen, site *Site) *Trial {
	name := "freshet-canary-" + strings.ToLower(rand.Text()[:10]) + ".txt"
	t := &Trial{Key: name}
	path, key, ok := s.perch(site, name)
	if !ok {
		t.Failed, t.Err = stepPut, errors.New("no behavior that serves everybody leads to the bucket")
		return t
	}
	t.Key, t.Path = key, path
	f := &flight{Config: c, trial: t, bucket: s.Bucket, site: site, known: make(map[string][]freshet.Pattern), in: func(o *s3.Options) {
		if s.Home.Is != "" && o.BaseEndpoint == nil {
			o.Region = s.Home.Is
		}
	}}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Within, fmt.Errorf("not within %v", c.Within))
	defer cancel()
	f.fly(ctx)
	f.clean(ctx)
	return t
}

// perch finds a path that a behavior for everybody answers from the bucket, and
// its key there.
func (s Seen) perch(site *Site, name string) (path, key string, ok bool) {
	config := &site.Distribution.Config
	for i := range len(config.CacheBehaviors) + 1 {
		// The default behavior comes first.
		at := config.BehaviorAt((i + len(config.CacheBehaviors)) % (len(config.CacheBehaviors) + 1))
		folder, rest, wild := strings.Cut("/"+strings.TrimPrefix(at.PathPattern, "/"), "*")
		if at.PathPattern != "" && (!wild || strings.ContainsAny(folder+rest, "*?") || rest != "" && rest != ".txt") {
			continue
		}
		path := folder + name
		b := config.Behavior(path)
		if len(b.TrustedKeyGroups)+len(b.TrustedSigners) > 0 {
			continue
		}
		for _, o := range s.feeding(site) {
			if config.Feeds(b.TargetOriginID, o.ID) {
				return path, strings.TrimPrefix(o.OriginPath+path, "/"), true
			}
		}
	}
	return "", "", false
}

// fly takes one step after the other, and stops at the first that fails.
func (f *flight) fly(ctx context.Context) {
	first, second := "canary "+rand.Text()+"\n", "canary "+rand.Text()+"\n"
	steps := []struct {
		name string
		take func(context.Context) error
	}{
		{stepPut, func(ctx context.Context) error { return f.put(ctx, first) }},
		{stepServed, func(ctx context.Context) error { return f.served(ctx, first) }},
		{stepChanged, func(ctx context.Context) error { return errors.Join(f.remember(ctx), f.put(ctx, second)) }},
		{stepInvalidated, f.invalidated},
		{stepCompleted, f.completed},
		{stepFresh, func(ctx context.Context) error { return f.fresh(ctx, second) }},
		{stepDeleted, func(ctx context.Context) error { return errors.Join(f.remember(ctx), f.remove(ctx)) }},
		{stepCleared, f.invalidated},
	}
	for _, step := range steps {
		f.Progress(fmt.Sprintf("canary %s at %s: %s", f.trial.Key, f.site.ID, step.name))
		began := time.Now()
		if err := step.take(ctx); err != nil {
			f.trial.Failed, f.trial.Err = step.name, err
			return
		}
		f.trial.Steps = append(f.trial.Steps, Step{step.name, time.Since(began)})
	}
}

func (f *flight) put(ctx context.Context, body string) error {
	f.inside = true // also when the answer is lost
	out, err := f.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: &f.bucket, Key: &f.trial.Key, Body: strings.NewReader(body), ContentType: aws.String("text/plain")}, f.in)
	if err != nil {
		return err
	}
	if v := aws.ToString(out.VersionId); v != "" {
		f.left = append(f.left, v)
	}
	return nil
}

func (f *flight) remove(ctx context.Context) error {
	out, err := f.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.bucket, Key: &f.trial.Key}, f.in)
	if err != nil {
		return err
	}
	f.inside = false
	if v := aws.ToString(out.VersionId); v != "" {
		f.left = append(f.left, v)
	}
	return nil
}

// clean leaves nothing behind, versions included.
func (f *flight) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	var err error
	if f.inside {
		err = f.remove(ctx)
	}
	for _, version := range f.left {
		_, e := f.S3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.bucket, Key: &f.trial.Key, VersionId: &version}, f.in)
		err = errors.Join(err, e)
	}
	f.trial.Left = err
}

// served wants the path to be answered with body.
func (f *flight) served(ctx context.Context, body string) error {
	r, err := f.Fetch(ctx, &f.site.Distribution, f.trial.Path)
	switch {
	case err != nil:
		return fmt.Errorf("fetch %s: %w", f.trial.Path, err)
	case r.Status >= 300 && r.Status < 400 && f.Own:
		return fmt.Errorf("%s is answered over TLS only: start freshet up with --tls", f.trial.Path)
	case r.Status != 200:
		return fmt.Errorf("%s is answered with %d (%s)", f.trial.Path, r.Status, r.Cache)
	case r.Body != body:
		return fmt.Errorf("%s is answered with something else (%s)", f.trial.Path, r.Cache)
	}
	return nil
}

// remember reads what was invalidated last, by the CDN's clock.
func (f *flight) remember(ctx context.Context) error {
	sent, err := f.Invalidations.Since(ctx, f.site.ID, time.Now().Add(-remembered), 1, f.known)
	if err != nil {
		return err
	}
	f.since, f.before = time.Now().Add(-remembered), nil
	if len(sent) > 0 {
		f.since = sent[0].At
		if sent, err = f.Invalidations.Since(ctx, f.site.ID, f.since, looked, f.known); err != nil {
			return err
		}
	}
	for _, known := range sent {
		f.before = append(f.before, known.ID)
	}
	return nil
}

// invalidated waits for an invalidation that covers the canary and was not there
// before. It may be that of the change before, where that one took long, which
// fresh finds out.
func (f *flight) invalidated(ctx context.Context) error {
	return f.poll(ctx, "no invalidation that covers "+f.trial.Path, func() (bool, error) {
		sent, err := f.Invalidations.Since(ctx, f.site.ID, f.since, looked, f.known)
		for _, one := range sent {
			covers := slices.ContainsFunc(one.Patterns, func(p freshet.Pattern) bool { return p.Covers(f.trial.Path) })
			if covers && !slices.Contains(f.before, one.ID) {
				f.sent = one
				return true, nil
			}
		}
		return false, err
	})
}

// fresh wants the path to be answered with body, after one more invalidation where
// the one that was seen was that of the change before.
func (f *flight) fresh(ctx context.Context, body string) error {
	stale := f.served(ctx, body)
	if stale == nil {
		return nil
	}
	f.before = append(f.before, f.sent.ID)
	ctx, cancel := context.WithTimeout(ctx, late)
	defer cancel()
	if f.invalidated(ctx) != nil || f.completed(ctx) != nil {
		return stale
	}
	return f.served(ctx, body)
}

// late is how long after one invalidation that of the next change may come.
const late = 30 * time.Second

func (f *flight) completed(ctx context.Context) error {
	return f.poll(ctx, f.sent.ID+" is in progress", func() (bool, error) {
		r, err := f.Invalidations.Status(ctx, f.site.ID, f.sent.ID)
		return r.State == freshet.Completed, err
	})
}

// poll looks until there is what is looked for, an error that will stay, or no
// time any more.
func (f *flight) poll(ctx context.Context, otherwise string, look func() (bool, error)) error {
	tick := time.NewTicker(f.Every)
	defer tick.Stop()
	for {
		done, err := look()
		if done {
			return nil
		}
		if ctx.Err() == nil && err != nil && !cdn.ClassOf(err).Temporary() {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", otherwise, context.Cause(ctx))
		case <-tick.C:
		}
	}
}
