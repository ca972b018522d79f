package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/server"
	"github.com/freshet/freshet/internal/verify"
)

// config is what the conductor works with.
func (s *deploySite) config(f freshening, report func(conduct.Event)) (conduct.Config, error) {
	c := conduct.Config{
		Bucket: s.store, Shelf: s.shelf, Name: s.bucket, Prefix: s.prefix, NoLock: s.noLock, Holder: shelf.Me(), Patience: s.lockFor, Report: report,
		Own: func(key string) bool { return strings.HasPrefix(key, s.prefix+".freshet/") },
	}
	sample, err := sampleOf(f.Verify)
	if err != nil {
		return c, exitError{exitUsage, err}
	}
	l := &deployLine{deploySite: s, edgeURL: f.EdgeURL, sample: sample}
	switch {
	case s.mode == byNobody:
		c.Line = conduct.Line{Plan: nothingToPlan, Send: nil}
	case s.mode == byEvents && s.running != nil:
		c.Opened = l.hold
		c.Line.Follow = noFollowing
		if f.Wait {
			c.Line.Follow = l.followRunning
		}
	case s.mode == byEvents:
		c.Line.Follow = noFollowing
		if f.Wait && sample != 0 && s.planner != nil {
			c.Line.Follow = l.followOthers
		}
	default:
		c.Line = conduct.Line{Plan: l.plan, Send: l.send, Repeat: l.repeat}
		if f.Wait {
			c.Line.Wait = l.wait
		}
		if f.Wait && sample != 0 {
			c.Line.Verify = func(ctx context.Context, d *deploy.Deploy) ([]freshet.Verdict, error) {
				return l.verify(ctx, d, *d.Plan, settling)
			}
		}
	}
	return c, nil
}

// settling is how long an edge may take after the CDN has said that it is done.
const settling = 10 * time.Second

// sampleOf reads --verify: -1 is all, 0 none.
func sampleOf(text string) (int, error) {
	switch text {
	case "all":
		return -1, nil
	case "none":
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("--verify=%s: it is all, none or a number of URLs", text)
	}
	return n, nil
}

func nothingToPlan([]freshet.Change, []deploy.Present) (freshet.Plan, error) {
	return freshet.Plan{Changes: []freshet.Change{}, Invalidations: []freshet.Invalidation{}}, nil
}

// noFollowing leaves it to others without looking.
func noFollowing(context.Context, *deploy.Deploy) ([]freshet.Verdict, error) {
	return nil, conduct.ErrUnseen
}

// deployLine is the way from the bucket to viewers.
type deployLine struct {
	*deploySite

	edgeURL string
	sample  int
	since   time.Time // when this deploy had sent nothing; zero for one that was taken up
}

// plan makes the cheapest plan, given what the bucket holds.
func (l *deployLine) plan(changes []freshet.Change, have []deploy.Present) (freshet.Plan, error) {
	l.believe(have)
	return l.planner.Make(changes, false)
}

// repeat plans what was seen stale, under other caller references.
func (l *deployLine) repeat(stale []freshet.Change) (freshet.Plan, error) {
	again := *l.planner
	again.Attempt = 1
	return again.Make(stale, true)
}

func presentKeys(have []deploy.Present) iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, p := range have {
			if !yield(p.Key, p.Size) {
				return
			}
		}
	}
}

func (l *deployLine) send(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	return apply.Send(ctx, l.driver, inv, apply.Retry{For: 10 * time.Minute})
}

func (l *deployLine) wait(ctx context.Context, r freshet.Receipt) (freshet.Receipt, error) {
	p := l.profile(r.Distribution)
	if l.running != nil {
		p.PollEvery = 10 * time.Millisecond
	}
	return apply.Wait(ctx, l.driver, r, p)
}

// verify looks at the targets through the edge.
func (l *deployLine) verify(ctx context.Context, d *deploy.Deploy, p freshet.Plan, patience time.Duration) ([]freshet.Verdict, error) {
	const probes = 32
	checker := &verify.Checker{
		Client: &http.Client{
			Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: probes, Proxy: http.ProxyFromEnvironment},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Edge: l.reach, Origin: l, Patience: patience, Slots: semaphore.NewWeighted(probes),
	}
	defer checker.Client.CloseIdleConnections()
	changes := make(map[string]freshet.Change, len(d.Changes))
	for _, c := range d.Changes {
		changes[c.Key] = c
	}
	redirects := make(map[string]bool)
	for _, step := range d.Steps {
		redirects[step.Object.Key] = step.Object.Served.Redirect != ""
	}
	var targets []freshet.Target
	for _, inv := range p.Invalidations {
		for _, t := range inv.Targets {
			if t.Served && !redirects[t.Key] {
				targets = append(targets, t)
			}
		}
	}
	targets = sampled(targets, l.sample)
	verdicts := make([]freshet.Verdict, len(targets))
	var looking sync.WaitGroup
	for i, t := range targets {
		looking.Go(func() { verdicts[i] = checker.Check(ctx, t, changes[t.Key], func() bool { return false }) })
	}
	looking.Wait()
	return verdicts, ctx.Err()
}

// sampled takes n of targets, evenly; all of them where n is negative.
func sampled(targets []freshet.Target, n int) []freshet.Target {
	if n < 0 || n >= len(targets) {
		return targets
	}
	some := make([]freshet.Target, n)
	for i := range some {
		some[i] = targets[i*len(targets)/n]
	}
	return some
}

// reach tells verification how to get to a distribution.
func (l *deployLine) reach(id string) (*url.URL, string, bool) {
	for _, d := range l.planner.Distributions {
		if d.ID != id {
			continue
		}
		base := "https://" + d.DomainName
		if l.running != nil {
			base = l.running.Edge
		}
		if l.edgeURL != "" {
			base = l.edgeURL
		}
		u, err := url.Parse(base)
		return u, d.DomainName, err == nil && d.DomainName != ""
	}
	return nil, "", false
}

// Stat is what the bucket holds, for verification.
func (l *deployLine) Stat(ctx context.Context, _, key string) (verify.Object, bool, error) {
	h, ok, err := l.store.Holds(ctx, key)
	return verify.Object{ETag: h.ETag, Size: h.Size, Modified: h.Modified}, ok, err
}

// followOthers makes the plan only to know where to look, until somebody else
// has made it fresh.
func (l *deployLine) followOthers(ctx context.Context, d *deploy.Deploy) ([]freshet.Verdict, error) {
	p, err := l.planner.Make(d.Changes, false)
	if err != nil {
		return nil, err
	}
	const longest = 15 * time.Minute
	patience := longest
	if d.Over { // they have had their time
		patience = settling
	}
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end)-5*time.Second)
	}
	return l.verify(ctx, d, p, patience)
}

// How the running freshet's pipeline is held.
const (
	heldFor   = 30 * time.Second
	renewedIn = 10 * time.Second
)

// clockTick is by how much the bucket's times may lag behind: those of files are
// only as fine as the system's tick.
const clockTick = 20 * time.Millisecond

// holdName is the site's, so that a deploy takes over what one that died has
// left.
func (l *deployLine) holdName() string {
	sum := sha256.Sum256([]byte(l.bucket + "/" + l.prefix))
	return "deploy-" + hex.EncodeToString(sum[:6])
}

// hold has the running freshet's pipeline gather what is sent, so that it
// becomes one plan.
func (l *deployLine) hold(ctx context.Context, resumed bool) (func(context.Context) error, error) {
	client, name := server.Client{URL: l.running.API, Token: l.running.Token}, l.holdName()
	take := func(ctx context.Context) error {
		_, err := client.Hold(ctx, server.Hold{Name: name, Seconds: heldFor.Seconds()})
		return err
	}
	if !resumed {
		l.since = time.Now().Add(-clockTick)
	}
	if err := take(ctx); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(renewedIn)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = take(ctx) // a hold that ends early costs a plan more, and nothing else
			}
		}
	})
	return func(ctx context.Context) error {
		stop()
		renewing.Wait()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_, err := client.Release(ctx, name)
		return err
	}, nil
}

// followRunning reads the journal of the running freshet until every change of
// the deploy is at its end.
func (l *deployLine) followRunning(ctx context.Context, d *deploy.Deploy) ([]freshet.Verdict, error) {
	since := l.since
	if since.IsZero() {
		since = time.Unix(d.Begun, 0)
	}
	client := server.Client{URL: l.running.API, Token: l.running.Token}
	if d.Over { // and has left something
		return becameOf(d, func(each func(journal.Record) error) error { return client.Read(ctx, false, each) })
	}
	w := newWatched(d, since)
	if len(w.open) == 0 {
		return nil, nil
	}
	if _, err := client.Release(ctx, l.holdName()); err != nil { // of a deploy that died
		return nil, err
	}
	err := client.Read(ctx, true, func(r journal.Record) error {
		if w.see(r); len(w.open) == 0 {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) {
		return w.verdicts, fmt.Errorf("%d objects are not verified yet (%w); freshet log --follow shows them", len(w.open), err)
	}
	return w.verdicts, nil
}

var errSeen = errors.New("all is seen")

// watched are the changes of a deploy in the journal of a running freshet.
type watched struct {
	since    time.Time
	bucket   string
	open     map[string]freshet.Change           // by key
	states   map[string]map[string]journal.State // of a change by its ID: by distribution
	verdicts []freshet.Verdict
}

func newWatched(d *deploy.Deploy, since time.Time) *watched {
	w := &watched{since: since, bucket: d.Bucket, open: make(map[string]freshet.Change), states: make(map[string]map[string]journal.State)}
	for _, c := range d.Changes {
		w.open[c.Key] = c
	}
	return w
}

// becameOf is what has become, by the last word of the journal, of keys that were
// not seen fresh at first, such as because they were dead letters that somebody
// has tried again.
func becameOf(d *deploy.Deploy, read func(each func(journal.Record) error) error) (verdicts []freshet.Verdict, err error) {
	last := make(map[string]map[string]journal.Record) // of each key, by distribution
	for _, key := range d.Unproven {
		last[key] = make(map[string]journal.Record)
	}
	err = read(func(r journal.Record) error {
		if at := last[r.Key]; at != nil && r.Origin == d.Bucket {
			if r.State == journal.Received {
				clear(at) // a newer change of it, or the same one again
			}
			at[r.Distribution] = r
			if r.Distribution != "" {
				delete(at, "") // of before it was routed
			}
		}
		return nil
	})
	for _, key := range d.Unproven {
		v := freshet.Verdict{Target: freshet.Target{Origin: d.Bucket, Key: key}, State: freshet.Fresh}
		for _, r := range last[key] {
			if !r.State.Final() || r.State == journal.Dead {
				v.State, v.Reason, v.Target.Distribution = freshet.Stale, cmp.Or(r.Reason, "it is only "+string(r.State)), r.Distribution
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, err
}

// see notes a record. A later change of the same object stands for the deploy's.
func (w *watched) see(r journal.Record) {
	c, open := w.open[r.Key]
	if !open || r.Origin != w.bucket || r.ChangedAt.Before(w.since) {
		return
	}
	at := w.states[r.ID]
	if at == nil {
		at = make(map[string]journal.State)
		w.states[r.ID] = at
	}
	at[r.Distribution] = r.State
	if len(at) > 1 {
		delete(at, "") // of before it was routed
	}
	for _, s := range at {
		if !s.Final() {
			return
		}
	}
	delete(w.open, r.Key)
	delete(w.states, r.ID)
	v := freshet.Verdict{Target: freshet.Target{Distribution: r.Distribution, Origin: r.Origin, Key: c.Key}, State: freshet.Fresh, Reason: r.Reason}
	if r.State == journal.Dead {
		v.State = freshet.Stale
	}
	if r.VerifiedAt != nil {
		v.At = *r.VerifiedAt
	}
	w.verdicts = append(w.verdicts, v)
}

// follower is who is told of changes in the bucket and looks like somebody that
// invalidates; empty for nobody.
func follower(ctx context.Context, client *s3.Client, bucket string) (string, error) {
	rules, err := client.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &bucket})
	if err != nil {
		return "", err
	}
	like := func(kind, arn string) string {
		name := strings.ToLower(arn[strings.LastIndex(arn, ":")+1:])
		for _, word := range []string{"freshet", "invalidat", "cloudfront"} {
			if strings.Contains(name, word) {
				return kind + " " + arn
			}
		}
		return ""
	}
	var found []string
	for _, r := range rules.LambdaFunctionConfigurations {
		found = append(found, like("the function", aws.ToString(r.LambdaFunctionArn)))
	}
	for _, r := range rules.QueueConfigurations {
		found = append(found, like("the queue", aws.ToString(r.QueueArn)))
	}
	for _, r := range rules.TopicConfigurations {
		found = append(found, like("the topic", aws.ToString(r.TopicArn)))
	}
	for _, f := range found {
		if f != "" {
			return f, nil
		}
	}
	return "", nil
}
