package distribution

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (d *decoder) scalar(to reflect.Value, tree any, path string, how decoding) {
	if m, ok := tree.(map[string]any); ok && how.element != "" {
		shape := newPlace()
		shape.at(how.element).field = 0
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if name != how.element {
				d.unknown(shape, name, path+"."+name)
			}
		}
		tree, path = m[how.element], path+"."+how.element
	}
	var err error
	switch to.Kind() {
	case reflect.String:
		var s string
		s, err = text(tree)
		to.SetString(s)
	case reflect.Bool:
		var b bool
		b, err = boolean(tree)
		to.SetBool(b)
	case reflect.Float64:
		var n float64
		n, err = fraction(tree)
		to.SetFloat(n)
	default:
		var n int64
		if n, err = integer(tree); err == nil && to.OverflowInt(n) {
			err = fmt.Errorf("is %d, which is too large", n)
		}
		to.SetInt(n)
	}
	if err != nil {
		d.fail(path, "%v", err)
	}
}

func (d *decoder) time(to reflect.Value, tree any, path string) {
	s, _ := tree.(string)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			to.Set(reflect.ValueOf(t.UTC()))
			return
		}
	}
	if n, err := strconv.ParseFloat(fmt.Sprint(tree), 64); err == nil && n >= 0 && n < math.MaxInt32 {
		to.Set(reflect.ValueOf(time.UnixMilli(int64(n * 1000)).UTC()))
		return
	}
	d.warn(path, "is not a time, and not used")
}

func fraction(tree any) (float64, error) {
	s, err := text(tree)
	if err != nil {
		return 0, fmt.Errorf("is %s, want a number", kind(tree))
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return n, nil
}

// text takes numbers and bools for what they look like.
func text(tree any) (string, error) {
	switch t := tree.(type) {
	case string:
		return t, nil
	case json.Number:
		return t.String(), nil
	case bool:
		return strconv.FormatBool(t), nil
	}
	return "", fmt.Errorf("is %s, want a text", kind(tree))
}

// boolean takes the words that YAML 1.1, and so CloudFormation, has for it.
func boolean(tree any) (bool, error) {
	switch t := tree.(type) {
	case bool:
		return t, nil
	case string:
		switch strings.ToLower(t) {
		case "true", "yes", "on":
			return true, nil
		case "false", "no", "off":
			return false, nil
		}
		return false, fmt.Errorf("is %q, want true or false", t)
	}
	return false, fmt.Errorf("is %s, want true or false", kind(tree))
}

// integer takes 300, "300" and 300.0.
func integer(tree any) (int64, error) {
	s, err := text(tree)
	if _, is := tree.(bool); is || err != nil {
		return 0, fmt.Errorf("is %s, want a number", kind(tree))
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("is %q, want a whole number", s)
	}
	return int64(f), nil
}

// kind names what stands in a tree, with its article.
func kind(tree any) string {
	switch tree.(type) {
	case nil:
		return "empty"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	}
	return fmt.Sprintf("a %T", tree)
}
