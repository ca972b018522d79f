package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const (
	maxNodes    = 1 << 20 // of a document, with what anchors repeat counted each time
	maxBrackets = 1000    // open at once
	maxDashes   = 200     // of lists in lists that begin on one line
)

// parseYAML returns all documents. CloudFormation's short tags become the
// functions that they are short for. Scalars stay as they are written: numbers
// are json.Number, dates are texts.
func parseYAML(name string, text []byte) (trees []any, err error) {
	if tooDeep(text) {
		return nil, fmt.Errorf("%s: is nested too deep", name)
	}
	defer func() {
		if p := recover(); p != nil { // the parser has done so on damaged texts
			trees, err = nil, fmt.Errorf("%s: is not YAML: %v", name, p)
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			return nil, fmt.Errorf("%s:%d:%d: %s", name, at.Line, at.Column, syntax.GetMessage())
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		y := yamlReader{name: name, anchors: make(map[string]anchor)}
		tree, err := y.value(document.Body, 0)
		if err != nil {
			return nil, err
		}
		trees = append(trees, tree)
	}
	if len(trees) == 0 {
		return nil, fmt.Errorf("%s: is empty", name)
	}
	return trees, nil
}

// tooDeep looks for what would make the parser call itself without end. It
// counts in texts and comments, too, so its limits are far above what is real.
func tooDeep(text []byte) bool {
	for line := range bytes.Lines(text) {
		if bytes.Count(line, []byte("- ")) > maxDashes && bytes.HasPrefix(bytes.TrimLeft(line, " "), []byte("- - ")) ||
			bytes.Count(line, []byte("? ")) > maxDashes {
			return true
		}
	}
	open := 0
	for _, c := range text {
		switch c {
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		}
		if open > maxBrackets {
			return true
		}
	}
	return false
}

type yamlReader struct {
	name    string
	anchors map[string]anchor
	nodes   int
}

type anchor struct {
	value any
	nodes int
}

func (y *yamlReader) fail(n ast.Node, format string, args ...any) error {
	at := n.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %s", y.name, at.Line, at.Column, fmt.Sprintf(format, args...))
}

func (y *yamlReader) count(n ast.Node, more int) error {
	if y.nodes += more; y.nodes > maxNodes {
		return y.fail(n, "there are more than %d values", maxNodes)
	}
	return nil
}

func (y *yamlReader) value(node ast.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, y.fail(node, "is nested deeper than %d", maxDepth)
	}
	if err := y.count(node, 1); err != nil {
		return nil, err
	}
	switch n := node.(type) {
	case *ast.NullNode:
		return nil, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode, *ast.FloatNode:
		return json.Number(n.GetToken().Value), nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case *ast.SequenceNode:
		return y.list(n, depth)
	case *ast.MappingNode:
		return y.object(n.Values, depth)
	case *ast.MappingValueNode:
		return y.object([]*ast.MappingValueNode{n}, depth)
	case *ast.TagNode:
		return y.tag(n, depth)
	case *ast.AnchorNode:
		return y.anchor(n, depth)
	case *ast.AliasNode:
		return y.alias(n)
	}
	return nil, y.fail(node, "%s is not understood here", node.Type())
}

func (y *yamlReader) list(n *ast.SequenceNode, depth int) (any, error) {
	list := make([]any, len(n.Values))
	for i, e := range n.Values {
		v, err := y.value(e, depth+1)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

func (y *yamlReader) object(values []*ast.MappingValueNode, depth int) (any, error) {
	m := make(map[string]any, len(values))
	var merged []any
	for _, pair := range values {
		v, err := y.value(pair.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if pair.Key.Type() == ast.MergeKeyType {
			merged = append(merged, v)
			continue
		}
		key, err := y.key(pair.Key)
		if err != nil {
			return nil, err
		}
		if _, twice := m[key]; twice {
			return nil, y.fail(pair.Key, "property %q is there twice", key)
		}
		m[key] = v
	}
	for _, from := range merged {
		y.merge(m, from)
	}
	return m, nil
}

func (y *yamlReader) key(n ast.MapKeyNode) (string, error) {
	switch k := n.(type) {
	case *ast.StringNode:
		return k.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, nil
	case *ast.MappingKeyNode:
		if s, ok := k.Value.(*ast.StringNode); ok {
			return s.Value, nil
		}
	}
	return "", y.fail(n, "is not a property's name")
}

// merge adds what from has and m has not.
func (y *yamlReader) merge(m map[string]any, from any) {
	switch f := from.(type) {
	case map[string]any:
		for k, v := range f {
			if _, own := m[k]; !own {
				m[k] = v
			}
		}
	case []any:
		for _, e := range f {
			if _, nested := e.([]any); !nested {
				y.merge(m, e)
			}
		}
	}
}

func (y *yamlReader) anchor(n *ast.AnchorNode, depth int) (any, error) {
	before := y.nodes
	v, err := y.value(n.Value, depth+1)
	if err != nil {
		return nil, err
	}
	y.anchors[n.Name.GetToken().Value] = anchor{value: v, nodes: y.nodes - before}
	return v, nil
}

// alias shares what the anchor holds: nobody changes what was parsed.
func (y *yamlReader) alias(n *ast.AliasNode) (any, error) {
	name := n.Value.GetToken().Value
	a, ok := y.anchors[name]
	if !ok {
		return nil, y.fail(n, "there is no anchor &%s before it", name)
	}
	return a.value, y.count(n, a.nodes)
}

// functions are CloudFormation's short tags.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
var functions = map[string]string{
	"!Ref": "Ref", "!Condition": "Condition", "!GetAtt": "Fn::GetAtt", "!Sub": "Fn::Sub", "!Join": "Fn::Join",
	"!Select": "Fn::Select", "!Split": "Fn::Split", "!If": "Fn::If", "!Equals": "Fn::Equals", "!Not": "Fn::Not",
	"!And": "Fn::And", "!Or": "Fn::Or", "!FindInMap": "Fn::FindInMap", "!ImportValue": "Fn::ImportValue",
	"!Base64": "Fn::Base64", "!Cidr": "Fn::Cidr", "!GetAZs": "Fn::GetAZs", "!Transform": "Fn::Transform",
	"!Length": "Fn::Length", "!ToJsonString": "Fn::ToJsonString", "!ForEach": "Fn::ForEach",
	"!Contains": "Fn::Contains", "!EachMemberEquals": "Fn::EachMemberEquals", "!EachMemberIn": "Fn::EachMemberIn",
	"!RefAll": "Fn::RefAll", "!ValueOf": "Fn::ValueOf", "!ValueOfAll": "Fn::ValueOfAll",
}

func (y *yamlReader) tag(n *ast.TagNode, depth int) (any, error) {
	tag := n.Start.Value
	if n.Value == nil {
		return nil, y.fail(n, "%s has no value", tag)
	}
	v, err := y.value(n.Value, depth+1)
	if err != nil {
		return nil, err
	}
	switch name, known := functions[tag]; {
	case known:
		return map[string]any{name: v}, nil
	case tag == "!!str" || tag == "!":
		if _, scalar := n.Value.(ast.ScalarNode); scalar && v != nil {
			if s, isText := v.(string); isText {
				return s, nil
			}
			return n.Value.GetToken().Value, nil
		}
		return v, nil
	case strings.HasPrefix(tag, "!!"):
		return v, nil
	}
	return nil, y.fail(n, "the tag %s is not known", tag)
}
