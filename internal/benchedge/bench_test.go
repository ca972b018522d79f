package benchedge

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What the load generators say of themselves is read, and what failed is not taken
// for an answer.
func TestHeard(t *testing.T) {
	wrk := func(last string) string {
		return "Running 1s test @ http://127.0.0.1:8999/a\n  1 threads and 2 connections\n" +
			"  Latency Distribution\n     50%   66.00us\n     75%  106.00us\n     90%    1.48ms\n     99%   10.24ms\n" + last
	}
	h2load := func(requests string) string {
		return "progress: 100% done\n\nfinished in 48.44ms, 2064.45 req/s, 223.78KB/s\nrequests: 100 total, 100 started, " + requests + "\n"
	}
	plain := func(said string) (round, error) { return heardPlain([]byte(said), "nginx, any", time.Second, false) }
	streams := func(said string) (round, error) { return heardStreams([]byte(said), "nginx, any", time.Second) }
	for name, c := range map[string]struct {
		heard func(string) (round, error)
		said  string
		want  round
		fails string
	}{
		"wrk":                {plain, wrk("  20000 requests in 2.00s, 2.26MB read\n"), round{requests: 20000, perSecond: 10000, cpu: 50, p99: 10240}, ""},
		"wrk, 404":           {plain, wrk("  23153 requests in 1.01s, 2.61MB read\n  Non-2xx or 3xx responses: 23153\n"), round{}, "Non-2xx or 3xx responses: 23153"},
		"wrk, broken":        {plain, wrk("  10 requests in 1.01s, 2.61KB read\n  Socket errors: connect 0, read 3, write 0, timeout 0\n"), round{}, "read 3"},
		"wrk, none":          {plain, wrk("  0 requests in 1.01s, 0.00B read\n"), round{}, "no request was answered"},
		"wrk, unknown":       {plain, "unable to connect", round{}, "said no number of requests: unable to connect"},
		"h2load":             {streams, h2load("100 done, 100 succeeded, 0 failed, 0 errored, 0 timeout"), round{perSecond: 100 / 0.04844, cpu: 10000}, ""},
		"h2load, 404":        {streams, h2load("100 done, 0 succeeded, 100 failed, 0 errored, 0 timeout"), round{}, "nginx, any: requests:"},
		"h2load, nobody":     {streams, h2load("0 done, 0 succeeded, 10 failed, 10 errored, 0 timeout"), round{}, "0 done"},
		"h2load, unknown":    {streams, "Usage", round{}, "said no number of requests: Usage"},
		"h2load, no figures": {streams, "finished in 1s\n", round{}, "said no number of requests"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.heard(c.said)
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("error %v, want %q", err, c.fails)
			}
		})
	}
}

// playPatiently plays for a second, and once more where the machine had so little
// time that answers took seconds, or that there was none.
func playPatiently(p *process, l load) (r round, err error) {
	for range 60 {
		r, err = play(context.Background(), p, l, time.Second, "")
		if err == nil || !strings.Contains(err.Error(), "Socket errors: connect 0, read 0, write 0, timeout ") && !strings.Contains(err.Error(), "no request was answered") {
			break
		}
	}
	return r, err
}

// The installed wrk is understood.
func TestPlay(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("wrk is not installed; make bench-edge installs it")
	}
	o, err := startOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	p := &process{contender: contender{name: "origin"}, addr: o.addr, command: exec.Command("sleep", "3600")}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.command.Process.Kill(); _ = p.command.Wait() }()
	r, err := playPatiently(p, load{name: "any", path: "/1024/a", connections: 2, headers: browser()})
	if err != nil || r.perSecond <= 0 || r.p99 <= 0 || r.cpu > 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := playPatiently(p, load{name: "none", path: "/none", connections: 2}); err == nil || !strings.Contains(err.Error(), "Non-2xx") {
		t.Errorf("answers of 404 count: %v", err)
	}
	if p.resident() <= 0 {
		t.Errorf("%d bytes resident", p.resident())
	}
}

// The installed h2load is understood.
func TestPlayStreams(t *testing.T) {
	if _, err := exec.LookPath("h2load"); err != nil {
		t.Skip("h2load is not installed; make bench-edge installs it")
	}
	var asked atomic.Int64
	id, err := newIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(id.file, id.file)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		asked.Add(1)
	}))
	s.TLS, s.EnableHTTP2 = &tls.Config{Certificates: []tls.Certificate{pair}}, true
	s.StartTLS()
	defer s.Close()
	p := &process{contender: contender{name: "origin"}, addr: s.Listener.Addr().String(), command: exec.Command("sleep", "3600")}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.command.Process.Kill(); _ = p.command.Wait() }()
	l := load{name: "any", path: "/1024/a", connections: 2, secure: true, streams: 3, requests: 100, headers: browser()}
	r, err := play(context.Background(), p, l, time.Second, "")
	if asked := asked.Load(); err != nil || r.perSecond <= 0 || asked != 100 {
		t.Errorf("%+v, %v; the origin was asked %d times", r, err, asked)
	}
	l.path = "/none"
	if _, err := play(context.Background(), p, l, time.Second, ""); err == nil {
		t.Error("answers of 404 count")
	}
	resp, err := id.client.Get("https://" + p.addr + "/1/a")
	if err != nil {
		t.Fatal(err) // the certificate is not what the client trusts
	}
	resp.Body.Close()
}

func TestOrigin(t *testing.T) {
	o, err := startOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	resp, err := http.Get("http://" + o.addr + "/1024/a")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); len(body) != 1024 || o.asked.Load() != 1 {
		t.Errorf("%d bytes, asked %d times", len(body), o.asked.Load())
	}
}

func TestSpread(t *testing.T) {
	if got := spreadOf([]float64{9, 1, 5, 3, 7}).String(); got != "5.00 (3.00-7.00)" {
		t.Error(got)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Error(got)
	}
}

// The table has a row for each contender, the first of which is 1.
func TestChapter(t *testing.T) {
	b := &bench{contenders: []contender{{name: "nginx"}, {name: "freshet"}}, options: options{rounds: 1}}
	c := b.chapter(result{load{name: "1 KiB"}, [][]round{{{perSecond: 100_000, cpu: 9, p99: 800}}, {{perSecond: 150_000, cpu: 6, p99: 500}}}})
	for _, want := range []string{"| nginx | 9.00 (9.00-9.00) | 1.00 | 100000 | 800 |", "| freshet | 6.00 (6.00-6.00) | 1.50 | 150000 | 500 |"} {
		if !strings.Contains(c.text, want) {
			t.Errorf("no %q in\n%s", want, c.text)
		}
	}
	c = b.chapter(result{load{name: "secret"}, [][]round{{{perSecond: 100_000, cpu: 8}}, nil}})
	for _, want := range []string{"| nginx | 8.00 (8.00-8.00) | 1.00 | 100000 |  |", "| freshet | speaks no TLS | | | |"} {
		if !strings.Contains(c.text, want) {
			t.Errorf("no %q in\n%s", want, c.text)
		}
	}
	c = b.chapter(result{load{name: "1 KiB"}, [][]round{{{perSecond: 100_000, cpu: 9, p99: 800}}, {{perSecond: 150_000, cpu: 6, p99: 500}}}})
	if want := []row{{"1 KiB", "6.00 us", "nginx 1.50 times as much"}}; !slices.Equal(c.rows, want) {
		t.Errorf("%v instead of %v", c.rows, want)
	}
}

// What a process takes is known to the microsecond, of one that has threads, too.
func TestProcessCPU(t *testing.T) {
	p := &process{command: exec.Command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 3600"), exited: make(chan struct{})}
	p.command.Stdout = &p.out
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.command.Process.Kill(); _ = p.command.Wait() }()
	for end := time.Now().Add(time.Minute); p.out.String() == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not end")
		}
	}
	if got := p.cpu(); got < time.Millisecond || got > time.Minute || got%(time.Second/100) == 0 {
		t.Errorf("it took %v", got)
	}
}

// A viewer reads what the origin says, and the version of it.
func TestViewer(t *testing.T) {
	o, err := startOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	v, err := newViewer(t.Context(), o.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	for want := int64(1); want < 4; want = o.version.Add(1) {
		if got, err := v.get("/128/any"); got != want || err != nil {
			t.Errorf("version %d instead of %d, %v", got, want, err)
		}
	}
	if _, err := v.get("/none"); err == nil {
		t.Error("a 404 has a version")
	}
	before := o.asked.Load()
	if err := fill(t.Context(), o.addr, 100, 7, func(i int) string { return "/128/" + strings.Repeat("x", i) }); err != nil || o.asked.Load() != before+100 {
		t.Errorf("%d were fetched, %v", o.asked.Load()-before, err)
	}
	if err := fill(t.Context(), o.addr, 100, 7, func(int) string { return "/none" }); err == nil {
		t.Error("a cache is filled with 404s")
	}
}

// Whoever begins to ask after the answer must not get what is old.
func TestWatchFindsStaleAnswers(t *testing.T) {
	o, err := startOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, tt := range []struct {
		fresh    int64
		answered time.Duration
		stale    bool
	}{{1, 1, false}, {2, 0, false}, {2, 1, true}} {
		w := &watch{fresh: tt.fresh, began: time.Now()}
		w.answered.Store(int64(tt.answered))
		ctx, cancel := context.WithCancel(t.Context())
		asked := o.asked.Load()
		ended := make(chan error, 1)
		go func() { ended <- w.look(ctx, o.addr, []string{"/128/a", "/128/b"}, 0) }()
		for end := time.Now().Add(time.Minute); o.asked.Load() < asked+3 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-ended; err != nil || (w.stale.Load() > 0) != tt.stale {
			t.Errorf("%+v: %d stale, %v", tt, w.stale.Load(), err)
		}
	}
}
