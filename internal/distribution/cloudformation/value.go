package cloudformation

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// broken stands for a value that could not be resolved; why was said already.
type broken struct{}

// absent stands for AWS::NoValue.
type absent struct{}

// value resolves a tree. depth is how deep it stands.
func (r *resolver) value(tree any, path string, depth int) any {
	r.steps++
	switch {
	case depth > maxDepth:
		return r.fail(path, "is nested deeper than %d", maxDepth)
	case r.steps > maxSteps:
		if r.steps == maxSteps+1 {
			r.fail(path, "the template takes more than %d steps to resolve", maxSteps)
		}
		return broken{}
	}
	switch t := tree.(type) {
	case string:
		return r.literal(t, path)
	case []any:
		return r.list(t, path, depth)
	case map[string]any:
		return r.object(t, path, depth)
	}
	return tree
}

// literal replaces dynamic references, which CloudFormation looks up when a
// stack is deployed, by what was given for them.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html
func (r *resolver) literal(s, path string) any {
	if marked(s) {
		return r.fail(path, "has a character for private use")
	}
	before, rest, found := strings.Cut(s, "{{resolve:")
	if !found {
		return s
	}
	name, after, closed := strings.Cut(rest, "}}")
	name = "resolve:" + name
	given, ok := r.o.Resources[name]
	switch {
	case !closed:
		return r.fail(path, "{{%s}} is looked up by CloudFormation and not known here: give it as resource %s", name, name)
	case !ok:
		given = r.wanting(name, path, "{{%s}} is looked up by CloudFormation and not known here: give it as resource %s", name, name)
	}
	if after, ok := r.literal(after, path).(string); ok {
		return before + given + after
	}
	return broken{}
}

func (r *resolver) list(list []any, path string, depth int) any {
	out := make([]any, 0, len(list))
	failed := false
	for i, e := range list {
		switch v := r.value(e, path+"["+strconv.Itoa(i)+"]", depth+1).(type) {
		case absent:
		case broken:
			failed = true
		default:
			out = append(out, v)
		}
	}
	if failed {
		return broken{}
	}
	return out
}

func (r *resolver) object(m map[string]any, path string, depth int) any {
	if name, ok := function(m); ok {
		return r.call(name, m[name], path, depth)
	}
	out := make(map[string]any, len(m))
	failed := false
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(name, "Fn::") {
			r.fail(path, "%s stands beside other properties and is not resolved", name)
			failed = true
			continue
		}
		switch v := r.value(m[name], path+"."+name, depth+1).(type) {
		case absent:
		case broken:
			failed = true
		default:
			out[name] = v
		}
	}
	if failed {
		return broken{}
	}
	return out
}

// function returns the name of the function that m calls.
func function(m map[string]any) (string, bool) {
	if len(m) != 1 {
		return "", false
	}
	for name := range m {
		return name, name == "Ref" || strings.HasPrefix(name, "Fn::")
	}
	return "", false
}

// text resolves a tree that has to be one text. It is not ok where it is not,
// and then the error is noted.
func (r *resolver) text(tree any, path string, depth int) (string, bool) {
	switch t := r.value(tree, path, depth).(type) {
	case string:
		return t, true
	case json.Number:
		return t.String(), true
	case bool:
		return strconv.FormatBool(t), true
	case broken:
	case absent:
		r.fail(path, "is AWS::NoValue, want a text")
	default:
		r.fail(path, "is not a text")
	}
	return "", false
}

// exactText is text for what nothing may stand for.
func (r *resolver) exactText(tree any, path string, depth int) (string, bool) {
	s, ok := r.text(tree, path, depth)
	if ok && r.decisive(s) == any(broken{}) {
		return "", false
	}
	return s, ok
}

// elements resolves a tree that has to be a list.
func (r *resolver) elements(tree any, path string, depth int) ([]any, bool) {
	switch t := r.value(tree, path, depth).(type) {
	case []any:
		return t, true
	case broken:
	default:
		r.fail(path, "is not a list")
	}
	return nil, false
}

// arguments returns the arguments of a function that has so many.
func (r *resolver) arguments(tree any, path string, least, most int) ([]any, bool) {
	list, ok := tree.([]any)
	if !ok || len(list) < least || len(list) > most {
		r.fail(path, "takes a list of %d", least)
		return nil, false
	}
	return list, true
}

// long refuses texts that grow beyond all measure.
func (r *resolver) long(s, path string) any {
	if len(s) > maxText {
		return r.fail(path, "resolves to a text of more than %d bytes", maxText)
	}
	return s
}
