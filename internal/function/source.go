package function

import (
	"fmt"
	"regexp"
	"strings"
)

// imports are the forms in which modules are known to be imported. Names are
// plain identifiers; which modules there are is require's business.
var imports = regexp.MustCompile(`^import\s+(?:\*\s+as\s+)?([A-Za-z_$][\w$]*)\s+from\s*(?:'([\w:]+)'|"([\w:]+)")[ \t]*;?`)

// requireImports turns the import statements at the top of a function into
// calls of require: CloudFront Functions are no modules, and import is there for
// built-in modules alone. Line breaks are kept, so that lines stay what they
// were.
func requireImports(code string) string {
	var done strings.Builder
	rest := code
	for {
		n := blank(rest)
		done.WriteString(rest[:n])
		rest = rest[n:]
		m := imports.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		statement, name := rest[:m[1]], rest[m[2]:m[3]]
		module := imports.ReplaceAllString(statement, "$2$3")
		fmt.Fprintf(&done, "const %s = require('%s');%s", name, module, strings.Repeat("\n", strings.Count(statement, "\n")))
		rest = rest[m[1]:]
	}
	return done.String() + rest
}

// blank returns the length of the spaces, comments and directives at the
// beginning of code.
func blank(code string) int {
	whole := len(code)
	for {
		before := len(code)
		code = strings.TrimLeft(code, " \t\r\n\v\f\ufeff\u00a0;")
		switch {
		case strings.HasPrefix(code, "//"):
			code = code[lineEnd(code):]
		case strings.HasPrefix(code, "/*"):
			_, after, closed := strings.Cut(code[2:], "*/")
			if !closed {
				return whole
			}
			code = after
		case strings.HasPrefix(code, "'use strict'"), strings.HasPrefix(code, `"use strict"`):
			code = code[len("'use strict'"):]
		}
		if len(code) == before {
			return whole - len(code)
		}
	}
}

func lineEnd(code string) int {
	if i := strings.IndexAny(code, "\r\n"); i >= 0 {
		return i
	}
	return len(code)
}
