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
	o, err := startOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	id, err := newIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(id.file, id.file)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(o)
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
	if asked := o.asked.Load(); err != nil || r.perSecond <= 0 || asked != 100 {
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
	c := b.chapter(result{load{name: "1 KiB"}, [][]round{{{100_000, 9, 800}}, {{150_000, 6, 500}}}})
	for _, want := range []string{"| nginx | 9.00 (9.00-9.00) | 1.00 | 100000 | 800 |", "| freshet | 6.00 (6.00-6.00) | 1.50 | 150000 | 500 |"} {
		if !strings.Contains(c.text, want) {
			t.Errorf("no %q in\n%s", want, c.text)
		}
	}
	c = b.chapter(result{load{name: "secret"}, [][]round{{{100_000, 8, 0}}, nil}})
	for _, want := range []string{"| nginx | 8.00 (8.00-8.00) | 1.00 | 100000 |  |", "| freshet | speaks no TLS | | | |"} {
		if !strings.Contains(c.text, want) {
			t.Errorf("no %q in\n%s", want, c.text)
		}
	}
	c = b.chapter(result{load{name: "1 KiB"}, [][]round{{{100_000, 9, 800}}, {{150_000, 6, 500}}}})
	if want := []row{{"1 KiB", "6.00 us", "nginx 1.50 times as much"}}; !slices.Equal(c.rows, want) {
		t.Errorf("%v instead of %v", c.rows, want)
	}
}
