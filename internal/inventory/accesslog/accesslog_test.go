package accesslog

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// TestGolden reads each case in testdata: "log" is what is read, with a | for
// each tab where the comment says so, and "want" is what comes out.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := golden(t, archive)
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
				archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := part(archive, "want"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func part(archive *txtar.Archive, name string) string {
	for _, f := range archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func golden(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	text := part(archive, "log")
	if strings.Contains(strings.ToLower(string(archive.Comment)), "tabs are |") {
		text = strings.ReplaceAll(text, "|", "\t")
	}
	got := show(strings.NewReader(text))
	if again := show(bytes.NewReader(zip(text))); again != got {
		t.Errorf("compressed it is\n%s\nbut plain\n%s", again, got)
	}
	if again := show(iotest.OneByteReader(strings.NewReader(text))); again != got {
		t.Errorf("byte by byte it is\n%s\nbut at once\n%s", again, got)
	}
	return got
}

func zip(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

func show(r io.Reader) string {
	var b strings.Builder
	for h, err := range Read(r) {
		if err != nil {
			fmt.Fprintf(&b, "error: %v\n", err)
			continue
		}
		fmt.Fprintf(&b, "%s %s %q %q %d %d %q %q %q\n", h.Time.Format(time.RFC3339Nano), h.Method, h.Host+"<"+h.Domain, h.Path, h.Status, h.Bytes, h.Query, h.Location, h.Result)
	}
	return b.String()
}

// Logs of several hours and years follow one another as they do in a folder.
func TestSeveralLogs(t *testing.T) {
	one := "#Version: 1.0\n#Fields: cs-method cs-uri-stem sc-status\nGET\t/a\t200\n"
	two := "#Version: 1.0\n#Fields: sc-status cs-uri-stem cs-method\n200\t/b\tGET\n"
	want := show(strings.NewReader(one)) + show(strings.NewReader(two))
	for name, text := range map[string][]byte{"plain": []byte(one + two), "gzip": append(zip(one), zip(two)...)} {
		if got := show(bytes.NewReader(text)); got != want || !strings.Contains(got, `"/b"`) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestReadError(t *testing.T) {
	broken := errors.New("broken")
	for _, text := range []string{"", "#Fields: cs-method cs-uri-stem sc-status\n", "#Fields: cs-method cs-uri-stem sc-status\nGET /a 200\n", `{"cs-`} {
		var last error
		for _, err := range Read(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))) {
			last = err
		}
		if !errors.Is(last, broken) {
			t.Errorf("%q ends with %v", text, last)
		}
	}
}

func TestLongLine(t *testing.T) {
	text := "#Fields: cs-method cs-uri-stem sc-status\nGET /" + strings.Repeat("x", 2<<20) + " 200\nGET /b 200\n"
	got := show(strings.NewReader(text))
	if !strings.HasPrefix(got, "error: line 2: the line is longer than 1048576 bytes\n") || !strings.Contains(got, `"/b" 200`) {
		t.Errorf("got %.300s", got)
	}
}

func TestReadStops(t *testing.T) {
	for _, text := range []string{"#Fields: cs-method cs-uri-stem sc-status\nGET /a 200\nGET /b 200\n", "#Fields: cs-method cs-uri-stem sc-status\nx\ny\n", "x\n", "\xff\xfe"} {
		n := 0
		for range Read(strings.NewReader(text)) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%q: %d", text, n)
		}
	}
}

func TestDecode(t *testing.T) {
	tests := []struct{ logged, path string }{
		{"/index.html", "/index.html"},
		{"/a%2520b", "/a%20b"},                   // the viewer sent /a%20b
		{"/a%20b", "/a%20b"},                     // the viewer sent a bare space
		{"/a+b", "/a+b"},                         //
		{"/a%252Bb", "/a%2Bb"},                   // the viewer sent /a%2Bb
		{"/a%2Bb", "/a%2Bb"},                     // the log escapes no +
		{"/what%253F", "/what%3F"},               //
		{"/what%3F", "/what%3F"},                 //
		{"/%25C3%25A9", "/%C3%A9"},               // the viewer sent /%C3%A9
		{"/%25c3%25a9", "/%C3%A9"},               // the viewer sent /%c3%a9
		{"/%C3%A9", "/%C3%A9"},                   // the viewer sent é
		{"/%252541", "/%2541"},                   // the viewer sent /%2541, which is the key %41
		{"/%2541", "/A"},                         // the viewer sent /%41
		{"/%252F", "//"},                         // the viewer sent /%2F
		{"/~me", "/~me"},                         //
		{"/%7Eme", "/~me"},                       // the viewer sent ~
		{"/%257Eme", "/~me"},                     // the viewer sent %7E
		{"/it%27s", "/it's"},                     //
		{"/50%25", "/50%25"},                     // the viewer sent /50%
		{"/50%2525", "/50%25"},                   // the viewer sent /50%25
		{"/50%", "/50%25"},                       // no log has this
		{"/a?b=c", "/a"},                         // some old logs do
		{"/%255B%255D%257B%7D", "/%5B%5D%7B%7D"}, //
	}
	for _, tt := range tests {
		path, _, err := splitURL([]byte(tt.logged), nil)
		if err != nil || path != tt.path {
			t.Errorf("%s is %q, %v, want %q", tt.logged, path, err, tt.path)
		}
	}
}
