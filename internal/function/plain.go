package function

import (
	"errors"

	"github.com/dop251/goja"
)

// What the engine's own functions are given is looked at before they run. So it
// must not be able to become something else in between: an object that is 3 the
// first time it is asked for a number and 1e9 the second, a list whose length is
// computed, an iterator that goes on for ever without a line of the function's
// own code, in which nothing could end it.

// simple makes texts of objects; numbers are those of the arguments that are
// made numbers.
func (m *machine) simple(numbers ...int) func(*goja.FunctionCall) {
	return func(c *goja.FunctionCall) {
		if o, ok := c.This.(*goja.Object); ok {
			c.This = o.ToString()
		}
		for i, a := range c.Arguments {
			o, ok := a.(*goja.Object)
			switch {
			case !ok:
			case contains(numbers, i):
				c.Arguments[i] = o.ToNumber()
			default:
				c.Arguments[i] = o.ToString()
			}
		}
	}
}

func contains(numbers []int, n int) bool {
	for _, number := range numbers {
		if number == n {
			return true
		}
	}
	return false
}

// simpleText makes a text of one argument, unless it is a function.
func simpleText(i int) func(*goja.FunctionCall) {
	return func(c *goja.FunctionCall) {
		if i >= len(c.Arguments) {
			return
		}
		if o, ok := c.Arguments[i].(*goja.Object); ok {
			if _, callable := goja.AssertFunction(o); !callable {
				c.Arguments[i] = o.ToString()
			}
		}
	}
}

// lists is what it takes to tell plain lists from others.
type lists struct {
	array      *goja.Object // Array.prototype
	iterator   goja.Value   // Array.prototype[Symbol.iterator]
	length     goja.Value   // the getter that typed arrays inherit
	steps      *goja.Object // the prototype of what iterates arrays
	next       goja.Value   // of it
	regexp     *goja.Object // RegExp.prototype
	exec       goja.Value   // of it
	descriptor goja.Callable
	collect    goja.Callable // makes an array of what is iterated, value by value
}

var errComputed = errors.New("a length that is computed is not supported here")

// isFixed reports whether a list's length cannot change by being asked for.
func (m *machine) isFixed(list *goja.Object) bool {
	if list.ClassName() == "Array" || list.ClassName() == "String" {
		return true // it is a property that nobody can redefine
	}
	for o := list; o != nil; o = o.Prototype() {
		found, err := m.lists.descriptor(goja.Undefined(), o, m.vm.ToValue("length"))
		if err != nil {
			panic(err)
		}
		property, ok := found.(*goja.Object)
		if !ok {
			continue
		}
		if value := property.Get("value"); value != nil {
			_, object := value.(*goja.Object)
			return !object
		}
		return isList(list) && m.lists.length.SameAs(property.Get("get"))
	}
	return true
}

// iterable makes an array of an argument that is iterated otherwise than plain
// arrays are. Each value of it counts as a step.
func (m *machine) iterable(i int) func(*goja.FunctionCall) {
	return func(c *goja.FunctionCall) {
		if i < len(c.Arguments) {
			c.Arguments[i] = m.listed(c.Arguments[i])
		}
	}
}

func (m *machine) listed(v goja.Value) goja.Value {
	o, ok := v.(*goja.Object)
	if !ok || m.iteratesPlainly(o) {
		return v
	}
	if method := o.GetSymbol(goja.SymIterator); method == nil || goja.IsUndefined(method) || goja.IsNull(method) {
		return v // it is a list by its length, or nothing that can be iterated
	}
	left := m.run.limits.Steps
	list, err := m.lists.collect(goja.Undefined(), o, m.vm.ToValue(func(goja.FunctionCall) goja.Value {
		if left--; left < 0 {
			panic(m.stop(errSteps))
		}
		m.charge(slot)
		return goja.Undefined()
	}))
	if err != nil {
		panic(err)
	}
	asEver := m.lists.iterator.SameAs(m.lists.array.GetSymbol(goja.SymIterator)) && m.lists.next.SameAs(m.lists.steps.Get("next"))
	if !asEver {
		panic(m.typeError("arrays that are iterated otherwise are not supported here"))
	}
	return list
}

// iteratesPlainly reports whether iterating an object runs no code but the
// engine's and ends where its length does.
func (m *machine) iteratesPlainly(o *goja.Object) bool {
	if o.ClassName() != "Array" || !o.Prototype().SameAs(m.lists.array) {
		return false
	}
	iterator := o.GetSymbol(goja.SymIterator)
	return iterator != nil && m.lists.iterator.SameAs(iterator) && m.hardened
}

// plainRegexp refuses what only looks like a regular expression: its exec could
// find something for ever.
func (m *machine) plainRegexp(c *goja.FunctionCall) {
	o, ok := c.This.(*goja.Object)
	if ok && o.ClassName() == "RegExp" && o.Prototype().SameAs(m.lists.regexp) && m.lists.exec.SameAs(m.lists.regexp.Get("exec")) {
		if names := o.GetOwnPropertyNames(); len(names) == 1 && names[0] == "lastIndex" && len(o.Symbols()) == 0 {
			return
		}
	}
	panic(m.typeError("a regular expression with methods of its own is not supported here"))
}
