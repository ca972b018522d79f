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

// What wrk says of itself is read.
func TestPlay(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("wrk is not installed; make bench-edge installs it")
	}
	o, err := startOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	p := &process{contender: contender{name: "origin"}, addr: o.addr, command: exec.Command("sleep", "60")}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.command.Process.Kill(); _ = p.command.Wait() }()
	r, err := play(context.Background(), p, load{name: "any", path: "/1024/a", connections: 2, headers: browser()}, time.Second, "")
	if err != nil || r.perSecond <= 0 || r.p99 <= 0 || r.cpu > 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := play(context.Background(), p, load{name: "none", path: "/none", connections: 2}, time.Second, ""); err == nil {
		t.Error("answers of 404 count")
	}
	if p.resident() <= 0 {
		t.Errorf("%d bytes resident", p.resident())
	}
}

// What h2load says of itself is read.
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
	p := &process{contender: contender{name: "origin"}, addr: s.Listener.Addr().String(), command: exec.Command("sleep", "60")}
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
	p := &process{command: exec.Command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; exec sleep 60"), exited: make(chan struct{})}
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
