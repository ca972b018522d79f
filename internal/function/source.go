package function

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"
)

// imports are the forms in which modules are known to be imported. Names are
// plain identifiers; which modules there are is require's business.
var imports = regexp.MustCompile(`^import\s+(?:\*\s+as\s+)?([A-Za-z_$][\w$]*)\s+from\s*(?:'([\w:]+)'|"([\w:]+)")[ \t]*;?`)

// maxImports is more than there are modules.
const maxImports = 16

// parse reads code, and turns its import statements into calls of require:
// CloudFront Functions are no modules, and import is there for built-in modules
// alone. The parser, which knows no import, says where there is one, so that
// what looks alike in a string or a comment stays. Line breaks are kept.
func parse(name, code string, rt Runtime) (string, *ast.Program, error) {
	for i := 0; ; i++ {
		tree, err := goja.Parse(name, code, parser.WithDisableSourceMaps)
		if err == nil {
			return code, tree, nil
		}
		failed := compileError(name, err)
		changed, ok := withoutImport(code, failed.Line, failed.Column)
		if !ok || rt != JS20 || i == maxImports {
			return "", nil, failed
		}
		code = changed
	}
}

// withoutImport replaces the import statement at a place, if there is one.
func withoutImport(code string, line, column int) (string, bool) {
	start := 0
	for range line - 1 {
		i := strings.IndexByte(code[start:], '\n')
		if i < 0 {
			return "", false
		}
		start += i + 1
	}
	start += column - 1
	if start < 0 || start > len(code) {
		return "", false
	}
	m := imports.FindStringSubmatch(code[start:])
	if m == nil {
		return "", false
	}
	require := fmt.Sprintf("const %s = require('%s');%s", m[1], m[2]+m[3], strings.Repeat("\n", strings.Count(m[0], "\n")))
	return code[:start] + require + code[start+len(m[0]):], true
}
