package api

import "fmt"

// fields are the members of a small configuration. What is not asked for is an
// error, as in all others.
type fields struct {
	root  string
	given tree
	asked map[string]bool
	wrong error
}

// readFields reads a document and asks for the members that are required.
func readFields(body []byte, root string, must ...string) (*fields, error) {
	f := &fields{root: root, asked: make(map[string]bool)}
	t, err := readTree(body, root)
	if err == nil {
		f.given = t
		err = required(t, lower(root), must...)
	}
	return f, err
}

// text is empty where the member is missing.
func (f *fields) text(name string) string {
	f.asked[name] = true
	v, ok := f.given[name].(string)
	if _, is := f.given[name]; is && !ok {
		f.wrong = fmt.Errorf("%s is not a text", name)
	}
	return v
}

// list is of texts.
func (f *fields) list(name string) []string {
	f.asked[name] = true
	if f.given[name] == "" {
		return nil
	}
	given, ok := f.given[name].([]any)
	if _, is := f.given[name]; is && !ok {
		f.wrong = fmt.Errorf("%s is not a list", name)
	}
	var texts []string
	for _, g := range given {
		t, ok := g.(string)
		if !ok {
			f.wrong = fmt.Errorf("%s holds something else than texts", name)
		}
		texts = append(texts, t)
	}
	return texts
}

// group has no members where the member is missing or empty.
func (f *fields) group(name string) *fields {
	f.asked[name] = true
	g := &fields{root: f.root, asked: make(map[string]bool)}
	given, is := f.given[name]
	inner, ok := given.(tree)
	if is && !ok && given != "" {
		f.wrong = fmt.Errorf("%s holds no elements", name)
	}
	g.given = inner
	return g
}

// end returns the first of: err; a member of the wrong kind; one that was not
// asked for.
func (f *fields) end(err error) error {
	switch {
	case err != nil:
		return err
	case f.wrong != nil:
		return malformed(f.root, f.wrong)
	}
	for name := range f.given {
		if !f.asked[name] {
			return malformed(f.root, fmt.Errorf("unexpected element %q", name))
		}
	}
	return nil
}
