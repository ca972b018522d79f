package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/freshet/freshet/internal/variant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, h http.HandlerFunc) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return parse(t, s.URL)
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func client(t *testing.T, cfg Config, hosts ...string) *Client {
	t.Helper()
	if cfg.Guard == nil {
		var sites []Site
		for _, h := range hosts {
			sites = append(sites, site(t, h))
		}
		cfg.Guard = NewGuard(sites...)
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return c
}

// asked counts requests.
func counting(n *atomic.Int64) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { n.Add(1) }
}

func TestFetchSaysWhatItSaw(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("ETag", `W/"abc"`)
		h.Set("Age", "12")
		h.Set("X-Cache", "RefreshHit from cloudfront")
		h.Set("X-Amz-Cf-Pop", "FRA60-P1")
		h.Set("Last-Modified", "Thu, 19 Nov 2026 10:00:00 GMT")
		_, _ = fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.RequestURI, r.Header.Get("Accept-Encoding"), r.Header.Get("Cookie"), r.Header.Get("User-Agent"))
	})
	c := client(t, Config{}, at.Host)
	ask := AskFor(at.JoinPath("/"), variant.Variant{Encoding: "br, gzip", Cookies: []variant.Field{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, Query: []variant.Field{{Name: "v", Value: "x y"}}})
	ask.Sums = true
	var body bytes.Buffer
	ask.Into = &body
	a, err := c.Fetch(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	want := "GET /?v=x+y br, gzip a=1; b=2 freshet"
	sum := sha256.Sum256([]byte(want))
	tag, weak := a.ETag()
	age, aged := a.Age()
	if body.String() != want || tag != "abc" || !weak || age != 12*time.Second || !aged || a.Cache() != "RefreshHit from cloudfront" || a.Hit() || a.PoP() != "FRA60-P1" || a.Modified().Day() != 19 {
		t.Errorf("%q, %+v", body.String(), a)
	}
	if !a.Whole || a.Size != int64(len(want)) || a.Raw.SHA256 != hex.EncodeToString(sum[:]) || a.Decoded != a.Raw || a.Remote.String() != at.Host || a.Took <= 0 {
		t.Errorf("%+v", a)
	}
}

func TestWhatCountsAsAHit(t *testing.T) {
	for line, want := range map[string]bool{
		"X-Cache: Hit from cloudfront": true, "X-Cache: Miss from cloudfront": false, "X-Cache: RefreshHit from cloudfront": false, "X-Cache: Error from cloudfront": false,
		"X-Cache: MISS, HIT": true, "X-Cache: HIT, MISS": false, "Cf-Cache-Status: HIT": true, "X-Cache-Status: MISS": false, "Cache-Status: ExampleCache; hit": true, "Cache-Status: ExampleCache; fwd=miss": false,
		"Age: 3": true, "Age: 0": false, "Age: -5": false, "Age: x": false, "Server: x": false,
	} {
		name, value, _ := strings.Cut(line, ": ")
		a := Answer{Header: http.Header{name: {value}}}
		if a.Hit() != want {
			t.Errorf("%s: %v", line, a.Hit())
		}
	}
}

func TestEncodedBodiesAreSummedUpBothWays(t *testing.T) {
	text := strings.Repeat("fresh ", 1000)
	var zipped, br bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	b := brotli.NewWriter(&br)
	_, _ = io.WriteString(b, text)
	_ = b.Close()
	bodies := map[string][]byte{"gzip": zipped.Bytes(), "br": br.Bytes(), "zstd": []byte("what?"), "identity": []byte(text), "gzip, br": br.Bytes()}
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		encoding := r.Header.Get("Accept-Encoding")
		w.Header().Set("Content-Encoding", encoding)
		body := bodies[encoding]
		if r.URL.Path == "/broken" {
			body = body[:len(body)/2]
		}
		_, _ = w.Write(body)
	})
	c := client(t, Config{}, at.Host)
	sum := md5.Sum([]byte(text))
	plain := hex.EncodeToString(sum[:])
	for encoding, body := range bodies {
		for _, path := range []string{"/", "/broken"} {
			a, err := c.Fetch(t.Context(), Ask{URL: at.JoinPath(path), Header: http.Header{"Accept-Encoding": {encoding}}, Sums: true})
			if err != nil {
				t.Fatal(err)
			}
			if path == "/broken" {
				body = body[:len(body)/2]
			}
			sent := md5.Sum(body)
			if a.Raw.MD5 != hex.EncodeToString(sent[:]) || a.Size != int64(len(body)) || !a.Whole {
				t.Errorf("%s%s: %+v", encoding, path, a)
			}
			decodes := path == "/" && encoding != "zstd" && encoding != "gzip, br"
			if decodes != (a.Decoded.MD5 == plain) || !decodes && encoding != "identity" && a.Decoded != (Sums{}) {
				t.Errorf("%s%s was decoded as %+v", encoding, path, a.Decoded)
			}
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	const most = 100_000
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 50*most))
	_ = z.Close()
	ended := make(chan struct{})
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bomb" {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
			return
		}
		defer close(ended)
		for chunk := make([]byte, 1<<16); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	c := client(t, Config{MaxBody: most}, at.Host)
	var into counted
	a, err := c.Fetch(t.Context(), Ask{URL: at.JoinPath("/endless"), Sums: true, Into: &into})
	if err != nil || a.Whole || a.Size != most || a.Raw != (Sums{}) || a.Decoded != (Sums{}) || into > most+1 {
		t.Errorf("%+v (%v), %d bytes handed on", a, err, into)
	}
	<-ended // the connection was closed
	a, err = c.Fetch(t.Context(), Ask{URL: at.JoinPath("/bomb"), Header: http.Header{"Accept-Encoding": {"gzip"}}, Sums: true})
	if err != nil || !a.Whole || a.Raw == (Sums{}) || a.Decoded != (Sums{}) {
		t.Errorf("%+v (%v)", a, err)
	}
}

type counted int64

func (c *counted) Write(b []byte) (int, error) { *c += counted(len(b)); return len(b), nil }

func TestHeadersAreBounded(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 2000 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
		}
	})
	if a, err := client(t, Config{}, at.Host).Fetch(t.Context(), Ask{URL: at}); err == nil {
		t.Errorf("status %d with %d headers", a.Status, len(a.Header))
	}
}

func TestSlowOnesAreLeft(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
			return
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	})
	c := client(t, Config{Timeout: 200 * time.Millisecond}, at.Host)
	for _, path := range []string{"/silent", "/drip"} {
		_, err := c.Fetch(t.Context(), Ask{URL: at.JoinPath(path)})
		if slow, ok := errors.AsType[errSlow](err); !ok || !slow.Timeout() || !strings.Contains(err.Error(), "not answered within 200ms") {
			t.Errorf("%s: %v", path, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Fetch(ctx, Ask{URL: at}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// TestBodiesThatComeHaveTime: the limit is for those that do not get on.
func TestBodiesThatComeHaveTime(t *testing.T) {
	p := &pace{began: time.Now(), patience: time.Millisecond, timer: time.NewTimer(time.Hour)}
	defer p.timer.Stop()
	if n, err := io.Copy(io.Discard, p.reader(io.LimitReader(zeros{}, 10*slowest))); n != 10*slowest || err != nil {
		t.Fatal(n, err)
	}
	if p.n != 10*slowest {
		t.Errorf("%d bytes were seen", p.n)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestBodiesThatAreCutOff(t *testing.T) {
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "half")
	})
	for _, sums := range []bool{true, false} {
		a, err := client(t, Config{}, at.Host).Fetch(t.Context(), Ask{URL: at, Sums: sums})
		if !errors.Is(err, io.ErrUnexpectedEOF) || a.Whole || a.Raw != (Sums{}) {
			t.Errorf("%+v (%v)", a, err)
		}
	}
}

func TestRedirects(t *testing.T) {
	var strangers atomic.Int64
	stranger := serve(t, counting(&strangers))
	var to atomic.Value
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/":
			http.Redirect(w, r, to.Load().(string), http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/loop"):
			http.Redirect(w, r, r.URL.Path+"x", http.StatusMovedPermanently)
		}
	})
	c := client(t, Config{}, at.Host)
	for target, want := range map[string]string{
		"/there":                           "200 ",
		at.String() + "/there":             "200 ",
		stranger.String() + "/":            "302 not among the configured hosts",
		"http://169.254.169.254/latest/":   "302 not among the configured hosts",
		"http://localhost:" + at.Port():    "302 not among the configured hosts",
		"http://2852039166/":               "302 as it is usually written",
		"http://[::ffff:169.254.169.254]/": "302 not among the configured hosts",
		"file:///etc/passwd":               "302 neither http nor https",
		"//" + stranger.Host + "/x":        "302 not among the configured hosts",
		"http://a:b@" + at.Host + "/":      "302 user name",
		"/loop":                            "301 there were 9 redirects before it",
		"http://%zz/":                      "302 its Location is no URL",
	} {
		to.Store(target)
		a, err := c.Fetch(t.Context(), Ask{URL: at.JoinPath("/"), Follow: FollowAll})
		status, why, _ := strings.Cut(want, " ")
		if err != nil || fmt.Sprint(a.Status) != status || !strings.Contains(a.Stopped, why) || (why == "") != (a.Stopped == "") {
			t.Errorf("%s: %d, %q (%v), want %s", target, a.Status, a.Stopped, err, want)
		}
	}
	to.Store("/there")
	a, err := c.Fetch(t.Context(), Ask{URL: at.JoinPath("/")})
	if err != nil || a.Status != 302 || a.Location != "/there" || a.Stopped != "" {
		t.Errorf("unfollowed: %+v (%v)", a, err)
	}
	a, err = c.Fetch(t.Context(), Ask{URL: at.JoinPath("/"), Follow: FollowUpgrade})
	if err != nil || a.Status != 302 || a.Stopped != "it leads elsewhere" {
		t.Errorf("no upgrade: %+v (%v)", a, err)
	}
	if n := strangers.Load(); n > 0 {
		t.Errorf("a host that is not configured was asked %d times", n)
	}
}

// TestTransport: an http.Client over it is as guarded, redirects included.
func TestTransport(t *testing.T) {
	var strangers atomic.Int64
	stranger := serve(t, counting(&strangers))
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, stranger.String(), http.StatusFound)
		}
		w.Header().Set("X-Host", r.Host)
	})
	rule, err := ParseRule("www.example.com:80:127.0.0.1:" + at.Port())
	if err != nil {
		t.Fatal(err)
	}
	hc := &http.Client{Transport: client(t, Config{Rules: Rules{rule}}, "www.example.com", "elsewhere.localhost").Transport()}
	resp, err := hc.Get("http://www.example.com/a")
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("X-Host") != "www.example.com" {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	for _, u := range []string{"http://www.example.com/away", "http://169.254.169.254/", at.String(), "http://www.example.com:8080/"} {
		resp, err := hc.Get(u)
		var r *Refused
		if !errors.As(err, &r) {
			t.Errorf("%s: %v", u, err)
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
	}
	if strangers.Load() > 0 {
		t.Error("a stranger was asked")
	}
}

// names answers every question for an address with one of addresses, in turn.
func names(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() { _ = conn.Close(); served.Wait() })
	served.Go(func() {
		turn := 0
		for b := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			q := m.Questions[0]
			m.Header, m.Additionals = dnsmessage.Header{ID: m.ID, Response: true}, nil
			a := netip.MustParseAddr(addresses[turn%len(addresses)])
			head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
			switch {
			case q.Type == dnsmessage.TypeA && a.Is4():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
				turn++
			case q.Type == dnsmessage.TypeAAAA && a.Is6():
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
				turn++
			}
			if text, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(text, from)
			}
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestNamesThatLeadInwards(t *testing.T) {
	var asked atomic.Int64
	at := serve(t, counting(&asked))
	u := parse(t, "http://www.example.com:"+at.Port()+"/")
	for _, tt := range []struct {
		address string
		inward  bool
		why     string // empty: allowed
	}{
		{"127.0.0.1", false, "a loopback or private address, and is not configured to"},
		{"127.0.0.1", true, ""},
		{"::ffff:127.0.0.1", false, "loopback or private"},
		{"169.254.169.254", true, "link-local, metadata"},
		{"fe80::1", true, "link-local, metadata"},
		{"fd00:ec2::254", true, "link-local, metadata"},
		{"0.0.0.0", true, "link-local, metadata"},
		{"10.0.0.1", false, "loopback or private"},
		{"64:ff9b::a9fe:a9fe", true, "link-local, metadata"},
	} {
		s := site(t, u.Host)
		s.Inward = tt.inward
		c := client(t, Config{Guard: NewGuard(s), Resolver: names(t, tt.address), Timeout: 5 * time.Second})
		before := asked.Load()
		_, err := c.Fetch(t.Context(), Ask{URL: u})
		if tt.why == "" {
			if err != nil || asked.Load() != before+1 {
				t.Errorf("%s: %v", tt.address, err)
			}
			continue
		}
		var r *Refused
		if !errors.As(err, &r) || !strings.Contains(err.Error(), tt.why) || asked.Load() != before {
			t.Errorf("%s: %v, asked %d times", tt.address, err, asked.Load()-before)
		}
	}
}

// TestNamesThatTurnInwards: a name that leads outwards when it is looked at, and
// inwards when it is connected to, is looked up for each connection and judged
// then.
func TestNamesThatTurnInwards(t *testing.T) {
	var asked atomic.Int64
	at := serve(t, counting(&asked))
	u := parse(t, "http://www.example.com:"+at.Port()+"/")
	c := client(t, Config{Resolver: names(t, "192.0.2.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"), Timeout: 300 * time.Millisecond}, u.Host)
	for range 4 {
		if _, err := c.Fetch(t.Context(), Ask{URL: u}); err == nil {
			t.Error("answered")
		}
	}
	if asked.Load() > 0 {
		t.Error("asked inwards")
	}
}

func TestUnconfiguredInwardPlaces(t *testing.T) {
	c := New(Config{Guard: NewGuard(site(t, "www.example.com"))})
	defer c.Close()
	_, err := c.Fetch(t.Context(), Ask{URL: parse(t, "http://www.example.com/"), At: Place{Addr: netip.MustParseAddr("169.254.169.254")}})
	var r *Refused
	if !errors.As(err, &r) {
		t.Errorf("pinned to a metadata address: %v", err)
	}
}

// TestPlacesKeepNameAndHost: what is asked at an address is asked as it would be
// at the name's own, over TLS with HTTP/2; curl --resolve says the same.
func TestPlacesKeepNameAndHost(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Host, r.TLS.ServerName, r.Proto, r.RequestURI)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	here := netip.MustParseAddrPort(s.Listener.Addr().String())
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := client(t, Config{Roots: roots}, "example.com")
	var body bytes.Buffer
	u := parse(t, "https://example.com/a%2Fb//../c?d")
	a, err := c.Fetch(t.Context(), Ask{URL: u, At: Place{here.Addr(), here.Port()}, Into: &body})
	want := "example.com example.com HTTP/2.0 /a%2Fb//../c?d"
	if err != nil || body.String() != want || a.Proto != "HTTP/2.0" || a.Remote != here {
		t.Errorf("%q, %+v (%v), want %s", body.String(), a, err, want)
	}
	if _, err := client(t, Config{}, "example.com").Fetch(t.Context(), Ask{URL: u, At: Place{here.Addr(), here.Port()}}); err == nil {
		t.Error("an unknown authority is trusted")
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("curl is not installed")
		}
		t.Skip("curl is not installed")
	}
	at := fmt.Sprintf("example.com:%d:127.0.0.1", here.Port())
	out, err := exec.CommandContext(t.Context(), curl, "-sk", "--path-as-is", "--noproxy", "*", "--resolve", at, fmt.Sprintf("https://example.com:%d/a%%2Fb//../c?d", here.Port())).Output()
	if err != nil || strings.ReplaceAll(string(out), fmt.Sprintf(":%d", here.Port()), "") != want {
		t.Errorf("curl saw %q (%v), and we %q", out, err, want)
	}
	rule, err := ParseRule(at)
	if err != nil {
		t.Fatal(err)
	}
	body.Reset()
	same := parse(t, fmt.Sprintf("https://example.com:%d/a%%2Fb//../c?d", here.Port()))
	_, err = client(t, Config{Roots: roots}, same.Host).Fetch(t.Context(), Ask{URL: same, At: Rules{rule}.Places(same)[0], Into: &body})
	if err != nil || body.String() != string(out) {
		t.Errorf("%q (%v), and curl %q", body.String(), err, out)
	}
}

// TestUpgradesAreFollowed: to where the rules say that the other port is.
func TestUpgradesAreFollowed(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }))
	defer secure.Close()
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+r.Host+r.RequestURI, http.StatusMovedPermanently)
	})
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	rules := Rules{{"example.com", 443, []Place{place(t, secure.Listener.Addr().String())}}, {"example.com", 80, []Place{place(t, plain.Host)}}}
	c := client(t, Config{Roots: roots, Rules: rules}, "example.com")
	u := parse(t, "http://example.com/a?b")
	a, err := c.Fetch(t.Context(), Ask{URL: u, At: rules.Places(u)[0], Follow: FollowUpgrade})
	if err != nil || a.Status != 200 || a.URL != "https://example.com/a?b" || len(a.Via) != 1 || a.Via[0] != u.String() {
		t.Errorf("%+v (%v)", a, err)
	}
}

func place(t *testing.T, text string) Place {
	t.Helper()
	p, err := ParsePlace(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNoProxyIsTaken: it would look names up by itself.
func TestNoProxyIsTaken(t *testing.T) {
	var proxied, direct atomic.Int64
	proxy, at := serve(t, counting(&proxied)), serve(t, counting(&direct))
	t.Setenv("HTTP_PROXY", proxy.String())
	t.Setenv("http_proxy", proxy.String())
	t.Setenv("ALL_PROXY", proxy.String())
	u := parse(t, "http://site.localhost:"+at.Port())
	if _, err := client(t, Config{Resolver: names(t, "127.0.0.1")}, u.Host).Fetch(t.Context(), Ask{URL: u}); err != nil || proxied.Load() > 0 || direct.Load() != 1 {
		t.Errorf("%v, %d through the proxy", err, proxied.Load())
	}
}
