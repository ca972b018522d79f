package packed

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawFormed draws values of the forms that are told tersely, and such as nearly are.
var drawFormed = rapid.OneOf(
	rapid.SampledFrom([]string{"bytes", "text/html; charset=utf-8", "public, max-age=31536000, immutable", "max-age=007", "max-age=4294967295", "max-age=4294967296", "public, max-age=", "AmazonS3", `""`, `"`}),
	rapid.Custom(func(t *rapid.T) string {
		return time.Unix(rapid.Int64Range(-1<<33, 1<<33).Draw(t, "seconds"), 0).UTC().Format(http.TimeFormat)
	}),
	rapid.Custom(func(t *rapid.T) string {
		return strings.Replace("Mon, 02 Nov 2026 15:04:05 GMT", "M", rapid.SampledFrom([]string{"M", "m", "Z", ""}).Draw(t, "letter"), 1)
	}),
	rapid.StringMatching(`"[0-9a-f]{2,40}"|[0-9a-f]{2,40}|[0-9A-F]{2,40}|[0-9a-fA-F]{2,40}|W/"[0-9a-f]{32}"`),
	rapid.StringMatching(`[A-Za-z0-9._]{0,300}|[A-Za-z0-9+/]{0,300}={0,2}`),
	rapid.Custom(func(t *rapid.T) string {
		return base64.StdEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "bytes"))
	}),
	rapid.Map(rapid.IntRange(200, 300), func(n int) string { return strings.Repeat("~", n) }),
)

// Whatever the lines: what they are told tersely as is read as what they were, and
// their gaps are where they were.
func TestTerse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHeader(t, "header")
		for _, line := range rapid.SliceOf(rapid.SampledFrom(wholeLines)).Draw(t, "lines") {
			name, value, _ := strings.Cut(line, ": ")
			h[name] = append(h[name], value)
		}
		for _, name := range rapid.SliceOf(rapid.SampledFrom(lineNames)).Draw(t, "names") {
			h[name] = append(h[name], drawFormed.Draw(t, "value"))
		}
		p := packing{b: make([]byte, headSize), entry: &Entry{}}
		p.lines(atLines, h)
		if p.err != nil {
			t.Fatal(p.err)
		}
		l := linesOf(p.b[headSize:])
		terse, ok := appendTerse([]byte("before"), &l)
		if !ok || string(terse[:6]) != "before" {
			t.Fatalf("%q cannot be told tersely", l.Text)
		}
		var again Lines
		if again.Text, ok = expand(nil, terse[6:], &again.gaps); !ok || string(again.Text) != string(l.Text) || again.gaps != l.gaps {
			t.Fatalf("%q becomes %q, %v; gaps %v, %v", l.Text, again.Text, ok, l.gaps, again.gaps)
		}
		for n := range len(terse) - 6 {
			expand(nil, terse[6:6+n], &again.gaps) // does not fail otherwise
		}
	})
}

// Each code means one thing, and each name and line has one that is not another's.
func TestDictionary(t *testing.T) {
	if n := firstWord + len(wholeLines) + len(lineNames); n > 256 {
		t.Fatalf("%d codes", n)
	}
	if len(words.codes) != len(wholeLines)+len(lineNames) {
		t.Errorf("%d codes of %d lines and %d names", len(words.codes), len(wholeLines), len(lineNames))
	}
	for _, name := range lineNames {
		if _, ok := Clean(name, ""); !ok || name != http.CanonicalHeaderKey(name) {
			t.Errorf("%s is the name of no line", name)
		}
	}
	for _, line := range wholeLines {
		name, value, ok := strings.Cut(line, ": ")
		if cleaned, goes := Clean(name, value); !ok || !goes || cleaned != value || name != http.CanonicalHeaderKey(name) {
			t.Errorf("%q is no line", line)
		}
	}
}

func TestDates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint32().Draw(t, "seconds")
		want := time.Unix(int64(n), 0).UTC().Format(http.TimeFormat)
		if got := string(appendDate(nil, n)); got != want {
			t.Fatalf("%d is %q, want %q", n, got, want)
		}
		if got, ok := dateOf([]byte(want)); !ok || got != n {
			t.Fatalf("%q is %d, %v", want, got, ok)
		}
	})
	for day := range uint32(1<<32/86_400 - 1) {
		if got, want := string(appendDate(nil, day*86_400)), time.Unix(int64(day)*86_400, 0).UTC().Format(http.TimeFormat); got != want {
			t.Fatalf("day %d is %q, want %q", day, got, want)
		}
	}
}

// fromStorage is what S3 answers with.
func fromStorage(body int) *Entry {
	return &Entry{
		Key: Key{1, "/assets/pictures/1234567.jpg", ""}, Names: []string{"/assets/pictures/1234567.jpg"}, Status: 200, Body: make([]byte, body), Size: int64(body),
		Store: true, Quick: true, Fresh: time.Hour,
		Header: map[string][]string{
			"Accept-Ranges": {"bytes"}, "Cache-Control": {"max-age=86400"}, "Content-Type": {"image/jpeg"}, "Date": {"Fri, 20 Nov 2026 10:00:00 GMT"},
			"Etag": {`"0123456789abcdef0123456789abcdef"`}, "Last-Modified": {"Thu, 19 Nov 2026 10:00:00 GMT"}, "Server": {"AmazonS3"},
			"X-Amz-Id-2":       {"eftixk72aD6Ap51TnqcoF8eFidJG9Z/2mkiDFu8yU9AS1ed4OpIszj7UDNEHGran1234567890ab"},
			"X-Amz-Request-Id": {"318BC8BC148832E5"}, "X-Amz-Server-Side-Encryption": {"AES256"}, "X-Amz-Version-Id": {"3HL4kqtJlcpXroDTDmjVBH40Nrjfkd12"},
		},
	}
}

// An entry from storage takes little more than what nobody could foresee of it; one
// whose body is most of it is not worth the work.
func TestTerseEntries(t *testing.T) {
	for body, most := range map[int]int{128: 400, 200: 472} {
		b, err := Append(nil, fromStorage(body))
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > most || b[atMore]&terseFlag == 0 {
			t.Errorf("%d bytes with a body of %d", len(b), body)
		}
	}
	b, err := Append(nil, fromStorage(4000))
	if err != nil {
		t.Fatal(err)
	}
	if b[atMore]&terseFlag != 0 {
		t.Error("what is large is told tersely")
	}
}

func BenchmarkLines(b *testing.B) {
	for _, body := range []int{128, 4000} {
		packed, err := Append(nil, fromStorage(body))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(body), func(b *testing.B) {
			var room, out []byte
			b.ReportAllocs()
			for b.Loop() {
				l := Trust(packed).Lines(&room)
				out = append(out[:0], l.Text...)
			}
		})
	}
}
