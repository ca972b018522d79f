package cloudformation

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
)

// call resolves an intrinsic function.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
func (r *resolver) call(name string, argument any, path string, depth int) any {
	depth++
	path += "." + name
	switch name {
	case "Ref":
		return r.ref(argument, path)
	case "Fn::GetAtt":
		return r.getAtt(argument, path, depth)
	case "Fn::Sub":
		return r.sub(argument, path, depth)
	case "Fn::Join":
		return r.join(argument, path, depth)
	case "Fn::Select":
		return r.selectOne(argument, path, depth)
	case "Fn::Split":
		return r.split(argument, path, depth)
	case "Fn::If":
		return r.choose(argument, path, depth)
	case "Fn::FindInMap":
		return r.findInMap(argument, path, depth)
	case "Fn::ImportValue":
		return r.importValue(argument, path, depth)
	case "Fn::Base64":
		s, ok := r.text(argument, path, depth)
		if !ok {
			return broken{}
		}
		return base64.StdEncoding.EncodeToString([]byte(s))
	}
	return r.fail(path, "%s is not resolved here", name)
}

func (r *resolver) join(argument any, path string, depth int) any {
	args, ok := r.arguments(argument, path, 2, 2)
	if !ok {
		return broken{}
	}
	separator, ok := r.text(args[0], path+"[0]", depth)
	list, ok2 := r.elements(args[1], path+"[1]", depth)
	if !ok || !ok2 {
		return broken{}
	}
	parts := make([]string, len(list))
	size := 0
	for i, e := range list {
		part, ok := plainText(e)
		if !ok {
			return r.fail(path+"[1]["+strconv.Itoa(i)+"]", "is not a text")
		}
		parts[i] = part
		if size += len(part) + len(separator); size > maxText {
			return r.fail(path, "resolves to a text of more than %d bytes", maxText)
		}
	}
	return strings.Join(parts, separator)
}

// plainText is for what was resolved already.
func plainText(v any) (string, bool) {
	switch t := v.(type) {
	case string:
		return t, true
	case json.Number:
		return t.String(), true
	case bool:
		return strconv.FormatBool(t), true
	}
	return "", false
}

func (r *resolver) selectOne(argument any, path string, depth int) any {
	args, ok := r.arguments(argument, path, 2, 2)
	if !ok {
		return broken{}
	}
	number, ok := r.exactText(args[0], path+"[0]", depth)
	list, ok2 := r.elements(args[1], path+"[1]", depth)
	if !ok || !ok2 {
		return broken{}
	}
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(list) {
		return r.fail(path, "there is no element %s in a list of %d", number, len(list))
	}
	return list[i]
}

func (r *resolver) split(argument any, path string, depth int) any {
	args, ok := r.arguments(argument, path, 2, 2)
	if !ok {
		return broken{}
	}
	separator, ok := r.text(args[0], path+"[0]", depth)
	s, ok2 := r.text(args[1], path+"[1]", depth)
	if !ok || !ok2 {
		return broken{}
	}
	if separator == "" {
		return r.fail(path+"[0]", "is empty")
	}
	parts := strings.Split(s, separator)
	list := make([]any, len(parts))
	for i, p := range parts {
		list[i] = p
	}
	return list
}

func (r *resolver) choose(argument any, path string, depth int) any {
	args, ok := r.arguments(argument, path, 3, 3)
	if !ok {
		return broken{}
	}
	name, isText := args[0].(string)
	if !isText {
		return r.fail(path+"[0]", "is not the name of a condition")
	}
	switch r.condition(name, path+"[0]") {
	case true:
		return r.value(args[1], path+"[1]", depth)
	case false:
		return r.value(args[2], path+"[2]", depth)
	}
	return broken{}
}

func (r *resolver) findInMap(argument any, path string, depth int) any {
	args, ok := r.arguments(argument, path, 3, 4)
	if !ok {
		return broken{}
	}
	var keys [3]string
	for i := range keys {
		if keys[i], ok = r.exactText(args[i], path+"["+strconv.Itoa(i)+"]", depth); !ok {
			return broken{}
		}
	}
	first, _ := r.mappings[keys[0]].(map[string]any)
	second, _ := first[keys[1]].(map[string]any)
	if v, found := second[keys[2]]; found {
		return r.value(v, "Mappings."+strings.Join(keys[:], "."), depth)
	}
	if len(args) == 4 {
		if m, ok := args[3].(map[string]any); ok && m["DefaultValue"] != nil {
			return r.value(m["DefaultValue"], path+"[3].DefaultValue", depth)
		}
	}
	return r.fail(path, "there is no Mappings.%s", strings.Join(keys[:], "."))
}

// sub replaces ${Name}, ${Logical.Attribute} and, from ${!Name}, the !.
func (r *resolver) sub(argument any, path string, depth int) any {
	pattern, variables := argument, map[string]any(nil)
	if args, isList := argument.([]any); isList {
		ok := len(args) == 2
		if ok {
			pattern = args[0]
			variables, ok = args[1].(map[string]any)
		}
		if !ok {
			return r.fail(path, "takes a text, or a list of a text and its variables")
		}
	}
	s, isText := pattern.(string)
	if !isText {
		return r.fail(path, "is not a text")
	}
	if s, isText = r.literal(s, path).(string); !isText {
		return broken{}
	}
	return r.interpolate(s, variables, path, depth)
}

func (r *resolver) interpolate(s string, variables map[string]any, path string, depth int) any {
	var out strings.Builder
	failed := false
	for {
		before, rest, found := strings.Cut(s, "${")
		out.WriteString(before)
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			if found {
				out.WriteString("${" + rest)
			}
			break
		}
		s = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
			continue
		}
		if v, ok := plainText(r.variable(name, variables, path, depth)); ok && out.Len()+len(v) <= maxText {
			out.WriteString(v)
		} else {
			failed = true
		}
		if failed && len(r.errs) == 0 && r.unsaid == 0 {
			r.fail(path, "${%s} makes a text of more than %d bytes", name, maxText)
		}
	}
	if failed {
		return broken{}
	}
	return r.long(out.String(), path)
}

// variable returns a text, or what is none after having said why.
func (r *resolver) variable(name string, variables map[string]any, path string, depth int) any {
	at := path + ".${" + name + "}"
	if v, ok := variables[name]; ok {
		if s, ok := r.text(v, at, depth); ok {
			return s
		}
		return broken{}
	}
	var v any
	if strings.Contains(name, ".") {
		v = r.getAtt(name, at, depth)
	} else {
		v = r.ref(name, at)
	}
	switch v.(type) {
	case []any, map[string]any:
		return r.fail(at, "is not a text")
	case absent:
		return r.fail(at, "is AWS::NoValue, want a text")
	}
	return v
}
