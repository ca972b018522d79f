// Package benchedge holds the edge against the caches that people run today: it
// loads each of them alike and compares the server's processor time per request.
package benchedge

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	own     string
	out     string
	readme  string
	rounds  int
	length  time.Duration
	only    string
	objects int
	servers string
}

// Main runs the comparison and writes its table. args are those of the program
// without its name.
func Main(ctx context.Context, args []string, progress io.Writer) error {
	var o options
	f := flag.NewFlagSet("bench-edge", flag.ContinueOnError)
	f.StringVar(&o.own, "freshet", "bin/freshet", "our own program")
	f.StringVar(&o.out, "out", "docs/bench-edge.md", "file for the report; what a run leaves out stays there as it was")
	f.StringVar(&o.readme, "readme", "", "another file, which gets the table of what matters between "+strings.TrimSpace(tableBegins)+" and "+strings.TrimSpace(tableEnds))
	f.IntVar(&o.rounds, "rounds", 5, "of each contender in each case")
	f.DurationVar(&o.length, "length", time.Second, "of a round")
	f.StringVar(&o.only, "only", "", "what the titles of cases must hold, or after = be, one of several with | in between")
	f.IntVar(&o.objects, "objects", 1_000_000, "distinct objects, where there are many")
	f.StringVar(&o.servers, "servers", "", "contenders with commas in between, the one to measure by first; empty for all")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if o.own, err = filepath.Abs(o.own); err != nil {
		return fmt.Errorf("find our own program: %w", err)
	}
	b := &bench{options: o, progress: progress, before: busy()}
	if b.origin, err = startOrigin(); err != nil {
		return err
	}
	defer func() { _ = b.origin.Close() }()
	if b.identity, err = newIdentity(inMemory()); err != nil {
		return err
	}
	defer b.identity.remove()
	var missing []string
	b.contenders, missing = installed(chosen(contenders(), o.servers))
	for _, name := range missing {
		fmt.Fprintf(progress, "%s is not installed, and left out\n", name)
	}
	return b.run(ctx)
}

type bench struct {
	options

	before     string // how busy the machine was
	progress   io.Writer
	origin     *origin
	contenders []contender
	identity   *identity
}

// trial is a way to measure one case, or several that go together.
type trial struct {
	titles []string
	run    func(ctx context.Context) ([]chapter, error)
}

// trials are all there are, in the order of the report.
func (b *bench) trials() (all []trial) {
	for _, l := range b.loads() {
		all = append(all, trial{[]string{l.name}, func(ctx context.Context) ([]chapter, error) {
			r, err := b.compare(ctx, l)
			if err != nil {
				return nil, err
			}
			return []chapter{b.chapter(r)}, nil
		}})
	}
	for _, s := range scarces() {
		all = append(all, b.scarceTrial(s))
	}
	return append(all, b.logTrial(), b.collapsedTrial(), b.expiringTrial(), b.largeTrial(), b.smallTrial(), b.hitRatioTrial())
}

// wants reports whether a case is to be measured.
func (b *bench) wants(title string) bool {
	for part := range strings.SplitSeq(b.only, "|") {
		if whole, ok := strings.CutPrefix(part, "="); ok && whole == title || !ok && strings.Contains(title, part) {
			return true
		}
	}
	return false
}

// result is one case: the rounds of each contender, in their order; none of those
// who do not speak what is asked.
type result struct {
	load

	rounds [][]round
}

func (b *bench) loads() []load {
	return []load{
		{name: "1 KiB", path: "/1024/a", connections: 64},
		{name: "1 KiB, ten browser headers", path: "/1024/a", connections: 64, headers: browser()},
		// wrk waits for a body after a 304 that says how long it would be, as HAProxy's does.
		{name: "1 KiB, not modified", path: "/1024/a", connections: 64, without: "HAProxy", headers: []string{"If-Modified-Since: Sat, 01 Aug 2026 00:00:00 GMT"}},
		{name: "1 KiB of 100 KiB, a range", path: "/102400/a", connections: 64, headers: []string{"Range: bytes=1024-2047"}},
		{name: "100 KiB", path: "/102400/a", connections: 64, large: true},
		{name: "10 MiB", path: "/10485760/a", connections: 16, large: true},
		{name: "1 KiB, cores shared with the clients", path: "/1024/a", connections: 64, shared: true},
		{name: "1 KiB, each another object that is fetched", path: "/1024/a", connections: 64, script: otherObjects(1024)},
		{name: "10 KiB, each another object that is fetched", path: "/10240/a", connections: 64, script: otherObjects(10240)},
		{name: "64 KiB, each another object that is fetched", path: "/65536/a", connections: 64, large: true, script: otherObjects(65536)},
		{name: "1 MiB, each another object that is fetched", path: "/1048576/a", connections: 16, large: true, script: otherObjects(1 << 20)},
		{name: "1 KiB, TLS 1.3", path: "/1024/a", connections: 64, secure: true},
		{name: "100 KiB, TLS 1.3", path: "/102400/a", connections: 64, secure: true, large: true},
		{name: "1 KiB, HTTP/2, ten streams on each connection", path: "/1024/a", connections: 64, secure: true, streams: 10, requests: 30_000},
		{name: "100 KiB, HTTP/2, ten streams on each connection", path: "/102400/a", connections: 64, secure: true, streams: 10, requests: 3_000, large: true},
	}
}

// run measures what is wanted. Each trial is in the report as soon as it is over.
func (b *bench) run(ctx context.Context) error {
	var titles []string
	for _, t := range b.trials() {
		titles = append(titles, t.titles...)
	}
	for _, t := range b.trials() {
		if !slices.ContainsFunc(t.titles, b.wants) {
			continue
		}
		chapters, failed := t.run(ctx)
		if err := b.write(chapters, titles); err != nil {
			return err
		}
		if failed != nil {
			return fmt.Errorf("%s: %w", t.titles[0], failed)
		}
	}
	return nil
}

// compare runs the rounds of one case in turns, so that what else the machine
// does hits all alike.
func (b *bench) compare(ctx context.Context, l load) (result, error) {
	servers, clients := "0", "1"
	if l.shared {
		servers, clients = "", ""
	}
	s := setting{origin: b.origin.addr, own: b.own, large: l.large}
	if l.secure {
		s.pem = b.identity.file
	}
	able := slices.DeleteFunc(slices.Clone(b.contenders), func(c contender) bool { return l.secure && c.plain || c.name == l.without })
	running, err := startAll(able, s, servers)
	if err != nil {
		return result{}, err
	}
	defer stopAll(running)
	r := result{load: l, rounds: make([][]round, len(b.contenders))}
	for _, p := range running {
		if err := b.warm(ctx, p, l); err != nil {
			return result{}, err
		}
	}
	for i := range b.rounds + 1 {
		for _, p := range running {
			one, err := play(ctx, p, l, b.length, clients)
			if err != nil {
				return result{}, err
			}
			if i == 0 {
				continue // it warms up
			}
			at := slices.IndexFunc(b.contenders, func(c contender) bool { return c.name == p.name })
			r.rounds[at] = append(r.rounds[at], one)
			fmt.Fprintf(b.progress, "%s, %s: %.0f requests/s, %.2f us\n", l.name, p.name, one.perSecond, one.cpu)
		}
	}
	return r, nil
}

// inTurns plays each of the loads on each of the contenders, round by round, and
// returns the rounds by contender and load. The first round of each warms up.
func (b *bench) inTurns(ctx context.Context, all []*process, loads []load) ([][][]round, error) {
	rounds := make([][][]round, len(all))
	for k := range rounds {
		rounds[k] = make([][]round, len(loads))
	}
	for i := range b.rounds + 1 {
		for k, p := range all {
			for j, l := range loads {
				before := b.origin.asked.Load()
				one, err := play(ctx, p, l, b.length, "1")
				if err != nil {
					return nil, err
				}
				one.asked = float64(b.origin.asked.Load() - before)
				if i > 0 {
					rounds[k][j] = append(rounds[k][j], one)
				}
				fmt.Fprintf(b.progress, "%s, %s: %.0f requests/s, %.2f us, %.0f to the origin\n", l.name, p.name, one.perSecond, one.cpu, one.asked)
			}
		}
	}
	return rounds, nil
}

// warm asks until the answer comes from the cache.
func (b *bench) warm(ctx context.Context, p *process, l load) error {
	for range 50 {
		before := b.origin.asked.Load()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.scheme()+p.addr+l.path, nil)
		if err != nil {
			return fmt.Errorf("warm %s: %w", p.name, err)
		}
		for _, h := range l.headers {
			if name, value, _ := strings.Cut(h, ": "); name != "Range" && !strings.HasPrefix(name, "If-") { // all of it is wanted
				req.Header.Set(name, value)
			}
		}
		resp, err := b.identity.client.Do(req)
		if err != nil {
			return fmt.Errorf("warm %s: %w", p.name, err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return fmt.Errorf("warm %s: %w", p.name, err)
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("warm %s: status %d, %d bytes", p.name, resp.StatusCode, n)
		}
		if b.origin.asked.Load() == before {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s does not keep %s", p.name, l.path)
}

func (b *bench) write(chapters []chapter, titles []string) error {
	d, err := readDocument(b.out)
	if err != nil {
		return err
	}
	d.preface = preface()
	for _, c := range chapters {
		c.text += "\n" + b.circumstances()
		d.take(c)
	}
	if b.servers == "" {
		d.take(chapter{title: versionsTitle, text: b.versions()})
	}
	d.arrange(append(slices.Clip(titles), versionsTitle))
	if err := os.WriteFile(b.out, []byte(d.String()), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if b.readme == "" {
		return nil
	}
	return insertTable(b.readme, d.short())
}
