package accesslog

import (
	"strings"
	"testing"
	"time"
)

func TestCombined(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 52, 44, 0, time.UTC)
	for line, want := range map[string]Hit{
		`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET /a.html HTTP/2.0" 200 612 "-" "curl/8"`:                        {Method: "GET", Path: "/a.html", Status: 200, Bytes: 612, Time: at},
		`192.0.2.7 - - [21/Nov/2026:04:52:44 +0100] "HEAD /a%20b?x=1&y HTTP/1.1" 304 0`:                                 {Method: "HEAD", Path: "/a%20b", Query: "x=1&y", Status: 304, Time: at},
		`2001:db8::1 - somebody [21/Nov/2026:03:52:44 +0000] "GET /x HTTP/1.0" 404 - "http://h/ [1] \x22q\x22" "a \"b"`: {Method: "GET", Path: "/x", Status: 404, Time: at},
		`WWW.example.com:443 192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET /v HTTP/1.1" 200 5 "-" "-" extra 0.004`:    {Host: "www.example.com", Method: "GET", Path: "/v", Status: 200, Bytes: 5, Time: at},
		`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET /\xC3\xA9\x22 HTTP/1.1" 200 5 "-" "-"`:                         {Method: "GET", Path: "/%C3%A9%22", Status: 200, Bytes: 5, Time: at},
		`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET http://h/abs?q HTTP/1.1" 200 5 "-" "-"`:                        {Method: "GET", Path: "/abs", Query: "q", Status: 200, Bytes: 5, Time: at},
		`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET /with space HTTP/1.1" 200 5 "-" "-"`:                           {Method: "GET", Path: "/with%20space", Status: 200, Bytes: 5, Time: at},
		`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "\x16\x03\x01" 400 157 "-" "-"`:                                     {Status: 400, Bytes: 157, Time: at},
		`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "OPTIONS * HTTP/1.1" 200 0 "-" "-"`:                                 {Method: "OPTIONS", Status: 200, Time: at},
		`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "" 400 0 "-" "-"`:                                                   {Status: 400, Time: at},
	} {
		n := 0
		for got, err := range Read(strings.NewReader(line + "\n")) {
			if n++; err != nil || got != want {
				t.Errorf("%s: %+v (%v), want %+v", line, got, err, want)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d hits", line, n)
		}
	}
}

// TestCombinedGoesOnAfterABadLine: what is no line of the format is left out, and
// what has another header is read by that.
func TestCombinedGoesOnAfterABadLine(t *testing.T) {
	good := `192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET /a.html HTTP/2.0" 200 612 "-" "curl/8"` + "\n"
	text := good + "rubbish\n" + `1 - - [99/Nov/2026:03:52:44 +0000] "GET / HTTP/1.1" 200 1` + "\n" + `1 - - [21/Nov/2026:03:52:44 +0000] "GET / HTTP/1.1" 2x0 1` + "\n" +
		`1 - - [21/Nov/2026:03:52:44 +0000] "GET / HTTP/1.1"` + "\n" + `1 - - [21/Nov/2026:03:52:44 +0000] "GET / HTTP/1.1" 200 -7` + "\n" + good
	hits, bad := 0, 0
	for _, err := range Read(strings.NewReader(text)) {
		if err != nil {
			bad++
		} else {
			hits++
		}
	}
	if hits != 2 || bad != 5 {
		t.Errorf("%d hits and %d bad lines", hits, bad)
	}
	n := 0
	for _, err := range Read(strings.NewReader("rubbish first\n" + good)) {
		if n++; err == nil {
			t.Error("a log without a format is read")
		}
	}
	if n != 1 {
		t.Errorf("%d results", n)
	}
}

func FuzzCombined(f *testing.F) {
	f.Add(`192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET /a.html HTTP/2.0" 200 612 "-" "curl/8"`)
	f.Add(`h:1 1 - - [21/Nov/2026:03:52:44 +0000] "GET http:// HTTP/2.0" 200 612`)
	f.Add(`1 - - [21/Nov/2026:03:52:44 +0000] "GET http://?/ HTTP/2.0" 200 612`)
	f.Fuzz(func(t *testing.T, line string) {
		for h, err := range Read(strings.NewReader(line)) {
			if err == nil && h.Path != "" && (h.Path[0] != '/' || strings.ContainsAny(h.Path, " ?\"")) {
				t.Fatalf("%q has the path %q", line, h.Path)
			}
		}
	})
}
