package api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// maxDepth is how deep a request's elements may be nested. CloudFront's deepest
// have a dozen levels.
const maxDepth = 32

// maxElements is how many there may be in a request. CloudFront's largest, a
// distribution with all that its quotas allow, has some twenty thousand.
const maxElements = 100_000

// tree is an element of a request in the form that package distribution
// decodes: its elements by name, as map[string]any, []any or string.
type tree = map[string]any

// readTree reads a document called root. Elements may come in any order, and the
// namespace may be missing; an element that stands twice where one is expected
// is malformed. A Quantity that is not the number of the Items is
// InconsistentQuantities.
func readTree(body []byte, root string) (tree, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, missingBody()
	}
	r := treeReader{decoder: xml.NewDecoder(bytes.NewReader(body))}
	read, err := r.document(root)
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return nil, refused
	case err != nil:
		return nil, malformed(root, err)
	}
	return read, nil
}

func missingBody() error {
	return refuse(MissingBody, "This operation requires a body. Ensure that the body is present and the Content-Type header is set.")
}

func malformed(root string, err error) error {
	return refuse(MalformedInput, "The request's body is no %s: %s", root, clipped(err.Error(), 400))
}

type treeReader struct {
	decoder  *xml.Decoder
	depth    int
	elements int
}

func (r *treeReader) document(root string) (tree, error) {
	for {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("read XML: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != root || start.Name.Space != namespace && start.Name.Space != "" {
			return nil, fmt.Errorf("the document is %q of %q", start.Name.Local, start.Name.Space)
		}
		read, err := r.element(root, "")
		if err != nil {
			return nil, err
		}
		if err := onlyMisc(r.decoder); err != nil {
			return nil, fmt.Errorf("read XML behind the document: %w", err)
		}
		if t, ok := read.(tree); ok {
			return t, nil
		}
		return tree{}, nil
	}
}

// content is what an element holds.
type content struct {
	text  strings.Builder
	names []string // of the elements
	below []any
}

func (r *treeReader) element(name, above string) (any, error) {
	if r.depth++; r.depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels", maxDepth)
	}
	defer func() { r.depth-- }()
	if r.elements++; r.elements > maxElements {
		return nil, fmt.Errorf("more than %d elements", maxElements)
	}
	var c content
	for {
		token, err := r.decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("read XML: %w", err)
		}
		switch t := token.(type) {
		case xml.CharData:
			c.text.Write(t)
		case xml.StartElement:
			below, err := r.element(t.Name.Local, name)
			if err != nil {
				return nil, err
			}
			c.names, c.below = append(c.names, t.Name.Local), append(c.below, below)
		case xml.EndElement:
			return c.value(name, name != above && structures()[name])
		}
	}
}

// value is a list for Items and for what begins with a member; a text without
// elements, unless it is a structure; and a tree otherwise.
func (c *content) value(name string, structure bool) (any, error) {
	switch {
	case len(c.below) > 0 && strings.TrimSpace(c.text.String()) != "":
		return nil, fmt.Errorf("%s holds both text and elements", name)
	case name == "Items" || len(c.names) > 0 && c.names[0] == "member":
		return c.list(name)
	case len(c.below) == 0 && structure && strings.TrimSpace(c.text.String()) == "":
		return tree{}, nil
	case len(c.below) == 0:
		return c.text.String(), nil
	}
	t := make(tree, len(c.below))
	for i, below := range c.names {
		if _, twice := t[below]; twice {
			return nil, fmt.Errorf("%s stands twice in %s", below, name)
		}
		t[below] = c.below[i]
	}
	return t, consistent(name, t)
}

func (c *content) list(name string) (any, error) {
	for _, n := range c.names {
		if n != c.names[0] {
			return nil, fmt.Errorf("%s holds both %s and %s", name, c.names[0], n)
		}
	}
	if c.below == nil {
		return []any{}, nil
	}
	return c.below, nil
}

// consistent checks the Quantity of a list.
func consistent(name string, t tree) error {
	text, ok := t["Quantity"].(string)
	if !ok {
		return nil
	}
	quantity, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("the Quantity %q of %s is no number", text, name)
	}
	held, _ := t["Items"].([]any)
	if quantity != len(held) {
		return refuse(InconsistentQuantities, "The value of Quantity of %s is %d, but Items holds %d", name, quantity, len(held))
	}
	return nil
}

// structures are the names of elements that hold others: without any they are
// empty, but not a text. One within another of the same name is a text.
var structures = sync.OnceValue(func() map[string]bool {
	found := make(map[string]bool)
	addStructures(found, reflect.TypeFor[distribution.Distribution]())
	return found
})

func addStructures(found map[string]bool, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner, listed := f.Type, false
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			listed = listed || inner.Kind() == reflect.Slice
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && name != "" && inner != reflect.TypeFor[time.Time]() {
			found[name] = found[name] || !listed
			addStructures(found, inner)
		}
	}
}

// required refuses a tree that lacks one of the members.
func required(t tree, path string, members ...string) error {
	for _, m := range members {
		if _, ok := t[m]; !ok {
			return notOnce(path+"."+lower(m), 0)
		}
	}
	return nil
}

// listed returns the trees in the Items of a list.
func listed(v any) []tree {
	outer, _ := v.(tree)
	held, _ := outer["Items"].([]any)
	var trees []tree
	for _, h := range held {
		if t, ok := h.(tree); ok {
			trees = append(trees, t)
		}
	}
	return trees
}

// lower begins a member's name as CloudFront's messages do.
func lower(name string) string { return strings.ToLower(name[:1]) + name[1:] }
