package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

// logged writes a value as CloudFront documents it for its logs.
func logged(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= 32 || c >= 127 || strings.IndexByte("<>\"#%{}|\\^~[]`'", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Whatever a viewer asks for, the log leads back to it, in both formats.
func TestLogLeadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.OneOf(rapid.SampledFrom([]byte("ab/%%%2B25+~é")), rapid.Byte())
		path := "/" + strings.ReplaceAll(string(rapid.SliceOf(alphabet).Draw(t, "path")), "?", "")
		query := string(rapid.SliceOf(alphabet).Draw(t, "query"))
		if query == "-" {
			query = ""
		}
		field := logged(query)
		if query == "" {
			field = "-"
		}
		line, err := json.Marshal(map[string]string{"cs-method": "GET", "cs-uri-stem": logged(path), "cs-uri-query": field, "sc-status": "200"})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"#Fields: cs-method cs-uri-stem cs-uri-query sc-status\nGET\t" + logged(path) + "\t" + field + "\t200\n", string(line)} {
			for h, err := range Read(strings.NewReader(text)) {
				if err != nil || h.Path != freshet.CanonicalPath(path) || h.Query != query {
					t.Errorf("%q: %q %q %v, want %q %q", text, h.Path, h.Query, err, freshet.CanonicalPath(path), query)
				}
			}
		}
	})
}

func TestParseDateIsPackageTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		date := rapid.OneOf(rapid.StringMatching(`20[0-9]{2}-[01][0-9]-[0-3][0-9]`), rapid.StringMatching(`[0-9-]{8,11}`)).Draw(t, "date")
		clock := rapid.OneOf(rapid.StringMatching(`[0-2][0-9]:[0-6][0-9]:[0-6][0-9]`), rapid.StringMatching(`[0-9:]{7,9}`)).Draw(t, "clock")
		want, wrong := time.Parse("2006-01-02 15:04:05", date+" "+clock)
		if wrong == nil && len(clock) != len("15:04:05") {
			want, wrong = time.Time{}, errors.New("3:04:05 is not how logs write a time")
		}
		got, err := parseDate([]byte(date), []byte(clock))
		if (err == nil) != (wrong == nil) || !got.Equal(want) {
			t.Errorf("%s %s: %v, %v, want %v, %v", date, clock, got, err, want, wrong)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("#Version: 1.0\n#Fields: date time x-edge-location sc-bytes cs-method cs(Host) cs-uri-stem sc-status cs-uri-query x-edge-result-type x-host-header\n2026-01-02\t03:04:05\tLHR50-C1\t12\tGET\td1\t/a%2520b\t200\tx=1\tHit\twww.example.com\n"))
	f.Add([]byte(`{"date":"2026-01-02","time":"03:04:05","cs-method":"GET","cs-uri-stem":"/a%2520","sc-status":200,"sc-bytes":"1","timestamp(ms)":"1"}`))
	f.Add([]byte("#Fields: cs-method cs-uri-stem sc-status timestamp(ms)\nGET /a?b 000 1\n#Fields: sc-status\n"))
	f.Add(zip("#Fields: cs-method cs-uri-stem sc-status\nGET /a 200\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var final error
		w := Weights{MaxURLs: 3}
		var all int64
		for h, err := range Read(bytes.NewReader(text)) {
			if final != nil {
				t.Fatalf("%v is not the last: %+v, %v", final, h, err)
			}
			if _, bad := errors.AsType[*LineError](err); err != nil {
				if h != (Hit{}) || len(err.Error()) > 2000 {
					t.Fatalf("%+v with %v", h, err)
				}
				if !bad {
					final = err
				}
				continue
			}
			if h.Path != "" && (h.Path[0] != '/' || freshet.CanonicalPath(h.Path) != h.Path || strings.Contains(h.Path, "?")) {
				t.Fatalf("path %q", h.Path)
			}
			if h.Status < 0 || h.Status > 999 || h.Bytes < 0 || len(h.Location) > maxLocation || strings.ContainsAny(h.Host, ":ABC") {
				t.Fatalf("%+v", h)
			}
			w.Add(h)
			all++
		}
		if tally := w.Tally(); tally.Counted+tally.Ignored != all {
			t.Fatalf("%d hits, %+v", all, tally)
		}
	})
}

func FuzzUndo(f *testing.F) {
	for _, s := range []string{"/a%2520b", "%", "%2", "%zz", "%25%32%35", "é%C3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := string(undo([]byte(logged(s)))); got != s {
			t.Errorf("%q is logged as %q, which is read as %q", s, logged(s), got)
		}
		undo([]byte(s))
	})
}

func w3cLog(n int) []byte {
	var b bytes.Buffer
	b.WriteString("#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end\n")
	for i := range n {
		fmt.Fprintf(&b, "2026-01-02\t03:%02d:%02d\tLHR%d-C1\t%d\t192.0.2.1\tGET\td111111abcdef8.cloudfront.net\t/assets/2026/page-%d.html\t200\thttps://www.example.com/\tMozilla/5.0%%20(X11;%%20Linux%%20x86_64)\t-\t-\tHit\tq0-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQ==\twww.example.com\thttps\t99\t0.001\t-\tTLSv1.3\tTLS_AES_128_GCM_SHA256\tHit\tHTTP/2.0\t-\t-\t4711\t0.001\tHit\ttext/html\t1000\t-\t-\n", i/60%60, i%60, i%50, i, i*i%5000)
	}
	return b.Bytes()
}

func BenchmarkRead(b *testing.B) {
	var jsonLines bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&jsonLines, `{"date":"2026-01-02","time":"03:04:05","x-edge-location":"LHR50-C1","sc-bytes":"%d","cs-method":"GET","cs-uri-stem":"/assets/page-%d.html","sc-status":"200","cs-uri-query":"-","x-edge-result-type":"Hit","x-host-header":"www.example.com","cs(User-Agent)":"Mozilla/5.0%%20(X11)"}`+"\n", i, i)
	}
	for name, text := range map[string][]byte{"w3c": w3cLog(10_000), "json": jsonLines.Bytes()} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range Read(bytes.NewReader(text)) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkWeights(b *testing.B) {
	text := w3cLog(10_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var w Weights
		if err := w.AddLog("", Read(bytes.NewReader(text))); err != nil {
			b.Fatal(err)
		}
	}
}
