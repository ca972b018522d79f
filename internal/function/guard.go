package function

import (
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// The engine's own functions cannot be interrupted, and some make much out of
// little: 'x'.repeat(1e9), Array(4e9).fill(0), [].indexOf on what says that its
// length is 1e15. They are given their limits here.

// check looks at a call before it happens, and throws if it would be too much.
type check func(this goja.Value, args []goja.Value)

// guard puts a check before each such function.
func (m *machine) guard() {
	m.know()
	text := m.prototype("String")
	m.prepared(text, "repeat", m.simple(0), func(this goja.Value, args []goja.Value) { m.bound(m.lengthOf(this) * toFloat(args, 0)) })
	for _, name := range []string{"padStart", "padEnd"} {
		m.prepared(text, name, m.simple(0), func(_ goja.Value, args []goja.Value) { m.bound(toFloat(args, 0)) })
	}
	m.prepared(text, "concat", m.simple(), func(this goja.Value, args []goja.Value) { m.bound(m.sum(append([]goja.Value{this}, args...))) })
	for _, name := range []string{"replace", "replaceAll"} {
		m.prepared(text, name, simpleText(1), m.replacing)
	}
	list := m.prototype("Array")
	for _, name := range list.GetOwnPropertyNames() {
		if _, callable := goja.AssertFunction(list.Get(name)); !callable || name == "constructor" {
			continue
		}
		m.before(list, name, m.listCheck(name))
	}
	m.prepared(m.object("Array"), "from", m.iterable(0), func(_ goja.Value, args []goja.Value) { m.boundList(arg(args, 0)) })
	m.before(m.prototype("Function"), "apply", func(_ goja.Value, args []goja.Value) { m.boundList(arg(args, 1)) })
	m.before(m.object("JSON"), "stringify", m.stringifying)
	m.prepared(m.object("JSON"), "parse", m.simple(), m.parsing)
	for _, name := range []string{"all", "allSettled", "any", "race"} {
		m.prepared(m.object("Promise"), name, m.iterable(0), func(goja.Value, []goja.Value) {})
	}
	typed := m.object("Uint8Array").Prototype()
	m.prepared(typed, "from", m.iterable(0), func(_ goja.Value, args []goja.Value) { m.boundList(arg(args, 0)) })
	m.regexps()
	m.constructors()
}

// know notes what plain lists are made of.
func (m *machine) know() {
	m.lists.array, m.lists.regexp = m.prototype("Array"), m.prototype("RegExp")
	m.lists.iterator, m.lists.exec = m.lists.array.GetSymbol(goja.SymIterator), m.lists.regexp.Get("exec")
	iterate, _ := goja.AssertFunction(m.lists.iterator)
	iterator, err := iterate(m.vm.NewArray())
	must(err)
	m.lists.steps = iterator.(*goja.Object).Prototype()
	m.lists.next = m.lists.steps.Get("next")
	m.lists.descriptor, _ = goja.AssertFunction(m.object("Object").Get("getOwnPropertyDescriptor"))
	typed := m.prototype("Uint8Array").Prototype()
	found, err := m.lists.descriptor(goja.Undefined(), typed, m.vm.ToValue("length"))
	must(err)
	m.lists.length = found.(*goja.Object).Get("get")
}

// regexps guards what calls exec again and again.
func (m *machine) regexps() {
	for _, symbol := range []*goja.Symbol{goja.SymMatch, goja.SymMatchAll, goja.SymReplace, goja.SymSplit} {
		was, ok := m.lists.regexp.GetSymbol(symbol).(*goja.Object)
		if !ok {
			continue
		}
		guarded := m.guarded(was, m.plainRegexp, func(goja.Value, []goja.Value) {})
		must(m.lists.regexp.DefineDataPropertySymbol(symbol, guarded, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
	}
}

// constructors guards Array and what is made of bytes.
func (m *machine) constructors() {
	m.construct("Array", func(args []goja.Value) {
		if len(args) == 1 && isNumber(args[0]) {
			m.bound(args[0].ToFloat() * slot)
		}
	})
	m.construct("ArrayBuffer", func(args []goja.Value) {
		if o, ok := arg(args, 0).(*goja.Object); ok {
			args[0] = o.ToNumber()
		}
		m.bound(toFloat(args, 0))
	})
	for _, name := range []string{"Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "Float32Array", "Float64Array"} {
		size := m.object(name).Get("BYTES_PER_ELEMENT").ToFloat()
		m.construct(name, func(args []goja.Value) {
			if isNumber(arg(args, 0)) {
				m.bound(args[0].ToFloat() * size)
				return
			}
			if o, ok := arg(args, 0).(*goja.Object); ok && !isList(o) {
				if _, buffer := o.Export().(goja.ArrayBuffer); !buffer {
					args[0] = m.listed(o)
				}
			}
			m.boundList(arg(args, 0))
		})
	}
}

func (m *machine) object(name string) *goja.Object { return m.vm.Get(name).(*goja.Object) }

func (m *machine) prototype(name string) *goja.Object {
	return m.object(name).Get("prototype").(*goja.Object)
}

// before replaces a function by one that is checked. It keeps name and length.
func (m *machine) before(owner *goja.Object, name string, look check) {
	m.prepared(owner, name, func(*goja.FunctionCall) {}, look)
}

// prepared does the same, and changes the call before it is checked.
func (m *machine) prepared(owner *goja.Object, name string, change func(*goja.FunctionCall), look check) {
	was, ok := owner.Get(name).(*goja.Object)
	if !ok {
		return
	}
	if _, ok := goja.AssertFunction(was); !ok {
		return
	}
	must(owner.DefineDataProperty(name, m.guarded(was, change, look), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
}

func (m *machine) guarded(was *goja.Object, change func(*goja.FunctionCall), look check) *goja.Object {
	call, _ := goja.AssertFunction(was)
	guarded := m.vm.ToValue(func(c goja.FunctionCall) goja.Value {
		c.Arguments = slices.Clone(c.Arguments) // which are a part of the engine's stack
		change(&c)
		look(c.This, c.Arguments)
		value, err := call(c.This, c.Arguments...)
		if err != nil {
			panic(err) // an exception or an interruption: the engine knows its own
		}
		return value
	}).(*goja.Object)
	m.likeness(guarded, was)
	return guarded
}

func (m *machine) likeness(made, was *goja.Object) {
	for _, property := range []string{"name", "length"} {
		must(made.DefineDataProperty(property, was.Get(property), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE))
	}
}

func (m *machine) construct(name string, look func(args []goja.Value)) {
	was := m.object(name)
	guarded := m.vm.ToValue(func(c goja.ConstructorCall) *goja.Object {
		look(c.Arguments)
		made, err := m.vm.New(was, c.Arguments...)
		if err != nil {
			panic(err)
		}
		return made
	}).(*goja.Object)
	m.likeness(guarded, was)
	must(guarded.DefineDataProperty("prototype", was.Get("prototype"), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE))
	must(guarded.SetPrototype(was)) // isArray, from, of, BYTES_PER_ELEMENT
	must(was.Get("prototype").(*goja.Object).DefineDataProperty("constructor", guarded, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
	must(m.vm.GlobalObject().DefineDataProperty(name, guarded, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
}

// bound ends the run if a result would exceed the memory. Results that fit, but
// are large, add up.
func (m *machine) bound(bytes float64) {
	switch {
	case bytes > float64(m.run.limits.Memory):
		panic(m.stop(errMemory))
	case bytes > short:
		m.charge(int(bytes))
	}
}

// boundList refuses what says it is a list of more elements than fit.
func (m *machine) boundList(v goja.Value) {
	if n := m.lengthOf(v) * slot; n > float64(m.run.limits.Memory) {
		panic(m.stop(errMemory))
	}
}

// lengthOf is the length of a string or of anything like an array. It throws where
// that is computed.
func (m *machine) lengthOf(v goja.Value) float64 {
	switch v := v.(type) {
	case goja.String:
		return float64(v.Length())
	case *goja.Object:
		if !m.isFixed(v) {
			panic(m.typeError(errComputed.Error()))
		}
		if n := v.Get("length"); n != nil {
			return max(0, n.ToFloat())
		}
	}
	return 0
}

// sum is how long strings are together; of other values, what an element of a
// list takes, times its length.
func (m *machine) sum(values []goja.Value) (bytes float64) {
	for _, v := range values {
		if _, ok := v.(*goja.Object); ok {
			bytes += slot
		}
		bytes += m.lengthOf(v)
	}
	return bytes
}

// listCheck is the check of a method of arrays.
func (m *machine) listCheck(name string) check {
	switch name {
	case "join", "toString", "toLocaleString":
		return func(this goja.Value, args []goja.Value) {
			m.boundList(this)
			m.bound(m.joined(this, m.lengthOf(arg(args, 0))))
		}
	case "concat":
		return func(this goja.Value, args []goja.Value) {
			total := m.lengthOf(this)
			for _, a := range args {
				if _, ok := a.(*goja.Object); ok {
					total += m.lengthOf(a)
				}
			}
			m.bound((total + float64(len(args))) * slot)
		}
	}
	return func(this goja.Value, _ []goja.Value) { m.boundList(this) }
}

// joined is how long the strings of a list are together with their separators.
func (m *machine) joined(list goja.Value, separator float64) (bytes float64) {
	object, ok := list.(*goja.Object)
	if !ok {
		return 0
	}
	n := int(m.lengthOf(list))
	bytes = float64(n) * max(separator, 1)
	if n > 2 { // longer ones cannot be much longer than what they are made of
		for _, key := range object.Keys() {
			if s, ok := object.Get(key).(goja.String); ok {
				bytes += float64(s.Length())
			}
		}
	}
	return bytes
}

// replacing bounds a replacement by what it could be at most, which is much more
// than what it is: so it is compared with the memory that may be thrown away.
func (m *machine) replacing(this goja.Value, args []goja.Value) {
	if replacer, ok := goja.AssertFunction(arg(args, 1)); ok {
		args[1] = m.vm.ToValue(func(c goja.FunctionCall) goja.Value {
			value, err := replacer(c.This, c.Arguments...)
			if err != nil {
				panic(err)
			}
			text := value.ToString().(goja.String)
			m.bound(float64(text.Length()))
			return text
		})
		return
	}
	template, ok := arg(args, 1).(goja.String)
	if !ok {
		return
	}
	n, with := m.lengthOf(this)+1, template.String()
	most := n + n*float64(len(with))
	most += n * n * float64(strings.Count(with, "$`")+strings.Count(with, "$'"))
	most += n * float64(strings.Count(with, "$"))
	if most > churn*float64(m.run.limits.Memory) {
		panic(m.stop(errMemory))
	}
}

// stringifying walks the value first, since an array of arrays that are one and
// the same grows without end when it is written.
func (m *machine) stringifying(_ goja.Value, args []goja.Value) {
	walk := &walker{m: m}
	m.bound(float64(walk.size(arg(args, 0), 0)))
}

// parsing refuses what is nested so deep that reading it takes the stack.
func (m *machine) parsing(_ goja.Value, args []goja.Value) {
	text, ok := arg(args, 0).(goja.String)
	if !ok {
		return
	}
	m.measure(text)
	depth := 0
	for i := range text.Length() {
		switch text.CharAt(i) {
		case '[', '{':
			if depth++; depth > maxNesting*8 { // brackets within strings count, too
				panic(m.typeError(errNested.Error()))
			}
		case ']', '}':
			depth--
		}
	}
}

// size is about how long a value is as JSON.
func (w *walker) size(v goja.Value, depth int) int {
	w.enter(depth)
	object, ok := v.(*goja.Object)
	switch {
	case isString(v):
		return v.(goja.String).Length() + 2
	case !ok || object.ClassName() == "Function":
		return 8
	case isList(object):
		w.m.boundList(object)
	}
	n := 2
	for _, key := range object.Keys() {
		n += len(key) + 4 + w.size(object.Get(key), depth+1)
	}
	return n
}

func arg(args []goja.Value, i int) goja.Value {
	if i < len(args) {
		return args[i]
	}
	return goja.Undefined()
}

func isNumber(v goja.Value) bool {
	switch v.Export().(type) {
	case int64, float64:
		_, object := v.(*goja.Object)
		return !object
	}
	return false
}

// toFloat is an argument as a number. What is none is not converted here, as
// that could call the function's own code; such calls are left to the engine.
func toFloat(args []goja.Value, i int) float64 {
	v := arg(args, i)
	if _, object := v.(*goja.Object); object || goja.IsUndefined(v) {
		return 0
	}
	if f := v.ToFloat(); f > 0 {
		return f
	}
	return 0
}
