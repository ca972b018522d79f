package cli

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/freshet/freshet/internal/awssetup"
	"github.com/freshet/freshet/internal/awssetup/account"
)

// inAccount is what all commands take that work in an account.
type inAccount struct {
	awsSite `embed:""`
	Prefix  string `placeholder:"TEXT" help:"Follow only keys that begin with it."`
	Suffix  string `placeholder:"TEXT" help:"Follow only keys that end with it."`
	Region  string `placeholder:"REGION" help:"Region of the bucket (default: as the AWS CLI would choose)."`
	Profile string `placeholder:"NAME" help:"Profile of the shared AWS configuration."`
	JSON    bool   `name:"json" help:"Print one JSON line per resource."`
}

// sdk is the AWS configuration.
func (c *inAccount) sdk(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(c.Profile), config.WithRegion(c.Region))
	if err != nil {
		return cfg, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return cfg, nil
}

// open connects to the account, of which the site is made complete.
func (c *inAccount) open(ctx context.Context, code []byte, complete func(*awssetup.Site)) (*account.Account, awssetup.Site, error) {
	cfg, err := c.sdk(ctx)
	if err != nil {
		return nil, awssetup.Site{}, err
	}
	if cfg.Region == "" {
		return nil, awssetup.Site{}, usageError("--region: the AWS configuration has none")
	}
	id, err := account.Caller(ctx, cfg)
	if err != nil {
		return nil, awssetup.Site{}, err
	}
	site := c.site()
	site.Prefix, site.Suffix, site.Account, site.Region = c.Prefix, c.Suffix, id, cfg.Region
	if complete != nil {
		complete(&site)
	}
	site = site.WithDefaults()
	if err := site.Check(); err != nil {
		return nil, site, exitError{exitUsage, err}
	}
	a := account.New(account.Connect(cfg), site, code)
	return a, site, a.CheckBucket(ctx)
}

// looked is what an account has of what an installed site should have.
type looked struct {
	account *account.Account
	site    awssetup.Site
	want    []awssetup.Resource
	seen    map[awssetup.Kind]awssetup.Seen
}

// look connects to the account, and looks at what is there of a site that is
// installed already.
func (c *inAccount) look(ctx context.Context) (l looked, err error) {
	if l.account, l.site, err = c.open(ctx, nil, nil); err != nil {
		return l, err
	}
	if l.site, err = l.account.Known(ctx, l.site); err != nil {
		return l, err
	}
	if l.want, err = l.site.Resources(""); err != nil {
		return l, err
	}
	l.seen, err = l.account.Look(ctx, l.want)
	return l, err
}

// show prints the steps, one a line.
func (c *inAccount) show(t terminal, steps []awssetup.Step) error {
	for _, s := range steps {
		if c.JSON {
			if err := printJSON(t.out, s); err != nil {
				return err
			}
			continue
		}
		line := fmt.Sprintf("%-8s %-21s %s", s.Do, s.Kind, s.Name)
		if len(s.Changes) > 0 {
			line += ": " + strings.Join(s.Changes, ", ")
		}
		if _, err := fmt.Fprintln(t.out, line); err != nil {
			return err
		}
	}
	return nil
}

// consent is whether and how steps are done.
type consent struct {
	Yes    bool `short:"y" help:"Ask nothing."`
	DryRun bool `help:"Show what would be done, and do nothing."`
}

// do asks, and does what is to be done.
func (c consent) do(ctx context.Context, t terminal, a *account.Account, steps []awssetup.Step) error {
	idle := func(s awssetup.Step) bool { return s.Do == awssetup.Keep || s.Do == awssetup.Foreign }
	if c.DryRun || !slices.ContainsFunc(steps, func(s awssetup.Step) bool { return !idle(s) }) {
		return nil
	}
	if !c.Yes && !agreed(t) {
		return errors.New("nothing was done: --yes does it without being asked")
	}
	for i, s := range steps {
		if err := a.Do(ctx, s); err != nil {
			return fmt.Errorf("%w; %d of %d steps were done, and the same command goes on from here", err, i, len(steps))
		}
	}
	return nil
}

// agreed asks on standard error and waits for a line that begins with y.
func agreed(t terminal) bool {
	_, _ = fmt.Fprint(t.err, "Do this? [y/N] ")
	line, _ := bufio.NewReader(t.in).ReadString('\n')
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y")
}

type awsInstallCmd struct {
	inAccount         `embed:""`
	consent           `embed:""`
	Zip               string        `type:"path" placeholder:"FILE" help:"The function's code, which is needed the first time (default: the code stays)."`
	Architecture      string        `default:"arm64" enum:"arm64,x86_64" help:"What the code is built for: ${enum}."`
	AlarmTopic        string        `placeholder:"ARN" help:"SNS topic that is told of alarms (default: they are only shown)."`
	FreshWithin       time.Duration `default:"1m" help:"A change that takes longer until CloudFront has accepted its invalidation raises an alarm."`
	Concurrency       int           `placeholder:"N" help:"Functions at a time; more than one only with a table (default: 1, with a table 5)."`
	OnlyNotifications bool          `help:"Only add the bucket's notification rule, such as after a template made the rest."`
}

// Help is shown below the flags.
func (awsInstallCmd) Help() string {
	return `It makes a queue that the bucket notifies, a dead-letter queue, the function with its role and log
group, alarms on dead letters and on changes that wait for too long, and adds a rule to the bucket's
notifications; rules that are there stay. A second time it changes only what differs. What somebody
else made is not touched.

Examples:
  freshet aws install --bucket www --distribution E2EXAMPLE1234 --zip freshet-lambda-arm64.zip
  freshet aws install --bucket www --distribution E2EXAMPLE1234 --prefix site/ --dry-run
  freshet aws install --bucket www --zip freshet-lambda-amd64.zip --architecture x86_64 \
    --alarm-topic arn:aws:sns:eu-west-1:123456789012:alarms --fresh-within 2m
  freshet aws install --bucket www --only-notifications`
}

// Run shows the plan and does it.
func (c *awsInstallCmd) Run(ctx context.Context, t terminal) error {
	if c.FreshWithin%time.Second != 0 || c.FreshWithin <= 0 {
		return usageError("--fresh-within: %v is not a number of whole seconds", c.FreshWithin)
	}
	var code []byte
	var hash string
	if c.Zip != "" {
		var err error
		if code, err = os.ReadFile(c.Zip); err != nil {
			return exitError{exitUsage, fmt.Errorf("--zip: %w", err)}
		}
		if err := builtFor(code, c.Architecture); err != nil {
			return exitError{exitUsage, fmt.Errorf("--zip %s: %w", c.Zip, err)}
		}
		sum := sha256.Sum256(code)
		hash = base64.StdEncoding.EncodeToString(sum[:])
	}
	a, site, err := c.open(ctx, code, func(s *awssetup.Site) {
		s.Concurrency, s.Architecture, s.AlarmTopic, s.FreshWithin = c.Concurrency, c.Architecture, c.AlarmTopic, int(c.FreshWithin.Seconds())
	})
	if err != nil {
		return err
	}
	if !c.OnlyNotifications {
		if site, err = c.needs(ctx, t, a, code, site); err != nil {
			return err
		}
		if err := site.Check(); err != nil {
			return exitError{exitUsage, err}
		}
	}
	steps, err := c.plan(ctx, a, site, hash)
	if err != nil {
		return err
	}
	if err := c.show(t, steps); err != nil {
		return err
	}
	return c.do(ctx, t, a, steps)
}

// builtFor refuses a zip that Lambda would take, and whose function would then
// fail at each start.
func builtFor(code []byte, architecture string) error {
	archive, err := zip.NewReader(bytes.NewReader(code), int64(len(code)))
	if err != nil {
		return fmt.Errorf("it is no zip: %w", err)
	}
	file, err := archive.Open("bootstrap")
	if err != nil {
		return errors.New("there is no bootstrap at its root: make lambda builds one that has")
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read bootstrap: %w", err)
	}
	program, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return nil // a script, perhaps
	}
	if is := map[elf.Machine]string{elf.EM_AARCH64: awssetup.ARM64, elf.EM_X86_64: awssetup.X8664}[program.Machine]; is != architecture {
		return fmt.Errorf("its bootstrap is for %s: give --architecture %[1]s, or a zip for %s", cmp.Or(is, program.Machine.String()), architecture)
	}
	return nil
}

func (c *awsInstallCmd) plan(ctx context.Context, a *account.Account, site awssetup.Site, hash string) ([]awssetup.Step, error) {
	rules, err := a.Rules(ctx)
	if err != nil {
		return nil, err
	}
	if err := site.CheckRules(rules); err != nil {
		return nil, err
	}
	want, err := site.Resources(hash)
	if err != nil {
		return nil, err
	}
	seen, err := a.Look(ctx, want)
	if err != nil {
		return nil, err
	}
	if c.OnlyNotifications {
		queue, there := seen[awssetup.Queue]
		switch {
		case !there:
			return nil, fmt.Errorf("there is no queue %s in %s that the bucket could notify", site.Name, site.Region)
		case queue.Bucket != "" && queue.Bucket != site.Bucket: // a template's has no tag
			return nil, fmt.Errorf("the queue %s was made for the bucket %s: give another --name", site.Name, queue.Bucket)
		}
		want = slices.DeleteFunc(want, func(r awssetup.Resource) bool { return r.Kind != awssetup.BucketRule })
	}
	return site.Plan(want, seen)
}

type awsStatusCmd struct {
	inAccount `embed:""`
}

// Help is shown below the flags.
func (awsStatusCmd) Help() string {
	return `Each resource is kept (as it should be), change (it differs, in what is named), missing, or foreign
(not made by freshet aws install for this bucket). What the flags do not say is taken from the
function. Exit code 1 says that something is missing or differs.

Examples:
  freshet aws status --bucket www`
}

// depths is what --json prints last.
type depths struct {
	Waiting     int `json:"waiting"`
	DeadLetters int `json:"dead_letters"`
}

// Run compares what is there with what should be.
func (c *awsStatusCmd) Run(ctx context.Context, t terminal) error {
	l, err := c.look(ctx)
	if err != nil {
		return err
	}
	steps := l.site.Compare(l.want, l.seen)
	if err := c.show(t, steps); err != nil {
		return err
	}
	var d depths
	if d.Waiting, d.DeadLetters, err = l.account.Depth(ctx); err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(t.out, d)
	} else {
		_, err = fmt.Fprintf(t.out, "%d waiting, %d dead letters\n", d.Waiting, d.DeadLetters)
	}
	if err == nil && slices.ContainsFunc(steps, func(s awssetup.Step) bool { return s.Do != awssetup.Keep }) {
		return exitError{code: exitFailed}
	}
	return err
}

type awsUninstallCmd struct {
	inAccount `embed:""`
	consent   `embed:""`
}

// Help is shown below the flags.
func (awsUninstallCmd) Help() string {
	return `It deletes what freshet aws install made for the bucket, as its tags say, with the messages in the
queues and the function's logs. The bucket's other notification rules stay, and so does a table that
was there before.

Examples:
  freshet aws uninstall --bucket www
  freshet aws uninstall --bucket www --table quota --yes`
}

// Run shows what would go, and takes it away.
func (c *awsUninstallCmd) Run(ctx context.Context, t terminal) error {
	l, err := c.look(ctx)
	if err != nil {
		return err
	}
	steps := l.site.Removal(l.want, l.seen)
	if err := c.show(t, steps); err != nil {
		return err
	}
	if waiting, dead, err := l.account.Depth(ctx); err != nil {
		return err
	} else if waiting+dead > 0 {
		_, _ = fmt.Fprintf(t.err, "freshet: %d waiting changes and %d dead letters go with the queues\n", waiting, dead)
	}
	return c.do(ctx, t, l.account, steps)
}
