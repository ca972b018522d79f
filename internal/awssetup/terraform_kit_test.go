package awssetup_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/freshet/freshet/internal/awssetup"
)

// A module is a folder of Terraform, read as Terraform reads it and evaluated
// without it: its expressions with the functions of Terraform that it uses, its
// resources as the values of their arguments.
type module struct {
	dir    string
	blocks []*hclsyntax.Block
}

func moduleIn(t *testing.T, dir string) module {
	t.Helper()
	m := module{dir: filepath.Join(append([]string{"..", "..", "deploy", "terraform"}, filepath.SplitList(dir)...)...)}
	files, err := filepath.Glob(filepath.Join(m.dir, "*.tf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", m.dir, files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		m.blocks = append(m.blocks, file.Body.(*hclsyntax.Body).Blocks...)
	}
	return m
}

// each calls do for the blocks of one type.
func (m module) each(kind string, do func(labels []string, body *hclsyntax.Body)) {
	for _, b := range m.blocks {
		if b.Type == kind {
			do(b.Labels, b.Body)
		}
	}
}

// scope is what the expressions of m see: variables as given or by their
// defaults, locals as far as they can be known, and what refs says.
func (m module) scope(t *testing.T, vars map[string]cty.Value, refs map[string]cty.Value) *hcl.EvalContext {
	t.Helper()
	here := &hcl.EvalContext{Functions: m.functions(), Variables: map[string]cty.Value{
		"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(m.dir)}),
	}}
	for name, v := range refs {
		here.Variables[name] = v
	}
	given := make(map[string]cty.Value)
	m.each("variable", func(labels []string, body *hclsyntax.Body) {
		v, ok := vars[labels[0]]
		if preset := body.Attributes["default"]; !ok && preset != nil {
			v = must(t)(preset.Expr.Value(here))
		} else if !ok {
			t.Fatalf("%s: the variable %s has neither a value nor a default", m.dir, labels[0])
		}
		given[labels[0]] = v
	})
	here.Variables["var"] = cty.ObjectVal(given)
	locals := map[string]hclsyntax.Expression{}
	m.each("locals", func(_ []string, body *hclsyntax.Body) {
		for name, a := range body.Attributes {
			locals[name] = a.Expr
		}
	})
	known := map[string]cty.Value{}
	for range len(locals) + 1 { // one may need another
		here.Variables["local"] = cty.ObjectVal(known)
		for name, e := range locals {
			if v, diags := e.Value(here); !diags.HasErrors() {
				known[name] = v
			}
		}
	}
	for name, e := range locals {
		_, diags := e.Value(here)
		if diags.HasErrors() {
			t.Fatalf("local.%s: %v", name, diags)
		}
	}
	return here
}

func must(t *testing.T) func(cty.Value, hcl.Diagnostics) cty.Value {
	return func(v cty.Value, diags hcl.Diagnostics) cty.Value {
		t.Helper()
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return v
	}
}

// body is a block's attributes and blocks as one value, each kind of block as a
// list; dynamic blocks with what they come to.
func body(t *testing.T, b *hclsyntax.Body, here *hcl.EvalContext) cty.Value {
	t.Helper()
	values := map[string]cty.Value{}
	lists := map[string][]cty.Value{}
	for name, a := range b.Attributes {
		if name == "depends_on" {
			continue
		}
		values[name] = must(t)(a.Expr.Value(here))
	}
	for _, inner := range b.Blocks {
		switch inner.Type {
		case "lifecycle":
		case "dynamic":
			label := inner.Labels[0]
			each := must(t)(inner.Body.Attributes["for_each"].Expr.Value(here))
			for it := each.ElementIterator(); it.Next(); {
				_, v := it.Element()
				child := here.NewChild()
				child.Variables = map[string]cty.Value{label: cty.ObjectVal(map[string]cty.Value{"value": v})}
				lists[label] = append(lists[label], body(t, inner.Body.Blocks[0].Body, child))
			}
		default:
			lists[inner.Type] = append(lists[inner.Type], body(t, inner.Body, here))
		}
	}
	for name, l := range lists {
		values[name] = cty.TupleVal(l)
	}
	return cty.ObjectVal(values)
}

// functions are those of Terraform that the module may use, done by the library
// that Terraform does them with.
func (m module) functions() map[string]function.Function {
	text := func(f func(string) (cty.Value, error)) function.Function {
		return function.New(&function.Spec{
			Params: []function.Parameter{{Type: cty.String}}, Type: function.StaticReturnType(cty.String),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f(args[0].AsString()) },
		})
	}
	ends := func(f func(s, end string) bool) function.Function {
		return function.New(&function.Spec{
			Params: []function.Parameter{{Type: cty.String}, {Type: cty.String}}, Type: function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
			},
		})
	}
	return map[string]function.Function{
		"can": tryfunc.CanFunc, "coalesce": stdlib.CoalesceFunc, "compact": stdlib.CompactFunc, "contains": stdlib.ContainsFunc,
		"distinct": stdlib.DistinctFunc, "flatten": stdlib.FlattenFunc, "floor": stdlib.FloorFunc, "format": stdlib.FormatFunc,
		"join": stdlib.JoinFunc, "jsondecode": stdlib.JSONDecodeFunc, "jsonencode": stdlib.JSONEncodeFunc, "length": lengthFunc,
		"max": stdlib.MaxFunc, "merge": stdlib.MergeFunc, "regex": stdlib.RegexFunc, "sort": stdlib.SortFunc, "trimprefix": stdlib.TrimPrefixFunc,
		"startswith": ends(strings.HasPrefix), "endswith": ends(strings.HasSuffix), "alltrue": allTrueFunc,
		"templatefile": m.templateFunc(), "replace": replaceFunc,
		"filebase64sha256": text(func(string) (cty.Value, error) { return cty.StringVal("hash"), nil }),
		"file": text(func(name string) (cty.Value, error) {
			content, err := os.ReadFile(name)
			return cty.StringVal(string(content)), err
		}),
	}
}

var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Type: cty.DynamicPseudoType}}, Type: function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].Type() == cty.String {
			return stdlib.Strlen(args[0])
		}
		return args[0].Length(), nil
	},
})

var allTrueFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Type: cty.List(cty.Bool)}}, Type: function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		for it := args[0].ElementIterator(); it.Next(); {
			if _, v := it.Element(); v.False() {
				return cty.False, nil
			}
		}
		return cty.True, nil
	},
})

// replaceFunc takes what stands between slashes as a regular expression.
var replaceFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Type: cty.String}, {Type: cty.String}, {Type: cty.String}}, Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		old := args[1].AsString()
		if len(old) > 1 && strings.HasPrefix(old, "/") && strings.HasSuffix(old, "/") {
			re, err := regexp.Compile(old[1 : len(old)-1])
			if err != nil {
				return cty.UnknownVal(cty.String), err
			}
			return cty.StringVal(re.ReplaceAllString(args[0].AsString(), args[2].AsString())), nil
		}
		return cty.StringVal(strings.ReplaceAll(args[0].AsString(), old, args[2].AsString())), nil
	},
})

func (m module) templateFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Type: cty.String}, {Type: cty.DynamicPseudoType}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			content, err := os.ReadFile(name)
			if err != nil {
				return cty.UnknownVal(cty.String), err
			}
			template, diags := hclsyntax.ParseTemplate(content, name, hcl.InitialPos)
			if diags.HasErrors() {
				return cty.UnknownVal(cty.String), diags
			}
			out, diags := template.Value(&hcl.EvalContext{Variables: args[1].AsValueMap()})
			if diags.HasErrors() {
				return cty.UnknownVal(cty.String), diags
			}
			return out, nil
		},
	})
}

// variables are those of the policies for a site.
func variables(s awssetup.Site) map[string]cty.Value {
	return map[string]cty.Value{
		"partition": cty.StringVal(s.Partition), "account": cty.StringVal(s.Account), "region": cty.StringVal(s.Region),
		"name": cty.StringVal(s.Name), "bucket": cty.StringVal(s.Bucket), "distributions": strs(s.Distributions),
		"table": cty.StringVal(s.Table), "configuration": cty.StringVal(s.Config), "codepipeline": cty.BoolVal(s.CodePipeline),
		"repositories": strs(s.CodeCommit),
	}
}

func strs(l []string) cty.Value {
	if len(l) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	values := make([]cty.Value, len(l))
	for i, s := range l {
		values[i] = cty.StringVal(s)
	}
	return cty.ListVal(values)
}

// plain is v as Go's JSON has it.
func plain(t *testing.T, v cty.Value) any {
	t.Helper()
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		t.Fatal(err)
	}
	return parsedJSON(t, string(text))
}

// asText is v as a string, whatever it is.
func asText(t *testing.T, v cty.Value) string {
	t.Helper()
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		t.Fatal(fmt.Errorf("%#v: %w", v, err))
	}
	return s.AsString()
}
