// Package load reads distributions and cache policies from the files that
// people have: the JSON that the AWS CLI prints, CloudFormation templates, what
// cdk synth writes, and our own YAML with the same names. All of them give the
// same model.
package load

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/distribution/cloudformation"
)

// Options is what files do not say themselves. The zero value gives nothing.
type Options struct {
	ID         string            // of the one distribution that has none in its file
	DomainName string            // of the same
	Parameters map[string]string // of templates
	Resources  map[string]string // by logical ID, what CloudFormation has called it; by Logical.Attribute, an attribute
	Region     string            // of stacks; empty: us-east-1
	AccountID  string
	StackName  string
}

// Result is what was found, normalized and checked.
type Result struct {
	Distributions []distribution.Distribution
	CachePolicies []distribution.CachePolicy // custom ones, used or not
	Warnings      []Warning
}

// Warning is something in a file that was not used, or had to be assumed.
type Warning struct {
	File string
	Path string // empty: all of it
	Text string
}

func (w Warning) String() string {
	if w.Path == "" {
		return w.File + ": " + w.Text
	}
	return w.File + ": " + w.Path + ": " + w.Text
}

// maxBytes is how large a file may be. A list of 500 distributions fits.
const maxBytes = 32 << 20

// Read reads one file's text. name says what it is called in errors, and may
// tell a distribution's ID where the text does not.
func Read(name string, text []byte, o Options) (Result, error) {
	r := &reader{asked: []Options{o}}
	r.add(source{file: name, options: o}, text)
	return r.result()
}

// Source is a file, or a folder that cdk synth wrote, and what it does not say
// itself.
type Source struct {
	Path    string
	Options Options
}

// Files reads several files together: templates may import from each other, and
// distributions use cache policies of other files. A folder is what cdk synth
// wrote, as cdk.out. The error joins all there are.
func Files(paths []string, o Options) (Result, error) {
	r := &reader{asked: []Options{o}}
	for _, path := range paths {
		r.open(0, path)
	}
	return r.result()
}

// Sources is Files for files of which different things are known.
func Sources(sources []Source) (Result, error) {
	r := new(reader)
	for i, s := range sources {
		r.asked = append(r.asked, s.Options)
		r.open(i, s.Path)
	}
	return r.result()
}

// open adds the files that path means, with the options that were asked for by
// their place.
func (r *reader) open(asked int, path string) {
	sources, err := expand(path, r.asked[asked])
	if err != nil {
		r.errs = append(r.errs, err)
	}
	for _, s := range sources {
		s.asked = asked
		text, err := readFile(s.file)
		if err != nil {
			r.errs = append(r.errs, err)
			continue
		}
		r.add(s, text)
	}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a distribution: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read a distribution: %w", err)
	}
	return text, nil
}

// source is one file with what is known of it.
type source struct {
	file    string
	options Options
	asked   int  // place of options in the reader's
	synth   bool // one of several that cdk synth wrote
	tree    any
}

type reader struct {
	asked    []Options
	sources  []source
	found    []found
	policies []policy
	warnings []Warning
	errs     []error
}

// found is a distribution and where it was.
type found struct {
	distribution.Distribution
	file, path string
	asked      int    // place of the options for its file
	stack      string // name of the stack that makes it, or of its file
	named      bool   // its ID is CloudFront's
	summary    bool   // from a list, so it is not complete
	inline     bool   // its configuration stands at path itself
}

type policy struct {
	distribution.CachePolicy
	file, path string
	named      bool // its ID is CloudFront's
}

func (r *reader) warn(file, path, format string, args ...any) {
	r.warnings = append(r.warnings, Warning{File: file, Path: path, Text: fmt.Sprintf(format, args...)})
}

// fail notes an error of a file, or several that are joined.
func (r *reader) fail(file string, err error) {
	for _, e := range separate(err) {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", file, e))
	}
}

func separate(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// add parses a file; what is in it is read once all are there.
func (r *reader) add(s source, text []byte) {
	trees, err := parse(s.file, text)
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	for _, s.tree = range trees {
		r.sources = append(r.sources, s)
	}
}

func (r *reader) result() (Result, error) {
	exports := make(cloudformation.Exports)
	for range 2 {
		for _, s := range r.sources {
			if cloudformation.IsTemplate(s.tree) {
				exports.AddFrom(s.tree, s.options.template(nil))
			}
		}
	}
	for _, s := range r.sources {
		v := visit{reader: r, source: s, exports: exports}
		v.tree(s.tree, "", 0)
	}
	r.parameters()
	r.compare()
	r.name()
	out := Result{Distributions: make([]distribution.Distribution, len(r.found))}
	for i := range r.found {
		out.Distributions[i] = r.finish(&r.found[i])
	}
	for _, p := range r.policies {
		p.Normalize()
		out.CachePolicies = append(out.CachePolicies, p.CachePolicy)
	}
	out.Warnings = r.warnings
	if err := errors.Join(r.errs...); err != nil {
		return Result{Warnings: r.warnings}, fmt.Errorf("read distributions: %w", err)
	}
	return out, nil
}

// parameters warns of those that no template has: probably a name is wrong.
func (r *reader) parameters() {
	for asked := range r.asked {
		r.parametersOf(asked)
	}
}

func (r *reader) parametersOf(asked int) {
	declared, file := make(map[string]bool), ""
	for _, s := range r.sources {
		root, _ := s.tree.(map[string]any)
		if s.asked != asked || !cloudformation.IsTemplate(root) {
			continue
		}
		file = s.file
		parameters, _ := root["Parameters"].(map[string]any)
		for name := range parameters {
			declared[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.asked[asked].Parameters)) {
		if file != "" && !declared[name] && !strings.HasPrefix(name, "AWS::") {
			r.warn(file, "Parameters."+name, "was given, but the template has no such parameter")
		}
	}
}

func (o Options) template(exports cloudformation.Exports) cloudformation.Options {
	return cloudformation.Options{
		Parameters: o.Parameters, Resources: o.Resources, Exports: exports,
		Region: o.Region, AccountID: o.AccountID, StackName: o.StackName,
	}
}
