package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/tree"
)

type deployCmd struct {
	Dir         string        `arg:"" help:"Directory that holds the site, as it was built; none with --git."`
	To          string        `arg:"" optional:"" name:"bucket" help:"Where it goes: s3://BUCKET or s3://BUCKET/PREFIX."`
	DryRun      bool          `help:"Change nothing: show what would be sent, and the very plan."`
	JSON        bool          `name:"json" help:"Print the result as JSON; with --dry-run, the deploy with its plan."`
	Commit      string        `placeholder:"ID" help:"Commit that the site was built from, remembered for later."`
	MaxDelete   string        `placeholder:"N|N%" help:"Refuse to delete more objects, or a larger share of them (default: a quarter of what is there, and 1,000 at most; 10 always)."`
	KeepExtra   bool          `help:"Delete nothing: objects that the directory does not have stay."`
	Atomic      atomicFlag    `placeholder:"HOW" help:"Send a whole release below releases/ and lead viewers there at the end: by the distribution's origin path (--atomic), or by an object that names it (--atomic=pointer)."`
	Keep        int           `default:"5" placeholder:"N" help:"With --atomic, releases that are kept (default 5)."`
	Concurrency int           `default:"32" placeholder:"N" help:"Requests in flight (default 32)."`
	Timeout     time.Duration `default:"30m" help:"How long all of it may take."`
	NoMemory    bool          `name:"rehash" help:"Read every file, and do not remember what was in it by its size and times."`
	commits     `embed:""`
	Full        bool `help:"With --git, compare all of the commit with the bucket, and not only what the range touched: after the rules were changed, or the bucket by others."`
	holding     `embed:""`
	treated     `embed:""`
	place       `embed:""`
	freshening  `embed:""`
}

// treated is how files become objects.
type treated struct {
	Rules        string   `placeholder:"FILE" type:"path" help:"Rules for headers, order, compression, redirects and what to ignore (default: freshet.deploy.yaml in the working directory, if there is one)."`
	CacheControl []string `placeholder:"GLOB=VALUE" sep:"none" help:"Cache-Control of the files that match. May be given several times; the last one that matches counts."`
	ContentType  []string `placeholder:"GLOB=TYPE" sep:"none" help:"Content-Type of the files that match. May be given several times."`
	Metadata     []string `placeholder:"GLOB=NAME=VALUE" sep:"none" help:"x-amz-meta-NAME of the files that match. May be given several times."`
	Redirect     []string `placeholder:"PATH=TO" sep:"none" help:"Object that S3's website endpoints answer with a redirect. May be given several times."`
	Ignore       []string `placeholder:"PATTERN" sep:"none" help:"Leave out what matches, as a line of .gitignore does. A .freshetignore in DIR is read as well. May be given several times."`
	Precompress  []string `placeholder:"br,gzip" enum:"br,gzip" help:"Put .br and .gz files beside what compresses well. For single globs, see precompress and encode in the rules."`
	Hidden       bool     `help:"Send names that begin with a dot as well, not only .well-known."`
	Symlinks     string   `default:"inside" enum:"inside,all,skip" help:"Symbolic links: follow those that stay inside DIR and refuse others (inside), follow all, or skip them."`
}

// Help is shown below the flags.
func (deployCmd) Help() string {
	return `Sends what differs, by content and by what is served along with it: assets first, then pages, then
feeds, sitemaps, service workers and manifests, then deletes what is gone. Then it invalidates exactly
what that made stale, waits, looks through the edge that viewers get the new bytes, and fetches there what it made cold
(--warm): by one edge location, or by those that --edge-url leads to. That something cannot be made warm
is said, and fails nothing.

What it is about to do is written down beforehand, beside the site (--state). A deploy that dies
anywhere is finished by the next one, under the same caller references: nothing is lost or doubled.
Two deploys of one site exclude each other.

With --git the site is what a commit has, whatever is checked out, and only what the range touched is
compared and sent; BASE is the commit of the last deploy that was verified, unless it is given. Where that
is not known, all of the commit is compared.

Into the bucket of the freshet that runs on the data directory the deploy goes with its keys, holds
its pipeline until everything is sent, and follows the invalidation until it is verified. Otherwise the
credentials are those that the AWS CLI would use, and distributions are found by their origins.

Examples:
  freshet deploy ./public s3://site
  freshet deploy --dry-run ./public s3://www-example-com
  freshet deploy ./public s3://www-example-com/docs --distribution E2EXAMPLE1234 \
      --cache-control 'assets/*=public, max-age=31536000, immutable' --commit "$(git rev-parse HEAD)"
  freshet deploy --git main --path public s3://www-example-com
  freshet deploy ./public s3://www-example-com --wait-for 'distribution E2EXAMPLE1234 deployed'
  freshet deploy ./public s3://www --endpoint-url https://s3.example.com --invalidate none

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 sent but seen stale.`
}

// Validate refuses what nothing could be sent with.
func (c *deployCmd) Validate() error {
	switch {
	case c.Concurrency < 1 || c.Concurrency > 1000:
		return fmt.Errorf("--concurrency=%d: 1 to 1000", c.Concurrency)
	case c.Timeout <= 0:
		return fmt.Errorf("--timeout=%v: a time such as 5m is needed", c.Timeout)
	}
	if _, err := deploy.ParseLimit(c.MaxDelete); err != nil {
		return fmt.Errorf("--max-delete: %w", err)
	}
	return c.arrange()
}

// arrange finds out which argument is which.
func (c *deployCmd) arrange() error {
	switch {
	case c.given() && c.To != "":
		return errors.New("with --git the site is in the commit: name the bucket alone, and the folder with --path")
	case c.given() && c.Prefix != "":
		return errors.New("--prefix: write it behind the bucket, s3://BUCKET/PREFIX")
	case c.given():
		c.Dir, c.To = "", c.Dir
	case c.To == "":
		return errors.New("a directory and a bucket are needed, or --git and a bucket")
	case c.mapped.given() || c.Remote != "" || c.Full:
		return errors.New("--path, --map, --remote and --full are about the commits of --git BASE..HEAD")
	}
	return nil
}

// parseS3URL returns the bucket and the prefix of keys, which is empty or ends
// with a slash.
func parseS3URL(text string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(text, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", fmt.Errorf("%q is no place in a bucket such as s3://www-example-com/docs", text)
	}
	if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
		if strings.HasPrefix(prefix, "/") || strings.Contains(prefix, "//") {
			return "", "", fmt.Errorf("%q has an empty folder in it", text)
		}
		prefix += "/"
	}
	return bucket, prefix, nil
}

// Run deploys.
func (c *deployCmd) Run(ctx context.Context, t terminal, r *root) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not done within %v; deploy again, and it goes on; --timeout allows for more", c.Timeout))
	defer cancel()
	rules, err := c.rules()
	if err != nil {
		return exitError{exitUsage, err}
	}
	if !c.DryRun {
		if err := c.hold(ctx, t, r, c.CloudFrontURL, "nothing was sent or invalidated"); err != nil {
			return err
		}
	}
	site, err := c.open(ctx, t, r, c.To, c.Concurrency)
	if err != nil {
		return err
	}
	show := newDeployScreen(t.err)
	defer show.close()
	what, err := c.choose(ctx, t, rules, site, show)
	if err != nil {
		return err
	}
	defer func() { _ = what.close() }() // of what is only read
	cfg, err := site.config(c.freshening, show.event)
	if err != nil {
		return err
	}
	cfg.Want, cfg.Commit, cfg.Parallel = what.want, firstOf(c.Commit, what.commit), c.Concurrency
	cfg.Options = deploy.Options{Keep: c.KeepExtra, Select: what.about}
	if cfg.Limit, err = deploy.ParseLimit(firstOf(c.MaxDelete, rules.Limit)); err != nil {
		return exitError{exitUsage, err}
	}
	if c.Atomic != "" {
		release, err := site.released(cfg.Want)
		if err == nil {
			err = site.atomic(ctx, &cfg, c.freshening, c.place, c.Atomic, conduct.Atomic{Release: release, Keep: c.Keep})
		}
		if err != nil {
			return err
		}
	}
	show.doing("comparing with " + c.To)
	p, err := conduct.Prepare(ctx, cfg)
	if err != nil {
		return tooMany(err)
	}
	show.quiet()
	if c.DryRun {
		return c.show(t, site, p)
	}
	return c.run(ctx, t, site, p, show)
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// tooMany makes a refusal what it is: nothing was done.
func tooMany(err error) error {
	var many *deploy.TooMany
	if errors.As(err, &many) {
		return exitError{exitFailed, fmt.Errorf("nothing was changed: %w", err)}
	}
	return err
}

// run does what was prepared, and shows what became of it.
func (c *deployCmd) run(ctx context.Context, t terminal, site *deploySite, p *conduct.Prepared, show *deployScreen) error {
	if p.Nothing() {
		return c.report(t, site, p, nil, nil)
	}
	if !c.JSON {
		show.note("%s", announcement(p, site))
	}
	results, err := p.Run(ctx, func(anew *conduct.Prepared) error {
		show.note("%s", announcement(anew, site))
		p = anew
		return nil
	})
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	show.quiet()
	if err != nil {
		return err
	}
	if err := site.clear(ctx, results); err != nil { // the next deploy invalidates by path
		show.note("freshet: what is known of cache tags is not written down: %v", err)
	}
	warmed := c.warm(ctx, site, p, results, show)
	show.quiet()
	return c.report(t, site, p, results, warmed)
}

// choose finds out what the site is to be.
func (c *deployCmd) choose(ctx context.Context, t terminal, rules deploy.Rules, site *deploySite, show *deployScreen) (chosen, error) {
	if c.given() {
		from := &fromCommit{deployCmd: c, rules: rules, site: site, show: show}
		return from.choose(ctx, t)
	}
	want, err := c.want(ctx, rules, site, show)
	return chosen{want: want, close: func() error { return nil }}, err
}

// want lists the directory, reads what is not remembered, and says what becomes
// of it.
func (c *deployCmd) want(ctx context.Context, rules deploy.Rules, site *deploySite, show *deployScreen) ([]conduct.Wanted, error) {
	show.doing("reading " + c.Dir)
	listing, err := tree.Read(c.Dir, tree.Options{Ignore: rules.Ignore, Hidden: rules.Hidden, Links: tree.Links(c.Symlinks)})
	if err != nil {
		return nil, err
	}
	if len(listing.Entries) == 0 && len(rules.Redirects) == 0 {
		return nil, fmt.Errorf("%s has no files: was the site built?", c.Dir)
	}
	var memory *tree.Memory
	if cache, err := os.UserCacheDir(); err == nil && !c.NoMemory {
		memory = tree.OpenMemory(cache+"/freshet/hashes", c.Dir)
	}
	files, err := tree.Hash(ctx, listing.Entries, memory, show.hashed)
	if err != nil {
		return nil, err
	}
	if err := memory.Save(); err != nil {
		show.note("freshet: %v", err)
	}
	return wantedOf(rules, site, files)
}
