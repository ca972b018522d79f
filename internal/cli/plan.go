package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/source"
	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/gitdiff"
	"github.com/freshet/freshet/internal/source/keylist"
	"github.com/freshet/freshet/internal/source/s3event"
)

type planCmd struct {
	File          string            `arg:"" optional:"" default:"-" help:"File with S3, EventBridge, SNS or SQS events, or with one object key per line. - is standard input."`
	Bucket        string            `placeholder:"NAME" help:"Bucket that listed keys are in, and that the distribution is in front of (default site)."`
	Format        string            `enum:"auto,events,keys" default:"auto" help:"What the input is: auto, events or keys."`
	Dialect       string            `default:"auto" help:"Who wrote the events, which decides how keys are decoded: auto, s3, eventbridge, minio, versitygw or raw."`
	Batch         string            `placeholder:"TEXT" help:"What tells a list of keys from an earlier list of the same keys, such as a commit ID: under the same name they are the same changes, which are invalidated once (default: the time)."`
	Live          *bool             `negatable:"" help:"Plan as freshet up does, for which freshness counts more than the last path: one wildcard at most, or those that are needed (default for events)."`
	Inventory     []string          `placeholder:"FILE" sep:"none" help:"What the bucket holds: output of aws s3api list-objects-v2 or aws s3 ls --recursive, S3 Inventory, a list of keys, a directory, or JSON lines with key, size and tags (of before the change, as the cache has them). May be given several times (default: what the data directory knows)."`
	AccessLog     []string          `placeholder:"FILE" sep:"none" help:"CloudFront standard log, or a directory of them, that says how often each URL is asked for. May be given several times."`
	FreePaths     *int              `placeholder:"N" help:"Paths that are left of the account's free 1,000 of this month."`
	MaxCollateral *int64            `placeholder:"N" help:"Refuse a plan that makes more than N unchanged objects cold."`
	Never         []freshet.Pattern `placeholder:"PATTERN" sep:"none" help:"Never send this pattern, such as '/*'. May be given several times."`
	Out           string            `short:"o" placeholder:"FILE" type:"path" help:"Write the plan to FILE, for freshet apply."`
	JSON          bool              `name:"json" help:"Print the plan as JSON, as it would be sent."`
	CodeCommit    *codeCommit       `name:"codecommit" placeholder:"REPO[@BRANCH]" help:"Ask AWS CodeCommit what a range of commits changed, which is given in the place of FILE as [BASE..]HEAD: IDs or branches. HEAD is the branch (default main)."`
	commits       `embed:""`
	Deployed      string `placeholder:"s3://BUCKET[/PREFIX]" help:"Site whose last verified deploy the range begins with, where it says no BASE."`
	Endpoint      string `name:"endpoint-url" placeholder:"URL" help:"S3 API of --deployed (default: that of the running freshet if it has the bucket, or AWS)."`
	described     `embed:""`
}

// described is where the distributions are described, for commands that need not
// know the CDN.
type described struct {
	Distribution []string          `placeholder:"[ID=]FILE" sep:"none" help:"What aws cloudfront get-distribution or get-distribution-config printed, a CloudFormation template, a cdk.out directory, or YAML with the same names (default: distributions in the configuration; plan and explain without those: the distribution of freshet up). With up, the first is what answers at the address of the edge itself. Custom cache policies are read from files given in the same way. May be given several times."`
	Parameter    map[string]string `placeholder:"NAME=VALUE" help:"Parameter of a template. May be given several times."`
	KVS          map[string]string `name:"kvs" placeholder:"ID=FILE" help:"JSON file with the pairs of a template's key value store, by its logical ID or name, where cdk.out does not have them. May be given several times."`
	Resource     map[string]string `placeholder:"ID=NAME" help:"Name that a resource of a template has in AWS, such as SiteBucket=www-example-com. May be given several times."`
}

// Help is shown below the flags.
func (planCmd) Help() string {
	return `Nothing is sent. The plan is the cheapest set of paths, wildcards and tags that removes every
URL of what changed: paths have their price, and so has making cold what did not change. For
that it is good to know what the bucket holds. Prices and guard rails are set under plan: in
the configuration, rewrites and derived URLs under routes:.

With --git the changes are those of a range of commits, whatever is checked out. The same range
has the same plan again, under the same references, which CDNs take for one; --batch tells a second
occasion from the first, such as the way back and forth again.

Records that cannot be read are named on standard error, and the exit code is 1; the others
are planned. A plan that is against the guard rails is refused, with exit code 1.

Examples:
  freshet plan event.json
  aws sqs receive-message --queue-url … | freshet plan
  freshet plan --git v1.2..main --path public
  freshet plan --git "$BEFORE..$AFTER" --map 'content/{page...}.md => {page}/index.html' --json
  freshet plan --codecommit pages@main --path public 8f2c1e0d9b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e..HEAD
  aws cloudfront get-distribution --id E2EXAMPLE1234 > site.json
  aws s3api list-objects-v2 --bucket www > objects.json
  freshet plan --git v1.2..main --distribution site.json --inventory objects.json --bucket www \
      --out plan.json
  freshet apply plan.json`
}

// Validate refuses what is no number of paths, and two sources at a time.
func (c *planCmd) Validate() error {
	switch {
	case c.given() && (c.File != "-" || c.CodeCommit != nil):
		return errors.New("the changes come from --git or from somewhere else, not from both")
	case !c.given() && c.CodeCommit == nil && c.mapped.given() || !c.given() && c.Remote != "":
		return errors.New("--path, --map, --prefix and --remote are about the commits of --git BASE..HEAD, and all but --remote about those of --codecommit")
	}
	if (c.Deployed != "" || c.Endpoint != "") && !c.given() && c.CodeCommit == nil {
		return errors.New("--deployed is about the commits of --git or --codecommit")
	}
	if c.FreePaths != nil && *c.FreePaths < 0 {
		return fmt.Errorf("--free-paths=%d: it must not be negative", *c.FreePaths)
	}
	return nil
}

// Run prints a plan.
func (c *planCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := c.configuration(r)
	if err != nil {
		return err
	}
	read, span, err := c.changes(ctx, t, cfg)
	if err != nil {
		return err
	}
	changes, live := c.dated(read.Plain())
	p, err := c.make(ctx, t, cfg, changes, live)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if slices.ContainsFunc(p.Invalidations, func(inv freshet.Invalidation) bool { return inv.Distribution == "" }) {
			return exitError{exitUsage, errors.New("a plan for a distribution without an ID could not be applied: give it as --distribution ID=FILE")}
		}
		if err := writePlan(c.Out, planFile{Format: planFormat, Plan: p, Commits: span}); err != nil {
			return err
		}
	}
	if err := c.show(t.out, p, read, span); err != nil {
		return err
	}
	return complain(t.err, read)
}

// changes reads them from where they are to come from. The range is nil unless
// that is commits.
func (c *planCmd) changes(ctx context.Context, t terminal, cfg config.Config) (batch.Result, *ranged, error) {
	switch {
	case c.given():
		return c.commits.read(ctx, t, cfg.Bucket, c.Batch, c.lastVerified(cfg))
	case c.CodeCommit != nil:
		text := strings.TrimPrefix(c.File, "-") // the default is standard input
		return c.CodeCommit.read(ctx, t, text, cfg.Bucket, c.Batch, c.rules(), c.lastVerified(cfg))
	}
	read, err := c.read(t.in, cfg.Bucket)
	return read, nil, err
}

// lastVerified is the commit of the last deploy that was verified.
func (c *planCmd) lastVerified(cfg config.Config) baseOf {
	return func(ctx context.Context) (string, error) {
		if c.Deployed == "" {
			return "", usageError("where the range begins is not said: write BASE..HEAD, or name the site with --deployed s3://BUCKET")
		}
		s := &deploySite{cfg: cfg}
		var err error
		if s.bucket, s.prefix, err = parseS3URL(c.Deployed); err != nil {
			return "", exitError{exitUsage, err}
		}
		at := place{Endpoint: c.Endpoint}
		if err := errors.Join(at.reach(ctx, s, 1), at.keep(ctx, s, 1)); err != nil {
			return "", err
		}
		last, err := s.lastDeploy(ctx)
		if err != nil {
			return "", err
		}
		commit := verifiedCommit(last)
		if commit == "" {
			return "", usageError("no deploy is on record at %s that was verified and says which commit it was: write BASE..HEAD", c.Deployed)
		}
		return commit, nil
	}
}

// dated tells lists of keys apart by --batch, and says whether to plan as freshet
// up does.
func (c *planCmd) dated(changes []freshet.Change) (_ []freshet.Change, live bool) {
	for i := range changes {
		switch {
		case changes[i].Cause == gitdiff.Cause:
		case changes[i].Cause != keylist.Cause:
			live = true
		case c.Batch != "":
			changes[i].Version, changes[i].Time = c.Batch, time.Time{}
		}
	}
	if c.Live != nil {
		live = *c.Live
	}
	return changes, live
}

// show prints the plan.
func (c *planCmd) show(w io.Writer, p freshet.Plan, read batch.Result, span *ranged) error {
	if c.JSON {
		return printJSON(w, planFile{Format: planFormat, Plan: p, Commits: span})
	}
	text := &planText{Plan: p, skipped: read.Skipped, free: c.FreePaths}
	if span != nil {
		text.skipped = nil
		if err := span.write(w, read.Skipped); err != nil {
			return err
		}
	}
	return text.write(w)
}

func (c *planCmd) configuration(r *root) (config.Config, error) {
	cfg, err := r.load()
	if err != nil {
		return cfg, err
	}
	if c.Bucket != "" {
		cfg.Bucket = c.Bucket
	}
	if c.MaxCollateral != nil {
		cfg.Plan.MaxCollateral = c.MaxCollateral
	}
	cfg.Plan.Never = append(cfg.Plan.Never, c.Never...)
	c.describe(&cfg)
	if err := cfg.Check(); err != nil {
		return cfg, exitError{exitUsage, err}
	}
	return cfg, nil
}

// describe puts the distributions that were given in the place of those that
// are configured.
func (d *described) describe(cfg *config.Config) {
	if len(d.Distribution) > 0 {
		cfg.Distributions = nil
	}
	for _, given := range d.Distribution {
		f := config.DistributionFile{File: given}
		if id, file, ok := strings.Cut(given, "="); ok && distributionID.MatchString(id) {
			f.ID, f.File = id, file
		}
		cfg.Distributions = append(cfg.Distributions, f)
	}
	for i := range cfg.Distributions {
		f := &cfg.Distributions[i]
		f.Parameters, f.Resources, f.KVS = merged(f.Parameters, d.Parameter), merged(f.Resources, d.Resource), merged(f.KVS, d.KVS)
	}
}

// distributionID tells an ID before a file name from a file name with a = in it.
var distributionID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func merged(a, b map[string]string) map[string]string {
	all := make(map[string]string, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

func (c *planCmd) make(ctx context.Context, t terminal, cfg config.Config, changes []freshet.Change, live bool) (freshet.Plan, error) {
	p, err := planner(t, cfg)
	if err != nil {
		return freshet.Plan{}, err
	}
	stop := func() {}
	if len(c.Inventory)+len(c.AccessLog) > 0 {
		stop = progress(t.err, "reading what there is")
	}
	notes, err := p.Know(ctx, app.Stock{Listings: c.Inventory, Logs: c.AccessLog, Bucket: cfg.Bucket, Data: cfg.Data})
	stop()
	if err != nil {
		return freshet.Plan{}, err
	}
	warn(t, notes)
	made, err := p.Make(changes, live)
	var refused *plan.Refused
	if errors.As(err, &refused) {
		return made, fmt.Errorf("the plan is refused: %w", err)
	}
	return made, err
}

// planner reads the distributions and shows what is odd about them.
func planner(t terminal, cfg config.Config) (*app.Planner, error) {
	p, err := app.NewPlanner(cfg)
	if err != nil {
		return nil, err
	}
	warn(t, p.Warnings)
	return p, nil
}

func warn(t terminal, notes []string) {
	for _, n := range notes {
		_, _ = fmt.Fprintf(t.err, "freshet: %s\n", n)
	}
}

func (c *planCmd) read(in io.Reader, bucket string) (batch.Result, error) {
	// Before anything is read, and also where nothing will be read in it.
	dialect, err := s3event.ParseDialect(c.Dialect)
	if err != nil {
		return batch.Result{}, exitError{exitUsage, err}
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
	text, err := io.ReadAll(io.LimitReader(in, source.MaxListBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	return text, nil
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
