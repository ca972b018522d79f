package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/quota"
)

type invalidateCmd struct {
	Patterns     []string `arg:"" name:"pattern" help:"Paths such as /index.html, /blog/* or '/a%20b.html'; #tag for a cache tag. Only a * at the end is a wildcard."`
	Distribution string   `placeholder:"ID" help:"Distribution (default: that of the freshet running on the data directory)."`
	Reference    string   `placeholder:"TEXT" help:"Caller reference: a second call with the same one and the same patterns invalidates nothing again (default: a new one each time)."`
	holding      `embed:""`
	sending      `embed:""`
}

// sending is how requests are sent by hand.
type sending struct {
	Endpoint string        `name:"endpoint-url" placeholder:"URL" help:"CloudFront API (default: that of the running freshet, or AWS)."`
	Wait     bool          `default:"true" negatable:"" help:"Wait until completed."`
	Timeout  time.Duration `default:"15m" help:"How long to wait."`
	JSON     bool          `name:"json" help:"Print one JSON line per request."`
}

// Help is shown below the flags.
func (invalidateCmd) Help() string {
	return `With a freshet running on the data directory its distributions and keys are used. Otherwise,
or with --endpoint-url or --distribution of another, the credentials are those that the AWS
CLI would use.

Examples:
  freshet invalidate / /index.html '/blog/*'
  freshet invalidate --no-wait /index.html
  freshet invalidate --wait-for 'lambda site:live updated' '/*'
  freshet invalidate --distribution E2EXAMPLE1234 '/*'`
}

// Validate refuses a time in which nothing could be sent.
func (c *sending) Validate() error {
	if c.Timeout <= 0 {
		return fmt.Errorf("--timeout=%v: a time such as 30s or 15m is needed", c.Timeout)
	}
	return nil
}

// result is what --json prints for each request.
type result struct {
	freshet.Receipt
	Patterns []freshet.Pattern `json:"patterns"`
}

// Run sends the patterns and waits.
func (c *invalidateCmd) Run(ctx context.Context, t terminal, r *root) error {
	patterns, err := parsePatterns(c.Patterns)
	if err != nil {
		return err
	}
	driver, distribution, err := c.driver(ctx, r, c.Distribution)
	if err != nil {
		return err
	}
	if err := c.hold(ctx, t, r, c.Endpoint, "nothing was invalidated"); err != nil {
		return err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	profile, err := profileOf(ctx, driver, distribution)
	if err != nil {
		return err
	}
	return c.send(ctx, t, driver, profile, c.requests(profile, patterns)).err()
}

// limit ends ctx after the time that was given.
func (c *sending) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not done within %v; --timeout allows for more", c.Timeout))
}

// tally counts how requests ended.
type tally struct {
	done     int
	failures []error
}

// err is nil when nothing failed, and has an exit code of its own when something
// else did not.
func (n tally) err() error {
	err := errors.Join(n.failures...)
	if err != nil && n.done > 0 {
		return exitError{exitSome, err}
	}
	return err
}

// send sends requests to one distribution, one after the other, and shows each
// receipt.
func (c *sending) send(ctx context.Context, t terminal, d cdn.Driver, p freshet.Profile, requests []freshet.Invalidation) (n tally) {
	for _, inv := range requests {
		receipt, err := c.one(ctx, t, d, p, inv)
		if err == nil {
			err = c.show(t.out, receipt, inv)
		}
		if err != nil {
			n.failures = append(n.failures, err)
			continue
		}
		n.done++
	}
	return n
}

// parsePatterns returns the patterns in order, each once.
func parsePatterns(args []string) ([]freshet.Pattern, error) {
	var patterns []freshet.Pattern
	for _, a := range args {
		p, err := freshet.ParsePattern(a)
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		patterns = append(patterns, p)
	}
	slices.Sort(patterns)
	return slices.Compact(patterns), nil
}

// driver returns the driver for the CDN that is meant, and the distribution,
// which is the first of the running freshet unless it is given.
func (c *sending) driver(ctx context.Context, r *root, distribution string) (cdn.Driver, string, error) {
	cfg, err := r.load()
	if err != nil {
		return nil, "", err
	}
	running, err := app.DataDir(cfg.Data).Running()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, "", err
	case c.Endpoint == "" || c.Endpoint == running.API:
		d, has, err := ofRunning(ctx, running, distribution)
		if err != nil {
			return nil, "", err
		}
		if has {
			return d, cmp.Or(distribution, running.Distribution), nil
		}
	}
	if distribution == "" {
		return nil, "", usageError("no freshet is running on %s: name a --distribution, or start one with freshet up", cfg.Data)
	}
	d, err := cloudfront.New(ctx, cloudfront.Config{Endpoint: c.Endpoint})
	return quota.New(quota.Config{Driver: d, Default: cloudfront.Quota()}).Lane(quota.Bulk), distribution, err
}

// askedFor is how long a question is asked again that nothing is sent without.
const askedFor = 30 * time.Second

// ofRunning returns the driver of the running freshet, and whether it has a
// distribution. Without a name its own is meant.
func ofRunning(ctx context.Context, running app.Running, distribution string) (d cdn.Driver, has bool, err error) {
	api, err := cloudfront.New(ctx, cloudfront.Config{
		Endpoint: running.API, Region: running.Region, PollEvery: 10 * time.Millisecond,
		Credentials: credentials.NewStaticCredentialsProvider(running.AccessKey, running.SecretKey, ""),
	})
	if err != nil {
		return nil, false, err
	}
	// What quota it has it says by pushing back.
	d = quota.New(quota.Config{Driver: api, Of: func(freshet.Profile) freshet.Quota { return freshet.Quota{} }})
	if distribution == "" || distribution == running.Distribution {
		return d, true, nil
	}
	profiles, err := apply.Profiles(ctx, d, apply.Retry{For: askedFor})
	return d, slices.ContainsFunc(profiles, func(p freshet.Profile) bool { return p.Distribution == distribution }), err
}

// profileOf asks for the distribution's limits, and takes CloudFront's where the
// credentials do not allow to list distributions.
func profileOf(ctx context.Context, d cdn.Driver, id string) (freshet.Profile, error) {
	all, err := apply.Profiles(ctx, d, apply.Retry{For: askedFor})
	if err != nil && cdn.ClassOf(err) != cdn.Denied {
		return freshet.Profile{}, err
	}
	for _, p := range all {
		if p.Distribution == id {
			return p, nil
		}
	}
	return cloudfront.ProfileOf(id, nil), nil
}

// requests splits the patterns as the distribution demands.
func (c *invalidateCmd) requests(p freshet.Profile, patterns []freshet.Pattern) []freshet.Invalidation {
	reference := c.Reference
	if reference == "" {
		reference = "freshet-by-hand-" + rand.Text()
	}
	var all []freshet.Invalidation
	for i, part := range p.Split(patterns) {
		inv := freshet.Invalidation{Distribution: p.Distribution, CallerReference: reference, Patterns: part}
		if i > 0 {
			inv.CallerReference += fmt.Sprintf("-%d", i+1)
		}
		all = append(all, inv)
	}
	return all
}

// one sends a request and waits for it, with a line on standard error meanwhile.
func (c *sending) one(ctx context.Context, t terminal, d cdn.Driver, p freshet.Profile, inv freshet.Invalidation) (freshet.Receipt, error) {
	receipt, err := apply.Send(ctx, d, inv, apply.Retry{For: c.Timeout, Each: func(_ freshet.Invalidation, err error) {
		_, _ = fmt.Fprintf(t.err, "freshet: will try again: %v\n", err)
	}})
	if err != nil || !c.Wait {
		return receipt, err
	}
	stop := progress(t.err, fmt.Sprintf("%s %s in progress", receipt.Distribution, receipt.ID))
	defer stop()
	p.CompletionWithin = c.Timeout
	return apply.Wait(ctx, d, receipt, p)
}

// progress shows text and the time that has passed until stop is called: after a
// second, and then rewritten on a terminal; elsewhere once.
func progress(w io.Writer, text string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	live := isTerminal(w)
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-tick.C:
			case <-done:
				if live && n > 1 {
					_, _ = io.WriteString(w, "\r\x1b[K")
				}
				return
			}
			switch {
			case live:
				_, _ = fmt.Fprintf(w, "\r\x1b[K%s, %d s", text, n)
			case n == 1:
				_, _ = fmt.Fprintf(w, "%s …\n", text)
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (c *sending) show(w io.Writer, receipt freshet.Receipt, inv freshet.Invalidation) error {
	if c.JSON {
		return printJSON(w, result{receipt, inv.Patterns})
	}
	_, err := fmt.Fprintf(w, "%s  %s  %s  %s\n", receipt.Distribution, receipt.ID, receipt.State, count(len(inv.Patterns), "path"))
	return err
}
