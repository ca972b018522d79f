package cli

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
)

// fakeEdge is an edge at several loopback addresses, each with a cache of its
// own: what answers says at an address, for a path and an encoding.
type fakeEdge struct {
	port    string
	answers func(at, path, encoding string) (text string, status int)

	mu    sync.Mutex
	cache map[string]bool
	asked []string
}

func newFakeEdge(t *testing.T, addresses int, answers func(at, path, encoding string) (string, int)) *fakeEdge {
	t.Helper()
	e := &fakeEdge{answers: answers, cache: make(map[string]bool)}
	var listeners []net.Listener
	for try := 0; len(listeners) < addresses; try++ {
		port := "0"
		if len(listeners) > 0 {
			port = e.port
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%s", len(listeners)+1, port))
		if err != nil {
			if try > 20 {
				t.Skipf("no port is free at %d loopback addresses: %v", addresses, err)
			}
			for _, l := range listeners {
				_ = l.Close()
			}
			listeners = nil
			continue
		}
		_, e.port, _ = net.SplitHostPort(l.Addr().String())
		listeners = append(listeners, l)
	}
	for _, l := range listeners {
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: e}}
		s.Start()
		t.Cleanup(s.Close)
	}
	return e
}

func (e *fakeEdge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	at, _, _ := net.SplitHostPort(local.String())
	encoding := r.Header.Get("Accept-Encoding")
	text, status := e.answers(at, r.URL.Path, encoding)
	e.mu.Lock()
	name := at + " " + r.Host + r.URL.RequestURI() + " " + encoding
	e.asked = append(e.asked, name)
	cache := "Miss from cloudfront"
	if e.cache[name] {
		cache = "Hit from cloudfront"
		w.Header().Set("Age", "1")
	}
	e.cache[name] = true
	e.mu.Unlock()
	h := w.Header()
	h.Set("X-Cache", cache)
	h.Set("X-Amz-Cf-Pop", "TST"+at[len(at)-1:]+"-P1")
	if status/100 == 3 {
		h.Set("Location", text)
		w.WriteHeader(status)
		return
	}
	var b bytes.Buffer
	switch {
	case strings.Contains(encoding, "br"):
		h.Set("Content-Encoding", "br")
		z := brotli.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
	case encoding == "gzip":
		h.Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
	default:
		b.WriteString(text)
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// seen lists what was asked for, each once, as often as it was.
func (e *fakeEdge) count(part string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.asked {
		if strings.Contains(a, part) {
			n++
		}
	}
	return n
}

// site is the URL under which it is asked, and the flags that lead there.
func (e *fakeEdge) site(addresses string) (url string, flags []string) {
	host := "www.example.test:" + e.port
	return "http://" + host, []string{"--allow-host", host, "--resolve", host + ":" + addresses}
}

// look runs a command on an empty data directory.
func look(t *testing.T, args ...string) (code int, out, problems string) {
	t.Helper()
	var o, e strings.Builder
	code = Main(t.Context(), append(args, "--data", filepath.Join(t.TempDir(), "none")), strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func constant(text string) func(string, string, string) (string, int) {
	return func(string, string, string) (string, int) { return text, 200 }
}

// TestVerifyFindsTheStaleOneOfThree: an edge that is stale at one of three
// addresses, and for brotli alone; curl sees the same.
func TestVerifyFindsTheStaleOneOfThree(t *testing.T) {
	origin := newFakeEdge(t, 1, constant("new"))
	edge := newFakeEdge(t, 3, func(at, _, encoding string) (string, int) {
		if at == "127.0.0.2" && encoding == "br" {
			return "old", 200
		}
		return "new", 200
	})
	site, flags := edge.site("127.0.0.1,127.0.0.2,127.0.0.3")
	args := append([]string{"verify", site + "/a.html", "--origin", "http://127.0.0.1:" + origin.port}, flags...)
	code, out, problems := look(t, args...)
	if code != exitStale || strings.Count(out, "fresh  ") != 11 || strings.Count(out, "stale  ") != 1 || !strings.Contains(out, "\n11 fresh, 1 stale\n") {
		t.Fatalf("exit code %d\n%s\n%s", code, out, problems)
	}
	if !strings.Contains(out, fmt.Sprintf("stale        %s/a.html  br  127.0.0.2:%s  200, HTTP/1.1, TST2-P1, Miss from cloudfront\n", site, edge.port)) {
		t.Errorf("%s", out)
	}
	if !strings.Contains(problems, "no distribution is configured for the host") {
		t.Errorf("%s", problems)
	}
	if n := origin.count(""); n != 1 && n != 2 { // once more where what was stale had been seen before
		t.Errorf("the origin was asked %d times", n)
	}
	code, out, problems = look(t, append(args, "--json", "--encoding", "br")...)
	if code != exitStale || strings.Count(out, `"state":"fresh"`) != 2 || strings.Count(out, `"address":"127.0.0.2:`+edge.port+`","state":"stale"`) != 1 {
		t.Errorf("exit code %d\n%s\n%s", code, out, problems)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("curl is not installed")
		}
		t.Skip("curl is not installed")
	}
	for at, want := range map[string]string{"127.0.0.1": "new", "127.0.0.2": "old", "127.0.0.3": "new"} {
		text, err := exec.CommandContext(t.Context(), curl, "-s", "--noproxy", "*", "-H", "Accept-Encoding: br", "--resolve", "www.example.test:"+edge.port+":"+at, site+"/a.html").Output()
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(brotli.NewReader(bytes.NewReader(text)))
		if err != nil || string(plain) != want {
			t.Errorf("curl sees %q at %s (%v)", plain, at, err)
		}
	}
}

func TestVerifyExitCodes(t *testing.T) {
	edge := newFakeEdge(t, 1, func(_, path, _ string) (string, int) {
		switch path {
		case "/broken":
			return "", 503
		case "/gone":
			return "", 404
		case "/inwards":
			return "http://169.254.169.254/latest/meta-data/", 302
		}
		return "text", 200
	})
	site, flags := edge.site("127.0.0.1")
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	for _, tt := range []struct {
		args string
		code int
		want string // in either output
	}{
		{site + "/a --expect-file " + file, exitDone, "4 fresh"},
		{site + "/a --expect-etag x --encoding identity", exitUnsure, "nothing that could be compared"},
		{site + "/a --expect-sha256 " + strings.Repeat("0", 64), exitStale, "4 stale"},
		{site + "/gone --expect-gone", exitDone, "neither the edge nor --expect"},
		{site + "/a --expect-gone", exitStale, "for an object that is gone"},
		{site + "/broken --expect-file " + file, exitNoEdge, "the edge answered 503"},
		{site + "/broken " + site + "/a --expect-gone", exitStale, "4 stale, 4 unreachable"},
		{site + "/a", exitUnsure, "nobody says what is expected"},
		{site + "/a --since 1h", exitDone, "by its age alone"},
		{site + "/inwards --expect-file " + file, exitStale, "302 to http://169.254.169.254/latest/meta-data/ (http://169.254.169.254/latest/meta-data/ is not fetched"},
		{site + "/a --expect-file " + file + " --resolve www.example.test:" + edge.port + ":127.0.0.1:" + port(dead), exitNoEdge, "connection refused"},
		{site + "/a --for 1ms --every 1ms --expect-file " + file, exitDone, "4 views looked at for 1ms"},
		{site + "/a --origin http://127.0.0.1:" + port(dead), exitUnsure, "what is expected is not known: ask the origin"},
	} {
		code, out, problems := look(t, append(append([]string{"verify"}, strings.Fields(tt.args)...), flags...)...)
		if code != tt.code || !strings.Contains(out+problems, tt.want) {
			t.Errorf("%s: exit code %d, want %d with %q\n%s\n%s", tt.args, code, tt.code, tt.want, out, problems)
		}
	}
}

func port(l net.Listener) string {
	_, p, _ := net.SplitHostPort(l.Addr().String())
	return p
}

func TestViewersAreNotSentElsewhere(t *testing.T) {
	edge := newFakeEdge(t, 1, constant("secret"))
	site, _ := edge.site("127.0.0.1")
	for _, command := range []string{"verify", "warm"} {
		for args, want := range map[string]string{
			site + "/a":                                "not among the configured hosts",
			"http://127.0.0.1:" + edge.port:            "not among the configured hosts",
			"http://localhost:" + edge.port:            "not among the configured hosts",
			"http://169.254.169.254/latest/meta-data/": "not among the configured hosts",
			"http://2130706433:" + edge.port + " --allow-host www.example.test":         "as it is usually written",
			"http://[::ffff:127.0.0.1]:" + edge.port + " --allow-host www.example.test": "not among",
			"file:///etc/passwd":                     "neither http nor https",
			"/a":                                     "nobody says of which site",
			site + "/a --allow-host 169.254.169.254": "never fetched",
			site + "/a --resolve www.example.test:80:169.254.169.254":             "never fetched from",
			site + "/a --address fd00:ec2::254":                                   "never fetched from",
			site + "/a --allow-host www.example.test:" + edge.port + " -H Host:x": "the host is that of the URL",
			site + "/a --site " + site + "/x":                                     "and no path",
			site + "/a --allow-host www.example.test -H A\x00B:x":                 "no header that can be sent",
			site + "/a --allow-host www.example.test -H X:a\x01b":                 "no header that can be sent",
		} {
			code, out, problems := look(t, append([]string{command}, strings.Fields(args)...)...)
			if code != exitUsage || !strings.Contains(problems, want) || out != "" {
				t.Errorf("%s %s: exit code %d, %q, %q; want %q", command, args, code, out, problems, want)
			}
		}
	}
	// A name that leads here, of a host that may be asked but not inwards.
	code, out, _ := look(t, "verify", "http://localhost.:"+edge.port+"/", "--allow-host", "localhost:"+edge.port, "--since", "1h")
	if code != exitDone {
		t.Errorf("localhost that was allowed: %d, %s", code, out)
	}
	if n := edge.count("/a"); n > 0 {
		t.Errorf("the edge was asked %d times", n)
	}
}

func TestVerifyManifests(t *testing.T) {
	edge := newFakeEdge(t, 1, func(_, path, _ string) (string, int) { return path, 200 })
	site, flags := edge.site("127.0.0.1")
	dir := t.TempDir()
	for name, text := range map[string]string{"a.html": "/a.html", "b/c d.html": "/b/c d.html", ".git/config": "x", "b/.hidden": "x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(manifest string) (int, string) {
		code, out, problems := look(t, append([]string{"verify", "--site", site, "--encoding", "gzip", "--manifest", manifest}, flags...)...)
		return code, out + problems
	}
	if code, out := verify(dir); code != exitDone || !strings.Contains(out, "2 fresh") || !strings.Contains(out, "/b/c%20d.html") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.html"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := verify(dir); code != exitStale || !strings.Contains(out, "1 fresh, 1 stale") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	list := filepath.Join(dir, ".sums")
	for text, want := range map[string]int{
		"0b6bbdc0b0fd4dafec2b2a12b0bc3e7bd5e1dd4f7b1b1b3a6e4d2d9b9cfa63a1  ./a.html\n": exitStale,
		"900150983cd24fb0d6963f7d28e17f72 *a.html\n":                                   exitStale,
		"rubbish\n": exitUsage,
	} {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out := verify(list); code != want {
			t.Errorf("%q: exit code %d\n%s", text, code, out)
		}
	}
}

func TestWarm(t *testing.T) {
	var edge *fakeEdge
	edge = newFakeEdge(t, 2, func(_, path, _ string) (string, int) {
		here := "http://www.example.test:" + edge.port
		switch path {
		case "/sitemap.xml":
			return "<sitemapindex><sitemap><loc>" + here + "/one.xml</loc></sitemap><sitemap><loc>http://169.254.169.254/two.xml</loc></sitemap></sitemapindex>", 200
		case "/one.xml":
			return "<urlset><url><loc>" + here + "/cold</loc><priority>0.1</priority></url><url><loc>" + here + "/hot</loc><priority>0.9</priority></url><url><loc>http://localhost/x</loc></url></urlset>", 200
		case "/nested.xml":
			return "<sitemapindex><sitemap><loc>" + here + "/sitemap.xml</loc></sitemap></sitemapindex>", 200
		case "/bomb.xml":
			return `<!DOCTYPE x [<!ENTITY a "a">]><urlset/>`, 200
		case "/away.xml":
			return "http://169.254.169.254/", 302
		case "/gone":
			return "", 404
		}
		return "text", 200
	})
	site, flags := edge.site("127.0.0.1,127.0.0.2")
	warm := func(args ...string) (int, string) {
		code, out, problems := look(t, append(append([]string{"warm", "--site", site, "--rate", "0"}, args...), flags...)...)
		return code, out + problems
	}
	if code, out := warm("/a"); code != exitDone || !strings.Contains(out, "8 warmed, ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out := warm("/a", "/b", "--confirm"); code != exitDone || !strings.Contains(out, "8 already warm, 8 warmed, ") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out := warm("/a", "/gone", "--encoding", "br"); code != exitSome || !strings.Contains(out, "2 already warm, 2 failed, ") || !strings.Contains(out, "there is nothing to keep warm") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out := warm("/gone", "--encoding", "br", "--json"); code != exitFailed || strings.Count(out, `"state":"failed"`) != 2 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, out := warm("--sitemap", "/sitemap.xml", "--encoding", "br", "--dry-run")
	if code != exitDone || strings.Index(out, "/hot") > strings.Index(out, "/cold") || edge.count("/hot") > 0 || !strings.Contains(out, "2 URLs of the sitemaps may not be asked for; the first: http://localhost/x is not") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out := warm("--sitemap", site+"/sitemap.xml", "--encoding", "br"); code != exitDone || !strings.Contains(out, "4 warmed") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	for name, want := range map[string]string{"/nested.xml": "which sitemaps do not allow", "/bomb.xml": "document type", "/gone": "answered with 404", "/away.xml": "leads to http://169.254.169.254/", "http://169.254.169.254/sitemap.xml": "not among the configured hosts"} {
		if code, out := warm("--sitemap", name); code != exitFailed || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d\n%s", name, code, out)
		}
	}
	if code, out := warm("--sitemap", "/one.xml", "--max-urls", "1", "--encoding", "br", "--dry-run"); code != exitDone || !strings.Contains(out, "--max-urls allows for more") || strings.Contains(out, "/hot") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestWarmByAccessLogs(t *testing.T) {
	edge := newFakeEdge(t, 1, constant("text"))
	site, flags := edge.site("127.0.0.1")
	dir := t.TempDir()
	line := func(path string, n int) string {
		return strings.Repeat(`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET `+path+` HTTP/2.0" 200 612 "-" "curl/8"`+"\n", n)
	}
	if err := os.WriteFile(filepath.Join(dir, "access.log"), []byte(line("/third", 3)+line("/first?q=1", 9)+line("/second", 5)+line("/never", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, problems := look(t, append([]string{"warm", "--site", site, "--top", "3", "--access-log", dir, "--encoding", "br", "--concurrency", "1", "--json"}, flags...)...)
	var order []string
	for l := range strings.Lines(out) {
		_, rest, _ := strings.Cut(l, `"url":"`+site)
		path, _, _ := strings.Cut(rest, `"`)
		order = append(order, path)
	}
	if code != exitDone || strings.Join(order, " ") != "/first?q=1 /second /third" {
		t.Errorf("exit code %d, %v\n%s\n%s", code, order, out, problems)
	}
	code, out, problems = look(t, append([]string{"warm", "--site", site, "/third", "/second", "/cold", "--access-logs", dir, "--encoding", "br", "--dry-run"}, flags...)...)
	if code != exitDone || strings.Index(out, "/second") > strings.Index(out, "/third") || strings.Index(out, "/third") > strings.Index(out, "/cold") {
		t.Errorf("exit code %d\n%s\n%s", code, out, problems)
	}
}
