package listing

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

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// TestGolden reads each case in testdata: the comment of the archive has the
// options, "listing" is what is read, "manifest.json" goes with an inventory and
// "want" is what comes out.
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

// golden reads the listing as it is, compressed and byte by byte, which all have
// to come to the same.
func golden(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	o := options(t, archive)
	text := part(archive, "listing")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	got := show(Read(strings.NewReader(text), o))
	if again := show(Read(&zipped, o)); again != got {
		t.Errorf("compressed it is\n%s\nbut plain\n%s", again, got)
	}
	if again := show(Read(iotest.OneByteReader(strings.NewReader(text)), o)); again != got {
		t.Errorf("byte by byte it is\n%s\nbut at once\n%s", again, got)
	}
	return got
}

func options(t *testing.T, archive *txtar.Archive) (o Options) {
	t.Helper()
	for line := range strings.Lines(string(archive.Comment)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch name {
		case "format":
			o.Format = Format(value)
		case "bucket":
			o.Bucket = value
		}
	}
	if manifest := part(archive, "manifest.json"); manifest != "" {
		m, err := ReadManifest(strings.NewReader(manifest))
		if err != nil {
			t.Fatal(err)
		}
		o.Columns = m.Columns
	}
	return o
}

func show(l *Listing) string {
	var b strings.Builder
	for o, err := range l.Objects() {
		if err != nil {
			fmt.Fprintf(&b, "error: %v\n", err)
			continue
		}
		fmt.Fprintf(&b, "%q %q %d", o.Bucket, o.Key, o.Size)
		if o.Tags != nil {
			fmt.Fprintf(&b, " %q", o.Tags)
		}
		if o.Counted {
			fmt.Fprintf(&b, ", %d requests", o.Requests)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "format %s, skipped %+v\n", l.Format(), l.Skipped())
	return b.String()
}

func TestStopsWhenAsked(t *testing.T) {
	for format, text := range map[Format]string{
		S3JSON: `{"Contents":[{"Key":"a"},{"Key":"b"}]}`, S3LS: "2026-01-02 03:04:05          1 a\n2026-01-02 03:04:05          1 b\n",
		Inventory: "\"s\",\"a\",\"1\"\n\"s\",\"b\",\"1\"\n", JSONLines: "{\"key\":\"a\"}\n{\"key\":\"b\"}\n", SizedKeys: "1\ta\n1\tb\n", Keys: "a\nb\n",
	} {
		l := Read(strings.NewReader(text), Options{})
		n := 0
		for range l.Objects() {
			n++
			break
		}
		if n != 1 || l.Format() != format {
			t.Errorf("%s (%s): %d objects", format, l.Format(), n)
		}
	}
}

// The reader's own error is never taken for the end of a listing.
func TestReadError(t *testing.T) {
	broken := fmt.Errorf("broken: %w", io.ErrUnexpectedEOF)
	for _, text := range []string{"", "{", `{"Contents":[{"Key":"a"},`, `{"Contents":[]}`, "a\n", "a", "\"s\",\"a\",\"1\"\n", "2026-01-02 03:04:05          1 a\n", "[", "1\ta"} {
		var last error
		for _, err := range Read(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), Options{}).Objects() {
			last = err
		}
		if !errors.Is(last, broken) {
			t.Errorf("%q ends with %v", text, last)
		}
		for _, err := range Read(io.MultiReader(strings.NewReader(text), iotest.ErrReader(fmt.Errorf("lost: %w", io.EOF))), Options{}).Objects() {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), "lost") {
			t.Errorf("%q whose connection is lost ends with %v", text, last)
		}
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	key := strings.Repeat("k", MaxKeyLength)
	tests := []struct{ name, text, want string }{
		{"line", "a\n" + long + "\nb\n", `error: line 2: the line is longer than 1048576 bytes`},
		{"longest key", key + "\n", key},
		{"key", key + "k\n", "error: line 1: key \"" + key[:80] + "…\" has 1025 bytes, at most 1024 are allowed"},
		{"key in JSON", `{"Contents":[{"Key":"` + key + `k"}]}`, "error: record 1: key"},
		{"value in JSON", `{"Contents":[{"Key":"` + long + long + `"}]}`, "a value is longer than 1048576 bytes"},
		{"name in JSON", `{"` + long + long + `":1}`, "a value is longer than 1048576 bytes"},
		{"depth in JSON", `{"Contents":[],"Owner":` + strings.Repeat("[", 1<<16) + strings.Repeat("]", 1<<16) + "}", "format s3-json"},
		{"skipped values have no limit", `{"Contents":[],"Prefix":[` + strings.Repeat(`"some value",`, 1<<17) + `""]}`, "format s3-json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := show(Read(strings.NewReader(tt.text), Options{})); !strings.Contains(got, tt.want) {
				t.Errorf("got %.300s, want %q", got, tt.want)
			}
		})
	}
}

func TestUnknownFormat(t *testing.T) {
	if got := show(Read(strings.NewReader("a"), Options{Format: "xml"})); !strings.Contains(got, `there is no format "xml": use one of s3-json, s3-ls`) {
		t.Error(got)
	}
	if f, err := ParseFormat("xml"); err == nil || f != Auto {
		t.Errorf("%q, %v", f, err)
	}
	for _, f := range append(Formats(), Auto) {
		if got, err := ParseFormat(string(f)); err != nil || got != f {
			t.Errorf("%q is %q, %v", f, got, err)
		}
	}
}

func TestReadManifest(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"ORC", `{"fileFormat":"ORC","fileSchema":"struct<bucket:string,key:string>"}`, `in "ORC", only CSV`},
		{"none", `{"Contents":[]}`, `in "", only CSV`},
		{"no JSON", `x`, "invalid character"},
		{"no key", `{"fileFormat":"CSV","fileSchema":"Bucket, Size"}`, "no column Key"},
		{"too long", `"` + strings.Repeat("x", 17<<20), "longer than"},
	}
	for _, tt := range tests {
		if _, err := ReadManifest(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	m, err := ReadManifest(strings.NewReader(`{"sourceBucket":"site","fileFormat":"CSV","fileSchema":"Bucket, Key, Size","files":[{"key":"i/1.csv.gz","size":7,"MD5checksum":"00"}]}`))
	if err != nil || m.Bucket != "site" || !slices.Equal(m.Columns, []string{"Bucket", "Key", "Size"}) || len(m.Files) != 1 || m.Files[0] != (InventoryFile{"i/1.csv.gz", 7, "00"}) {
		t.Errorf("%+v, %v", m, err)
	}
}
