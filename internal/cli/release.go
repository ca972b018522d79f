package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/release"
)

type releaseCmd struct {
	Lambda releaseLambdaCmd `cmd:"" help:"Bring new code to a Lambda function, and then clear what was cached of the old one."`
}

type releaseLambdaCmd struct {
	Function string `arg:"" help:"Name or ARN of the function."`
	Zip      string `placeholder:"FILE" type:"existingfile" xor:"code" required:"" help:"Code, as a zip of up to 50 MB."`
	Image    string `placeholder:"URI" xor:"code" required:"" help:"Code, as a container image in ECR. A tag is resolved: what is deployed is its digest."`
	Alias    string `placeholder:"NAME" help:"Alias that viewers reach, such as live. A version is published for it (default: they reach the unpublished code)."`

	Canary       string        `placeholder:"SHARE" help:"Give the new version a share of the requests first, such as 10%, and take it back on errors."`
	CanaryFor    time.Duration `default:"2m" placeholder:"TIME" help:"For how long."`
	CanaryErrors string        `default:"1%" placeholder:"SHARE" help:"Share of its requests that may fail meanwhile."`

	Origin      string   `placeholder:"URL" xor:"origin" help:"Where the function answers without a CDN before it, such as https://api.example.com."`
	FunctionURL bool     `name:"function-url" xor:"origin" help:"It answers at its function URL, which Lambda is asked for."`
	Probe       []string `sep:"none" placeholder:"URL" help:"URL at the origin, or a path below --origin, that has to answer before anything is cleared (default with an origin: /). May be given several times."`
	Expect      string   `placeholder:"TEXT" help:"What it has to answer with, such as 'header X-Version matches ^{version}$' or 'matches \"build 7\"'; {version} and {sha256} are those of the release (default: 200 to 299)."`
	Times       int      `default:"3" help:"How often in a row, since old instances may answer for a while."`

	Invalidate   []string `sep:"none" placeholder:"PATTERN" help:"Path to be invalidated then, such as '/*'. May be given several times."`
	Distribution string   `placeholder:"ID" help:"Distribution (default: that of the freshet running on the data directory)."`
	Warm         []string `sep:"none" placeholder:"URL" help:"URL or path to be warmed then. May be given several times."`
	Verify       bool     `default:"true" negatable:"" help:"See through the edge that nothing from before is served: what is invalidated without a wildcard, and what is warmed."`
	holding      `embed:""`
	sending      `embed:""`
	State        string `placeholder:"FILE" help:"Where it is written down how far the release is (default: below the data directory)."`
	Region       string `placeholder:"REGION" help:"Region of the function (default: that of its ARN, or as the AWS CLI would choose)."`
}

// Help is shown below the flags.
func (releaseLambdaCmd) Help() string {
	return `Updates the code if nobody else has meanwhile, waits until the update is successful, publishes it,
waits for the version and its provisioned concurrency, gives it a canary's share if asked, switches
the alias, waits until the new code answers at the origin, invalidates, waits, looks through the edge,
and warms. When a step fails, the later ones are not taken: after a failed update, a failed canary or
an origin that goes on with the old code, the cache is as it was. The error says in what state things
are, and how to go on or back.

The same command again goes on where the last one ended, however it ended: what was done is found in
AWS, and in the file of --state where there is one. What was released is not released again.

A release that is not at its end is --timeout long at most in each step.

Examples:
  freshet release lambda site --zip site.zip --alias live --function-url \
    --expect 'header X-Version matches ^{version}$' --distribution E2EXAMPLE1234 --invalidate '/*' --warm /
  freshet release lambda site --image 123456789012.dkr.ecr.eu-west-1.amazonaws.com/site:v7 --alias live \
    --canary 10% --canary-for 5m --origin https://api.example.com --probe /health
  freshet release lambda site --zip site.zip

Exit codes: 0 released, 1 failed, 2 wrong usage, 4 released, but seen stale at the edge.`
}

// Validate refuses what contradicts itself.
func (c *releaseLambdaCmd) Validate() error {
	if err := c.sending.Validate(); err != nil {
		return err
	}
	switch {
	case c.Canary != "" && c.Alias == "":
		return errors.New("--canary: an --alias is needed, which has weights")
	case c.Canary != "" && c.CanaryFor <= 0:
		return fmt.Errorf("--canary-for=%v: a time such as 2m is needed", c.CanaryFor)
	case c.Times < 1:
		return fmt.Errorf("--times=%d: a number above 0 is needed", c.Times)
	case c.Expect != "" && !c.probes():
		return errors.New("--expect: say with --probe, --origin or --function-url what is to be asked")
	case strings.Contains(c.Expect, "{version}") && c.Alias == "":
		return errors.New("--expect={version}: without an --alias no version is published")
	case !c.Wait:
		return errors.New("--no-wait: a release waits; freshet invalidate does not have to")
	}
	return nil
}

func (c *releaseLambdaCmd) probes() bool {
	return len(c.Probe) > 0 || c.Origin != "" || c.FunctionURL
}

// share reads 10% and 0.1.
func share(flag, text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f < 1) {
		return 0, usageError("%s=%s: a share such as 10%% is needed, below 100%%", flag, text)
	}
	return f, nil
}

// Run releases.
func (c *releaseLambdaCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	rel, err := c.prepare(ctx, t, r)
	if err != nil {
		return err
	}
	stop, err := c.viewers(ctx, t, r, rel)
	if err != nil {
		return err
	}
	defer stop()
	name := c.State
	if name == "" {
		name = release.FileName(cfg.Data, c.Function, c.Alias)
	}
	file, err := release.OpenFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := c.hold(ctx, t, r, c.Endpoint, "nothing was released or invalidated"); err != nil {
		return err
	}
	rel.Keep = file
	journal, err := rel.Run(ctx)
	var stale *release.Stale
	switch {
	case errors.As(err, &stale):
		err = exitError{exitStale, err}
	case err != nil:
	case c.JSON:
		err = printJSON(t.out, journal)
	default:
		_, err = fmt.Fprintln(t.out, released(rel.Wanted, journal))
	}
	return err
}

// released is what there is to say at the end.
func released(w release.Wanted, j release.Journal) string {
	text := w.Function
	if j.Version != "" {
		text += fmt.Sprintf("  %s is version %s", w.Alias, j.Version)
	}
	text += "  released " + j.Live.Format(time.RFC3339)
	if n := len(j.Receipts); n > 0 {
		text += "  " + count(n, "invalidation") + " completed"
	}
	return text
}

// show prints what goes on to standard error, or as JSON to standard output.
func (c *releaseLambdaCmd) show(t terminal) func(release.Event) {
	return func(e release.Event) {
		if c.JSON {
			_ = printJSON(t.out, e) // the last line has the result, and its error
			return
		}
		_, _ = fmt.Fprintf(t.err, "freshet: %-10s %s\n", e.Step, e.Text)
	}
}

// mostZip is what Lambda takes within a request.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const mostZip = 50 << 20

// readZip refuses what Lambda would refuse after a while.
func readZip(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read the code: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, mostZip+1))
	if err != nil {
		return nil, fmt.Errorf("read the code: %w", err)
	}
	if len(text) > mostZip {
		return nil, usageError("%s is longer than the 50 MB that Lambda takes: leave out what is not needed, or release an image", file)
	}
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return nil, usageError("read %s: %v", file, err)
	}
	if len(z.File) == 0 {
		return nil, usageError("%s is an empty zip", file)
	}
	return text, nil
}

// facts are what the new code has to answer with.
func (c *releaseLambdaCmd) probed(base string) ([]string, error) {
	probes := c.Probe
	if len(probes) == 0 && base != "" {
		probes = []string{"/"}
	}
	var texts []string
	for _, p := range probes {
		if strings.HasPrefix(p, "/") {
			if base == "" {
				return nil, usageError("--probe=%s: say with --origin or --function-url where it is", p)
			}
			p = strings.TrimSuffix(base, "/") + p
		}
		text := fmt.Sprintf("url %s %s times %d within %v", p, c.Expect, c.Times, c.Timeout)
		// The placeholders are no part of any grammar; what takes their place is
		// digits, or quoted for regular expressions.
		if _, err := barrier.Parse(strings.NewReplacer("{version}", "1", "{sha256}", "a").Replace(text)); err != nil {
			return nil, exitError{exitUsage, fmt.Errorf("--expect: %w", err)}
		}
		texts = append(texts, text)
	}
	return texts, nil
}
