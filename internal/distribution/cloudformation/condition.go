package cloudformation

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// conditionOf returns whether a resource is made: true, false or broken.
func (r *resolver) conditionOf(id string) any {
	res, _ := r.resources[id].(map[string]any)
	switch name := res["Condition"].(type) {
	case nil:
		return true
	case string:
		return r.condition(name, "Resources."+id+".Condition")
	}
	return r.fail("Resources."+id+".Condition", "is not the name of a condition")
}

// condition returns true, false or broken.
func (r *resolver) condition(name, path string) any {
	if v, done := r.decided[name]; done {
		return v
	}
	tree, ok := r.conditions[name]
	if !ok {
		return r.fail(path, "there is no condition %q", name)
	}
	leave, ok := r.enter("Conditions."+name, path)
	if !ok {
		return broken{}
	}
	defer leave()
	v := r.decide(tree, "Conditions."+name, 0)
	r.decided[name] = v
	return v
}

// enter notes that something is being resolved. It is not ok where it is
// already, and then the error is noted.
func (r *resolver) enter(what, path string) (leave func(), ok bool) {
	what = r.prefix + what
	if r.active[what] {
		r.fail(path, "%s depends on itself", what)
		return nil, false
	}
	if len(r.active) > maxDepth {
		r.fail(path, "%s is nested deeper than %d", what, maxDepth)
		return nil, false
	}
	r.active[what] = true
	return func() { delete(r.active, what) }, true
}

// decide returns true, false or broken.
func (r *resolver) decide(tree any, path string, depth int) any {
	m, _ := tree.(map[string]any)
	if depth > maxDepth || len(m) != 1 {
		return r.fail(path, "is not a condition")
	}
	name := slices.Collect(maps.Keys(m))[0]
	path += "." + name
	switch name {
	case "Condition":
		if other, ok := m[name].(string); ok {
			return r.condition(other, path)
		}
	case "Fn::Equals":
		return r.equals(m[name], path, depth+1)
	case "Fn::Not":
		return r.all(m[name], path, depth+1, 1, 1, func(yes int) bool { return yes == 0 })
	case "Fn::And":
		return r.all(m[name], path, depth+1, 2, 10, nil)
	case "Fn::Or":
		return r.all(m[name], path, depth+1, 2, 10, func(yes int) bool { return yes > 0 })
	}
	return r.fail(path, "%s is not a condition that is resolved here", name)
}

// all decides from how many of several conditions are true; nil: all of them
// have to be.
func (r *resolver) all(argument any, path string, depth, least, most int, holds func(yes int) bool) any {
	args, ok := r.arguments(argument, path, least, most)
	if !ok {
		return broken{}
	}
	yes, failed := 0, false
	for i, a := range args {
		switch r.decide(a, path+"["+strconv.Itoa(i)+"]", depth) {
		case true:
			yes++
		case false:
		default:
			failed = true
		}
	}
	switch {
	case failed:
		return broken{}
	case holds == nil:
		return yes == len(args)
	}
	return holds(yes)
}

// equals compares as texts what can be one.
func (r *resolver) equals(argument any, path string, depth int) any {
	args, ok := r.arguments(argument, path, 2, 2)
	if !ok {
		return broken{}
	}
	a, b := r.decisive(r.value(args[0], path+"[0]", depth)), r.decisive(r.value(args[1], path+"[1]", depth))
	if a == any(broken{}) || b == any(broken{}) {
		return broken{}
	}
	s, ok := plainText(a)
	t, ok2 := plainText(b)
	if ok && ok2 {
		return s == t
	}
	return reflect.DeepEqual(a, b)
}
