package accesslog_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/accesslog"
	reader "github.com/freshet/freshet/internal/inventory/accesslog"
)

func record() accesslog.Record {
	return accesslog.Record{
		End: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Location: "LHR50-C1", SentBytes: 2390, ViewerIP: "192.0.2.10", ViewerPort: "11040",
		Method: "GET", Domain: "d1.cloudfront.net", Path: "/view/my file.html", Query: "a=b c", Status: 206, Referer: "https://r.example/'x'", UserAgent: "Mozilla/5.0 (X11; ü)",
		Result: "Hit", RequestID: "abc==", Host: "www.example.com", Protocol: "https", ProtocolVersion: "HTTP/2.0", ReceivedBytes: 23,
		Taken: 1500 * time.Microsecond, FirstByte: time.Millisecond, TLSProtocol: "TLSv1.3", TLSSuite: "TLS_AES_128_GCM_SHA256",
		ContentType: "text/html; charset=utf-8", ContentLength: 78, RangeStart: 10, RangeEnd: 19,
	}
}

// A line as the documentation describes it, column by column.
func TestLine(t *testing.T) {
	r := record()
	got := strings.Split(strings.TrimSuffix(string(accesslog.Append(nil, &r)), "\n"), "\t")
	want := []string{
		"2026-01-02", "03:04:05", "LHR50-C1", "2390", "192.0.2.10", "GET", "d1.cloudfront.net", "/view/my%20file.html", "206", "https://r.example/%27x%27",
		"Mozilla/5.0%20(X11;%20%C3%BC)", "a=b%20c", "-", "Hit", "abc==", "www.example.com", "https", "23", "0.002", "-",
		"TLSv1.3", "TLS_AES_128_GCM_SHA256", "Hit", "HTTP/2.0", "-", "-", "11040", "0.001", "Hit", "text/html;%20charset=utf-8", "78", "10", "19",
	}
	names := strings.Fields(strings.Split(accesslog.Header, "\n")[1])[1:]
	if len(names) != 33 || len(got) != 33 {
		t.Fatalf("%d names and %d values", len(names), len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: %q, want %q", names[i], got[i], want[i])
		}
	}
	none := accesslog.Record{ContentLength: -1, RangeStart: -1, RangeEnd: -1, Result: "Miss", ResponseResult: "Error", Detail: "ClientCommError"}
	line := string(accesslog.Append(nil, &none))
	if fields := strings.Split(line, "\t"); fields[8] != "000" || fields[13] != "Miss" || fields[22] != "Error" || fields[28] != "ClientCommError" || fields[30] != "-" {
		t.Errorf("%q", line)
	}
}

// What is written is read again as it was, whatever viewers send.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		w := accesslog.NewWriter(nopCloser{&out}, nil)
		var sent []accesslog.Record
		for range rapid.IntRange(1, 5).Draw(t, "records") {
			r := record()
			r.Path = "/" + rapid.String().Draw(t, "path")
			r.Path, _, _ = strings.Cut(r.Path, "?")
			r.Query = rapid.StringN(0, 20, -1).Filter(func(s string) bool { return s != "-" }).Draw(t, "query")
			r.Status = rapid.SampledFrom([]int{0, 200, 304, 404, 503}).Draw(t, "status")
			r.UserAgent, r.Referer, r.Cookie = rapid.String().Draw(t, "agent"), rapid.String().Draw(t, "referer"), rapid.String().Draw(t, "cookie")
			r.Result = rapid.SampledFrom([]string{"Hit", "Miss", "Error"}).Draw(t, "result")
			if !w.Log(&r) {
				t.Fatal("a line was refused")
			}
			sent = append(sent, r)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		i := 0
		for h, err := range reader.Read(&out) {
			if err != nil {
				t.Fatal(err)
			}
			r := sent[i]
			want := reader.Hit{
				Host: r.Host, Domain: r.Domain, Method: r.Method, Path: freshet.CanonicalPath(r.Path), Query: r.Query, Status: r.Status,
				Bytes: r.SentBytes, Location: r.Location, Result: r.Result, Time: r.End.Truncate(time.Second),
			}
			if h != want {
				t.Errorf("%+v\nwas read as %+v, want %+v", r, h, want)
			}
			i++
		}
		if i != len(sent) {
			t.Errorf("%d of %d records were read", i, len(sent))
		}
	})
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// A record that is Plain, and is called so, has the same line.
func TestPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := record()
		plain := true
		for _, text := range []*string{&r.Location, &r.ViewerPort, &r.Method, &r.Domain, &r.Path, &r.Result, &r.RequestID, &r.Protocol, &r.ProtocolVersion, &r.ContentType} {
			*text = rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9/._=;?-]{1,20}`), rapid.StringMatching(`[ -~]{0,3}`)).Draw(t, "text")
			plain = plain && accesslog.Plain(*text)
		}
		r.UserAgent = rapid.String().Draw(t, "agent")
		want := string(accesslog.Append(nil, &r))
		if r.Plain = plain; string(accesslog.Append(nil, &r)) != want {
			t.Fatalf("%s\nwant %s", accesslog.Append(nil, &r), want)
		}
	})
}
