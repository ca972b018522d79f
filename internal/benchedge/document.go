package benchedge

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// chapter is what one case comes to.
type chapter struct {
	title string
	text  string // Markdown, without the title
	rows  []row  // of the table of what matters
}

// row is one line of the table of what matters: a figure of ours and those of the
// others.
type row struct{ what, ours, others string }

// document is the report: a preface, the table of what matters, and a chapter for
// each case. What a run did not measure stays as an earlier one has written it.
type document struct {
	preface  string
	rows     []row
	chapters []chapter
}

const (
	shortTitle = "In short"
	shortHead  = "| what | freshet | the others |\n|---|---|---|\n"
)

// readDocument returns an empty document for a file that is not there.
func readDocument(path string) (document, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return document{}, nil
	}
	if err != nil {
		return document{}, fmt.Errorf("read the last report: %w", err)
	}
	return parseDocument(string(text)), nil
}

func parseDocument(text string) (d document) {
	parts := strings.Split("\n"+text, "\n## ")
	d.preface = strings.Trim(parts[0], "\n") + "\n"
	for _, part := range parts[1:] {
		title, body, _ := strings.Cut(part, "\n")
		if body = strings.Trim(body, "\n") + "\n"; title == shortTitle {
			d.rows = parseRows(body)
			continue
		}
		d.chapters = append(d.chapters, chapter{title: title, text: body})
	}
	return d
}

func parseRows(table string) (rows []row) {
	for line := range strings.Lines(strings.TrimPrefix(table, shortHead)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) == 3 {
			rows = append(rows, row{cells[0], cells[1], cells[2]})
		}
	}
	return rows
}

// of reports whether the row is of the chapter with that title, which it begins
// with.
func (r row) of(title string) bool {
	return r.what == title || strings.HasPrefix(r.what, title+": ")
}

// take puts a chapter that was measured, and its rows, in the place of its
// predecessor.
func (d *document) take(c chapter) {
	d.rows = append(slices.DeleteFunc(d.rows, func(r row) bool { return r.of(c.title) }), c.rows...)
	at := slices.IndexFunc(d.chapters, func(old chapter) bool { return old.title == c.title })
	if at < 0 {
		d.chapters = append(d.chapters, c)
		return
	}
	d.chapters[at] = c
}

// arrange brings the chapters and their rows into the order of titles, and drops
// those of other titles.
func (d *document) arrange(titles []string) {
	ofChapter := func(c chapter) int { return slices.Index(titles, c.title) }
	ofRow := func(r row) int { return slices.IndexFunc(titles, r.of) }
	d.chapters = slices.DeleteFunc(d.chapters, func(c chapter) bool { return ofChapter(c) < 0 })
	d.rows = slices.DeleteFunc(d.rows, func(r row) bool { return ofRow(r) < 0 })
	slices.SortStableFunc(d.chapters, func(a, b chapter) int { return ofChapter(a) - ofChapter(b) })
	slices.SortStableFunc(d.rows, func(a, b row) int { return ofRow(a) - ofRow(b) })
}

// short is the table of what matters.
func (d *document) short() string {
	var text strings.Builder
	text.WriteString(shortHead)
	for _, r := range d.rows {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", r.what, r.ours, r.others)
	}
	return text.String()
}

func (d *document) String() string {
	var text strings.Builder
	text.WriteString(d.preface)
	if len(d.rows) > 0 {
		fmt.Fprintf(&text, "\n## %s\n\n%s", shortTitle, d.short())
	}
	for _, c := range d.chapters {
		fmt.Fprintf(&text, "\n## %s\n\n%s", c.title, c.text)
	}
	return text.String()
}

// The marks in another file between which the table of what matters is put.
const (
	tableBegins = "<!-- bench-edge -->\n"
	tableEnds   = "<!-- /bench-edge -->\n"
)

// insertTable puts the table between the marks of a file, which it must have.
func insertTable(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read where the table goes: %w", err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("put the table into %s: it has no %q followed by %q", path, strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	if err := os.WriteFile(path, []byte(before+tableBegins+table+tableEnds+after), 0o600); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}
