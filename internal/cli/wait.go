package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/barrier"
)

type waitCmd struct {
	Facts    []string `arg:"" name:"fact" help:"What is to become true. The words of a single fact need no quotes around them all."`
	Endpoint string   `name:"endpoint-url" placeholder:"URL" help:"CloudFront API (default: that of the running freshet, or AWS). AWS_ENDPOINT_URL_LAMBDA and AWS_ENDPOINT_URL_S3 say where the others are."`
	JSON     bool     `name:"json" help:"Print one JSON line per fact that has come true."`
}

// Help is shown below the flags.
func (waitCmd) Help() string {
	return `Facts, each with "within 5m" before or after it, and all of them waited for side by side:
  ` + indented(barrier.Grammar, "  ") + `

A function is updated when LastUpdateStatus is Successful; an alias, when it points to one version
that is active, and its provisioned concurrency is ready. Failed ends the waiting at once. URLs are
fetched from the server that is named; redirects do not leave it. A command holds when it ends with
0; it gets PATH, HOME, TMPDIR, LANG and what is named: TOKEN=$TOKEN passes a variable on.

The same facts go into --wait-for of other commands, and wait_for of the configuration.

Examples:
  freshet wait lambda site:live updated
  freshet wait 'distribution E2EXAMPLE1234 deployed' 'url https://origin.example.com/ matches "build 7" within 2m'
  freshet wait 'url https://origin.example.com/ header X-Version matches ^7$ times 3'
  freshet invalidate --wait-for 'lambda site updated' '/*'

Exit codes: 0 everything is true, 1 something did not become true, 2 wrong usage.`
}

func indented(text, by string) string {
	var out []byte
	for i := range len(text) {
		out = append(out, text[i])
		if text[i] == '\n' {
			out = append(out, by...)
		}
	}
	return string(out)
}

// Run waits.
func (c *waitCmd) Run(ctx context.Context, t terminal, r *root) error {
	facts, err := c.facts()
	if err != nil {
		return err
	}
	w, stop, err := waiter(ctx, t, r, c.Endpoint, facts)
	if err != nil {
		return err
	}
	defer stop()
	var unprinted error
	each := w.Each
	w.Each = func(p barrier.Progress) {
		each(p)
		if c.JSON && p.Holds {
			unprinted = errors.Join(unprinted, printJSON(t.out, struct {
				Fact  string        `json:"fact"`
				Saw   string        `json:"saw"`
				After time.Duration `json:"after_ns"`
			}{p.Fact.String(), p.Saw, p.After}))
		}
	}
	return errors.Join(w.Wait(ctx, facts), unprinted)
}

// facts takes all words for one fact where the first is but the first word of
// one.
func (c *waitCmd) facts() ([]barrier.Fact, error) {
	switch barrier.Kind(c.Facts[0]) {
	case barrier.Lambda, barrier.Distribution, barrier.Origin, barrier.URL, barrier.Command, "within":
		f, err := barrier.ParseWords(c.Facts)
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		return []barrier.Fact{f}, nil
	}
	return parseFacts(c.Facts)
}

func parseFacts(texts []string) (facts []barrier.Fact, err error) {
	for _, text := range texts {
		f, err := barrier.Parse(text)
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		facts = append(facts, f)
	}
	return facts, nil
}

// holding is what all commands take that may wait before they send.
type holding struct {
	WaitFor []string `name:"wait-for" sep:"none" placeholder:"FACT" help:"Do nothing before this is true, such as 'lambda site:live updated within 5m'. May be given several times; freshet wait --help says what there is."`
}

// hold returns when everything is true. Its error ends with what was not done.
func (h *holding) hold(ctx context.Context, t terminal, r *root, endpoint, undone string) error {
	facts, err := parseFacts(h.WaitFor)
	if err != nil || len(facts) == 0 {
		return err
	}
	w, stop, err := waiter(ctx, t, r, endpoint, facts)
	if err != nil {
		return err
	}
	defer stop()
	if err := w.Wait(ctx, facts); err != nil {
		return fmt.Errorf("%w; %s", err, undone)
	}
	return nil
}

// waiter shows on standard error how far it is.
func waiter(ctx context.Context, t terminal, r *root, endpoint string, facts []barrier.Fact) (w *barrier.Waiter, stop func(), err error) {
	each, stop := showFacts(t.err)
	w = &barrier.Waiter{Getenv: os.Getenv, Each: each}
	if !barrier.NeedsAWS(facts) {
		return w, stop, nil
	}
	cfg, err := barrier.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	w.Clients = barrier.Dial(cfg)
	own, err := ownAPI(ctx, r, endpoint)
	if err != nil {
		return nil, nil, err
	}
	amazons := w.Clients.CloudFront
	w.Clients.CloudFront = func(id string) barrier.Distributions {
		if d := own(id); d != nil {
			return d
		}
		if endpoint != "" {
			return cloudfront.NewFromConfig(cfg, func(o *cloudfront.Options) { o.BaseEndpoint, o.Region = &endpoint, "us-east-1" })
		}
		return amazons(id)
	}
	return w, stop, nil
}

// ownAPI returns whom to ask about the distributions of a freshet that runs on
// the data directory, and nil for all others.
func ownAPI(ctx context.Context, r *root, endpoint string) (func(id string) barrier.Distributions, error) {
	none := func(string) barrier.Distributions { return nil }
	cfg, err := r.load()
	if err != nil {
		return nil, err
	}
	running, err := app.DataDir(cfg.Data).Running()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && endpoint != "" && endpoint != running.API:
		return none, nil
	case err != nil:
		return nil, err
	}
	client := cloudfront.New(cloudfront.Options{
		BaseEndpoint: &running.API, Region: running.Region, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(running.AccessKey, running.SecretKey, ""),
	})
	return func(id string) barrier.Distributions {
		if _, has, err := ofRunning(ctx, running, id); err != nil || !has {
			return nil
		}
		return client
	}, nil
}

// heartbeat is how often a log without a screen hears of what still holds.
const heartbeat = 30 * time.Second

// showFacts shows each fact when what is seen of it changes, and now and then
// when it does not; on a terminal a line that is rewritten tells the time
// meanwhile. stop ends that line.
func showFacts(w io.Writer) (each func(barrier.Progress), stop func()) {
	type line struct {
		saw string
		at  time.Duration
	}
	shown := make(map[string]line)
	live := isTerminal(w)
	wipe := func() {
		if live {
			_, _ = io.WriteString(w, "\r\x1b[K")
		}
	}
	return func(p barrier.Progress) {
		name, after := p.Fact.String(), p.After.Round(time.Second)
		last, known := shown[name]
		switch {
		case p.Holds && !known && p.Fact.Times <= 1:
			return // it was true from the beginning
		case p.Holds:
			wipe()
			_, _ = fmt.Fprintf(w, "freshet: %s, after %v\n", name, after)
		case !known || last.saw != p.Saw || p.After-last.at >= heartbeat:
			wipe()
			_, _ = fmt.Fprintf(w, "freshet: waiting for %s: %s (%v of %v)\n", name, p.Saw, after, p.Fact.Within)
			shown[name] = line{p.Saw, p.After}
		case live:
			wipe()
			_, _ = fmt.Fprintf(w, "%s: %s, %v", name, p.Saw, after)
		}
	}, wipe
}
