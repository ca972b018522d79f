package function

import (
	"reflect"
	"slices"

	"github.com/dop251/goja/ast"
)

// Choice is where a function may send requests, as far as its code shows: what
// the code does not spell out as a string may be anything. The zero Choice leaves
// requests to the origin of their behavior.
type Choice struct {
	IDs       []string // origins of the distribution that may be selected
	AnyID     bool
	Domains   []string // domain names that an origin may get
	AnyDomain bool
	Paths     []string // origin paths that an origin may get
	AnyPath   bool
}

// None reports whether requests stay with the origin of their behavior.
func (c Choice) None() bool {
	return !c.AnyID && !c.AnyDomain && !c.AnyPath && len(c.IDs)+len(c.Domains)+len(c.Paths) == 0
}

// Or is what either of two functions may do, such as two versions of one.
func (c Choice) Or(o Choice) Choice {
	return Choice{
		IDs: union(c.IDs, o.IDs), AnyID: c.AnyID || o.AnyID,
		Domains: union(c.Domains, o.Domains), AnyDomain: c.AnyDomain || o.AnyDomain,
		Paths: union(c.Paths, o.Paths), AnyPath: c.AnyPath || o.AnyPath,
	}
}

// Within reports whether o may do all that c may.
func (c Choice) Within(o Choice) bool { return reflect.DeepEqual(c.Or(o), o.Or(Choice{})) }

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// The methods that change the origin of a request.
const (
	updateOrigin = "updateRequestOrigin"
	selectOrigin = "selectRequestOriginById"
	originGroup  = "createRequestOriginGroup"
)

// choosing reads a Choice from code. Calls of the methods are read; any other
// mention of a method, or of the module that has them, may be a call with
// anything.
type choosing struct {
	choice   Choice
	seen     map[any]bool
	loose    map[string]int  // mentions of a name that are not accounted for
	bindings map[string]bool // names of the module
}

const moduleName = "cloudfront"

func choiceOf(tree *ast.Program) Choice {
	c := &choosing{seen: make(map[any]bool), loose: make(map[string]int), bindings: make(map[string]bool)}
	c.visit(reflect.ValueOf(tree.Body))
	escapes := c.loose[moduleName] > 0
	for name := range c.bindings {
		escapes = escapes || c.loose[name] > 0
	}
	if escapes || c.loose[selectOrigin] > 0 || c.loose[originGroup] > 0 {
		c.choice.AnyID = true
	}
	if escapes || c.loose[updateOrigin] > 0 {
		c.choice.AnyDomain, c.choice.AnyPath = true, true
	}
	return c.choice.Or(Choice{}) // sorted
}

func (c *choosing) visit(v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			c.visit(v.Elem())
		}
	case reflect.Pointer:
		if v.IsNil() || c.seen[v.Interface()] {
			return
		}
		c.seen[v.Interface()] = true
		c.node(v.Interface())
		if v.Elem().Kind() == reflect.Struct && v.Elem().Type().PkgPath() == reflect.TypeFor[ast.Identifier]().PkgPath() {
			c.visit(v.Elem())
		}
	case reflect.Struct:
		if id, ok := v.Interface().(ast.Identifier); ok {
			c.loose[id.Name.String()]++
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				c.visit(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.visit(v.Index(i))
		}
	}
}

// node accounts for the mentions of names whose meaning is known.
func (c *choosing) node(n any) {
	switch n := n.(type) {
	case *ast.StringLiteral:
		c.loose[n.Value.String()]++
	case *ast.Binding:
		if name, ok := n.Target.(*ast.Identifier); ok && isModule(n.Initializer) {
			c.bindings[name.Name.String()] = true
			c.loose[name.Name.String()]--
			c.loose[moduleName]--
		}
	case *ast.DotExpression:
		if name, ok := n.Left.(*ast.Identifier); ok {
			c.loose[name.Name.String()]--
		} else if isModule(n.Left) {
			c.loose[moduleName]--
		}
	case *ast.CallExpression:
		if dot, ok := n.Callee.(*ast.DotExpression); ok && c.call(dot.Identifier.Name.String(), n.ArgumentList) {
			c.loose[dot.Identifier.Name.String()]--
		}
	}
}

// isModule recognises what an import of the module has become.
func isModule(e ast.Expression) bool {
	call, ok := e.(*ast.CallExpression)
	if !ok || len(call.ArgumentList) != 1 {
		return false
	}
	callee, ok := call.Callee.(*ast.Identifier)
	name, spelled := spelled(call.ArgumentList[0])
	return ok && callee.Name == "require" && spelled && name == moduleName
}

// call reads the arguments of one of the methods, and reports whether it was one.
func (c *choosing) call(method string, args []ast.Expression) bool {
	var first ast.Expression
	if len(args) > 0 {
		first = args[0]
	}
	switch method {
	case selectOrigin:
		c.selected(first)
	case originGroup:
		c.grouped(first)
	case updateOrigin:
		c.updated(first)
	default:
		return false
	}
	return true
}

func (c *choosing) selected(id ast.Expression) {
	if text, ok := spelled(id); ok {
		c.choice.IDs = append(c.choice.IDs, text)
		return
	}
	c.choice.AnyID = true
}

func (c *choosing) grouped(arg ast.Expression) {
	group, ok := properties(arg)
	list, is := group["originIds"].(*ast.ArrayLiteral)
	if !ok || !is {
		c.choice.AnyID = true
		return
	}
	for _, member := range list.Value {
		if fields, ok := properties(member); ok && fields["originId"] != nil {
			member = fields["originId"]
		}
		c.selected(member)
	}
}

func (c *choosing) updated(arg ast.Expression) {
	fields, ok := properties(arg)
	if !ok {
		c.choice.AnyDomain, c.choice.AnyPath = true, true
		return
	}
	if e, given := fields["domainName"]; given {
		if text, ok := spelled(e); ok {
			c.choice.Domains = append(c.choice.Domains, text)
		} else {
			c.choice.AnyDomain = true
		}
	}
	if e, given := fields["originPath"]; given {
		if text, ok := spelled(e); ok {
			c.choice.Paths = append(c.choice.Paths, text)
		} else {
			c.choice.AnyPath = true
		}
	}
}

// spelled returns a string that stands in the code.
func spelled(e ast.Expression) (string, bool) {
	s, ok := e.(*ast.StringLiteral)
	if !ok {
		return "", false
	}
	return s.Value.String(), true
}

// properties returns what an object literal says; ok is false where it is none or
// not all of its names stand there. A shorthand property has a nil value.
func properties(e ast.Expression) (fields map[string]ast.Expression, ok bool) {
	object, ok := e.(*ast.ObjectLiteral)
	if !ok {
		return nil, false
	}
	fields = make(map[string]ast.Expression)
	for _, p := range object.Value {
		switch p := p.(type) {
		case *ast.PropertyKeyed:
			name, literal := spelled(p.Key)
			if !literal || p.Computed {
				return nil, false
			}
			fields[name] = p.Value
		case *ast.PropertyShort:
			fields[p.Name.Name.String()] = nil
		default:
			return nil, false
		}
	}
	return fields, true
}
