package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/verify"
)

type verifyCmd struct {
	URLs     []string `arg:"" optional:"" name:"url" help:"URLs, or paths of the site."`
	Plan     string   `placeholder:"FILE" help:"Look at what a plan makes stale: what freshet plan --out wrote. - is standard input."`
	Manifest string   `placeholder:"FILE" help:"Look at the files that sha256sum or md5sum listed, or that are in a directory, under their paths."`

	ExpectETag   string `name:"expect-etag" placeholder:"ETAG" help:"What the URLs should show, in place of what the origin holds."`
	ExpectSHA256 string `name:"expect-sha256" placeholder:"HEX" help:"Likewise."`
	ExpectFile   string `placeholder:"FILE" type:"path" help:"Likewise: the content of a file."`
	ExpectGone   bool   `help:"Likewise: nothing."`
	Origin       string `placeholder:"URL" help:"Ask this server what the URLs should show, under their paths."`
	Since        string `placeholder:"TIME" help:"What an edge had before is stale: a time such as 2026-11-21T10:00:00Z, or 5m for five minutes ago. For what nothing can be compared with."`

	Within      time.Duration `placeholder:"TIME" help:"Look again for so long at what is not fresh yet."`
	For         time.Duration `placeholder:"TIME" help:"Go on looking for so long, and print what becomes another verdict."`
	Every       time.Duration `default:"5s" help:"How often, with --for."`
	Concurrency int           `default:"16" help:"Looks at a time."`
	viewing     `embed:""`
}

// Help is shown below the flags.
func (verifyCmd) Help() string {
	return `Each URL is fetched in every variant that the cache key of its behavior tells apart (encodings,
and the values of headers, cookies and query parameters that are given), at every address that
--resolve and --address name, and compared with what the origin holds: the object in the bucket
behind it, what --origin answers, what the plan says, or what --expect-… says. What is in the
cache key and cannot be listed is named on standard error.

--distribution takes IDs as well as files: those of the running freshet, or else of the AWS
account, with the credentials that the AWS CLI would use.

Only hosts of the configured distributions are asked, those of the running freshet, and those
of --allow-host; redirects do not leave them. Link-local and metadata addresses are never
dialed, loopback and private ones only for hosts that are configured so.

Examples:
  freshet verify / /index.html
  freshet verify https://www.example.com/ --resolve www.example.com:443:192.0.2.1,192.0.2.2
  freshet verify --distribution site.json --address @pops.txt /app.js
  freshet verify --plan plan.json --within 1m
  freshet verify --manifest public --site https://www.example.com
  freshet verify --for 10m --every 5s --json / | jq .state
  freshet verify https://www.example.com/a.js --allow-host www.example.com --expect-file dist/a.js

Exit codes: 0 all fresh, 1 failed, 2 wrong usage, 4 something was stale, 6 an edge did not answer
(and nothing was stale), 7 there was nothing to compare with (and all edges answered).`
}

// Validate refuses what contradicts itself.
func (c *verifyCmd) Validate() error {
	subjects := 0
	for _, given := range []bool{len(c.URLs) > 0, c.Plan != "", c.Manifest != ""} {
		if given {
			subjects++
		}
	}
	expected := 0
	for _, given := range []bool{c.ExpectETag != "", c.ExpectSHA256 != "", c.ExpectFile != "", c.ExpectGone, c.Origin != ""} {
		if given {
			expected++
		}
	}
	switch {
	case subjects != 1:
		return errors.New("give URLs, --plan or --manifest")
	case expected > 1:
		return errors.New("only one of --expect-etag, --expect-sha256, --expect-file, --expect-gone and --origin can be given")
	case c.Manifest != "" && expected > 0:
		return errors.New("--manifest says itself what is expected")
	case c.Within < 0 || c.For < 0:
		return errors.New("--within and --for take a time such as 30s or 10m")
	case c.For > 0 && c.Within > 0:
		return errors.New("--for goes on whatever it sees, and --within until it is fresh: give one of them")
	case c.Every <= 0:
		return fmt.Errorf("--every=%v: a time such as 5s is needed", c.Every)
	case c.Concurrency <= 0:
		return fmt.Errorf("--concurrency=%d: a number above 0 is needed", c.Concurrency)
	}
	return c.check()
}

// Run looks, and says what it saw.
func (c *verifyCmd) Run(ctx context.Context, t terminal, r *root) error {
	o := app.ViewersOptions{Agent: "freshet-verify"}
	err := c.expected(&o)
	if err != nil {
		return exitError{exitUsage, err}
	}
	v, _, err := c.viewers(ctx, t, r, o)
	if err != nil {
		return err
	}
	defer v.Close()
	views, notes, err := c.views(t, v)
	if err != nil {
		return err
	}
	warn(t, notes)
	if len(views) == 0 {
		_, err := fmt.Fprintln(t.err, "freshet: nothing to look at")
		return err
	}
	looking := verify.Views{Client: v.Client, Concurrency: c.Concurrency, Patience: c.Within}
	if c.For > 0 {
		return c.watch(ctx, t, looking, views)
	}
	return c.once(ctx, t, looking, views)
}

// expected reads what the flags say that URLs should show.
func (c *verifyCmd) expected(o *app.ViewersOptions) (err error) {
	want := verify.Expected{From: "--expect", Opaque: true}
	switch {
	case c.ExpectETag != "":
		want.ETag = strings.Trim(strings.TrimPrefix(c.ExpectETag, "W/"), `"`)
		want.Opaque = false
	case c.ExpectSHA256 != "":
		want.SHA256 = strings.ToLower(c.ExpectSHA256)
		if b, err := hex.DecodeString(want.SHA256); err != nil || len(b) != sha256.Size {
			return fmt.Errorf("--expect-sha256=%s: it has 64 hexadecimal digits", c.ExpectSHA256)
		}
	case c.ExpectFile != "":
		if want.SHA256, want.Size, err = sumOf(c.ExpectFile); err != nil {
			return err
		}
	case c.ExpectGone:
		want.Gone = true
	case c.Origin != "":
		o.Origin, err = probe.ParseURL(c.Origin)
		if err != nil {
			return fmt.Errorf("--origin: %w", err)
		}
		return nil
	case c.Since != "":
		if want.Since, err = c.since(); err != nil {
			return err
		}
	default:
		return nil
	}
	o.Expected = &want
	return nil
}

func (c *verifyCmd) since() (time.Time, error) {
	if d, err := time.ParseDuration(c.Since); err == nil && d > 0 {
		return time.Now().Add(-d), nil
	}
	at, err := time.Parse(time.RFC3339, c.Since)
	if err != nil {
		return time.Time{}, fmt.Errorf("--since=%s: write a time such as 2026-11-21T10:00:00Z, or 5m", c.Since)
	}
	return at, nil
}

// sumOf hashes a file.
func sumOf(name string) (sum string, size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, fmt.Errorf("read what is expected: %w", err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("read what is expected: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

func (c *verifyCmd) views(t terminal, v *app.Viewers) (views []verify.View, notes []string, err error) {
	switch {
	case c.Plan != "":
		p, err := readPlan(c.Plan, t.in)
		if err != nil {
			return nil, nil, err
		}
		return v.PlanViews(p)
	case c.Manifest != "":
		files, err := readManifest(c.Manifest)
		if err != nil {
			return nil, nil, err
		}
		return v.FileViews(files)
	}
	all, err := urls(v, c.URLs)
	if err != nil {
		return nil, nil, err
	}
	return v.AllViews(all)
}

// once prints every finding, in the order of the views.
func (c *verifyCmd) once(ctx context.Context, t terminal, looking verify.Views, views []verify.View) error {
	stop := progress(t.err, fmt.Sprintf("looking at %s", count(len(views), "view")))
	findings := looking.Look(ctx, views)
	stop()
	states := make(map[freshet.VerdictState]int)
	for _, f := range findings {
		states[f.State]++
		if err := c.show(t.out, f, ""); err != nil {
			return err
		}
	}
	if !c.JSON {
		if _, err := fmt.Fprintln(t.out, tallied(states)); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return verdict(states)
}

// watch prints what becomes another verdict, and at the end a summary.
func (c *verifyCmd) watch(ctx context.Context, t terminal, looking verify.Views, views []verify.View) error {
	sums, err := looking.Watch(ctx, views, c.Every, c.For, func(turn verify.Turn) error {
		if c.JSON {
			return printJSON(t.out, turn)
		}
		return c.show(t.out, turn.Finding, turn.Was)
	})
	if err != nil {
		return err
	}
	states := make(map[freshet.VerdictState]int)
	var b bytes.Buffer
	for _, s := range sums {
		for state, n := range s.Looks {
			states[state] += n
		}
		if s.Turns > 0 || s.Last.State != freshet.Fresh {
			fmt.Fprintf(&b, "%s: %s, %s, at last %s\n", viewName(s.Last), tallied(s.Looks), count(s.Turns, "change"), s.Last.State)
		}
	}
	fmt.Fprintf(&b, "%s looked at for %v: %s\n", count(len(views), "view"), c.For, tallied(states))
	to := t.out
	if c.JSON {
		to = t.err
	}
	if _, err := to.Write(b.Bytes()); err != nil {
		return err
	}
	return verdict(states)
}

// verdict is the exit code for the worst that was seen.
func verdict(states map[freshet.VerdictState]int) error {
	switch {
	case states[freshet.Stale] > 0:
		return exitError{code: exitStale}
	case states[freshet.Unreachable] > 0:
		return exitError{code: exitNoEdge}
	case states[verify.Unverified] > 0:
		return exitError{code: exitUnsure}
	}
	return nil
}

// tallied counts verdicts in words.
func tallied(states map[freshet.VerdictState]int) string {
	var parts []string
	for _, s := range []freshet.VerdictState{freshet.Fresh, freshet.Stale, freshet.Unreachable, verify.Unverified} {
		if n := states[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(parts) == 0 {
		return "nothing was looked at"
	}
	return strings.Join(parts, ", ")
}

// show prints one finding. was is its verdict before, where it was another.
func (c *verifyCmd) show(w io.Writer, f verify.Finding, was freshet.VerdictState) error {
	if c.JSON {
		return printJSON(w, f)
	}
	var b bytes.Buffer
	if c.For > 0 {
		fmt.Fprintf(&b, "%s  ", f.At.Format("15:04:05"))
	}
	fmt.Fprintf(&b, "%-11s  %s", f.State, viewName(f))
	if was != "" {
		fmt.Fprintf(&b, "  (was %s)", was)
	}
	if f.Seen.Status != 0 {
		fmt.Fprintf(&b, "  %s", seenBriefly(f.Seen))
	}
	if f.Reason != "" {
		fmt.Fprintf(&b, "\n             %s", f.Reason)
	}
	if f.State != freshet.Fresh && f.Expected.From != "" && f.Seen.Status != 0 {
		fmt.Fprintf(&b, "\n             seen      %s\n             expected  %s", seenContent(f.Seen), expectedContent(f.Expected))
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// viewName is the URL, the variant and the address.
func viewName(f verify.Finding) string {
	name := f.URL + "  " + f.Variant
	switch {
	case f.Seen.Remote.IsValid():
		name += "  " + f.Seen.Remote.String()
	case f.Place != (probe.Place{}):
		name += "  " + f.Place.String()
	}
	return name
}

func seenBriefly(a probe.Answer) string {
	parts := []string{fmt.Sprint(a.Status), a.Proto}
	if pop := a.PoP(); pop != "" {
		parts = append(parts, pop)
	}
	if cache := a.Cache(); cache != "" {
		parts = append(parts, cache)
	}
	if age, ok := a.Age(); ok {
		parts = append(parts, fmt.Sprintf("%v old", age))
	}
	return strings.Join(parts, ", ")
}

func seenContent(a probe.Answer) string {
	tag, weak := a.ETag()
	if weak {
		tag = "W/" + tag
	}
	return content(tag, a.Decoded.SHA256, a.Size, a.Modified())
}

func expectedContent(w verify.Expected) string {
	switch {
	case w.Gone:
		return "nothing, as " + w.From + " says"
	case w.Location != "":
		return fmt.Sprintf("%d to %s, as %s says", w.Status, w.Location, w.From)
	case !w.Since.IsZero():
		return "what was fetched after " + w.Since.UTC().Format(time.RFC3339)
	}
	return content(w.ETag, w.SHA256, w.Size, w.Modified) + ", as " + w.From + " says"
}

func content(tag, sum string, size int64, modified time.Time) string {
	var parts []string
	if tag != "" {
		parts = append(parts, "ETag "+tag)
	}
	if sum != "" {
		parts = append(parts, fmt.Sprintf("SHA-256 %.12s…", sum))
	}
	if size > 0 {
		parts = append(parts, count(int(size), "byte"))
	}
	if !modified.IsZero() {
		parts = append(parts, "of "+modified.UTC().Format(time.RFC3339))
	}
	if len(parts) == 0 {
		return "nothing to compare"
	}
	return strings.Join(parts, ", ")
}
