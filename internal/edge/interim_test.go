package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// hear asks for a URL and returns the interim responses as "status Link X-Some",
// and the final one.
func hear(t *testing.T, client *http.Client, method, url string) ([]string, *http.Response) {
	t.Helper()
	var before []string
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
		before = append(before, fmt.Sprint(status, h.Get("Link"), h.Get("X-Some")))
		for _, name := range []string{"X-Amz-Cf-Id", "Server", "Set-Cookie", "Keep-Alive"} {
			if h.Get(name) != "" {
				t.Errorf("%s: %q is in an interim response", name, h.Get(name))
			}
		}
		return nil
	}}), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "x" {
		t.Errorf("%q, %v", body, err)
	}
	return before, resp
}

// hinting is an origin that sends interim responses first.
func hinting(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Link", "</a.css>; rel=preload")
		h.Set("X-Some", "1")
		h.Set("Set-Cookie", "a=b")
		h.Set("Keep-Alive", "timeout=5")
		w.WriteHeader(http.StatusEarlyHints)
		clear(h)
		w.WriteHeader(http.StatusProcessing)
		h.Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "x")
	}))
	t.Cleanup(s.Close)
	return s
}

// Interim responses go to the viewer for whom the origin is asked, whether the
// answer is cached or not. They are no part of what is stored.
func TestInterimResponses(t *testing.T) {
	for _, secure := range []bool{false, true} {
		d := dist("E1")
		d.Config.DefaultCacheBehavior.AllowedMethods = allowedSets[2]
		origin := hinting(t)
		e := open(t, nil, Config{Distributions: []distribution.Distribution{d}, Resolve: func(distribution.Distribution, distribution.Origin) (Origin, error) {
			return Origin{URL: origin.URL}, nil
		}})
		viewer := httptest.NewUnstartedServer(e)
		viewer.EnableHTTP2 = secure
		if secure {
			viewer.StartTLS()
		} else {
			viewer.Start()
		}
		t.Cleanup(viewer.Close)
		all := "[103</a.css>; rel=preload1 102]"
		for _, step := range []struct{ method, cache, want string }{{"GET", "Miss", all}, {"GET", "Hit", "[]"}, {"POST", "Miss", all}, {"GET", "Miss", all}} {
			before, resp := hear(t, viewer.Client(), step.method, viewer.URL+"/a")
			if got := fmt.Sprint(before); got != step.want {
				t.Errorf("%s over %s, %s: got %s, want %s", step.method, resp.Proto, step.cache, got, step.want)
			}
			if got := resp.Header.Get("X-Cache"); !strings.HasPrefix(got, step.cache) {
				t.Errorf("X-Cache %s, want %s", got, step.cache)
			}
			if resp.Header.Get("X-Some") != "" || resp.Header.Get("Link") != "" || resp.Header.Get("Cache-Control") == "" {
				t.Errorf("header %v", resp.Header)
			}
			settle(t, e)
		}
	}
}

// HTTP/1.0 knows no interim responses.
func TestInterimResponsesToHTTP10(t *testing.T) {
	origin := hinting(t)
	e := open(t, nil, Config{Resolve: func(distribution.Distribution, distribution.Origin) (Origin, error) {
		return Origin{URL: origin.URL}, nil
	}})
	for _, version := range []string{"1.0", "1.1"} {
		conn, err := net.Dial("tcp", listening(t, e))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET /%s HTTP/%s\r\nHost: e1.cloudfront.localhost\r\nConnection: close\r\n\r\n", version, version)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if want := map[string]string{"1.0": "200", "1.1": "103"}[version]; err != nil || strings.Fields(line)[1] != want {
			t.Errorf("HTTP/%s: %q, %v, want %s", version, line, err, want)
		}
		conn.Close()
	}
}

// An origin that sends more than a page can use is not passed on without end.
func TestManyInterimResponses(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 * maxInterim {
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, "x")
	}))
	t.Cleanup(origin.Close)
	d := dist("E1")
	d.Config.DefaultCacheBehavior.AllowedMethods = allowedSets[2]
	e := open(t, nil, Config{Distributions: []distribution.Distribution{d}, Resolve: func(distribution.Distribution, distribution.Origin) (Origin, error) {
		return Origin{URL: origin.URL}, nil
	}})
	viewer := httptest.NewServer(e)
	t.Cleanup(viewer.Close)
	for _, method := range []string{"GET", "POST"} {
		before, _ := hear(t, viewer.Client(), method, viewer.URL+"/"+method)
		if len(before) != maxInterim {
			t.Errorf("%s: %d interim responses", method, len(before))
		}
	}
}
