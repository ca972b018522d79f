package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/doctor"
)

type doctorCmd struct {
	Bucket       string        `placeholder:"NAME" help:"Bucket (default: that of the running freshet, or the one behind --distribution)."`
	Distribution string        `placeholder:"ID" help:"Distribution (default: that of the running freshet, or those that have --bucket as an origin)."`
	Endpoint     string        `name:"endpoint-url" aliases:"endpoint" placeholder:"URL" help:"CloudFront API (default: that of the running freshet, or AWS). AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL_STS say where the others are."`
	Function     string        `placeholder:"NAME" help:"Lambda function that invalidates: look at it as well."`
	Canary       bool          `help:"Put a small object into the bucket, change it and remove it, and see that each change reaches the edge."`
	Within       time.Duration `default:"5m" help:"How long a canary may take."`
	Keys         int           `default:"1000" placeholder:"N" help:"Look at so many keys of the bucket."`
	JSON         bool          `name:"json" help:"Print the findings as a JSON list."`
}

// Help is shown below the flags.
func (doctorCmd) Help() string {
	return `Looks at credentials, region, the distribution, its origins and what answers in front, TTLs,
cached errors, functions before the cache, invalidations in progress, the bucket's notification
rules, its keys, what browsers are told, and with --function the Lambda function. Nothing is changed, but for the object of --canary.

With a freshet running on the data directory that is what is examined, unless --endpoint-url or
--distribution names another. Otherwise the credentials are those that the AWS CLI would use.

Examples:
  freshet doctor
  freshet doctor --canary
  freshet doctor --bucket www --function invalidate --canary --within 10m
  freshet doctor --distribution E2EXAMPLE1234 --json | jq '.[] | select(.level != "ok")'

Exit codes: 0 nothing is worse than a note, 1 there are warnings or errors, 2 wrong usage.`
}

// Validate refuses what nothing could be seen in.
func (c *doctorCmd) Validate() error {
	switch {
	case c.Within <= 0:
		return fmt.Errorf("--within=%v: a time such as 30s or 10m is needed", c.Within)
	case c.Keys <= 0:
		return fmt.Errorf("--keys=%d: a number above 0 is needed", c.Keys)
	}
	return nil
}

// Run examines and prints what was found.
func (c *doctorCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	examined, err := c.patient(ctx, cfg)
	if err != nil {
		return err
	}
	examined.Routes, examined.Canary, examined.Within, examined.Keys, examined.Function = cfg.Routes, c.Canary, c.Within, c.Keys, c.Function
	if examined.Code, err = codeOf(cfg); err != nil {
		return err
	}
	if isTerminal(t.err) {
		examined.Progress = func(doing string) { _, _ = fmt.Fprintf(t.err, "\r\x1b[K%s …", doing) }
	}
	findings := doctor.Examine(ctx, examined)
	if isTerminal(t.err) {
		_, _ = io.WriteString(t.err, "\r\x1b[K")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.print(t.out, findings); err != nil {
		return err
	}
	if doctor.Worst(findings) > doctor.Note {
		return exitError{code: exitFailed}
	}
	return nil
}

// patient finds out what is to be examined: the running freshet where it is
// meant, and AWS otherwise.
func (c *doctorCmd) patient(ctx context.Context, cfg config.Config) (doctor.Config, error) {
	running, err := app.DataDir(cfg.Data).Running()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return doctor.Config{}, err
	case c.Endpoint == "" || c.Endpoint == running.API:
		_, has, err := ofRunning(ctx, running, c.Distribution)
		if err != nil {
			return doctor.Config{}, err
		}
		if has {
			return c.own(ctx, running)
		}
	}
	if c.Bucket == "" && c.Distribution == "" {
		return doctor.Config{}, usageError("no freshet is running on %s: name a --bucket or a --distribution, or start one with freshet up", cfg.Data)
	}
	clients, err := doctor.Dial(ctx, doctor.Place{CloudFront: c.Endpoint})
	return doctor.Config{Clients: clients, Bucket: c.Bucket, Distribution: c.Distribution}, err
}

func (c *doctorCmd) own(ctx context.Context, running app.Running) (doctor.Config, error) {
	clients, err := doctor.Dial(ctx, doctor.Place{
		Own: true, CloudFront: running.API, S3: running.S3, Edge: running.Edge, EdgeTLS: running.EdgeTLS, Authority: running.Authority,
		Region: running.Region, Credentials: credentials.NewStaticCredentialsProvider(running.AccessKey, running.SecretKey, ""),
	})
	return doctor.Config{
		Clients: clients, Own: true,
		Bucket: cmp.Or(c.Bucket, running.Bucket), Distribution: cmp.Or(c.Distribution, running.Distribution),
	}, err
}

// codeOf reads the functions of the configuration, by ARN.
func codeOf(cfg config.Config) (map[string]doctor.Code, error) {
	code := make(map[string]doctor.Code)
	for _, f := range cfg.Functions {
		text, err := os.ReadFile(f.File)
		if err != nil {
			return nil, fmt.Errorf("read function %s: %w", f.Name, err)
		}
		code[f.FullARN()] = doctor.Code{Text: text, Runtime: string(f.UsedRuntime())}
	}
	return code, nil
}

// print writes a line for each finding, and below it what to do.
func (c *doctorCmd) print(w io.Writer, findings []doctor.Finding) error {
	if c.JSON {
		return printJSON(w, findings)
	}
	var b bytes.Buffer
	for _, f := range findings {
		about := ""
		if f.Distribution != "" {
			about = f.Distribution + ": "
		}
		fmt.Fprintf(&b, "%-8s %-13s %s%s\n", f.Level, f.Check, about, f.Saw)
		if f.Do != "" {
			fmt.Fprintf(&b, "%-22s → %s\n", "", f.Do)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
