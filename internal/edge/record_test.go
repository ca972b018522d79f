package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/accesslog"
)

// logs gathers what the access log is told.
type logs struct {
	mu      sync.Mutex
	records []accesslog.Record
	ids     []string
}

func (l *logs) add(id string, r *accesslog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records, l.ids = append(l.records, *r), append(l.ids, id)
}

func (l *logs) last(t *testing.T) (string, accesslog.Record) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) == 0 {
		t.Fatal("nothing was logged")
	}
	return l.ids[len(l.ids)-1], l.records[len(l.records)-1]
}

// Every request is logged once, with what it was and what came of it.
func TestAccessLog(t *testing.T) {
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		switch r.URL.Path {
		case "/missing":
			return reply(404, "gone"), nil
		case "/broken":
			resp := reply(200, "half")
			resp.ContentLength = 10
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("half"), brokenReader{}))
			return resp, nil
		}
		return reply(200, "0123456789", "Content-Type", "text/plain", "Cache-Control", "max-age=60"), nil
	}}
	d := dist("E1")
	d.Config.Logging = &distribution.Logging{Enabled: true, IncludeCookies: true}
	d.Config.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/secure/*", TargetOriginID: "site", ViewerProtocolPolicy: "redirect-to-https"}}
	var l logs
	e := open(t, o, Config{Distributions: []distribution.Distribution{d, dist("E2")}, AccessLog: l.add})
	for _, tt := range []struct {
		method, target, headers string
		status                  int
		results                 string // result, response result, detail
		bytes                   int64
		more                    func(accesslog.Record) bool
	}{
		{"GET", "/a?x=%20", "", 200, "Miss  ", 10, func(r accesslog.Record) bool {
			return r.Path == "/a" && r.Query == "x=%20" && r.ContentType == "text/plain" && r.ContentLength == 10 && r.Domain == "e1.cloudfront.localhost" && r.Location == "LCL50-C1"
		}},
		{"GET", "/a", "Range: bytes=2-5", 206, "Hit  ", 4, func(r accesslog.Record) bool { return r.RangeStart == 2 && r.RangeEnd == 5 && r.ContentLength == 4 }},
		{"HEAD", "/a", "", 200, "Hit  ", 0, func(r accesslog.Record) bool { return r.RangeStart == -1 && r.ContentLength == 10 }},
		{"GET", "/a", "Cookie: s=1", 200, "Hit  ", 10, func(r accesslog.Record) bool { return r.Cookie == "s=1" }},
		{"GET", "/missing", "Referer: http://r.example/", 404, "Error  ", 4, func(r accesslog.Record) bool { return r.Referer == "http://r.example/" && r.UserAgent == "" }},
		{"POST", "/a", "", 403, "Error  ", -1, nil},
		{"GET", "/secure/a", "X-Forwarded-For: 1.2.3.4", 301, "Redirect  ", -1, func(r accesslog.Record) bool { return r.ForwardedFor == "1.2.3.4" }},
		{"GET", "/broken", "", 200, "Miss Error OriginCommError", 4, nil},
	} {
		name, value, _ := strings.Cut(tt.headers, ": ")
		w := do(e, tt.method, "http://e1.cloudfront.localhost"+tt.target, name, value)
		settle(t, e)
		id, r := l.last(t)
		if id != "E1" || r.Status != tt.status || r.Method != tt.method || r.Host != "e1.cloudfront.localhost" || r.Protocol != "http" || r.ProtocolVersion != "HTTP/1.1" ||
			r.ViewerIP != "192.0.2.1" || r.ViewerPort != "1234" || r.RequestID != w.Header().Get("X-Amz-Cf-Id") || r.ReceivedBytes < 40 || r.End.IsZero() {
			t.Errorf("%s %s: %s %+v", tt.method, tt.target, id, r)
		}
		if got := r.Result + " " + r.ResponseResult + " " + r.Detail; got != tt.results {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.target, got, tt.results)
		}
		if tt.bytes >= 0 && (r.SentBytes < tt.bytes+100 || r.SentBytes > tt.bytes+800) {
			t.Errorf("%s %s: %d bytes for a body of %d", tt.method, tt.target, r.SentBytes, tt.bytes)
		}
		if tt.more != nil && !tt.more(r) {
			t.Errorf("%s %s: %+v", tt.method, tt.target, r)
		}
	}
	if len(l.records) != 8 {
		t.Errorf("%d records of 8 requests", len(l.records))
	}
	get(e, "/", "Host", "nobody.example")
	if id, r := l.last(t); id != "" || r.Status != 403 || r.Domain != "" {
		t.Errorf("a host that nobody has: %q %+v", id, r)
	}
	r := httptest.NewRequest("GET", "https://e2.cloudfront.localhost/a", nil)
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	r.Header.Set("Cookie", "s=1")
	serve(e, r)
	if id, r := l.last(t); id != "E2" || r.Protocol != "https" || r.TLSProtocol != "TLSv1.3" || r.TLSSuite != "TLS_AES_128_GCM_SHA256" || r.Cookie != "" {
		t.Errorf("over TLS: %q %+v", id, r)
	}
}

// A viewer that leaves before the answer begins has no status.
func TestAccessLogOfViewersThatLeft(t *testing.T) {
	asked := make(chan struct{})
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
		close(asked)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}}
	var l logs
	e := open(t, o, Config{Distributions: []distribution.Distribution{custom(distribution.Origin{})}, AccessLog: l.add})
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-asked; leave() }()
	doContext(ctx, e, "GET", "/a")
	if _, r := l.last(t); r.Status != 0 || r.Result != "Error" || r.Detail != "ClientCommError" {
		t.Errorf("%+v", r)
	}
}

// A tunnel is logged when it is over, with its protocol.
func TestAccessLogOfTunnels(t *testing.T) {
	server, _ := socketServer(t, http.StatusSwitchingProtocols)
	var l logs
	e := reaching(t, Config{Origins: map[string]string{"chat.example": server.URL}, AccessLog: l.add}, custom(distribution.Origin{DomainName: "chat.example"}))
	conn, err := net.Dial("tcp", listening(t, e))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	fmt.Fprint(conn, opening)
	got := make([]byte, 100)
	if _, err := conn.Read(got); err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 101 ")) {
		t.Fatalf("%q, %v", got, err)
	}
	conn.Close()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		l.mu.Lock()
		n := len(l.records)
		l.mu.Unlock()
		if n > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the tunnel was not logged")
		}
	}
	if _, r := l.last(t); r.Status != 101 || r.Protocol != "ws" || r.Result != "Miss" {
		t.Errorf("%+v", r)
	}
}

func TestSentRange(t *testing.T) {
	for value, want := range map[string][2]int64{"bytes 0-4/10": {0, 4}, "bytes 3-3/*": {3, 3}, "bytes */10": {-1, -1}, "": {-1, -1}, "pages 1-2/3": {-1, -1}} {
		first, last := sentRange(value)
		if !slices.Equal([]int64{first, last}, want[:]) {
			t.Errorf("%q: %d-%d, want %v", value, first, last, want)
		}
	}
}
