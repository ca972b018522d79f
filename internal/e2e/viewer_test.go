package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// viewer fetches from an edge with paths exactly as they are given, whatever a
// client library would make of them. It keeps one connection open and is not
// for concurrent use.
type viewer struct {
	addr string
	over *tls.Config // nil for plain HTTP
	conn net.Conn
	in   *bufio.Reader

	many *http.Client // over HTTP/2, in place of all that
}

// view is what came back.
type view struct {
	status int
	header http.Header
	body   []byte
}

// cache is the first word of X-Cache.
func (v view) cache() string {
	var word string
	_, _ = fmt.Sscan(v.header.Get("X-Cache"), &word)
	return word
}

func (v *viewer) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: patience}
	if v.over == nil {
		return d.Dial("tcp", v.addr)
	}
	return tls.DialWithDialer(d, "tcp", v.addr, v.over)
}

// overTLS returns a viewer over TLS, with HTTP/2 or HTTP/1.1.
func (f *running) overTLS(t testing.TB, http2 bool) *viewer {
	v := &viewer{addr: strings.TrimPrefix(f.EdgeTLS, "https://"), over: &tls.Config{InsecureSkipVerify: true}}
	if http2 {
		transport := &http.Transport{TLSClientConfig: v.over, ForceAttemptHTTP2: true, DisableCompression: true}
		v.many = &http.Client{Transport: transport, Timeout: patience}
	}
	t.Cleanup(v.close)
	return v
}

func (v *viewer) getOverHTTP2(path string, headers []string) (view, error) {
	host, query, _ := strings.Cut(path, "?")
	r, err := http.NewRequest(http.MethodGet, "https://"+v.addr, nil)
	if err != nil {
		return view{}, err
	}
	r.URL.Opaque, r.URL.RawQuery = "//"+v.addr+host, query
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := v.many.Do(r)
	if err != nil {
		return view{}, err
	}
	defer resp.Body.Close()
	seen := view{status: resp.StatusCode, header: resp.Header}
	if resp.ProtoMajor != 2 {
		return seen, fmt.Errorf("it speaks %s", resp.Proto)
	}
	seen.body, err = io.ReadAll(resp.Body)
	return seen, err
}

func (f *running) viewer(t testing.TB) *viewer {
	v := &viewer{addr: hostOf(f.Edge)}
	t.Cleanup(v.close)
	return v
}

func (v *viewer) close() {
	if v.many != nil {
		v.many.CloseIdleConnections()
	}
	if v.conn != nil {
		_ = v.conn.Close()
		v.conn = nil
	}
}

func (v *viewer) get(path string, headers ...string) (view, error) {
	if v.many != nil {
		return v.getOverHTTP2(path, headers)
	}
	if v.conn == nil {
		conn, err := v.dial()
		if err != nil {
			return view{}, err
		}
		v.conn, v.in = conn, bufio.NewReader(conn)
	}
	_ = v.conn.SetDeadline(time.Now().Add(patience))
	seen, err := v.exchange(path, headers)
	if err != nil {
		v.close()
	}
	return seen, err
}

func (v *viewer) exchange(path string, headers []string) (view, error) {
	var req bytes.Buffer
	fmt.Fprintf(&req, "GET %s HTTP/1.1\r\nHost: %s\r\n", path, v.addr)
	for _, h := range headers {
		req.WriteString(h + "\r\n")
	}
	req.WriteString("\r\n")
	if _, err := v.conn.Write(req.Bytes()); err != nil {
		return view{}, err
	}
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return view{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.Close {
		v.close()
	}
	return view{resp.StatusCode, resp.Header, body}, err
}

// mustGet is get for paths that are answered.
func (v *viewer) mustGet(t testing.TB, path string) view {
	t.Helper()
	seen, err := v.get(path)
	if err != nil {
		t.Fatalf("fetch %s: %v", path, err)
	}
	return seen
}

// wantBody fetches path until it is a hit, and wants body each time. The second
// fetch is one, but for invalidations that are still under way, of which a fresh
// key has no more than a few.
func (v *viewer) wantBody(t testing.TB, path, body string) {
	t.Helper()
	const most = 5
	for n := 1; ; n++ {
		seen := v.mustGet(t, path)
		if seen.status != http.StatusOK || string(seen.body) != body {
			t.Errorf("fetch %d of %.200s: status %d, %.80q; want %.80q", n, path, seen.status, seen.body, body)
			return
		}
		switch cache := seen.cache(); {
		case cache == "Hit" && n > 1:
			return
		case cache != "Hit" && cache != "Miss" && cache != "RefreshHit", n == most:
			t.Errorf("fetch %d of %.200s: X-Cache %q", n, path, seen.header.Get("X-Cache"))
			return
		}
	}
}

// wantGone wants a 404, and no hit.
func (v *viewer) wantGone(t testing.TB, path string) {
	t.Helper()
	if seen := v.mustGet(t, path); seen.status != http.StatusNotFound || seen.cache() != "Error" {
		t.Errorf("fetch of %.200s: status %d, X-Cache %q, %.80q; want 404", path, seen.status, seen.header.Get("X-Cache"), seen.body)
	}
}
