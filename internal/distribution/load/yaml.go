package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes is how many values a file of YAML may have, with what anchors repeat
// counted each time.
const maxNodes = 1 << 20

// parseYAML returns all documents. CloudFormation's short tags become the
// functions that they are short for. Scalars stay as they are written: numbers
// are json.Number, dates are texts.
//
// This is not the parser that configuration is read with: it has to understand
// templates as CloudFormation does, and goccy/go-yaml reads folded quotes, and
// texts in flow style that span lines, otherwise.
func parseYAML(name string, text []byte) ([]any, error) {
	y := yamlReader{name: name}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var trees []any
	for {
		var document yaml.Node
		err := d.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, y.syntax(err)
		}
		tree, err := y.value(&document, 0)
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

// syntax makes "name:3: ..." of "yaml: line 3: ...".
func (y *yamlReader) syntax(err error) error {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	if line, rest, ok := strings.Cut(strings.TrimPrefix(what, "line "), ": "); ok && strings.HasPrefix(what, "line ") {
		return fmt.Errorf("%s:%s: %s", y.name, line, rest)
	}
	return fmt.Errorf("%s: %s", y.name, what)
}

type yamlReader struct {
	name  string
	nodes int
	stack []*yaml.Node // the anchors that aliases lead to just now
}

func (y *yamlReader) fail(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d:%d: %s", y.name, n.Line, n.Column, fmt.Sprintf(format, args...))
}

func (y *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	y.nodes++
	switch {
	case depth > maxDepth:
		return nil, y.fail(n, "is nested deeper than %d", maxDepth)
	case y.nodes > maxNodes:
		return nil, y.fail(n, "there are more than %d values", maxNodes)
	case n.Kind == yaml.DocumentNode:
		return y.value(n.Content[0], depth)
	case n.Kind == yaml.AliasNode:
		return y.alias(n, depth)
	}
	v, err := y.content(n, depth)
	if err != nil || !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!") || n.Tag == "!" {
		return v, err
	}
	name, known := functions[n.Tag]
	if !known {
		return nil, y.fail(n, "the tag %s is not known", n.Tag)
	}
	return map[string]any{name: v}, nil
}

// content returns what n is without its tag.
func (y *yamlReader) content(n *yaml.Node, depth int) (any, error) {
	switch n.Kind {
	case yaml.SequenceNode:
		return y.list(n, depth)
	case yaml.MappingNode:
		return y.object(n, depth)
	}
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		return json.Number(n.Value), nil
	}
	return n.Value, nil
}

func (y *yamlReader) list(n *yaml.Node, depth int) (any, error) {
	list := make([]any, len(n.Content))
	for i, e := range n.Content {
		v, err := y.value(e, depth+1)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

func (y *yamlReader) object(n *yaml.Node, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	var merged []any
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		v, err := y.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if key.Tag == "!!merge" {
			merged = append(merged, v)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, y.fail(key, "is not a property's name")
		}
		if _, twice := m[key.Value]; twice {
			return nil, y.fail(key, "property %q is there twice", key.Value)
		}
		m[key.Value] = v
	}
	for _, from := range merged {
		y.merge(m, from)
	}
	return m, nil
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

func (y *yamlReader) alias(n *yaml.Node, depth int) (any, error) {
	for _, above := range y.stack {
		if above == n.Alias {
			return nil, y.fail(n, "*%s contains itself", n.Value)
		}
	}
	y.stack = append(y.stack, n.Alias)
	defer func() { y.stack = y.stack[:len(y.stack)-1] }()
	return y.value(n.Alias, depth+1)
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
