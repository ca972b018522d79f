package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/source"
	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/s3event"
)

type planCmd struct {
	File    string `arg:"" optional:"" default:"-" help:"File with S3, EventBridge, SNS or SQS events, or with one object key per line. - is standard input."`
	Bucket  string `placeholder:"NAME" help:"Bucket that listed keys are in, and that the distribution is in front of (default site)."`
	Format  string `enum:"auto,events,keys" default:"auto" help:"What the input is: auto, events or keys."`
	Dialect string `default:"auto" help:"Who wrote the events, which decides how keys are decoded: auto, s3, eventbridge, minio, versitygw or raw."`
	JSON    bool   `name:"json" help:"Print the plan as JSON, as it would be sent."`
}

// Help is shown below the flags.
func (planCmd) Help() string {
	return `Nothing is sent. The plan is for the distribution of the configuration, the one that
freshet up puts in front of the bucket. Records that cannot be read are named on standard
error, and the exit code is 1; the others are planned.

Examples:
  freshet plan event.json
  aws sqs receive-message --queue-url … | freshet plan
  git diff --name-only HEAD~ | freshet plan --json -`
}

// Run prints a plan.
func (c *planCmd) Run(_ context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if c.Bucket != "" {
		cfg.Bucket = c.Bucket
	}
	if err := cfg.Check(); err != nil {
		return exitError{exitUsage, err}
	}
	read, err := c.read(t.in, cfg.Bucket)
	if err != nil {
		return err
	}
	p, err := planFor(cfg, read)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(t.out, p)
	} else {
		err = showPlan(t.out, p, read)
	}
	if err == nil {
		err = complain(t.err, read)
	}
	return err
}

func (c *planCmd) read(in io.Reader, bucket string) (batch.Result, error) {
	if _, err := s3event.ParseDialect(c.Dialect); err != nil {
		return batch.Result{}, exitError{exitUsage, err}
	}
	// Before anything is read, and also where nothing will be read in it.
	dialect, err := s3event.ParseDialect(c.Dialect)
	if err != nil {
		return batch.Result{}, err
	}
	text, err := c.input(in)
	if err != nil {
		return batch.Result{}, err
	}
	opts := source.Options{Origin: bucket, Now: time.Now(), Dialect: dialect}
	if c.Format != "auto" {
		opts.Format = source.Format(c.Format)
	}
	return source.Parse(text, opts)
}

func (c *planCmd) input(in io.Reader) ([]byte, error) {
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, fmt.Errorf("read the changes: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	// One byte more than is allowed, so that the parser can say so.
	text, err := io.ReadAll(io.LimitReader(in, s3event.DefaultMaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	return text, nil
}

// planFor plans the changes for the distribution of cfg.
func planFor(cfg config.Config, read batch.Result) (freshet.Plan, error) {
	id := "EXAMPLE"
	if identity, err := app.DataDir(cfg.Data).KnownIdentity(); err == nil {
		id = identity.Distribution
	}
	d := cfg.Distribution.Apply(distribution.ForBucket(id, cfg.Bucket))
	in := plan.Input{Profiles: []freshet.Profile{cloudfront.ProfileOf(d.ID, d.Hosts())}}
	in.Changes, in.Superseded = freshet.Latest(read.Plain())
	in.Targets, in.Unrouted = route.Targets(in.Changes, []distribution.Distribution{d})
	return plan.Make(in)
}

// complain names the records that could not be read.
func complain(w io.Writer, read batch.Result) error {
	for _, p := range read.Problems {
		_, _ = fmt.Fprintf(w, "freshet: %v\n", p)
	}
	if n := len(read.Problems); n > 0 {
		return fmt.Errorf("%d of %d records could not be read", n, read.Records())
	}
	return nil
}

func showPlan(w io.Writer, p freshet.Plan, read batch.Result) error {
	var b strings.Builder
	patterns := 0
	for _, inv := range p.Invalidations {
		patterns += len(inv.Patterns)
	}
	fmt.Fprintf(&b, "%s → %s in %s", count(len(p.Changes), "object"), count(patterns, "path"), count(len(p.Invalidations), "request"))
	if n := len(p.Superseded); n > 0 {
		fmt.Fprintf(&b, ", %s superseded", count(n, "change"))
	}
	b.WriteString("\n")
	for i, inv := range p.Invalidations {
		fmt.Fprintf(&b, "\n%d. distribution %s, reference %s\n", i+1, inv.Distribution, inv.CallerReference)
		for _, pattern := range inv.Patterns {
			showPattern(&b, pattern, inv.Targets)
		}
	}
	for _, u := range p.Unrouted {
		fmt.Fprintf(&b, "\nnothing for %s: %s\n", visible(u.Key), u.Reason)
	}
	for _, s := range read.Skipped {
		fmt.Fprintf(&b, "\nskipped %s: %s\n", s.At, s.Reason)
	}
	if patterns > 0 {
		fmt.Fprintf(&b, "\n$%.3f beyond the account's free 1,000 paths a month\n", float64(patterns)*cloudfront.PatternPrice)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// showPattern prints one pattern with the first few reasons for it.
func showPattern(b *strings.Builder, pattern freshet.Pattern, targets []freshet.Target) {
	const few = 3
	fmt.Fprintf(b, "   %s\n", pattern)
	n := 0
	for _, t := range targets {
		if t.Pattern != pattern && !pattern.Covers(t.URL) {
			continue
		}
		if n++; n <= few {
			fmt.Fprintf(b, "      %s: %s\n", visible(t.Key), t.Reason)
		}
	}
	if n > few {
		fmt.Fprintf(b, "      and %d more\n", n-few)
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check a configuration file."`
	Show  configShowCmd  `cmd:"" help:"Print the configuration that holds, defaults included."`
}

type configCheckCmd struct {
	File string `arg:"" optional:"" type:"path" help:"The file (default: freshet.yaml, or what --config names)."`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

// Run reports what is wrong with a file.
func (c *configCheckCmd) Run(t terminal, r *root) error {
	path := config.File
	for _, named := range []string{r.Config, c.File} {
		if named != "" {
			path = named
		}
	}
	_, err := config.Load(path, true)
	if c.JSON {
		result := struct {
			File  string `json:"file"`
			OK    bool   `json:"ok"`
			Error string `json:"error,omitempty"`
		}{File: path, OK: err == nil}
		if err != nil {
			result.Error = err.Error()
		}
		if printing := printJSON(t.out, result); printing != nil {
			return printing
		}
		if err != nil {
			return exitError{code: exitFailed}
		}
		return nil
	}
	if err == nil {
		_, err = fmt.Fprintf(t.out, "%s is right\n", path)
	}
	return err
}

type configShowCmd struct {
	JSON bool `name:"json" help:"Print JSON instead of YAML."`
}

// Run prints the configuration.
func (c *configShowCmd) Run(t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.out, cfg)
	}
	text, err := cfg.YAML()
	if err != nil {
		return err
	}
	_, err = t.out.Write(text)
	return err
}

// sorted is a copy of patterns in order.
func sorted(patterns []freshet.Pattern) []freshet.Pattern {
	patterns = slices.Clone(patterns)
	slices.Sort(patterns)
	return slices.Compact(patterns)
}
