package edge

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/loop"
)

// rawAnswers are what an origin may say, whole or broken.
var rawAnswers = map[string]string{
	"plain":     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=100\r\nEtag: \"e\"\r\n\r\nbody",
	"dated":     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: Sat, 21 Nov 2026 07:00:00 GMT\r\n\r\nbody",
	"aged":      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nAge: 1000\r\nCache-Control: max-age=5000\r\nVia: 1.1 x\r\nX-Cache: HIT\r\n\r\nbody",
	"typed":     "HTTP/1.1 203 Other\r\ncontent-type: text/html\r\nContent-Length: 4\r\nserver: x\r\nX-Two: a\r\nx-two: b\r\nX-Empty:\r\nVary: *, Cookie\r\nSet-Cookie: a=b\r\n\r\nbody",
	"empty":     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"many":      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" + strings.Repeat("X-Many: "+strings.Repeat("x", 100)+"\r\n", 50) + "\r\nbody",
	"middling":  "HTTP/1.1 200 OK\r\nContent-Length: 3500\r\n\r\n" + strings.Repeat("middling", 3500/8+1)[:3500],
	"large":     "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10_000),
	"old":       "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
	"closing":   "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody",
	"early":     "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
	"continued": "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
	"missing":   "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
	"forbidden": "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nCache-Control: max-age=900\r\n\r\nno",
	"broken":    "HTTP/1.1 500 Internal\r\nContent-Length: 3\r\n\r\nbad",
	"busy":      "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\nRetry-After: 3\r\n\r\nbad",
	"strange":   "HTTP/1.1 299 Strange\r\nContent-Length: 3\r\n\r\nbad",
	"nothing":   "HTTP/1.1 204 No Content\r\n\r\n",
	"reset":     "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
	"unasked":   "HTTP/1.1 304 Not Modified\r\nEtag: \"e\"\r\n\r\n",
	"moved":     "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
	"private":   "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: private\r\n\r\nmine",
	"unstored":  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: no-store\r\n\r\nmine",
	"pragma":    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nPragma: no-cache\r\n\r\nbody",
	"cut":       "HTTP/1.1 200 OK\r\nContent-Le",
	"silence":   "",
	"garbage":   "garbage\r\n\r\n",
	"two":       "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody5",
	"leftover":  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
	"folded":    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: a\r\n b\r\n\r\nbody",
	"switched":  "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
	"huge":      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: " + strings.Repeat("x", 40_000) + "\r\n\r\nbody",
	"framed":    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\nbody",
	"not ascii": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: \xe4\r\n\r\nbody",
	"last":      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nAge: 1000\r\nCache-Control: max-age=5000\r\n\r\nlast",
}

// arrivingAnswers are those of which chance decides how they are framed, or how
// much of them a viewer gets.
var arrivingAnswers = map[string]string{
	"smuggling":  "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
	"chunked":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n4\r\nbody\r\n2;x=y\r\nes\r\n0\r\nX-T: 1\r\n\r\n",
	"to the end": "HTTP/1.1 200 OK\r\n\r\nbody to the end",
	"short":      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody",
}

// rawOrigin answers with what the first word of a path stands for, in pieces that
// a viewer may see arrive, and ends the connection after what is broken.
func rawOrigin(t testing.TB) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					name := strings.ReplaceAll(strings.Trim(r.URL.Path, "/0123456789-"), "_", " ")
					name = name[strings.LastIndexByte(name, '/')+1:]
					answer, ok := rawAnswers[name]
					if !ok {
						answer = cmp.Or(arrivingAnswers[name], "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nAge: 1000\r\nCache-Control: max-age=5000\r\n\r\npage")
					}
					if r.Method == http.MethodHead {
						heads := 1 + strings.Count(answer[:min(len(answer), 10)], "HTTP/1.1 1")
						answer = strings.Join(strings.SplitAfterN(answer, "\r\n\r\n", heads+1)[:min(heads, strings.Count(answer, "\r\n\r\n"))], "")
					}
					for half := range slices.Chunk([]byte(answer), max(len(answer)/(1+len(r.URL.RawQuery)), 1)) {
						_, _ = c.Write(half)
					}
					switch name {
					case "to the end", "old", "closing", "short", "cut", "silence", "garbage", "smuggling", "huge", "two", "switched":
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return "http://" + l.Addr().String()
}

// toRaw is manySided with an origin that is reached over its socket.
func toRaw(c Config, url string) Config {
	for _, d := range c.Distributions {
		for i := range d.Config.Origins {
			d.Config.Origins[i].DomainName = "raw.example"
			d.Config.Origins[i].CustomOriginConfig = &distribution.CustomOriginConfig{OriginProtocolPolicy: "http-only"}
		}
	}
	errors := &c.Distributions[0].Config.CustomErrorResponses // which are not to expire meanwhile
	for _, code := range []int{403, 500, 502, 503, 504} {
		*errors = append(*errors, distribution.CustomErrorResponse{ErrorCode: code, ErrorCachingMinTTL: new(int64(1000))})
	}
	(*errors)[0].ErrorCachingMinTTL = new(int64(1000))
	dressOddly(&c.Distributions[0])
	c.Origins = map[string]string{"raw.example": url}
	return c
}

// dressOddly adds behaviors whose policies change what servers have their own way with.
func dressOddly(d *distribution.Distribution) {
	custom := func(name, value string) distribution.ResponseHeadersPolicyConfig {
		return distribution.ResponseHeadersPolicyConfig{CustomHeaders: []distribution.CustomHeader{{Header: name, Value: value, Override: true}}}
	}
	to := d.Config.Origins[0].ID
	for name, p := range map[string]distribution.ResponseHeadersPolicyConfig{
		"undated": {RemoveHeaders: []string{"Date", "Server", "Etag"}}, "untyped": {RemoveHeaders: []string{"Content-Type"}}, "typing": custom("Content-Type", "a/b"),
		"connection": custom("Connection", "close"), "length": custom("Content-Length", "2"),
		"coding": custom("Transfer-Encoding", "chunked"), "trailer": custom("Trailer", "X"), "own": custom("X-Cache", " mine "), "cleaned": custom("X", " \ta  "),
	} {
		d.ResponseHeadersPolicies = append(d.ResponseHeadersPolicies, distribution.ResponseHeadersPolicy{ID: name, Config: p})
		d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, distribution.CacheBehavior{
			PathPattern: "/" + name + "/*", TargetOriginID: to, CachePolicyID: "lasting-CachingOptimized", ResponseHeadersPolicyID: name,
		})
	}
}

// Whatever headers a policy sets or removes, both doors say the same.
func TestDoorsAnswerAlikeOnDressedMisses(t *testing.T) {
	both := doorsToRaw(t)
	for _, name := range []string{"undated", "untyped", "typing", "connection", "length", "coding", "trailer", "own", "cleaned"} {
		for _, answer := range []string{"plain", "dated", "empty", "broken", "typed"} {
			of := "GET /" + name + "/" + answer + " HTTP/1.1\r\nHost: www.example.com\r\n"
			both.ask(t, of+"\r\n"+of+"\r\n"+ending)
		}
	}
}

// ageSent is an age that depends on the clock: one that began with none, or at a
// date long ago. Those that began with a thousand seconds normal knows.
var ageSent = regexp.MustCompile(`(?m)^Age: ([0-9]{1,3}|[0-9]{5,})\r$`)

func doorsToRaw(t testing.TB) *twoDoors {
	url := rawOrigin(t)
	both := twoDoorsOf(t, func(c Config) *Edge {
		e, err := New(toRaw(c, url))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	})
	both.ages = ageSent
	return both
}

// Whatever an origin answers, or does not, both doors tell their viewers the same,
// on a miss and afterwards.
func TestDoorsAnswerAlikeOnMisses(t *testing.T) {
	both := doorsToRaw(t)
	for _, name := range slices.Sorted(maps.Keys(rawAnswers)) {
		path := "/" + strings.ReplaceAll(name, " ", "_")
		const from = " HTTP/1.1\r\nHost: www.example.com\r\n"
		for _, of := range []string{"GET " + path + from, "GET /cors" + path + from, "HEAD /a" + path + from, "GET /secure" + path + "?ab" + from, "GET /keyed" + path + from} {
			both.ask(t, of+"\r\n"+of+"\r\n"+ending)
		}
		for i, more := range []string{"Accept-Encoding: gzip, br\r\n", "Range: bytes=1-2\r\n", "If-None-Match: \"e\"\r\n"} {
			both.ask(t, fmt.Sprint("GET ", path, i, from, more, "\r\n", ending))
		}
	}
}

// What is generated, too.
func TestDoorsAnswerAlikeOnGeneratedMisses(t *testing.T) {
	both := doorsToRaw(t)
	names := slices.Sorted(maps.Keys(rawAnswers))
	for i := range names {
		names[i] = strings.ReplaceAll(names[i], " ", "_")
	}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		first := n + 1 // so that no age has more digits at one door: the log counts them
		for range rapid.IntRange(1, 4).Draw(rt, "requests") {
			n++
			pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, name) }
			fmt.Fprintf(&text, "%s %s%s%d%s HTTP/1.1\r\nHost: www.example.com\r\n%s\r\n", pick("method", "GET", "GET", "GET", "HEAD"),
				pick("folder", "/", "/listed/", "/keyed/", "/cors/", "/secure/", "/never/"), rapid.SampledFrom(names).Draw(rt, "answer"),
				rapid.IntRange(first, n).Draw(rt, "which"), pick("query", "", "", "?", "?a=1", "?abcdefgh"),
				pick("field", "", "Accept-Encoding: gzip\r\n", "User-Agent: x\r\nCookie: a=b\r\n", "Origin: https://a.example\r\n", "Authorization: x\r\n", "Connection: keep-alive\r\nX-Forwarded-For: 1.2.3.4\r\n"))
		}
		both.ask(rt, text.String()+ending)
	})
}

// What arrives bit by bit arrives as a whole, or is known to be broken, at both
// doors.
func TestDoorsPassOnWhatArrives(t *testing.T) {
	both := doorsToRaw(t)
	for _, d := range []*doorUnderTest{both.full, both.quick} {
		for name, want := range map[string]string{"chunked": "bodyes", "to_the_end": "body to the end", "smuggling": "", "short": "broken"} {
			c, err := net.Dial("tcp", d.addr)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: www.example.com\r\n\r\n", name)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			body := []byte(nil)
			if err == nil {
				body, err = io.ReadAll(resp.Body)
			}
			if (err == nil) != (want != "broken") || want != "broken" && (string(body) != want || resp.StatusCode != 200 || resp.Header.Get("X-Cache") != "Miss from cloudfront") {
				t.Errorf("%s: %v, %q, %v", name, resp, body, err)
			}
			c.Close()
		}
	}
}

// slowOrigin answers when it is let. Paths that begin with /quick it answers at
// once.
type slowOrigin struct {
	*httptest.Server

	asked atomic.Int64
	let   chan struct{}
	once  sync.Once
}

// letAll has it answer at once from now on.
func (o *slowOrigin) letAll() { o.once.Do(func() { close(o.let) }) }

func newSlowOrigin(t testing.TB) *slowOrigin {
	o := &slowOrigin{let: make(chan struct{})}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		if !strings.HasPrefix(r.URL.Path, "/quick") {
			<-o.let
		}
		w.Header().Set("Cache-Control", "max-age=1000")
		fmt.Fprint(w, "of ", r.URL.Path)
	}))
	t.Cleanup(func() { o.letAll(); o.Close() })
	return o
}

// slowDoors are two doors to a slow origin, the one with loops without what has
// them wait for fetches.
func slowDoors(t testing.TB, o *slowOrigin) *twoDoors {
	t.Helper()
	both := twoDoorsOf(t, func(c Config) *Edge {
		c.OriginTimeout = 2 * time.Minute
		e, err := New(toRaw(c, o.URL))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	})
	both.full.hasty.Store(true)
	d := &doorUnderTest{edge: both.quick.edge}
	d.hasty.Store(true)
	d.serve(t, func(l net.Listener) net.Listener { return d.edge.plainDoor(l) })
	both.quick.addr, both.quick.seen = d.addr, nil
	return both
}

// eventually waits for what must come about.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// viewing is how many viewers wait for fetches of an edge.
func (e *Edge) viewing() (viewers, fills int) {
	for _, s := range e.serving().sites {
		s.mu.Lock()
		for f := range s.running {
			viewers, fills = viewers+f.viewers, fills+1
		}
		s.mu.Unlock()
	}
	return viewers, fills
}

// request sends a plain request and returns what brings the answer, which the test
// may wait for as long as it likes.
func (d *doorUnderTest) request(t testing.TB, path string) (answer func() string, leave func() error) {
	t.Helper()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: www.example.com\r\n\r\n", path)
	return func() string {
		t.Helper()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		fmt.Fprintf(&text, "%s\r\n", resp.Status)
		_ = resp.Header.Write(&text)
		return ageSent.ReplaceAllString(normal(text.String()), "Age: some\r") + string(body)
	}, c.Close
}

// Viewers who wait for one answer get the same of both doors: one of them a miss,
// the others hits.
func TestDoorsAnswerAlikeOnCollapsedMisses(t *testing.T) {
	const n = 20
	var said [2][]string
	for i := range said {
		o := newSlowOrigin(t)
		both := slowDoors(t, o)
		d := []*doorUnderTest{both.full, both.quick}[i]
		var answers []func() string
		for range n {
			answer, _ := d.request(t, "/a")
			answers = append(answers, answer)
		}
		eventually(t, "all wait", func() bool { v, f := d.edge.viewing(); return v == n && f == 1 })
		o.letAll()
		for _, answer := range answers {
			said[i] = append(said[i], answer())
		}
		eventually(t, "all are told of", func() bool { return len(d.texts(2*n+1)) >= 2*n+1 })
		said[i] = append(said[i], d.texts(0)...)
		slices.Sort(said[i])
		if o.asked.Load() != 1 {
			t.Errorf("the origin was asked %d times", o.asked.Load())
		}
	}
	if !slices.Equal(said[0], said[1]) {
		t.Errorf("net/http: %q\nloops:    %q", said[0], said[1])
	}
}

// A viewer who leaves leaves the fetch to others, and is told of alike.
func TestDoorsForgetAlike(t *testing.T) {
	o := newSlowOrigin(t)
	both := slowDoors(t, o)
	for _, d := range []*doorUnderTest{both.full, both.quick} {
		_, leave := d.request(t, "/a")
		eventually(t, "it waits", func() bool { v, f := d.edge.viewing(); return v == 1 && f == 1 })
		_ = leave()
		eventually(t, "nobody waits", func() bool { v, f := d.edge.viewing(); return v == 0 && f == 1 })
		eventually(t, "it is told of", func() bool { return len(d.texts(2)) >= 2 })
	}
	full, quick := both.full.texts(2), both.quick.texts(2)
	if slices.Sort(full); !slices.Equal(full, slices.Sorted(slices.Values(quick))) || !strings.Contains(full[0], "ClientCommError") {
		t.Errorf("net/http: %q\nloops:    %q", full, quick)
	}
	o.letAll()
	for _, d := range []*doorUnderTest{both.full, both.quick} {
		eventually(t, "it is stored", func() bool { _, f := d.edge.viewing(); return f == 0 })
		if answer, _ := d.request(t, "/a"); !strings.Contains(answer(), "\r\nX-Cache: Hit from") {
			t.Errorf("%q", answer())
		}
	}
}

// Two thousand viewers, or as many as there may be files for, who wait for a slow
// origin are in nobody's way.
func TestHitsBesideSlowMisses(t *testing.T) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal("how many files may be open:", err)
	}
	n := int(min(2000, l.Cur/5))
	if n < 200 { // which would be no crowd
		t.Fatalf("only %d files may be open", l.Cur)
	}
	o := newSlowOrigin(t)
	both := slowDoors(t, o)
	d := both.quick
	if warm, _ := d.request(t, "/quick"); !strings.HasSuffix(warm(), "of /quick") {
		t.Fatal("there is no answer")
	}
	answers := make([]func() string, n)
	for i := range answers {
		answers[i], _ = d.request(t, fmt.Sprint("/slow/", i))
	}
	eventually(t, "all wait", func() bool { v, f := d.edge.viewing(); return v == n && f == n })
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range 100 {
		fmt.Fprint(c, "GET /quick HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "of /quick" || err != nil || resp.Header.Get("X-Cache") != "Hit from cloudfront" {
			t.Fatalf("%v %q, %v", resp, body, err)
		}
	}
	if v, f := d.edge.viewing(); v != n || f != n {
		t.Errorf("%d viewers wait for %d fetches, want %d", v, f, n)
	}
	o.letAll()
	for i, answer := range answers {
		if got := answer(); !strings.HasSuffix(got, fmt.Sprintf("of /slow/%d", i)) {
			t.Fatalf("%d: %q", i, got)
		}
	}
}

var _ loop.Pending = (*missed)(nil)
