package function

import (
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/dop251/goja"
)

// What natives throw. A function sees them as errors with these messages.
var (
	errDigested = errors.New("Digest already called") //nolint:staticcheck // as Node.js says it
	errNoStore  = errors.New("no key value store is associated with the function")
	errNoKey    = errors.New("KeyNotFound")
	errFormat   = errors.New(`the format of a value can be string, json or bytes`)
	errNested   = errors.New("Nested too deep or a cyclic structure") //nolint:staticcheck // as CloudFront says it
)

// log notes a line of console.log. What exceeds CloudFront's 10 KB is lost, as it
// is there.
func (m *machine) log(c goja.FunctionCall) goja.Value {
	parts := make([]string, len(c.Arguments))
	walk := &walker{m: m}
	for i, a := range c.Arguments {
		if s, ok := a.(goja.String); ok {
			parts[i] = s.String()
			continue
		}
		var b strings.Builder
		walk.show(&b, a, 0)
		parts[i] = b.String()
	}
	line := strings.Join(parts, " ")
	r := m.run
	if r.logged >= maxLogs {
		return goja.Undefined()
	}
	if room := maxLogs - r.logged; len(line) > room {
		line = strings.ToValidUTF8(line[:room], "")
	}
	r.logged += len(line) + len("\n")
	r.result.Logs = append(r.result.Logs, line)
	return goja.Undefined()
}

// walker goes through values of a function, within limits.
type walker struct {
	m     *machine
	nodes int
}

const (
	maxNodes   = 20_000
	maxNesting = 64
)

// enter counts a value, and throws where there are too many or they are nested
// too deep; a cycle is endless nesting.
func (w *walker) enter(depth int) {
	if w.nodes++; w.nodes > maxNodes {
		panic(w.m.stop(errMemory))
	}
	if depth > maxNesting {
		panic(w.m.typeError(errNested.Error()))
	}
}

// show writes a value on one line, strings in quotes.
func (w *walker) show(b *strings.Builder, v goja.Value, depth int) {
	w.enter(depth)
	object, ok := v.(*goja.Object)
	switch {
	case !ok && isString(v):
		b.WriteString("'" + v.String() + "'")
	case !ok:
		b.WriteString(v.String())
	case object.ClassName() == "Function":
		b.WriteString("[Function: " + nameOf(object) + "]")
	case object.ClassName() == "Error":
		text, _ := thrownText(object)
		b.WriteString(text)
	case object.ClassName() == "Date", object.ClassName() == "RegExp":
		b.WriteString(object.String())
	case object.ExportType() == reflect.TypeFor[*goja.Promise]():
		b.WriteString("Promise {}")
	case isList(object):
		w.list(b, object, depth)
	default:
		b.WriteByte('{')
		for i, key := range object.Keys() {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(keyText(key) + ":")
			w.show(b, object.Get(key), depth+1)
		}
		b.WriteByte('}')
	}
}

func (w *walker) list(b *strings.Builder, object *goja.Object, depth int) {
	b.WriteByte('[')
	for i := range int(object.Get("length").ToInteger()) {
		if i > 0 {
			b.WriteByte(',')
		}
		if v := object.Get(strconv.Itoa(i)); v != nil {
			w.show(b, v, depth+1)
		} else {
			w.enter(depth)
		}
	}
	b.WriteByte(']')
}

// plain is a value as Go's JSON takes it; functions and undefined are null.
func (w *walker) plain(v goja.Value, depth int) any {
	w.enter(depth)
	object, ok := v.(*goja.Object)
	switch {
	case !ok && isString(v):
		return v.String()
	case !ok:
		return v.Export()
	case object.ClassName() == "Function":
		return nil
	case isList(object):
		list := []any{}
		for i := range int(object.Get("length").ToInteger()) {
			element := object.Get(strconv.Itoa(i))
			if element == nil {
				element = goja.Undefined()
			}
			list = append(list, w.plain(element, depth+1))
		}
		return list
	}
	fields := make(map[string]any)
	for _, key := range object.Keys() {
		fields[key] = w.plain(object.Get(key), depth+1)
	}
	return fields
}

func isString(v goja.Value) bool {
	_, ok := v.(goja.String)
	return ok
}

// isList recognises arrays and typed arrays.
func isList(o *goja.Object) bool {
	return o.ExportType() != nil && o.ExportType().Kind() == reflect.Slice
}

func keyText(key string) string {
	if isToken(key) && !strings.ContainsAny(key, "-.'") {
		return key
	}
	return "'" + key + "'"
}

func nameOf(f *goja.Object) string {
	if name := f.Get("name"); name != nil && isString(name) {
		return name.String()
	}
	return ""
}

// thrownText is what is printed of a thrown value, and the stack that an error
// has. It reads properties, so it has to be called within the engine.
func thrownText(v goja.Value) (text, stack string) {
	object, ok := v.(*goja.Object)
	if !ok {
		return v.String(), ""
	}
	field := func(name string) string {
		if f := object.Get(name); f != nil && !goja.IsUndefined(f) {
			return f.String()
		}
		return ""
	}
	if field("message") == "" && object.ClassName() != "Error" {
		return object.ClassName() + " thrown", ""
	}
	text = field("name")
	if message := field("message"); text == "" || message == "" {
		text += message
	} else {
		text += ": " + message
	}
	return text, field("stack")
}
