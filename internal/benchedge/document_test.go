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
