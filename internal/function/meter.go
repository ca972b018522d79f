package function

import (
	"reflect"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"
)

// The engine can be interrupted, but neither counts what it executes nor what it
// allocates. So the code is made to do that itself: each body of a function or a
// loop counts its statements, and each operation that may grow a string or an
// array shows its result.

// meter changes a tree. Trees share nodes, hence done.
type meter struct {
	done map[any]bool
}

func newMeter() *meter { return &meter{done: make(map[any]bool)} }

// hiddenName cannot be written in JavaScript.
func hiddenName(name string) unistring.String { return unistring.String("freshet " + name) }

func hidden(name string, at file.Idx) *ast.Identifier {
	return &ast.Identifier{Name: hiddenName(name), Idx: at}
}

// short is the length of a literal that may be appended unseen: the limit of
// steps is reached long before such pieces fill the memory.
const short = 16

// statements meters a body and lets it begin with its count.
func (m *meter) statements(list *[]ast.Statement) {
	m.visit(reflect.ValueOf(list).Elem())
	if len(*list) == 0 {
		return
	}
	count := &ast.ExpressionStatement{Expression: counted(len(*list), (*list)[0].Idx0())}
	*list = append([]ast.Statement{count}, *list...)
}

// counted is (steps -= n) < 0 && over().
func counted(n int, at file.Idx) ast.Expression {
	return &ast.BinaryExpression{
		Operator: token.LOGICAL_AND,
		Left: &ast.BinaryExpression{
			Operator:   token.LESS,
			Comparison: true,
			Left: &ast.AssignExpression{
				Operator: token.MINUS,
				Left:     hidden("steps", at),
				Right:    &ast.NumberLiteral{Idx: at, Value: int64(n)},
			},
			Right: &ast.NumberLiteral{Idx: at, Value: int64(0)},
		},
		Right: &ast.CallExpression{Callee: hidden("over", at)},
	}
}

// visit goes through whatever a tree is made of.
func (m *meter) visit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			m.visit(v.Elem())
			m.replace(v)
		}
	case reflect.Pointer:
		if v.IsNil() || v.Type() == reflect.TypeFor[*file.File]() || m.done[v.Interface()] {
			return
		}
		m.done[v.Interface()] = true
		if !m.body(v.Interface()) {
			m.visit(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			m.visit(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			m.visit(v.Index(i))
		}
	}
}

// body meters the nodes that have bodies, and reports whether node was one.
func (m *meter) body(node any) bool {
	switch n := node.(type) {
	case *ast.FunctionLiteral:
		m.visit(reflect.ValueOf(&n.ParameterList))
		m.statements(&n.Body.List)
	case *ast.ArrowFunctionLiteral:
		m.visit(reflect.ValueOf(&n.ParameterList))
		switch b := n.Body.(type) {
		case *ast.BlockStatement:
			m.statements(&b.List)
		case *ast.ExpressionBody:
			m.visit(reflect.ValueOf(&b.Expression).Elem())
			b.Expression = &ast.SequenceExpression{Sequence: []ast.Expression{counted(1, b.Expression.Idx0()), b.Expression}}
		}
	case *ast.ForStatement:
		m.visit(reflect.ValueOf(&n.Initializer).Elem())
		m.visit(reflect.ValueOf(&n.Test).Elem())
		m.visit(reflect.ValueOf(&n.Update).Elem())
		m.loop(&n.Body)
	case *ast.ForInStatement:
		m.visit(reflect.ValueOf(&n.Into).Elem())
		m.visit(reflect.ValueOf(&n.Source).Elem())
		m.loop(&n.Body)
	case *ast.ForOfStatement:
		m.visit(reflect.ValueOf(&n.Into).Elem())
		m.visit(reflect.ValueOf(&n.Source).Elem())
		m.loop(&n.Body)
	case *ast.WhileStatement:
		m.visit(reflect.ValueOf(&n.Test).Elem())
		m.loop(&n.Body)
	case *ast.DoWhileStatement:
		m.visit(reflect.ValueOf(&n.Test).Elem())
		m.loop(&n.Body)
	default:
		return false
	}
	return true
}

// loop gives the loop a body that counts, even if it was a lone statement.
func (m *meter) loop(body *ast.Statement) {
	at := (*body).Idx0()
	list := []ast.Statement{*body}
	if block, ok := (*body).(*ast.BlockStatement); ok {
		list = block.List
	}
	m.visit(reflect.ValueOf(&list).Elem())
	count := &ast.ExpressionStatement{Expression: counted(max(1, len(list)), at)}
	*body = &ast.BlockStatement{LeftBrace: at, List: append([]ast.Statement{count}, list...), RightBrace: (*body).Idx1()}
}

// replace shows the result of an expression that may have grown something.
func (m *meter) replace(v reflect.Value) {
	if v.Type() != reflect.TypeFor[ast.Expression]() || !v.CanSet() {
		return
	}
	e := v.Interface().(ast.Expression)
	if spread, ok := e.(*ast.SpreadElement); ok {
		at := e.Idx0()
		spread.Expression = &ast.CallExpression{Callee: hidden("list", at), LeftParenthesis: at, ArgumentList: []ast.Expression{spread.Expression}, RightParenthesis: at}
		return
	}
	grows := false
	switch e := e.(type) {
	case *ast.BinaryExpression:
		grows = e.Operator == token.PLUS && !isShort(e.Left) && !isShort(e.Right)
	case *ast.AssignExpression:
		grows = e.Operator == token.PLUS && !isShort(e.Right)
	case *ast.TemplateLiteral:
		grows = e.Tag == nil && len(e.Expressions) > 0
	case *ast.ArrayLiteral:
		for _, element := range e.Value {
			_, spread := element.(*ast.SpreadElement)
			grows = grows || spread
		}
	}
	if grows {
		at := e.Idx0()
		v.Set(reflect.ValueOf(&ast.CallExpression{Callee: hidden("grown", at), LeftParenthesis: at, ArgumentList: []ast.Expression{e}, RightParenthesis: at}))
	}
}

func isShort(e ast.Expression) bool {
	switch e := e.(type) {
	case *ast.NumberLiteral:
		return true
	case *ast.StringLiteral:
		return len(e.Value) <= short
	}
	return false
}
