package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/function"
)

// Function is a CloudFront function whose code is in a file. Files are relative
// to the configuration file.
type Function struct {
	Name    string           `yaml:"name" json:"name"`
	ARN     string           `yaml:"arn,omitempty" json:"arn,omitempty"`         // by which distributions name it; empty for that of a function made here
	File    string           `yaml:"file" json:"file"`                           // JavaScript
	Runtime function.Runtime `yaml:"runtime,omitempty" json:"runtime,omitempty"` // empty for cloudfront-js-2.0
	KVS     string           `yaml:"kvs,omitempty" json:"kvs,omitempty"`         // file with the pairs of its key value store; empty for no store
}

// FunctionAssociation has a function run at viewer-request or viewer-response.
// It is named by its name or its ARN.
type FunctionAssociation struct {
	EventType   string `yaml:"EventType" json:"EventType"`
	FunctionARN string `yaml:"FunctionARN,omitempty" json:"FunctionARN,omitempty"`
	Name        string `yaml:"Name,omitempty" json:"Name,omitempty"`
}

// FullARN is the ARN by which distributions name the function.
func (f Function) FullARN() string {
	return cmp.Or(f.ARN, "arn:aws:cloudfront::000000000000:function/"+f.Name)
}

// UsedRuntime is the runtime that the code is written for.
func (f Function) UsedRuntime() function.Runtime { return cmp.Or(f.Runtime, function.JS20) }

// besideFile makes the files of functions relative to where the configuration
// file is.
func (c *Config) besideFile(path string) {
	for i := range c.Functions {
		f := &c.Functions[i]
		for _, name := range []*string{&f.File, &f.KVS} {
			if *name != "" && !filepath.IsAbs(*name) {
				*name = filepath.Join(filepath.Dir(path), *name)
			}
		}
	}
}

// functionName is what CloudFront takes for one.
var functionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (c Config) checkFunctions() (problems []error) {
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	var names, arns []string
	for i, f := range c.Functions {
		switch {
		case !functionName.MatchString(f.Name):
			complain("functions[%d].name: %q must be 1 to 64 letters, digits, hyphens and underscores", i, f.Name)
		case slices.Contains(names, f.Name):
			complain("functions[%d].name: there are two functions %s", i, f.Name)
		case slices.Contains(arns, f.FullARN()):
			complain("functions[%d].arn: there are two functions %s", i, f.FullARN())
		}
		names, arns = append(names, f.Name), append(arns, f.FullARN())
		if f.File == "" {
			complain("functions[%d].file: a file is needed", i)
		}
		if !f.UsedRuntime().Known() {
			complain("functions[%d].runtime: %q is neither %s nor %s", i, f.Runtime, function.JS20, function.JS10)
		}
	}
	var events []string
	for i, a := range c.Distribution.FunctionAssociations {
		at := fmt.Sprintf("distribution.FunctionAssociations[%d]", i)
		switch {
		case a.EventType != string(function.ViewerRequest) && a.EventType != string(function.ViewerResponse):
			complain("%s.EventType: %q is neither %s nor %s", at, a.EventType, function.ViewerRequest, function.ViewerResponse)
		case slices.Contains(events, a.EventType):
			complain("%s.EventType: there are two functions at %s", at, a.EventType)
		}
		events = append(events, a.EventType)
		switch {
		case (a.Name == "") == (a.FunctionARN == ""):
			complain("%s: either Name or FunctionARN is needed", at)
		case a.Name != "" && !slices.Contains(names, a.Name):
			complain("%s.Name: there is no function %q under functions", at, a.Name)
		case a.FunctionARN != "" && !slices.Contains(arns, a.FunctionARN):
			complain("%s.FunctionARN: there is no function %q under functions", at, a.FunctionARN)
		}
	}
	return problems
}

// Front is the distribution in front of the bucket: base with what is set.
func (c Config) Front(base distribution.Distribution) distribution.Distribution {
	d := c.Distribution.Apply(base)
	var associations []distribution.FunctionAssociation
	for _, a := range c.Distribution.FunctionAssociations {
		arn := a.FunctionARN
		if i := slices.IndexFunc(c.Functions, func(f Function) bool { return f.Name == a.Name }); a.Name != "" && i >= 0 {
			arn = c.Functions[i].FullARN()
		}
		associations = append(associations, distribution.FunctionAssociation{EventType: a.EventType, FunctionARN: arn})
	}
	d.Config.DefaultCacheBehavior.FunctionAssociations = associations
	return d
}
