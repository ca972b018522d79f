package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/loop"
)

// twoDoors are two edges that are told the same: viewers of the one are answered
// by net/http alone, those of the other by the loops as far as they can.
type twoDoors struct {
	full, quick *doorUnderTest

	ages *regexp.Regexp // that depend on the clock; nil for those of varied
}

// doorUnderTest is an edge at a socket, and what it told of its requests.
type doorUnderTest struct {
	edge *Edge
	addr string
	seen *seenPieces // nil for net/http alone
	over *tls.Config // of its viewers; nil for plain HTTP

	hasty atomic.Bool // it does not wait until what was fetched is stored

	mu   sync.Mutex
	told []string
}

func (d *doorUnderTest) tell(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, text)
}

func (d *doorUnderTest) Served(s Served) {
	s.Took = 0
	d.tell(fmt.Sprintf("served %+v", s))
}

func (d *doorUnderTest) Fetched(id string, status int, _ time.Duration) {
	d.tell(fmt.Sprintf("fetched %s %d", id, status))
}

func (d *doorUnderTest) logged(id string, r *accesslog.Record) {
	l := *r
	l.End, l.Taken, l.FirstByte, l.ViewerPort = time.Time{}, 0, 0, fmt.Sprint(l.ViewerPort != "")
	l.RequestID, l.ContentType = fmt.Sprint(len(l.RequestID)), anyBoundary.ReplaceAllString(l.ContentType, "BOUNDARY")
	line := string(accesslog.Append(nil, &l))
	if l.Plain = false; string(accesslog.Append(nil, &l)) != line {
		d.tell("something that is not plain is called so")
	}
	d.tell(fmt.Sprintf("log %s %+v", id, l))
}

// texts waits until the door has told of as many things as the other, or for long
// enough.
func (d *doorUnderTest) texts(atLeast int) []string {
	for end := time.Now().Add(time.Minute); ; {
		d.mu.Lock()
		told := d.told
		d.mu.Unlock()
		if len(told) >= atLeast || time.Now().After(end) {
			return told
		}
		<-time.After(time.Millisecond)
	}
}

// seenPieces tells how much a loop has looked at.
type seenPieces struct {
	*quick

	looked chan int
	answer atomic.Uint32
}

func (s *seenPieces) Answer(in []byte, a *loop.Answer) loop.Verdict {
	s.edge.settled()
	n := len(in)
	if a.Foreseen == 0 && s.answer.Add(1)%3 > 0 { // as with what arrives beside others
		s.Foresee([][]byte{[]byte("GET /other HTTP/1.1\r\nHost: other\r\n\r\n"), in, []byte("HEAD /large?a=b HTTP/1.1\r\nHost: www.example.com\r\nRange: bytes=1-\r\n\r\n")}, a)
		a.Foreseen = 2
	}
	v := s.quick.Answer(in, a)
	a.Foreseen = 0
	select {
	case s.looked <- n:
	default:
	}
	return v
}

// settled waits until all that was fetched for earlier requests is stored. Where
// cookies are forwarded nobody waits for what another has asked for, so that
// chance would say whether the next request finds it.
func (e *Edge) settled() {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-time.After(50 * time.Microsecond) {
		if !slices.ContainsFunc(e.serving().sites, func(s *site) bool { return s.isFetching() }) {
			return
		}
	}
}

func (s *site) isFetching() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.running) > 0
}

// lasting is a managed policy by which everything is kept for longer than any
// test takes, so that it is not the clock that says what is still cached.
func lasting(name string) distribution.CachePolicy {
	p, _ := distribution.ManagedCachePolicy(name)
	p.ID, p.Config.Name = "lasting-"+name, "lasting-"+name
	p.Config.MinTTL, p.Config.DefaultTTL, p.Config.MaxTTL = new(int64(86_400)), new(int64(86_400)), new(int64(86_400))
	return p
}

// manySided is two distributions with behaviors of all kinds.
func manySided() []distribution.Distribution {
	d := dist("E1")
	d.Config.Aliases = []string{"www.example.com", "*.wild.example.com"}
	to := d.Config.Origins[0].ID
	d.Config.DefaultCacheBehavior = distribution.CacheBehavior{TargetOriginID: to, CachePolicyID: "lasting-CachingOptimized", Compress: true}
	d.CachePolicies = []distribution.CachePolicy{
		lasting("CachingOptimized"), lasting("Amplify"),
		{ID: "listed", Config: distribution.CachePolicyConfig{Name: "listed", MinTTL: new(int64(86_400)), DefaultTTL: new(int64(86_400)), MaxTTL: new(int64(86_400)), Parameters: distribution.Parameters{
			QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: "whitelist", QueryStrings: []string{"a", "b"}},
			CookiesConfig:      distribution.CookiesConfig{CookieBehavior: "whitelist", Cookies: []string{"s"}},
		}}},
	}
	for pattern, change := range map[string]func(*distribution.CacheBehavior){
		"/listed/*":   func(b *distribution.CacheBehavior) { b.CachePolicyID = "listed" },
		"/keyed/*":    func(b *distribution.CacheBehavior) { b.CachePolicyID = "lasting-Amplify" },
		"/never/*":    func(b *distribution.CacheBehavior) { b.CachePolicyID = "Managed-CachingDisabled" },
		"/cors/*":     func(b *distribution.CacheBehavior) { b.ResponseHeadersPolicyID = "Managed-SimpleCORS" },
		"/secure/*":   func(b *distribution.CacheBehavior) { b.ResponseHeadersPolicyID = "Managed-SecurityHeadersPolicy" },
		"/https/*":    func(b *distribution.CacheBehavior) { b.ViewerProtocolPolicy = "redirect-to-https" },
		"/methods/*":  func(b *distribution.CacheBehavior) { b.AllowedMethods = allowedSets[2] },
		"/%41/*.html": func(*distribution.CacheBehavior) {},
		"/restyled/*": func(b *distribution.CacheBehavior) { b.ResponseHeadersPolicyID = "restyled" },
		"/revised/*":  func(b *distribution.CacheBehavior) { b.ResponseHeadersPolicyID = "revised" },
	} {
		b := distribution.CacheBehavior{PathPattern: pattern, TargetOriginID: to, CachePolicyID: "lasting-CachingOptimized"}
		change(&b)
		d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, b)
	}
	for id, headers := range map[string][]distribution.CustomHeader{
		"restyled": {{Header: "content-type", Value: "text/css", Override: true}, {Header: "Content-Range", Value: "all", Override: true}},
		"revised":  {{Header: "ETag", Value: `"f"`, Override: true}, {Header: "Last-Modified", Value: "Fri, 20 Nov 2026 09:00:00 GMT", Override: true}, {Header: "Content-Location", Value: "/l", Override: true}},
	} {
		d.ResponseHeadersPolicies = append(d.ResponseHeadersPolicies, distribution.ResponseHeadersPolicy{ID: id, Config: distribution.ResponseHeadersPolicyConfig{
			Name: id, CustomHeaders: headers, RemoveHeaders: []string{"X-Two"},
		}})
	}
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 404, ResponsePagePath: "/404.html", ResponseCode: 404}}
	off := dist("E2")
	off.Config.Enabled, off.Config.Aliases = false, []string{"off.example.com"}
	return []distribution.Distribution{d, off}
}

// varied is an origin whose answers are what the path says.
func varied(r *http.Request) (*http.Response, error) {
	path, headers := r.URL.Path, []string{"Cache-Control", "max-age=5000", "Etag", `"e"`, "Date", "Fri, 20 Nov 2026 10:00:00 GMT", "Age", "1000", "X-Two", "a", "X-Two", "b"}
	body := "body of " + r.URL.RequestURI()
	if r.Body != nil {
		got, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body += string(got)
	}
	status := http.StatusOK
	switch {
	case strings.Contains(path, "large"):
		body = strings.Repeat(body, 200_000/len(body))
	case strings.Contains(path, "middling"):
		body = strings.Repeat(body, 20_000/len(body))
	case strings.Contains(path, "empty"):
		body = ""
	case strings.Contains(path, "moved"):
		status, headers = 301, append(headers, "Location", "/elsewhere")
	case strings.Contains(path, "gone"):
		status = 410
	case strings.Contains(path, "missing"):
		status = 404
	case strings.Contains(path, "nothing"):
		status, body = 204, ""
	case strings.Contains(path, "private"):
		headers[1] = "no-store"
	case strings.Contains(path, "typed"):
		headers = append(headers, "Content-Type", "text/html; charset=utf-8", "Vary", "Accept-Encoding", "Set-Cookie", "a=b",
			"Accept-Ranges", "bytes", "Last-Modified", "Thu, 19 Nov 2026 10:00:00 GMT", "X-Amz-Id-2", strings.Repeat("eftixk72aD6Ap51Tnqc", 4),
			"X-Amz-Request-Id", "318BC8BC148832E5", "X-Amz-Version-Id", "3HL4kqtJlcpXroDTDmjVBH40Nrjfkd12") // told tersely in the store
	case strings.Contains(path, "broken"):
		status = 500
	}
	if strings.Contains(path, "dated") {
		headers = append(headers, "Last-Modified", "Fri, 20 Nov 2026 08:00:00 GMT", "Content-Encoding", "x-own", "Content-Language", "en", "Content-Location", "/x", "Content-Md5", "Q2hlY2sgSW50ZWdyaXR5IQ==",
			"Content-Type", "text/plain", "Content-Script-Type", "none", "Content-Disposition", "inline", "Cookie2", "none")
	}
	if strings.Contains(path, "weak") {
		headers[3] = `W/"e"`
	}
	if strings.Contains(path, "odd") {
		headers[3], headers = "", append(headers, "Content-Range", "bytes 0-1/2", "Last-Modified", "yesterday")
	}
	resp := reply(status, body, headers...)
	// An Age, too, whose digits are as many however long the test takes.
	resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	return resp, nil
}

func newTwoDoors(t testing.TB) *twoDoors {
	t.Helper()
	return twoDoorsOf(t, func(c Config) *Edge { return open(t, roundTripper(varied), c) })
}

// twoDoorsOf are two doors of edges that open makes, which are closed when the
// test ends.
func twoDoorsOf(t testing.TB, open func(Config) *Edge) *twoDoors {
	t.Helper()
	both := &twoDoors{full: doorOf(open), quick: doorOf(open)}
	both.full.serve(t, func(l net.Listener) net.Listener { return &plainDoor{Listener: l, edge: both.full.edge} })
	both.quick.serve(t, func(l net.Listener) net.Listener {
		e := both.quick.edge
		both.quick.seen = &seenPieces{quick: &quick{e}, looked: make(chan int, 1)}
		d := loop.Listen(l, both.quick.seen, loop.Options{Loops: 2})
		if d == nil {
			t.Skip("there is no event loop on this system")
		}
		e.start(func() { d.Run(e.ctx.Done()) })
		return &plainDoor{Listener: d, edge: e}
	})
	return both
}

func newDoorUnderTest(t testing.TB) *doorUnderTest {
	t.Helper()
	return doorOf(func(c Config) *Edge { return open(t, roundTripper(varied), c) })
}

func doorOf(open func(Config) *Edge) *doorUnderTest {
	d := new(doorUnderTest)
	d.edge = open(Config{Distributions: manySided(), First: "E1", AccessLog: d.logged, Observer: d})
	d.edge.via = "1.1 same.cloudfront.net (CloudFront)"
	return d
}

func (d *doorUnderTest) serve(t testing.TB, door func(net.Listener) net.Listener) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.hasty.Load() {
			d.edge.settled()
		}
		d.edge.ServeHTTP(w, r)
	}))
	done := make(chan error, 1)
	behind := door(l)
	d.addr = l.Addr().String()
	go func() { done <- s.Serve(behind) }()
	t.Cleanup(func() { s.Close(); <-done })
}

// say sends text in pieces that end at the given places, each once the one before
// was looked at, and returns all that is answered, and whether the connection was
// reset, as one is that ends before all that was sent to it was read.
func (d *doorUnderTest) say(t judge, text string, pieces ...int) (answer string, reset bool) {
	t.Helper()
	conn := d.dial(t)
	defer conn.Close()
	answered := make(chan string, 1)
	var broken error
	go func() {
		all, err := untilSilent(conn)
		if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as net returns it
			_ = closeWrite(conn) // it wants more than there is
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
			var rest []byte
			rest, err = io.ReadAll(conn)
			all = append(all, rest...)
		}
		broken = err
		answered <- string(all)
	}()
	at := 0
	for _, next := range append(pieces, len(text)) {
		if d.seen != nil {
			select {
			case <-d.seen.looked:
			default:
			}
		}
		if _, err := io.WriteString(conn, text[at:next]); err != nil {
			break // it was enough
		}
		if at = next; d.seen != nil && len(pieces) > 0 {
			select {
			case <-d.seen.looked:
			case <-time.After(20 * time.Millisecond): // net/http has it
			}
		}
	}
	answer = <-answered
	return answer, errors.Is(broken, syscall.ECONNRESET)
}

// untilSilent reads until the other side ends, or says nothing for three seconds.
// These are looked through in parts, each of which begins when the last one was
// seen to be over: a machine that stands still is not silent.
func untilSilent(conn net.Conn) (all []byte, err error) {
	buf := make([]byte, 32<<10)
	for silent := 0; silent < 6; {
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n := 0
		n, err = conn.Read(buf)
		if all = append(all, buf[:n]...); n > 0 {
			silent = 0
		}
		switch ne, ok := err.(net.Error); { //nolint:errorlint // as net returns it
		case err == nil:
		case ok && ne.Timeout():
			silent++
		case errors.Is(err, io.EOF):
			return all, nil
		default:
			return all, err
		}
	}
	return all, err
}

func (d *doorUnderTest) dial(t judge) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if d.over != nil {
		return tls.Client(conn, d.over)
	}
	return conn
}

type judge interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

var (
	anyRequestID = regexp.MustCompile(`(?m)^X-Amz-Cf-Id: [A-Za-z0-9_-]{54}==\r$`)
	anyBoundary  = regexp.MustCompile(`[0-9a-f]{60}`)
	anyDate      = regexp.MustCompile(`(?m)^Date: [A-Za-z0-9 :,]{25} GMT\r$`)
	anyAge       = regexp.MustCompile(`(?m)^Age: 1[0-9]{3}\r$`)
)

// normal is an answer without what chance and the clock have put into it.
func normal(answer string) string {
	answer = anyRequestID.ReplaceAllString(answer, "X-Amz-Cf-Id: ID\r")
	answer = anyAge.ReplaceAllString(answer, "Age: N\r")
	if strings.Contains(answer, "\r\n--") {
		answer = anyBoundary.ReplaceAllString(answer, "BOUNDARY")
	}
	return anyDate.ReplaceAllString(answer, "Date: THEN\r")
}

// ask says the same to both doors, and wants to hear the same.
func (both *twoDoors) ask(t judge, text string, pieces ...int) {
	t.Helper()
	full, fullReset := both.full.say(t, text)
	fast, fastReset := both.quick.say(t, text, pieces...)
	full, fast = normal(full), normal(fast)
	if both.ages != nil {
		full, fast = both.ages.ReplaceAllString(full, "Age: some\r"), both.ages.ReplaceAllString(fast, "Age: some\r")
	}
	if fullReset || fastReset { // which takes some of the last answer with it
		shorter := min(len(full), len(fast))
		full, fast = full[:shorter], fast[:shorter]
	}
	if full != fast {
		t.Fatalf("%q in pieces %v:\nnet/http: %.2000q\nquick:    %.2000q", text, pieces, full, fast)
	}
	both.compareTold(t, fmt.Sprintf("%q", text))
}

// compareTold wants both doors to have told and counted the same.
func (both *twoDoors) compareTold(t judge, text string) {
	t.Helper()
	theirs := both.full.texts(0)
	ours := both.quick.texts(len(theirs))
	theirs = both.full.texts(len(ours))
	if a, b := strings.Join(theirs, "\n"), strings.Join(ours, "\n"); a != b {
		t.Fatalf("%s: told\nby net/http: %.3000s\nby quick:    %.3000s", text, a, b)
	}
	for _, d := range []*doorUnderTest{both.full, both.quick} {
		d.mu.Lock()
		d.told = nil
		d.mu.Unlock()
	}
	a, b := both.full.edge.Stats(), both.quick.edge.Stats()
	a.Bytes, b.Bytes, a.Objects, b.Objects, a.Patterns, b.Patterns = 0, 0, 0, 0, 0, 0 // which follow a little later
	if a != b {
		t.Fatalf("%s: counted\nby net/http: %+v\nby quick:    %+v", text, a, b)
	}
}

// recordedRequests are what browsers and others send, and what they should not.
var recordedRequests = []string{
	"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a.css HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0)\r\nAccept: text/css,*/*;q=0.1\r\nAccept-Language: en-GB,en;q=0.7\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: https://www.example.com/\r\nConnection: keep-alive\r\nCookie: s=1; t=2\r\nSec-Fetch-Dest: style\r\n\r\n",
	"HEAD /a.css?x=y HTTP/1.1\r\nhost: WWW.example.com:80\r\naccept-encoding: gzip;q=0, br\r\n\r\n",
	"GET /typed HTTP/1.1\r\nHost: a.b.wild.example.com\r\nOrigin: https://other.example\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
	"GET /cors/typed HTTP/1.1\r\nHost: www.example.com\r\nOrigin: https://other.example\r\n\r\n",
	"GET /cors/typed HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /secure/typed HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /listed/typed?b=1&c=2&a=3 HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /listed/typed?b=1&a=3 HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /listed/typed?b=1&c=2&a=3 HTTP/1.1\r\nHost: www.example.com\r\nCookie: s=1\r\n\r\n",
	"GET /keyed/typed HTTP/1.1\r\nHost: www.example.com\r\nAuthorization: x\r\n\r\n",
	"GET /never/typed HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /https/typed HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /%41/x.html HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /A/x.html HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a/../secure/typed HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /secure//./typed HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /large HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"HEAD /large HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /middling HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /middling HTTP/1.1\r\nHost: www.example.com\r\nAccept-Encoding: gzip\r\n\r\n",
	"GET /large HTTP/1.1\r\nHost: www.example.com\r\nRange: bytes=5-9\r\n\r\n",
	"GET /a.css HTTP/1.1\r\nHost: www.example.com\r\nIf-None-Match: \"e\"\r\n\r\n",
	"GET /large-dated HTTP/1.1\r\nHost: www.example.com\r\nRange: bytes=150000-\r\n\r\n",
	"GET /middling-dated HTTP/1.1\r\nHost: www.example.com\r\nRange: bytes=-9999\r\nIf-Range: \"e\"\r\n\r\n",
	"GET /dated HTTP/1.1\r\nHost: www.example.com\r\nRange: bytes=5-9\r\n\r\n",
	"GET /dated HTTP/1.1\r\nHost: www.example.com\r\nRange: bytes=5-9, 11-12\r\nUser-Agent: x\r\n\r\n",
	"GET /dated HTTP/1.1\r\nHost: www.example.com\r\nIf-Modified-Since: Fri, 20 Nov 2026 08:00:00 GMT\r\nAccept-Encoding: gzip\r\n\r\n",
	"HEAD /large-dated HTTP/1.1\r\nHost: www.example.com\r\nIf-Match: \"f\"\r\n\r\n",
	"GET /empty HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /moved HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /gone HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /missing HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /nothing HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /private HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /broken HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: off.example.com\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: nobody.example.com\r\n\r\n",
	"GET /a? HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nVia: 1.1 a.cloudfront.net (CloudFront), 1.1 b.cloudfront.net (CloudFront)\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nPragma: no-cache\r\n\r\n",
	"POST /methods/a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 3\r\n\r\nabc",
	"GET /methods/a HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 3\r\n\r\nabc",
	"OPTIONS /methods/a HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET http://www.example.com/a HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET //a HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.0\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 0\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nX: a\r\n b\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.1\r\n\r\n",
	"GET /a b HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.1\nHost: www.example.com\n\n",
	"\r\nGET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nExpect: 100-continue\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nX: a\x00b\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n",
	"BREW /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /" + strings.Repeat("x", 8200) + " HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n",
	"GET /a HTTP/1.1\r\nHost: www.example.com\r\n" + strings.Repeat("X-Many: 1\r\n", 100) + "\r\n",
	"garbage",
	"",
}

const ending = "GET /last HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n"

// Whatever viewers send, both doors answer alike, first from the origin and then
// from the cache.
func TestDoorsAnswerAlike(t *testing.T) {
	both := newTwoDoors(t)
	for _, text := range recordedRequests {
		for range 3 {
			both.ask(t, text+ending)
		}
		both.ask(t, text+text+text+ending)
	}
	if both.quick.edge.Stats().Hits < 100 {
		t.Errorf("%+v", both.quick.edge.Stats())
	}
}

// Wherever the bytes of requests are torn apart, they mean the same.
func TestDoorsAnswerAlikeInPieces(t *testing.T) {
	both := newTwoDoors(t)
	const text = "GET /typed?a HTTP/1.1\r\nHost: www.example.com\r\nAccept-Encoding: gzip\r\n\r\nHEAD /b HTTP/1.1\r\nHost: www.example.com\r\n\r\n" +
		"POST /methods/a HTTP/1.1\r\nHost: www.example.com\r\nContent-Length: 3\r\n\r\nabc" + ending
	both.ask(t, text)
	left := strings.Index(text, "POST") + 1 // from here on it is net/http that reads
	for i := 1; i < left+3; i++ {
		both.ask(t, text, i)
	}
	for i := 1; i+4 < left; i += 3 {
		both.ask(t, text, i, i+1, i+2, i+3, i+4)
	}
}

// Wherever requests that are not plain are torn apart, they mean the same.
func TestDoorsAnswerAlikeToOddPieces(t *testing.T) {
	both := newTwoDoors(t)
	for _, text := range recordedRequests {
		for _, at := range []int{1, 4, 5, 15, 40, len(text) - 3, len(text) - 1} {
			if at > 0 && at < len(text) {
				both.ask(t, text+ending, at)
			}
		}
	}
}

// What is generated, and then damaged, means the same, too.
func TestDoorsAnswerAlikeToWhatIsGenerated(t *testing.T) {
	both := newTwoDoors(t)
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		for range rapid.IntRange(1, 5).Draw(rt, "requests") {
			text.WriteString(generatedRequest(rt))
		}
		all := text.String() + "\r\n"
		if rapid.IntRange(0, 3).Draw(rt, "damaged") == 0 {
			all = damaged(rt, all)
		}
		var pieces []int
		if rapid.IntRange(0, 4).Draw(rt, "torn") == 0 {
			pieces = append(pieces, rapid.IntRange(1, len(all)).Draw(rt, "where"))
		}
		both.ask(rt, all+ending, pieces...)
	})
}

// generatedRequest is mostly plain.
func generatedRequest(rt *rapid.T) string {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(rt, name) }
	if rapid.IntRange(0, 5).Draw(rt, "recorded") == 0 {
		return rapid.SampledFrom(recordedRequests).Draw(rt, "request")
	}
	text := pick("method", "GET", "GET", "GET", "HEAD", "get", "OPTIONS") + " " +
		pick("folder", "/", "/listed/", "/keyed/", "/cors/", "/secure/", "/restyled/", "/revised/", "/never/", "/%41/", "/a/../", "/x%2Fy/") +
		pick("file", "a", "typed", "dated", "large-dated", "weak", "odd-dated", "large", "middling", "empty", "moved", "gone", "missing", "nothing", "private", "a.html", "%C3%A4", "a+b", "~") +
		pick("query", "", "", "", "?", "?a=1", "?b=2&a=1", "?c", "?a=%20&&") + pick("version", " HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.0") + "\r\n" +
		pick("host", "Host: www.example.com\r\n", "hOST:www.example.com:8080 \r\n", "Host: x.wild.example.com\r\n", "Host: nobody\r\n", "Host: e1.cloudfront.localhost.\r\n")
	for range rapid.IntRange(0, 4).Draw(rt, "fields") {
		text += pick("field", "Accept-Encoding: gzip", "Accept-Encoding: br;q=1, gzip", "accept-encoding:", "Cookie: s=1", "Cookie: t=1", "Connection: keep-alive", "Origin: https://a.example",
			"User-Agent: x", "Range: bytes=0-3", "Range: bytes=-2", "Range: bytes=2-,4-5", "Range:", "If-Range: W/\"e\"", "If-Range: \"e\"", "If-None-Match: \"e\"", "If-None-Match: \"a\", W/\"e\"", "If-Match: *",
			"If-Unmodified-Since: Fri, 20 Nov 2026 07:00:00 GMT", "If-Modified-Since: Friday, 20-Nov-26 08:00:00 GMT", "If-Modified-Since: now", "X-Y: \t z \t", "Referer: r", "Cache-Control: no-cache", "Accept: */*", "Authorization: b", "Content-Length: 0", "Via: 1.1 a") + "\r\n"
	}
	return text + "\r\n"
}

// damaged is text with a few bytes changed.
func damaged(rt *rapid.T, text string) string {
	for range rapid.IntRange(1, 3).Draw(rt, "damages") {
		at := rapid.IntRange(0, len(text)-1).Draw(rt, "at")
		with := rapid.SampledFrom([]string{"", "\r", "\n", "\r\n", " ", "\t", ":", "\x00", "\xff", "/", "%", "Host: x\r\n", "0"}).Draw(rt, "with")
		text = text[:at] + with + text[at+rapid.IntRange(0, min(2, len(text)-at-1)).Draw(rt, "less"):]
	}
	return text
}
