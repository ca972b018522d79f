// Package cloudformation resolves CloudFormation templates as far as
// distributions and cache policies need: references among a template's own
// resources, parameters, mappings, conditions and the functions of texts and
// lists. It asks nobody: what only CloudFormation knows is stood for by names
// of the template where that is safe, and said in a warning; all else that
// cannot be resolved is an error that names it.
package cloudformation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options is what a template does not say itself. The zero value gives nothing.
type Options struct {
	Parameters map[string]string // by name; of a list, separated by commas
	Resources  map[string]string // physical names and IDs by logical ID; of attributes by Logical.Attribute
	Exports    Exports           // what Fn::ImportValue finds
	Bucket     string            // stands for every bucket whose name only CloudFormation knows; empty: its logical ID does
	Templates  map[string]any    // of nested stacks: by their TemplateURL as it is written, or by its last segment
	Region     string            // empty: us-east-1, with a warning where it is needed
	AccountID  string
	StackName  string
}

// Resource is one resource with everything in it resolved.
type Resource struct {
	LogicalID  string
	Type       string
	ID         string // given, or else the logical ID; of functions and key value stores their ARN
	Given      bool   // ID was given
	Stack      string // logical IDs of the nested stacks that it is in, with dots; empty: it is in none
	Path       string // as Resources.Site, and of nested stacks Resources.Front.Resources.Site
	Properties map[string]any
	Err        error // why Properties could not be resolved; only from Beside
}

// Warning is something that had to be assumed.
type Warning struct {
	Path string // as Resources.Site.Properties.DistributionConfig.Aliases[0]
	Text string
}

func (w Warning) String() string { return w.Path + ": " + w.Text }

// Error is something that cannot be resolved.
type Error struct {
	Path string
	Text string
}

func (e *Error) Error() string { return e.Path + ": " + e.Text }

// Limits of what a template may be resolved to.
const (
	maxDepth  = 100
	maxSteps  = 1 << 20
	maxText   = 1 << 20 // bytes
	maxErrors = 20
)

// IsTemplate reports whether tree looks like a template.
func IsTemplate(tree any) bool {
	root, ok := tree.(map[string]any)
	if !ok {
		return false
	}
	resources, ok := root["Resources"].(map[string]any)
	if !ok {
		return false
	}
	if _, versioned := root["AWSTemplateFormatVersion"]; versioned || len(resources) == 0 {
		return true
	}
	for _, r := range resources {
		if m, ok := r.(map[string]any); ok && m["Type"] != nil {
			return true
		}
	}
	return false
}

// Resolve returns the resources of the given types, by logical ID, without
// those whose condition is false, and then those of nested stacks whose
// templates are there. Only what they depend on is looked at. The error joins
// all that cannot be resolved.
func Resolve(tree any, types []string, o Options) ([]Resource, []Warning, error) {
	r := newResolver(tree, o)
	r.macros(tree)
	found := r.made(types, false)
	return found, r.warnings, r.err()
}

// Beside is Resolve for what distributions may do without: each resource that
// cannot be resolved says so itself, and macros are not warned of once more.
func Beside(tree any, types []string, o Options) ([]Resource, []Warning) {
	r := newResolver(tree, o)
	return r.made(types, true), r.warnings
}

// made returns the resources of the given types that are made. Where each is
// resolved apart, what is wrong with one is its own error.
func (r *resolver) made(types []string, apart bool) []Resource {
	var found []Resource
	for _, id := range slices.Sorted(maps.Keys(r.resources)) {
		if strings.HasPrefix(id, "Fn::") {
			if !apart {
				r.generated(id, types)
			}
			continue
		}
		res, ok := r.resources[id].(map[string]any)
		if !ok {
			continue
		}
		kind, _ := res["Type"].(string)
		switch {
		case slices.Contains(types, kind) && apart:
			var one Resource
			made := false
			_, err := r.attempt(func() any {
				if made = r.conditionOf(id) != any(false); made {
					one = r.resource(id, kind, res)
				}
				return nil
			})
			if one.Err = err; made {
				found = append(found, one)
			}
		case slices.Contains(types, kind) && r.conditionOf(id) == true:
			found = append(found, r.resource(id, kind, res))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.resources)) {
		if c := r.nested(id); c != nil && c.mayHave(types) && r.conditionOf(id) == true {
			found = append(found, c.made(types, apart)...)
		}
	}
	return found
}

func (r *resolver) resource(id, kind string, res map[string]any) Resource {
	path := "Resources." + id
	out := Resource{LogicalID: id, Type: kind, ID: id, Stack: r.stack, Path: r.prefix + path}
	if given, ok := r.o.Resources[id]; ok {
		out.ID, out.Given = given, true
	}
	switch kind {
	case functionType:
		out.ID = r.functionARN(id)
	case storeType:
		out.ID = r.storeARN(id)
	}
	properties := r.value(res["Properties"], path+".Properties", 0)
	switch p := r.plain(properties, path+".Properties").(type) {
	case map[string]any:
		out.Properties = p
	case broken:
	default:
		r.fail(path+".Properties", "there are none")
	}
	return out
}

// macros warns of macros that may change a template beyond what it says.
func (r *resolver) macros(tree any) {
	root, _ := tree.(map[string]any)
	list, ok := root["Transform"].([]any)
	if !ok && root["Transform"] != nil {
		list = []any{root["Transform"]}
	}
	for _, m := range list {
		name, ok := m.(string)
		if !ok || !strings.HasPrefix(name, "AWS::") || strings.HasPrefix(name, "AWS::Include") {
			r.warn("Transform", "%v may change the template in ways that are not known here", m)
		}
	}
}

// generated refuses resources that a macro makes, where they matter.
func (r *resolver) generated(id string, types []string) {
	if mentions(r.resources[id], types, 0) {
		r.fail("Resources."+id, "makes resources that are needed here, and is not resolved: give the processed template (`aws cloudformation get-template --template-stage Processed`)")
		return
	}
	r.warn("Resources."+id, "is not resolved, what it makes is not known")
}

func mentions(tree any, texts []string, depth int) bool {
	if depth > maxDepth {
		return true
	}
	switch t := tree.(type) {
	case string:
		return slices.Contains(texts, t)
	case []any:
		return slices.ContainsFunc(t, func(e any) bool { return mentions(e, texts, depth+1) })
	case map[string]any:
		for _, e := range t {
			if mentions(e, texts, depth+1) {
				return true
			}
		}
	}
	return false
}

// resolver resolves one template.
type resolver struct {
	*session
	o          Options
	resources  map[string]any
	outputs    map[string]any
	parameters map[string]any
	mappings   map[string]any
	conditions map[string]any
	transforms bool // the template has a Transform
	sam        bool // SAM's

	decided map[string]any // conditions: true, false or broken
	buckets map[string]string

	parent        *resolver // of a nested stack
	id            string    // its logical ID there
	stack, prefix string    // logical IDs of all stacks that it is in, and what paths begin with
	children      map[string]*resolver
}

// session is what a template and its nested stacks share.
type session struct {
	warnings []Warning
	warned   map[Warning]bool
	errs     []error
	unsaid   int
	steps    int
	active   map[string]bool // what is being resolved, to find circles
	symbols  []symbol        // what each of the marks stands for
	stacks   int             // nested ones
}

func newResolver(tree any, o Options) *resolver {
	root, _ := tree.(map[string]any)
	section := func(name string) map[string]any {
		m, _ := root[name].(map[string]any)
		return m
	}
	return &resolver{
		session: &session{warned: make(map[Warning]bool), active: make(map[string]bool)},
		o:       o, resources: section("Resources"), parameters: section("Parameters"), outputs: section("Outputs"),
		mappings: section("Mappings"), conditions: section("Conditions"),
		transforms: root["Transform"] != nil, sam: mentions(root["Transform"], []string{"AWS::Serverless-2016-10-31"}, 0),
		decided: make(map[string]any), buckets: make(map[string]string), children: make(map[string]*resolver),
	}
}

// warn says the same thing once.
func (r *resolver) warn(path, format string, args ...any) {
	w := Warning{Path: r.prefix + path, Text: fmt.Sprintf(format, args...)}
	if !r.warned[w] {
		r.warned[w] = true
		r.warnings = append(r.warnings, w)
	}
}

// fail notes an error and returns what stands for a value that there is not.
func (r *resolver) fail(path, format string, args ...any) broken { //nolint:unparam // what a caller returns in place of a value
	if len(r.errs) == maxErrors {
		r.unsaid++
	} else {
		r.errs = append(r.errs, &Error{Path: r.prefix + path, Text: fmt.Sprintf(format, args...)})
	}
	return broken{}
}

func (r *session) err() error {
	if r.unsaid > 0 {
		return errors.Join(append(r.errs, fmt.Errorf("and %d more", r.unsaid))...)
	}
	return errors.Join(r.errs...)
}

// attempt resolves what is allowed to fail, and returns why it did.
func (r *session) attempt(do func() any) (any, error) {
	errs, unsaid := r.errs, r.unsaid
	r.errs, r.unsaid = nil, 0
	v := do()
	err := r.err()
	r.errs, r.unsaid = errs, unsaid
	return v, err
}
