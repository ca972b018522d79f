package s3event

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/freshet/freshet/internal/source/batch"
)

var update = flag.Bool("update", false, "write what was read into testdata")

// A case is a file in testdata: a comment that says what it shows, the input,
// and what is read from it. A file named dialect sets Options.Dialect.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases in testdata: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { runCase(t, name) })
	}
}

func runCase(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Comment) == 0 {
		t.Error("the case does not say what it shows")
	}
	var opts Options
	var input, want []byte
	wantAt := -1
	for i, f := range archive.Files {
		switch f.Name {
		case "dialect":
			opts.Dialect = Dialect(strings.TrimSpace(string(f.Data)))
		case "input":
			input = f.Data
		case "want":
			want, wantAt = f.Data, i
		default:
			t.Fatalf("file %q has no meaning here", f.Name)
		}
	}
	got := render(Parse(input, opts))
	switch {
	case got == string(want):
	case *update && wantAt >= 0:
		archive.Files[wantAt].Data = []byte(got)
	case *update:
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
	default:
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// render writes a result one line to a record, leaving out what is empty.
func render(res batch.Result, err error) string {
	var b strings.Builder
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	for _, c := range res.Changes {
		fmt.Fprintf(&b, "%s: %s %s %q", c.At, c.Op, c.Origin, c.Key)
		for _, field := range [...]struct{ name, text string }{
			{"sequencer", string(c.Sequencer)}, {"version", c.Version}, {"etag", c.ETag},
		} {
			if field.text != "" {
				fmt.Fprintf(&b, " %s=%s", field.name, field.text)
			}
		}
		if c.Size != 0 {
			fmt.Fprintf(&b, " size=%d", c.Size)
		}
		fmt.Fprintf(&b, " time=%s (%s)\n", c.Time.Format(time.RFC3339Nano), c.Cause)
	}
	for _, s := range res.Skipped {
		fmt.Fprintf(&b, "%s: skipped %s: %s\n", s.At, s.Event, s.Reason)
	}
	for _, p := range res.Problems {
		fmt.Fprintf(&b, "problem: %v\n", p)
	}
	if ids := res.Unread(); len(ids) > 0 {
		fmt.Fprintf(&b, "unread: %s\n", strings.Join(ids, " "))
	}
	return b.String()
}
