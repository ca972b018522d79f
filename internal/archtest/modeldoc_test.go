package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// Every rule of docs/model.md names the tests that hold it, and they exist; or it
// says that the rule is not followed, and why.
func TestModelDocument(t *testing.T) {
	wrong, rows := modelDocument(os.DirFS("../.."), "docs/model.md")
	for _, w := range wrong {
		t.Error(w)
	}
	if rows == 0 {
		t.Error("docs/model.md has no rules")
	}
}

// A document with one mistake of each kind, and the tests that it speaks of.
func TestModelDocumentSeesMistakes(t *testing.T) {
	house := fstest.MapFS{
		"internal/a/a_test.go": {Data: []byte("package a\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) { t.Run(\"sub\\tone\", func(*testing.T) {}) }\n\n" +
			"func TestTwo(t *testing.T) { _ = \"sub\" }\n\nfunc TestGolden(t *testing.T) { t.Run(t.Name(), nil) }\n\nfunc (x) TestMethod(t *testing.T) {}\n")},
		"internal/a/testdata/file.txtar": {Data: []byte("x")},
		"internal/a/b/b.go":              {Data: []byte("package b\n\nfunc TestThree() {}\n")},
		"root_test.go":                   {Data: []byte("package x\n\nfunc TestRoot() {}\n")},
	}
	for row, mistake := range map[string]string{
		"| A rule. | `a.TestOne` |":                          "",
		"| A rule. | `a.TestOne/sub\tone`, `a.TestTwo` |":    "",
		"| A rule. | `a.TestGolden/file` |":                  "",
		"| A rule. | `freshet.TestRoot` |":                   "",
		"| A rule. | not followed: it cannot be known |":     "",
		"| A rule. | `a.TestOther` |":                        "there is no TestOther in internal/a",
		"| A rule. | `a.TestOne`, `a.TestOther` |":           "there is no TestOther in internal/a",
		"| A rule. | `a.TestMethod` |":                       "there is no TestMethod in internal/a",
		"| A rule. | `a/b.TestThree` |":                      "there is no TestThree in internal/a/b",
		"| A rule. | `a.TestOne/other` |":                    `TestOne in internal/a has no subtest "other"`,
		"| A rule. | `a.TestTwo/sub` |":                      `TestTwo in internal/a has no subtest "sub"`,
		"| A rule. | `a.TestGolden/other` |":                 `TestGolden in internal/a has no subtest "other"`,
		"| A rule. | |":                                      "names no test",
		"| A rule. | someday |":                              "names no test",
		"| A rule. | not followed: |":                        "says not why",
		"| A rule. |":                                        "2 cells",
		"| | `a.TestOne` |":                                  "no rule",
		"| A rule. | `a.TestOne` and `TestTwo` |":            "names no test",
		"| A rule. | `a.TestOne` | `a.TestTwo` |":            "2 cells",
		"| A rule. | not followed: see `a.TestOther` here |": "there is no TestOther in internal/a",
	} {
		house["m.md"] = &fstest.MapFile{Data: []byte("# T\n\n| Rule | Test |\n| --- | --- |\n" + row + "\n\nText.\n")}
		wrong, rows := modelDocument(house, "m.md")
		if got := strings.Join(wrong, "\n"); rows != 1 || (got == "") != (mistake == "") || !strings.Contains(got, mistake) {
			t.Errorf("%s: %d rows, %q, want %q", row, rows, got, mistake)
		}
	}
}

// modelDocument returns what is wrong with the tables of a document, a sentence
// each, and how many rules they hold.
func modelDocument(root fs.FS, name string) (wrong []string, rows int) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return []string{err.Error()}, 0
	}
	known := make(map[string]tests)
	header := true
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "|") {
			header = true
			continue
		}
		if header || strings.HasPrefix(line, "| ---") {
			header = false
			continue
		}
		rows++
		for _, w := range modelRow(root, line, known) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s", name, i+1, w))
		}
	}
	return wrong, rows
}

var (
	reference = regexp.MustCompile("`([a-z0-9/]+)\\.(Test\\w+)(?:/([^`]+))?`")
	quoted    = regexp.MustCompile("`[^`]*`")
)

// modelRow returns what is wrong with one rule.
func modelRow(root fs.FS, line string, known map[string]tests) (wrong []string) {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	if len(cells) != 2 {
		return []string{fmt.Sprintf("%d cells, want 2 cells", len(cells))}
	}
	rule, held := strings.TrimSpace(cells[0]), strings.TrimSpace(cells[1])
	if rule == "" {
		return []string{"there is no rule"}
	}
	found := reference.FindAllStringSubmatch(held, -1)
	why, not := strings.CutPrefix(held, "not followed:")
	switch {
	case not && strings.TrimSpace(why) == "":
		return []string{rule + " is not followed, but it says not why"}
	case !not && (len(found) == 0 || len(found) != len(quoted.FindAllString(held, -1))):
		return []string{rule + " names no test"}
	}
	for _, f := range found {
		if w := missing(root, f[1], f[2], f[3], known); w != "" {
			wrong = append(wrong, rule+": "+w)
		}
	}
	return wrong
}

// tests are those of one folder by name, each with the strings in its body; nil
// where it has no subtests.
type tests map[string]map[string]bool

// missing says what of a test is not there.
func missing(root fs.FS, room, test, sub string, known map[string]tests) string {
	dir := path.Join("internal", room)
	if room == "freshet" {
		dir = "."
	}
	if known[dir] == nil {
		known[dir] = testsIn(root, dir)
	}
	words, ok := known[dir][test]
	if !ok {
		return fmt.Sprintf("there is no %s in %s", test, dir)
	}
	if sub == "" || words[sub] {
		return ""
	}
	if _, err := fs.Stat(root, path.Join(dir, "testdata", sub+".txtar")); err == nil && words != nil {
		return ""
	}
	return fmt.Sprintf("%s in %s has no subtest %q", test, dir, sub)
}

func testsIn(root fs.FS, dir string) tests {
	found := make(tests)
	files, _ := fs.Glob(root, path.Join(dir, "*_test.go")) // the pattern is well-formed
	for _, name := range files {
		source, err := fs.ReadFile(root, name)
		if err != nil {
			continue // the tests in it are then missing
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Body != nil {
				found[fn.Name.Name] = subtests(fn)
			}
		}
	}
	return found
}

// subtests are the strings in a function that runs subtests, among which their
// names are; nil if it runs none.
func subtests(fn *ast.FuncDecl) map[string]bool {
	words, runs := make(map[string]bool), false
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				words[s] = true
			}
		case *ast.SelectorExpr:
			runs = runs || n.Sel.Name == "Run"
		}
		return true
	})
	if !runs {
		return nil
	}
	return words
}
