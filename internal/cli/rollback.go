package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
)

type rollbackCmd struct {
	To         string        `arg:"" name:"bucket" help:"The site: s3://BUCKET or s3://BUCKET/PREFIX."`
	Release    string        `arg:"" optional:"" help:"Release to lead viewers to, or the beginning of its ID (default: the one before the current one)."`
	Atomic     atomicFlag    `placeholder:"HOW" default:"origin-path" help:"How viewers are led, as the site was deployed: origin-path or pointer (default origin-path)."`
	DryRun     bool          `help:"Change nothing: show the very plan."`
	JSON       bool          `name:"json" help:"Print the result as JSON."`
	Timeout    time.Duration `default:"30m" help:"How long all of it may take."`
	place      `embed:""`
	freshening `embed:""`
}

// Help is shown below the flags.
func (rollbackCmd) Help() string {
	return `Leads viewers back to a release of a site that is deployed with --atomic, and invalidates exactly
what differs between the two. Nothing is sent; the objects of the release are all there.

Examples:
  freshet releases s3://www-example-com
  freshet rollback s3://www-example-com
  freshet rollback s3://www-example-com 3f2a

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 done but seen stale.`
}

// Run leads viewers back.
func (c *rollbackCmd) Run(ctx context.Context, t terminal, r *root) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not done within %v; --timeout allows for more", c.Timeout))
	defer cancel()
	d := &deployCmd{To: c.To, DryRun: c.DryRun, JSON: c.JSON, Concurrency: 32, Atomic: c.Atomic, place: c.place, freshening: c.freshening}
	site, err := d.open(ctx, t, r, c.To, d.Concurrency)
	if err != nil {
		return err
	}
	to, err := c.target(ctx, site)
	if err != nil {
		return err
	}
	show := newDeployScreen(t.err)
	defer show.close()
	cfg, err := site.config(c.freshening, show.event)
	if err != nil {
		return err
	}
	cfg.Commit = to.Commit
	if err := site.atomic(ctx, &cfg, c.freshening, c.place, c.Atomic, conduct.Atomic{Release: to.ID, Rollback: true}); err != nil {
		return err
	}
	p, err := conduct.Prepare(ctx, cfg)
	if err != nil {
		return err
	}
	if c.DryRun {
		return d.show(t, site, p)
	}
	return d.run(ctx, t, site, p, show)
}

// target is the release that is meant.
func (c *rollbackCmd) target(ctx context.Context, site *deploySite) (deploy.Release, error) {
	all, err := conduct.ReadReleases(ctx, site.shelf)
	if err != nil {
		return deploy.Release{}, err
	}
	want := firstOf(c.Release, all.Before)
	if want == "" {
		return deploy.Release{}, usageError("there is no release before the current one: name one of those that freshet releases lists")
	}
	found, err := all.Find(want)
	if err != nil {
		return found, exitError{exitUsage, err}
	}
	return found, nil
}

type releasesCmd struct {
	To    string `arg:"" name:"bucket" help:"The site: s3://BUCKET or s3://BUCKET/PREFIX."`
	JSON  bool   `name:"json" help:"Print one JSON line per release."`
	place `embed:""`
}

// Help is shown below the flags.
func (releasesCmd) Help() string {
	return `Lists the releases of a site that is deployed with freshet deploy --atomic, the newest first. A star
marks the one that viewers get.

Example:
  freshet releases s3://www-example-com`
}

// Run lists.
func (c *releasesCmd) Run(ctx context.Context, t terminal, r *root) error {
	d := &deployCmd{To: c.To, Concurrency: 8, place: c.place, freshening: freshening{Invalidate: byNobody, Verify: "none"}}
	site, err := d.open(ctx, t, r, c.To, d.Concurrency)
	if err != nil {
		return err
	}
	all, err := conduct.ReadReleases(ctx, site.shelf)
	if err != nil {
		return err
	}
	if c.JSON {
		for _, r := range slices.Backward(all.Releases) {
			err := printJSON(t.out, struct {
				deploy.Release

				Current bool `json:"current"`
			}{r, r.ID == all.Current})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if len(all.Releases) == 0 {
		_, err := fmt.Fprintln(t.out, "no releases")
		return err
	}
	var text strings.Builder
	lines := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, r := range slices.Backward(all.Releases) {
		mark := " "
		if r.ID == all.Current {
			mark = "*"
		}
		_, _ = fmt.Fprintf(lines, "%s %s\t%s\t%s\t%s\t%s\n", mark, r.ID, time.Unix(r.Time, 0).UTC().Format(time.DateTime), count(r.Objects, "object"), bytesOf(r.Bytes), r.Commit)
	}
	_ = lines.Flush() // a Builder takes everything
	_, err = io.WriteString(t.out, text.String())
	return err
}
