package benchedge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A run of some cases leaves what an earlier run has said of the others.
func TestDocumentKeepsWhatWasNotMeasured(t *testing.T) {
	d := document{preface: "# The edge\n\nOld.\n"}
	d.take(chapter{"b", "| b | 1 |\n", []row{{"b: hits", "5.1 us", "nginx 1.50"}}})
	d.take(chapter{"a", "A.\n", []row{{"a", "1", "2"}}})
	d.take(chapter{"gone", "no case any more\n", []row{{"gone", "1", "2"}}})
	written := d.String()

	next := parseDocument(written)
	next.preface = "# The edge\n\nNew.\n"
	next.take(chapter{"c", "C.\n", nil})
	next.take(chapter{"b", "| b | 2 |\n", []row{{"b: hits", "4.9 us", "nginx 1.60"}}})
	next.arrange([]string{"a", "b", "c"})
	const want = `# The edge

New.

## In short

| what | freshet | the others |
|---|---|---|
| a | 1 | 2 |
| b: hits | 4.9 us | nginx 1.60 |

## a

A.

## b

| b | 2 |

## c

C.
`
	if got := next.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := parseDocument(want); again.String() != want {
		t.Errorf("read and written again it is\n%s", again.String())
	}
}

func TestInsertTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n<!-- bench-edge -->\nold\nold\n<!-- /bench-edge -->\nafter\n")
	for range 2 {
		if err := insertTable(path, "| new |\n"); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != "before\n<!-- bench-edge -->\n| new |\n<!-- /bench-edge -->\nafter\n" {
			t.Errorf("%s", got)
		}
	}
	write("before\n<!-- bench-edge -->\nnever closed\n")
	if err := insertTable(path, "x"); err == nil || !strings.Contains(err.Error(), "has no") {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "before\n<!-- bench-edge -->\nnever closed\n" {
		t.Errorf("it was changed all the same: %s", got)
	}
}

func TestHitRatioChapter(t *testing.T) {
	c, err := hitRatioChapter(`goos: linux
BenchmarkHitRatio/Zipf_0.9,_a_tenth/S3-FIFO-2         	       1	 613123 ns/op	        51.20 %bytes	        60.26 %objects
BenchmarkHitRatio/Zipf_0.9,_a_tenth/LRU-2             	       1	 413123 ns/op	        41.00 %bytes	        50.00 %objects
BenchmarkHitRatio/scans/S3-FIFO                       	       1	 613123 ns/op	        31.20 %bytes	        40.26 %objects
PASS
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| trace | S3-FIFO | LRU |\n|---|---|---|\n", "| Zipf 0.9, a tenth | 60.3 (51.2) | 50.0 (41.0) |\n", "| scans | 40.3 (31.2) |"} {
		if !strings.Contains(c.text, want) {
			t.Errorf("no %q in\n%s", want, c.text)
		}
	}
	if want := (row{"Hit ratio: Zipf 0.9, a tenth", "S3-FIFO 60.3 %", "LRU 50.0 %"}); len(c.rows) != 2 || c.rows[0] != want {
		t.Errorf("%v", c.rows)
	}
	if _, err := hitRatioChapter("PASS\n"); err == nil {
		t.Error("a benchmark that says nothing is a table")
	}
}
