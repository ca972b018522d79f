// Package archtest holds the house to its plan: which package may import
// which, and a few rules that every file keeps. It reads files rather than
// asking the go command, so a test of it is never answered from a stale cache.
package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Kind says what a room may do.
type Kind int

// The kinds of rooms.
const (
	Rim  Kind = iota // may talk to the world, with any module's help
	Pure             // the standard library only, and of that nothing that reaches outside
	Door             // is imported by nobody but the doors it names
)

// Room is one package: a line of the table. Folders are relative to the
// module's root, which is "."; "a/*" stands for every folder right below a, and
// "*" for every room.
type Room struct {
	Dir   string
	Kind  Kind
	May   []string // rooms it may import
	Not   []string // exceptions from May
	Doors []string // of a Door: the doors that may import it
}

// Check holds the Go files below root to the table and returns a sentence for
// each violation, sorted. Folders named testdata, and those whose names begin
// with a dot or an underscore, are left out, as the go command does.
func Check(root fs.FS, module string, house []Room) ([]string, error) {
	c := &checker{module: module, house: make(map[string]Room), imports: make(map[string]map[string]bool)}
	for _, r := range house {
		c.house[r.Dir] = r
	}
	if err := fs.WalkDir(root, ".", c.visit(root)); err != nil {
		return nil, fmt.Errorf("read the house: %w", err)
	}
	c.rooms()
	c.depth()
	slices.Sort(c.violations)
	return slices.Compact(c.violations), nil
}

type checker struct {
	module     string
	house      map[string]Room
	imports    map[string]map[string]bool // within the module, by folder
	violations []string
}

func (c *checker) violated(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

func (c *checker) visit(root fs.FS) fs.WalkDirFunc {
	return func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (d.Name() == "testdata" || strings.ContainsRune("._", rune(d.Name()[0]))):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return c.file(name, source)
	}
}

// file checks what can be said of one file alone, and notes its imports.
func (c *checker) file(name string, source []byte) error {
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	lines := fset.File(parsed.FileStart).LineCount()
	if lines > maxFileLines {
		c.violated("%s has %d lines: at most %d, so take it apart", name, lines, maxFileLines)
	}
	if strings.HasSuffix(name, "_test.go") {
		return nil
	}
	pkg := parsed.Name.Name
	if pkg == "main" && lines > maxMainLines {
		c.violated("%s has %d lines: a main has at most %d, the rest belongs into internal/cli", name, lines, maxMainLines)
	}
	if emptyNames[pkg] {
		c.violated("%s: package %s says nothing about what is in it", name, pkg)
	}
	c.noInit(name, parsed)
	c.noteImports(name, parsed)
	return nil
}

func (c *checker) noInit(name string, f *ast.File) {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			c.violated("%s has an init function: let the caller call what it does", name)
		}
	}
}

func (c *checker) noteImports(name string, f *ast.File) {
	dir := path.Dir(name)
	if c.imports[dir] == nil {
		c.imports[dir] = make(map[string]bool)
	}
	pure := c.house[dir].Kind == Pure
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has complained already
		}
		inside, own := c.inside(imported)
		switch {
		case own:
			c.imports[dir][inside] = true
		case pure && strings.Contains(strings.Split(imported, "/")[0], "."):
			c.violated("%s imports %s: a pure room needs the standard library only", name, imported)
		case pure && isWorldly(imported):
			c.violated("%s imports %s: a pure room does not reach outside", name, imported)
		}
	}
	if pure {
		c.noWorldlyCalls(name, f)
	}
}

// inside returns the folder of an import of our own.
func (c *checker) inside(imported string) (dir string, own bool) {
	if imported == c.module {
		return ".", true
	}
	return strings.CutPrefix(imported, c.module+"/")
}

func isWorldly(imported string) bool {
	return !gentle[imported] && slices.ContainsFunc(worldly, func(w string) bool {
		return imported == w || strings.HasPrefix(imported, w+"/")
	})
}

// noWorldlyCalls looks for functions by name, used in any way: a pure room that
// keeps time.Now in a variable has a clock, too.
func (c *checker) noWorldlyCalls(name string, f *ast.File) {
	local := make(map[string]string) // name in this file → package
	for _, spec := range f.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if worldlyCalls[imported] == nil {
			continue
		}
		local[imported] = imported
		if spec.Name != nil {
			delete(local, imported)
			local[spec.Name.Name] = imported
		}
		if spec.Name != nil && spec.Name.Name == "." {
			c.violated("%s imports %s without its name, so nobody can see what of it is called", name, imported)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(worldlyCalls[local[x.Name]], sel.Sel.Name) {
			c.violated("%s uses %s.%s: a pure room is given the time and writes nothing", name, local[x.Name], sel.Sel.Name)
		}
		return true
	})
}

// rooms checks the imports within the module against the table.
func (c *checker) rooms() {
	for _, dir := range slices.Sorted(maps.Keys(c.imports)) {
		room, known := c.house[dir]
		if !known {
			c.violated("%s is not in the table: add it to House in internal/archtest, with what it may import", dir)
			continue
		}
		for imported := range c.imports[dir] {
			c.room(room, imported)
		}
	}
	for dir := range c.house {
		if c.imports[dir] == nil {
			c.violated("%s is in the table, but not in the house: remove its line from House in internal/archtest", dir)
		}
	}
}

func (c *checker) room(room Room, imported string) {
	door := c.house[imported].Kind == Door
	switch {
	case door && !slices.Contains(c.house[imported].Doors, room.Dir):
		c.violated("%s imports %s, which is a door: only %s may", room.Dir, imported, orNobody(c.house[imported].Doors))
	case !matches(room.May, imported) || matches(room.Not, imported):
		c.violated("%s imports %s, which its line in House does not allow", room.Dir, imported)
	}
}

func orNobody(doors []string) string {
	return cmp.Or(strings.Join(doors, " and "), "nobody")
}

func matches(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if below, ok := strings.CutSuffix(p, "/*"); ok {
			return path.Dir(dir) == below
		}
		return p == "*" || p == dir
	})
}

// depth finds the longest chain of imports, and cycles, which Go would find
// too, but only where both ends are built together.
func (c *checker) depth() {
	longest := make(map[string][]string)
	for _, dir := range slices.Sorted(maps.Keys(c.imports)) {
		if chain := c.chain(dir, nil, longest); len(chain) > maxDepth {
			c.violated("imports are %d deep, at most %d: %s", len(chain), maxDepth, strings.Join(chain, " → "))
		}
	}
}

// chain returns the longest way from dir on. way is how dir was reached.
func (c *checker) chain(dir string, way []string, longest map[string][]string) []string {
	if i := slices.Index(way, dir); i >= 0 {
		c.violated("imports go in a circle: %s → %s", strings.Join(way[i:], " → "), dir)
		return nil
	}
	if found, done := longest[dir]; done {
		return found
	}
	var best []string
	for _, imported := range slices.Sorted(maps.Keys(c.imports[dir])) {
		if chain := c.chain(imported, append(slices.Clone(way), dir), longest); len(chain) > len(best) {
			best = chain
		}
	}
	longest[dir] = append([]string{dir}, best...)
	return longest[dir]
}
