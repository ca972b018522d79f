package distribution

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Decode reads a distribution from a tree of maps, lists, texts, numbers, bools
// and nothing, in the API's form or in CloudFormation's, or in a mixture: lists
// may be wrapped in Quantity and Items, numbers and bools may be texts. Letter
// case of names counts. A property that is not known is a warning, a value of
// the wrong kind an error; the error joins all there are. Paths begin with
// path. Nothing is filled in; see Normalize.
func Decode(tree any, path string) (Distribution, []Warning, error) {
	return decode[Distribution](tree, path)
}

// DecodeConfig does for a DistributionConfig what Decode does for all of a
// distribution.
func DecodeConfig(tree any, path string) (Config, []Warning, error) {
	return decode[Config](tree, path)
}

// DecodeCachePolicy does the same for a cache policy: an object with a
// CachePolicyConfig.
func DecodeCachePolicy(tree any, path string) (CachePolicy, []Warning, error) {
	return decode[CachePolicy](tree, path)
}

// DecodeAs does the same for what distributions use: policies, key groups, public
// keys, and what else is described by a struct with the tags of this package.
func DecodeAs[T any](tree any, path string) (T, []Warning, error) { return decode[T](tree, path) }

func decode[T any](tree any, path string) (T, []Warning, error) {
	var v T
	d := decoder{shapes: make(map[reflect.Type]*place)}
	d.value(reflect.ValueOf(&v).Elem(), tree, path, decoding{})
	return v, d.warnings, d.err()
}

type decoder struct {
	findings
	shapes map[reflect.Type]*place
}

// decoding says more about the place of a value.
type decoding struct {
	wrapper *place // what may stand beside Quantity and Items
	element string // the property that holds each of a list's texts
}

// settler is a struct with properties that its fields alone do not say.
type settler interface {
	settle(d *decoder, given map[string]any, path string)
}

var timeType = reflect.TypeFor[time.Time]()

func (d *decoder) value(to reflect.Value, tree any, path string, how decoding) {
	if tree == nil || tree == "" && isNumber(to.Type()) {
		return // the API says so where a number was not given
	}
	switch {
	case to.Type() == timeType:
		d.time(to, tree, path)
	case to.Kind() == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		d.value(to.Elem(), tree, path, how)
	case to.Kind() == reflect.Struct:
		if m, ok := tree.(map[string]any); ok {
			d.object(to, m, path)
		} else {
			d.fail(path, "is %s, want an object", kind(tree))
		}
	case to.Kind() == reflect.Slice:
		d.list(to, tree, path, how)
	default:
		d.scalar(to, tree, path, how)
	}
}

func isNumber(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Int || t.Kind() == reflect.Int64 || t.Kind() == reflect.Float64
}

func (d *decoder) object(to reflect.Value, m map[string]any, path string) {
	shape := d.shapes[to.Type()]
	if shape == nil {
		shape = shapeOf(to.Type())
		d.shapes[to.Type()] = shape
	}
	d.properties(to, shape, m, path, make(map[int]string))
	if s, ok := to.Addr().Interface().(settler); ok {
		s.settle(d, m, path)
	}
	if q, items := m["Quantity"], m["Items"]; q != nil && items != nil {
		d.quantity(q, items, path)
	}
}

// properties decodes those of m into fields of to. from remembers which
// property each field was read from.
func (d *decoder) properties(to reflect.Value, shape *place, m map[string]any, path string, from map[int]string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		p, at := shape.below[name], below(path, name)
		switch {
		case p == nil:
			d.unknown(shape, name, at)
		case p.field >= 0:
			d.field(to, p, m[name], at, from)
			if wrapper, ok := m[name].(map[string]any); ok {
				d.beside(to, p, wrapper, at, from)
			}
		case !p.ignored && m[name] != nil:
			if inner, ok := m[name].(map[string]any); ok {
				d.properties(to, p, inner, at, from)
			} else {
				d.fail(at, "is %s, want an object", kind(m[name]))
			}
		}
	}
}

// beside decodes what stands beside Quantity and Items, but is a field.
func (d *decoder) beside(to reflect.Value, p *place, wrapper map[string]any, path string, from map[int]string) {
	for name, q := range p.below {
		if q.field >= 0 {
			d.field(to, q, wrapper[name], path+"."+name, from)
		}
	}
}

func (d *decoder) field(to reflect.Value, p *place, tree any, path string, from map[int]string) {
	if empty(tree) {
		return
	}
	if earlier, twice := from[p.field]; twice {
		d.warn(path, "means the same as %s, which is given as well: not used", earlier)
		return
	}
	from[p.field] = path
	how := decoding{wrapper: p, element: to.Type().Field(p.field).Tag.Get("element")}
	d.value(to.Field(p.field), tree, path, how)
}

// empty reports whether tree says nothing, so that the same property may be
// said in another way.
func empty(tree any) bool {
	list, ok := tree.([]any)
	return tree == nil || ok && len(list) == 0
}

func (d *decoder) unknown(shape *place, name, path string) {
	if meant := shape.nearest(name); meant != "" {
		d.warn(path, "not a known property, and not used; is %s meant?", meant)
		return
	}
	d.warn(path, "not a known property, and not used")
}

func (d *decoder) list(to reflect.Value, tree any, path string, how decoding) {
	if m, ok := tree.(map[string]any); ok {
		tree, path = d.unwrap(m, path, how.wrapper), path+".Items"
	}
	list, ok := tree.([]any)
	switch {
	case tree == nil || ok && len(list) == 0:
		return
	case !ok:
		d.fail(path, "is %s, want a list", kind(tree))
		return
	}
	elements := reflect.MakeSlice(to.Type(), len(list), len(list))
	for i, e := range list {
		at := path + "[" + strconv.Itoa(i) + "]"
		if e == nil {
			d.fail(at, "is empty")
			continue
		}
		d.value(elements.Index(i), e, at, decoding{element: how.element})
	}
	to.Set(elements)
}

// unwrap returns the Items of a list in the API's form.
func (d *decoder) unwrap(m map[string]any, path string, wrapper *place) any {
	if wrapper == nil {
		wrapper = newPlace()
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if name != "Quantity" && name != "Items" && wrapper.below[name] == nil {
			d.unknown(wrapper, name, path+"."+name)
		}
	}
	_, counted := m["Quantity"]
	items, listed := m["Items"]
	if !counted && !listed && len(m) > 0 {
		d.fail(path, "is an object, want a list, or Quantity and Items")
	}
	if counted {
		d.quantity(m["Quantity"], items, path)
	}
	return items
}

// quantity checks a list's count, which decides nothing.
func (d *decoder) quantity(count, items any, path string) {
	list, ok := items.([]any)
	if !ok && items != nil || count == nil {
		return
	}
	if n, err := integer(count); err != nil || n != int64(len(list)) {
		d.warn(path+".Quantity", "is %v, but there are %d Items", count, len(list))
	}
}
