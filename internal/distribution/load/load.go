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

	Bucket         string            // stands for the buckets of templates whose names only CloudFormation knows
	KeyValueStores map[string]string // files with the pairs of stores, by logical ID or name
}

// Result is what was found, normalized and checked.
type Result struct {
	Distributions []distribution.Distribution
	CachePolicies []distribution.CachePolicy // custom ones, used or not
	Functions     []Function                 // likewise
	Warnings      []Warning
	Gaps          []Warning // what is meant and understood, but does not happen where the distributions are served here

	// Files are what was read, or would have been, folders included: where one of
	// them changes, the result may. They are there after an error as well.
	Files []string
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
	r := newReader(o)
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
	r := newReader(o)
	for _, path := range paths {
		r.open(0, path)
	}
	return r.result()
}

// Sources is Files for files of which different things are known.
func Sources(sources []Source) (Result, error) {
	r := newReader()
	for i, s := range sources {
		r.asked = append(r.asked, s.Options)
		r.open(i, s.Path)
	}
	return r.result()
}

// open adds the files that path means, with the options that were asked for by
// their place.
func (r *reader) open(asked int, path string) {
	sources, err := r.expand(path, r.asked[asked])
	if err != nil {
		r.errs = append(r.errs, err)
	}
	for _, s := range sources {
		s.asked = asked
		text, err := r.readFile(s.file)
		if err != nil {
			r.errs = append(r.errs, err)
			continue
		}
		r.add(s, text)
	}
}

// readFile reads one of the files that decide the result.
func (r *reader) readFile(path string) ([]byte, error) {
	r.files = append(r.files, path)
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
	files    []string
	assetsOf map[string]map[string]string // by folder
	found    []found
	warnings []Warning
	gaps     []Warning
	errs     []error

	cachePolicies    parts[distribution.CachePolicy]
	requestPolicies  parts[distribution.OriginRequestPolicy]
	responsePolicies parts[distribution.ResponseHeadersPolicy]
	keyGroups        parts[distribution.KeyGroup]
	publicKeys       parts[distribution.PublicKey]
	stores           parts[KeyValueStore]
	functions        parts[functionFound]
}

func newReader(asked ...Options) *reader {
	return &reader{asked: asked, assetsOf: make(map[string]map[string]string)}
}

// found is a distribution and where it was.
type found struct {
	distribution.Distribution
	file, path string
	asked      int    // place of the options for its file
	scope      string // of the names that it uses: the file, and within it the nested stack
	stack      string // name of the stack that makes it, or of its file
	named      bool   // its ID is CloudFront's
	summary    bool   // from a list, so it is not complete
	inline     bool   // its configuration stands at path itself
}

func (r *reader) warn(file, path, format string, args ...any) {
	r.warnings = append(r.warnings, Warning{File: file, Path: path, Text: fmt.Sprintf(format, args...)})
}

// gap notes what does not happen here.
func (r *reader) gap(file, path, format string, args ...any) {
	r.gaps = append(r.gaps, Warning{File: file, Path: path, Text: fmt.Sprintf(format, args...)})
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
	r.compareParts()
	r.compare()
	r.name()
	out := Result{Distributions: make([]distribution.Distribution, len(r.found))}
	for i := range r.found {
		out.Distributions[i] = r.finish(&r.found[i])
	}
	out.CachePolicies = values(r.cachePolicies, func(p *distribution.CachePolicy, id string) { p.ID = id; p.Normalize() })
	out.Functions = r.finishFunctions()
	slices.Sort(r.files)
	out.Warnings, out.Gaps, out.Files = r.warnings, r.gaps, slices.Compact(r.files)
	if err := errors.Join(r.errs...); err != nil {
		return Result{Warnings: r.warnings, Files: out.Files}, fmt.Errorf("read distributions: %w", err)
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
		Region: o.Region, AccountID: o.AccountID, StackName: o.StackName, Bucket: o.Bucket,
	}
}
