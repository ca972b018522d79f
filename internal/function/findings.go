package function

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"
)

// Finding is a use of what the runtime is not documented to have: the code runs
// here and may fail on CloudFront. Line and Column are 1-based.
type Finding struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`

	refused bool // known to be a syntax error there
}

func (f Finding) String() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Message) }

// examination looks at code without changing it.
type examination struct {
	runtime  Runtime
	file     *file.File
	seen     map[any]bool
	findings []Finding
	alone    bool // it seems to change what all runs of a machine share
	handler  bool // the name occurs
}

// examine goes through a program.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-javascript-runtime-20.html
func examine(tree *ast.Program, rt Runtime) *examination {
	x := &examination{runtime: rt, file: tree.File, seen: make(map[any]bool)}
	x.visit(reflect.ValueOf(tree.Body))
	slices.SortStableFunc(x.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	x.findings = slices.Compact(x.findings)
	return x
}

func (x *examination) visit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			x.visit(v.Elem())
		}
	case reflect.Pointer:
		if v.IsNil() || v.Type() == reflect.TypeFor[*file.File]() || x.seen[v.Interface()] {
			return
		}
		x.seen[v.Interface()] = true
		if node, ok := v.Interface().(ast.Node); ok {
			x.syntax(node)
			x.shared(node)
		}
		x.visit(v.Elem())
	case reflect.Struct:
		if id, ok := v.Interface().(ast.Identifier); ok {
			x.handler = x.handler || id.Name == "handler"
		}
		for i := range v.NumField() {
			x.visit(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			x.visit(v.Index(i))
		}
	}
}

func (x *examination) found(at ast.Node, what string) {
	p := x.file.Position(int(at.Idx0()) - x.file.Base())
	x.findings = append(x.findings, Finding{
		Line: p.Line, Column: p.Column,
		Message: fmt.Sprintf("%s: not among the documented features of %s", what, x.runtime),
	})
}

// refuse is found for what is documented not to work.
func (x *examination) refuse(at ast.Node, what string) {
	p := x.file.Position(int(at.Idx0()) - x.file.Base())
	x.findings = append(x.findings, Finding{Line: p.Line, Column: p.Column, refused: true, Message: fmt.Sprintf("%s is not supported by %s", what, x.runtime)})
}

func (x *examination) syntax(node ast.Node) {
	switch n := node.(type) {
	case *ast.ClassLiteral:
		x.found(n, "class")
	case *ast.ForOfStatement:
		x.found(n, "for…of")
	case *ast.ArrayPattern:
		x.found(n, "destructuring")
		if n.Rest != nil {
			x.refuse(n, "a rest element in destructuring")
		}
	case *ast.ObjectPattern:
		x.found(n, "destructuring")
	case *ast.SpreadElement:
		x.found(n, "spread syntax")
	case *ast.OptionalChain:
		x.found(n, "optional chaining (?.)")
	case *ast.FunctionLiteral:
		x.function(n, n.ParameterList, n.Async, n.Generator)
	case *ast.ArrowFunctionLiteral:
		x.function(n, n.ParameterList, n.Async, false)
	case *ast.BinaryExpression:
		if n.Operator == token.COALESCE {
			x.found(n, "nullish coalescing (??)")
		}
	case *ast.CallExpression:
		x.arguments(n)
		if isLog(n.Callee) && len(n.ArgumentList) > 1 {
			x.found(n, "console.log with several arguments")
		}
	case *ast.LexicalDeclaration:
		if x.runtime == JS10 {
			x.refuse(n, n.Token.String())
		}
	case *ast.ForLoopInitializerLexicalDecl, *ast.ForDeclaration:
		if x.runtime == JS10 {
			x.refuse(n, "let or const")
		}
	}
}

// isLog recognises console.log.
func isLog(callee ast.Expression) bool {
	dot, ok := callee.(*ast.DotExpression)
	if !ok || dot.Identifier.Name != "log" {
		return false
	}
	console, ok := dot.Left.(*ast.Identifier)
	return ok && console.Name == "console"
}

func (x *examination) function(n ast.Node, parameters *ast.ParameterList, async, generator bool) {
	if generator {
		x.found(n, "generator")
	}
	if async && x.runtime == JS10 {
		x.refuse(n, "async")
	}
	for _, p := range parameters.List {
		if p.Initializer != nil {
			x.found(p.Target, "default value of a parameter")
		}
	}
}

// arguments finds await in arguments, which CloudFront accepts when a function
// is created and answers with a syntax error when it runs, and async closures
// that are handed on.
func (x *examination) arguments(call *ast.CallExpression) {
	for _, a := range call.ArgumentList {
		if at := awaits(reflect.ValueOf(a)); at != nil {
			x.refuse(at, "await in arguments")
		}
		switch a := a.(type) {
		case *ast.ArrowFunctionLiteral:
			if a.Async {
				x.found(a, "async function as an argument")
			}
		case *ast.FunctionLiteral:
			if a.Async {
				x.found(a, "async function as an argument")
			}
		}
	}
}

// awaits returns an await in an expression, but not within a function there.
func awaits(v reflect.Value) ast.Node {
	switch v.Kind() {
	case reflect.Interface:
		return awaits(v.Elem())
	case reflect.Pointer:
		switch n := v.Interface().(type) {
		case *ast.AwaitExpression:
			return n
		case *ast.FunctionLiteral, *ast.ArrowFunctionLiteral, *ast.ClassLiteral:
			return nil
		}
		return awaits(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if n := awaits(v.Field(i)); n != nil {
				return n
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if n := awaits(v.Index(i)); n != nil {
				return n
			}
		}
	}
	return nil
}

// shared notes what would change the objects that all runs share: an assignment
// below a prototype or the global object, or a call that defines or copies
// properties onto one.
func (x *examination) shared(node ast.Node) {
	switch n := node.(type) {
	case *ast.Identifier:
		x.alone = x.alone || n.Name == "globalThis" || n.Name == "global"
	case *ast.ThisExpression:
		// Harmless: strict functions have no global this.
	case *ast.AssignExpression:
		x.alone = x.alone || below(n.Left)
	case *ast.CallExpression:
		callee, ok := n.Callee.(*ast.DotExpression)
		if ok && len(n.ArgumentList) > 0 && slices.Contains([]string{"assign", "defineProperty", "defineProperties", "setPrototypeOf"}, string(callee.Identifier.Name)) {
			x.alone = x.alone || isShared(n.ArgumentList[0])
		}
	}
}

// below reports whether an assignment's target is a property of what is shared.
func below(target ast.Expression) bool {
	switch t := target.(type) {
	case *ast.DotExpression:
		return isShared(t.Left)
	case *ast.BracketExpression:
		return isShared(t.Left)
	}
	return false
}

// isShared recognises Array.prototype, x.__proto__ and the runtime's own objects
// by their names. The prototype of what the code itself defines is its own.
func isShared(e ast.Expression) bool {
	switch e := e.(type) {
	case *ast.DotExpression:
		if _, named := e.Left.(*ast.Identifier); named && e.Identifier.Name == "prototype" {
			return isShared(e.Left)
		}
		return e.Identifier.Name == "prototype" || e.Identifier.Name == "__proto__"
	case *ast.BracketExpression:
		s, ok := e.Member.(*ast.StringLiteral)
		return ok && (s.Value == "prototype" || s.Value == "__proto__")
	case *ast.Identifier:
		return slices.Contains([]string{
			"Object", "Array", "String", "Number", "Boolean", "Math", "JSON", "Date", "RegExp", "Promise", "Symbol",
			"Function", "Buffer", "Error", "TypeError", "RangeError", "Uint8Array", "console", "crypto", "querystring",
		}, string(e.Name))
	}
	return false
}
