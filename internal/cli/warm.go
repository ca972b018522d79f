package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/warm"
)

type warmCmd struct {
	URLs    []string `arg:"" optional:"" name:"url" help:"URLs, or paths of the site."`
	Plan    string   `placeholder:"FILE" help:"Warm what a plan makes cold: what freshet plan --out wrote. - is standard input."`
	Sitemap []string `placeholder:"URL" sep:"none" help:"Warm what a sitemap lists: a URL, a path of the site or a file; XML, index files, lists of URLs, gzip. May be given several times."`
	Top     int      `placeholder:"N" help:"Warm the N URLs that are asked for most, by --access-log."`

	AccessLog   []string  `aliases:"access-logs" placeholder:"FILE" sep:"none" help:"Log of CloudFront, of the running freshet, nginx or Apache, or a directory of them, that says how often each URL is asked for. May be given several times."`
	Inventory   []string  `placeholder:"FILE" sep:"none" help:"What the bucket holds, as for freshet plan: with --plan, what its wildcards make cold (default: what the data directory knows)."`
	Bucket      string    `placeholder:"NAME" help:"Bucket of the inventory's keys (default site, or what the configuration says)."`
	Rate        perSecond `default:"50/s" placeholder:"N/s" help:"Requests at most, in a second (50/s), a minute (600/m), or 0 for no limit (default ${default})."`
	Concurrency int       `default:"8" help:"Requests at a time."`
	Tries       int       `default:"3" help:"How often a request is made that fails in a way that may pass."`
	Confirm     bool      `help:"Ask for each a second time, and see that the cache has kept it."`
	MaxURLs     int       `name:"max-urls" default:"50000" help:"Take so many URLs of sitemaps."`
	DryRun      bool      `help:"Print what would be asked for, and ask for nothing but sitemaps."`
	viewing     `embed:""`
}

// Help is shown below the flags.
func (warmCmd) Help() string {
	return `Each URL is fetched as a whole, in every encoding that the cache key of its behavior tells
apart, at every address that --resolve and --address name, hottest first: by how often it is
asked for in --access-log, then by its priority in the sitemap, then as given. Bodies are read
and dropped. What the cache had already is counted apart from what it had to fetch.

--distribution takes IDs as well as files: those of the running freshet, or else of the AWS
account, with the credentials that the AWS CLI would use.

Only hosts of the configured distributions are asked, those of the running freshet, and those
of --allow-host; redirects do not leave them. Sitemaps cannot lead elsewhere.

Examples:
  freshet warm / /index.html
  freshet warm --plan plan.json --inventory objects.json --rate 20/s
  freshet warm --sitemap /sitemap.xml --site https://www.example.com
  freshet warm --top 1000 --access-log logs/ --distribution site.json --confirm
  freshet warm --resolve www.example.com:443:192.0.2.1,192.0.2.2 https://www.example.com/

Exit codes: 0 done, 1 nothing could be warmed, 2 wrong usage, 3 some could not.`
}

// Validate refuses what contradicts itself.
func (c *warmCmd) Validate() error {
	subjects := 0
	for _, given := range []bool{len(c.URLs) > 0, c.Plan != "", len(c.Sitemap) > 0, c.Top != 0} {
		if given {
			subjects++
		}
	}
	switch {
	case subjects != 1:
		return errors.New("give URLs, --plan, --sitemap or --top")
	case c.Top < 0:
		return fmt.Errorf("--top=%d: a number above 0 is needed", c.Top)
	case c.Top > 0 && len(c.AccessLog) == 0:
		return errors.New("--top goes by --access-log: give one")
	case c.Concurrency <= 0:
		return fmt.Errorf("--concurrency=%d: a number above 0 is needed", c.Concurrency)
	case c.Tries <= 0:
		return fmt.Errorf("--tries=%d: a number above 0 is needed", c.Tries)
	case c.MaxURLs <= 0:
		return fmt.Errorf("--max-urls=%d: a number above 0 is needed", c.MaxURLs)
	}
	return c.check()
}

// perSecond is in requests a second; 0 is no limit.
type perSecond float64

// UnmarshalText reads 50/s, 600/m, 3600/h or 50.
func (r *perSecond) UnmarshalText(text []byte) error {
	number, unit, _ := strings.Cut(string(text), "/")
	per := map[string]float64{"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}[unit]
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || per == 0 || !(n >= 0 && n <= 1e6) {
		return fmt.Errorf("%q is no rate such as 50/s", text)
	}
	*r = perSecond(n / per)
	return nil
}

// largestBody is what is read of a body unless --max-body says otherwise: a cache
// keeps nothing of what is not read to its end.
const largestBody = 1 << 30

// Run warms, and says what became of it.
func (c *warmCmd) Run(ctx context.Context, t terminal, r *root) error {
	v, requests, err := c.requests(ctx, t, r)
	if v != nil {
		defer v.Close()
	}
	if err != nil {
		return err
	}
	if len(requests) == 0 {
		_, err := fmt.Fprintln(t.err, "freshet: nothing to warm")
		return err
	}
	if c.DryRun {
		return c.list(t.out, requests)
	}
	bar := newBar(t.err)
	var failed []warm.Result
	var printing error
	report, err := warm.Fetch(ctx, warm.Config{
		Client: v.Client, Rate: float64(c.Rate), Concurrency: c.Concurrency, Tries: c.Tries, Confirm: c.Confirm, Progress: bar.show,
		Each: func(one warm.Result) {
			if c.JSON {
				printing = errors.Join(printing, printJSON(t.out, warmLine(one)))
			} else if one.State != warm.Already && one.State != warm.Warmed && len(failed) < mostShown {
				failed = append(failed, one)
			}
		},
	}, requests)
	bar.clear()
	if e := c.report(t, report, failed); e != nil || printing != nil {
		return errors.Join(e, printing)
	}
	bad := report.Failed + report.Skipped
	switch {
	case err != nil:
		return err
	case bad > 0 && bad == report.Done():
		return exitError{code: exitFailed}
	case bad > 0:
		return exitError{code: exitSome}
	}
	return nil
}

// mostShown is how many of those that failed are shown to people.
const mostShown = 20

func (c *warmCmd) requests(ctx context.Context, t terminal, r *root) (*app.Viewers, []warm.Request, error) {
	v, cfg, err := c.viewers(ctx, t, r, app.ViewersOptions{Agent: "freshet-warm", MaxBody: largestBody})
	if err != nil {
		return nil, nil, err
	}
	heat, notes, err := v.Heat(c.AccessLog)
	if err != nil {
		return v, nil, err
	}
	if c.Plan != "" && v.Planner != nil {
		more, err := v.Planner.Know(ctx, app.Stock{Listings: c.Inventory, Logs: c.AccessLog, Bucket: cmp.Or(c.Bucket, cfg.Bucket), Data: cfg.Data})
		if err != nil {
			return v, nil, err
		}
		notes = append(notes, more...)
	}
	requests, more, err := c.wanted(ctx, t, v, heat)
	warn(t, append(notes, more...))
	return v, requests, err
}

// wanted lists what is to be made warm, with its weight.
func (c *warmCmd) wanted(ctx context.Context, t terminal, v *app.Viewers, heat *app.Heat) ([]warm.Request, []string, error) {
	switch {
	case c.Plan != "":
		p, err := readPlan(c.Plan, t.in)
		if err != nil {
			return nil, nil, err
		}
		return v.PlanRequests(p)
	case c.Top > 0:
		hot, notes := heat.Top(c.Top)
		requests, more, err := v.HotRequests(hot)
		return requests, append(notes, more...), err
	case len(c.Sitemap) > 0:
		stop := progress(t.err, "reading sitemaps")
		listed, notes, err := v.Sitemaps(ctx, c.Sitemap, c.MaxURLs)
		stop()
		if err != nil {
			return nil, nil, err
		}
		var hot []app.Hot
		for _, l := range listed {
			hot = append(hot, app.Hot{URL: l.URL, Requests: 1000*heat.Of(l.URL) + int64(1000*l.Priority)})
		}
		requests, more, err := v.HotRequests(hot)
		return requests, append(notes, more...), err
	}
	all, err := urls(v, c.URLs)
	if err != nil {
		return nil, nil, err
	}
	var hot []app.Hot
	for _, u := range all {
		hot = append(hot, app.Hot{URL: u, Requests: heat.Of(u)})
	}
	return v.HotRequests(hot)
}

func (c *warmCmd) list(w io.Writer, requests []warm.Request) error {
	for _, r := range warm.Ordered(requests) {
		var err error
		if c.JSON {
			err = printJSON(w, warmLine(warm.Result{Request: r}))
		} else {
			_, err = fmt.Fprintln(w, requestName(r))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func requestName(r warm.Request) string {
	name := r.Ask.URL.String() + "  " + r.Variant
	if r.Ask.At != (probe.Place{}) {
		name += "  " + r.Ask.At.String()
	}
	return name
}

// warmJSON is what --json prints for each request.
type warmJSON struct {
	URL      string     `json:"url"`
	Variant  string     `json:"variant"`
	Address  string     `json:"address,omitempty"`
	State    warm.State `json:"state,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	Weight   int64      `json:"weight"`
	Status   int        `json:"status,omitempty"`
	Bytes    int64      `json:"bytes"`
	Cache    string     `json:"cache,omitempty"`
	PoP      string     `json:"pop,omitempty"`
	Location string     `json:"location,omitempty"`
	Via      []string   `json:"redirected_from,omitempty"`
	Tries    int        `json:"tries,omitempty"`
	Took     float64    `json:"took_ms"`
}

func warmLine(r warm.Result) warmJSON {
	line := warmJSON{
		URL: r.Ask.URL.String(), Variant: r.Variant, Address: r.Ask.At.String(), State: r.State, Reason: r.Reason, Weight: r.Weight, Status: r.Answer.Status,
		Bytes: r.Answer.Size, Cache: r.Answer.Cache(), PoP: r.Answer.PoP(), Location: r.Answer.Location, Via: r.Answer.Via, Tries: r.Tries,
		Took: float64(r.Answer.Took.Microseconds()) / 1000,
	}
	if r.Answer.Remote.IsValid() {
		line.Address = r.Answer.Remote.String()
	}
	return line
}

// report sums up, on standard error where the lines are for machines.
func (c *warmCmd) report(t terminal, r warm.Report, failed []warm.Result) error {
	var b strings.Builder
	for _, f := range failed {
		fmt.Fprintf(&b, "%-12s  %s\n              %s\n", f.State, requestName(f.Request), f.Reason)
	}
	if n := r.Failed + r.Skipped + r.Unkept - len(failed); n > 0 && !c.JSON {
		fmt.Fprintf(&b, "and %d more, which --json lists\n", n)
	}
	for _, line := range []struct {
		n    int
		what warm.State
	}{{r.Already, warm.Already}, {r.Warmed, warm.Warmed}, {r.Unkept, warm.Unkept}, {r.Failed, warm.Failed}, {r.Skipped, warm.Skipped}, {r.Left, "not asked for"}} {
		if line.n > 0 {
			fmt.Fprintf(&b, "%d %s, ", line.n, line.what)
		}
	}
	fmt.Fprintf(&b, "%s in %v\n", count(int(r.Bytes), "byte"), r.Took.Round(time.Millisecond))
	to := t.out
	if c.JSON {
		to = t.err
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// bar shows on a terminal how far it is, and elsewhere a line every half minute.
type bar struct {
	w     io.Writer
	live  bool
	mu    sync.Mutex
	began time.Time
	last  time.Time
}

func newBar(w io.Writer) *bar {
	return &bar{w: w, live: isTerminal(w), began: time.Now(), last: time.Now()}
}

func (b *bar) show(done, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pause := 30 * time.Second
	if b.live {
		pause = 100 * time.Millisecond
	}
	if time.Since(b.last) < pause {
		return
	}
	b.last = time.Now()
	took := time.Since(b.began)
	left := time.Duration(float64(took) / float64(done) * float64(all-done)).Round(time.Second)
	if !b.live {
		_, _ = fmt.Fprintf(b.w, "%d of %d warmed, about %v to go\n", done, all, left)
		return
	}
	const width = 30
	full := width * done / all
	_, _ = fmt.Fprintf(b.w, "\r\x1b[K[%s%s] %d of %d, about %v to go", strings.Repeat("#", full), strings.Repeat(" ", width-full), done, all, left)
}

func (b *bar) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live {
		_, _ = io.WriteString(b.w, "\r\x1b[K")
	}
}
