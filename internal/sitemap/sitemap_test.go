package sitemap

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

const two = `<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
  <url>
    <loc> https://www.example.com/a?x=1&amp;y=2 </loc>
    <lastmod>2026-11-20</lastmod><changefreq>daily</changefreq><priority>0.8</priority>
    <image:image><image:loc>https://www.example.com/not-this.png</image:loc></image:image>
  </url>
  <url><loc><![CDATA[https://www.example.com/b]]></loc><lastmod>2026-11-20T10:00:00+01:00</lastmod><priority>7</priority></url>
  <url><image:loc>https://www.example.com/nor-this.png</image:loc></url>
</urlset>
`

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

func TestRead(t *testing.T) {
	for name, text := range map[string]string{"plain": two, "gzip": zipped(two), "with a mark": "\xef\xbb\xbf" + two} {
		s, err := Read(strings.NewReader(text))
		if err != nil || len(s.URLs) != 2 || s.Odd != 1 || len(s.Children) != 0 {
			t.Fatalf("%s: %+v (%v)", name, s, err)
		}
		want := []URL{
			{"https://www.example.com/a?x=1&y=2", 0.8, time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)},
			{"https://www.example.com/b", 0.5, time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)},
		}
		for i, u := range s.URLs {
			if u.Location != want[i].Location || u.Priority != want[i].Priority || !u.Modified.Equal(want[i].Modified) {
				t.Errorf("%s: %+v, want %+v", name, u, want[i])
			}
		}
	}
}

func TestIndexesAndLists(t *testing.T) {
	s, err := Read(strings.NewReader(`<s:sitemapindex xmlns:s="x"><sitemap><loc>https://h/1.xml.gz</loc></sitemap><sitemap><loc>https://h/2.xml</loc><lastmod>x</lastmod></sitemap><sitemap/></s:sitemapindex>`))
	if err != nil || strings.Join(s.Children, " ") != "https://h/1.xml.gz https://h/2.xml" || s.Odd != 1 || len(s.URLs) > 0 {
		t.Errorf("%+v (%v)", s, err)
	}
	s, err = Read(strings.NewReader("https://h/a\r\n\n  http://h/b  \n"))
	if err != nil || len(s.URLs) != 2 || s.URLs[0].Location != "https://h/a" || s.URLs[1].Location != "http://h/b" {
		t.Errorf("%+v (%v)", s, err)
	}
	s, err = Read(strings.NewReader(""))
	if err != nil || len(s.URLs) > 0 {
		t.Errorf("an empty list: %+v (%v)", s, err)
	}
}

// endless repeats text for ever, after a beginning.
type endless struct {
	begin, text string
	at          int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		s := e.begin
		if e.at >= len(e.begin) {
			s = e.text
			m := copy(p[n:], s[(e.at-len(e.begin))%len(s):])
			n, e.at = n+m, e.at+m
			continue
		}
		m := copy(p[n:], s[e.at:])
		n, e.at = n+m, e.at+m
	}
	return n, nil
}

func TestBombsAndRubbishAreRefused(t *testing.T) {
	lol := `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]><urlset><url><loc>&lol1;</loc></url></urlset>`
	for name, tt := range map[string]struct{ text, want string }{
		"entities":             {lol, "document type"},
		"an outside entity":    {`<!DOCTYPE x SYSTEM "file:///etc/passwd"><urlset/>`, "document type"},
		"an unknown entity":    {`<urlset><url><loc>&lol;</loc></url></urlset>`, "entity"},
		"depth":                {"<urlset>" + strings.Repeat("<a>", 1000), "nested more than"},
		"a page":               {"<!doctype html><html></html>", "document type"},
		"a page without":       {"<html></html>", "it is a <html>"},
		"another encoding":     {`<?xml version="1.0" encoding="utf-16"?><urlset/>`, "encoding"},
		"cut off":              {"<urlset><url><loc>x</loc>", "unexpected EOF"},
		"crossed":              {"<urlset><url><loc>x</url></loc></urlset>", "is ended by"},
		"too many ends":        {"<urlset></urlset></urlset>", "never began"},
		"two roots":            {"<urlset></urlset><urlset></urlset>", "more than one root"},
		"no list":              {"hello\n", "neither XML nor"},
		"one long line":        {strings.Repeat("\x00", maxLocation+3), "a line has more than"},
		"broken gzip":          {"\x1f\x8brubbish....", "gzip"},
		"gzip that is cut off": {zipped(two)[:60], "unexpected EOF"},
	} {
		s, err := Read(strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(s.URLs) > 0 {
			t.Errorf("%s: %v, %+v; want %q", name, err, s, tt.want)
		}
	}
}

func TestWhatIsTooLargeIsRefused(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.WriteString(z, "<urlset>")
	for range 3 {
		_, _ = z.Write(bytes.Repeat([]byte(" "), 1<<20))
	}
	_ = z.Close()
	for name, in := range map[string]io.Reader{
		"endless spaces": &endless{begin: "<urlset>", text: " "},
		"endless text":   &endless{begin: "<urlset><url><loc>", text: "x"},
		"endless URLs":   &endless{begin: "<urlset>", text: "<url><loc>http://h/</loc></url>"},
		"endless index":  &endless{begin: "<sitemapindex>", text: "<sitemap><loc>http://h/</loc></sitemap>"},
		"endless lines":  &endless{text: "http://h/\n"},
		"a gzip bomb":    &bomb,
	} {
		if s, err := read(in, 2<<20); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, %d URLs", name, err, len(s.URLs))
		}
	}
	if s, err := read(strings.NewReader(two), int64(len(two))); err != nil || len(s.URLs) != 2 {
		t.Errorf("as long as is allowed: %v", err)
	}
	if _, err := read(strings.NewReader(two), int64(len(two))-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte longer than is allowed: %v", err)
	}
	if _, err := read(&endless{text: "http://h/x"}, 2<<20); err == nil {
		t.Error("an endless line is read")
	}
	if _, err := read(&endless{text: "<"}, 2<<20); err == nil {
		t.Error("endless brackets are read")
	}
}

func TestAsManyAsAreAllowed(t *testing.T) {
	var b strings.Builder
	for i := range MaxURLs {
		_, _ = fmt.Fprintf(&b, "http://h/%d\n", i)
	}
	if s, err := Read(strings.NewReader(b.String())); err != nil || len(s.URLs) != MaxURLs {
		t.Errorf("%d (%v)", len(s.URLs), err)
	}
	long := "<urlset><url><loc>http://h/" + strings.Repeat("x", 20_000) + "</loc></url><url><loc>http://h/y</loc></url></urlset>"
	if s, err := Read(strings.NewReader(long)); err != nil || s.Odd != 1 || len(s.URLs) != 1 || s.URLs[0].Location != "http://h/y" {
		t.Errorf("%d URLs, %d odd (%v)", len(s.URLs), s.Odd, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(two))
	f.Add([]byte(zipped(two)))
	f.Add([]byte("http://h/a\n"))
	f.Add([]byte("<sitemapindex><sitemap><loc>a</loc></sitemap></sitemapindex>"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Read(bytes.NewReader(text))
		if err != nil && len(s.URLs)+len(s.Children) > 0 {
			t.Fatal("an error, and URLs")
		}
		for _, u := range s.URLs {
			if u.Location == "" || len(u.Location) > maxLocation || u.Priority < 0 || u.Priority > 1 {
				t.Fatalf("%+v", u)
			}
		}
	})
}
