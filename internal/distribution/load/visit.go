package load

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/distribution/cloudformation"
)

// visit reads one document.
type visit struct {
	*reader
	source
	exports cloudformation.Exports
	nested  *cloudformation.Resource // of a template, what is read just now; nil elsewhere
}

func (v visit) warn(path, format string, args ...any) { v.reader.warn(v.file, path, format, args...) }

func (v visit) took(warnings []distribution.Warning, err error) {
	for _, w := range warnings {
		v.warn(w.Path, "%s", w.Text)
	}
	v.fail(v.file, err)
}

// unused are what AWS prints beside distributions and what they use, and
// resources of templates that distributions name: what is in them decides
// nothing here.
var unused = []string{
	"OriginAccessControl", "OriginAccessControlConfig", "OriginAccessControlList",
	"CloudFrontOriginAccessIdentity", "FunctionSummary", "FunctionList", "ContinuousDeploymentPolicy",
	"VpcOrigin", "RealtimeLogConfig", "KeyValueStoreList",
}

// tree recognizes a document by its shape.
func (v visit) tree(tree any, path string, depth int) {
	if list, ok := tree.([]any); ok && depth < 2 {
		for i, e := range list {
			v.tree(e, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
		return
	}
	m, ok := tree.(map[string]any)
	if !ok {
		v.fail(v.file, &distribution.Error{Path: path, Text: "is neither a distribution nor a template"})
		return
	}
	has := func(name string) bool { return m[name] != nil }
	switch {
	case cloudformation.IsTemplate(m):
		v.template(m)
	case has("TemplateBody"):
		v.body(m["TemplateBody"], depth)
	case has("Distributions") || hasPlural(m) && !has("DistributionConfig") && !has("Origins"):
		v.own(m, path)
	case has("DistributionList"):
		v.summaries(m, path)
	case has("Distribution"):
		v.wrapped(m, "Distribution", path, v.distribution)
	case has("DistributionConfigWithTags"):
		v.wrapped(m, "DistributionConfigWithTags", path, v.distribution)
	case has("DistributionConfig"):
		v.distribution(m, path)
	case has("DefaultCacheBehavior") || has("Origins"):
		v.inline(m, path)
	default:
		v.rest(m, path)
	}
}

// hasPlural reports whether m lists things that distributions use.
func hasPlural(m map[string]any) bool {
	return slices.ContainsFunc(kinds(), func(k kind) bool { return m[k.plural] != nil })
}

func (v visit) rest(m map[string]any, path string) {
	for _, k := range kinds() {
		read := func(m map[string]any, path string) { k.read(v, m, path) }
		switch {
		case m[k.name+"List"] != nil && k.name != "Function" && k.name != "KeyValueStore":
			v.list(m, k, path)
		case m[k.name] != nil:
			v.wrapped(m, k.name, path, read)
		case m[k.name+"Config"] != nil:
			read(m, path)
		default:
			continue
		}
		return
	}
	for _, name := range unused {
		if m[name] != nil {
			v.warn(below(path, name), "is not used")
			return
		}
	}
	names := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	v.fail(v.file, &distribution.Error{Path: path, Text: fmt.Sprintf(
		"is neither a distribution, a policy, a key group, a public key nor a template: it has %s", shortened(names))})
}

func shortened(s string) string {
	switch {
	case s == "":
		return "no properties"
	case len(s) > 200:
		return strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}

// body reads the template in the output of `aws cloudformation get-template`.
func (v visit) body(body any, depth int) {
	text, ok := body.(string)
	if !ok {
		v.tree(body, "", depth+1)
		return
	}
	trees, err := parse(v.file, []byte(text))
	if err != nil || depth > 2 {
		v.fail(v.file, fmt.Errorf("TemplateBody: %w", err))
		return
	}
	for _, tree := range trees {
		v.tree(tree, "", depth+1)
	}
}

// wrapped reads what the AWS CLI prints below one name.
func (v visit) wrapped(m map[string]any, name, path string, read func(map[string]any, string)) {
	v.beside(m, path, name)
	v.inside(m, name, path, read)
}

func (v visit) inside(m map[string]any, name, path string, read func(map[string]any, string)) {
	inner, ok := m[name].(map[string]any)
	if !ok {
		v.fail(v.file, &distribution.Error{Path: below(path, name), Text: "is not an object"})
		return
	}
	read(inner, below(path, name))
}

// beside warns of what is not known next to the names given.
func (v visit) beside(m map[string]any, path string, names ...string) {
	names = append(names, "ETag", "Location", "ResponseMetadata", "$metadata")
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(names, name) {
			v.warn(below(path, name), "not a known property, and not used")
		}
	}
}

// own reads our own form of several.
func (v visit) own(m map[string]any, path string) {
	names := []string{"Distributions"}
	for _, k := range kinds() {
		names = append(names, k.plural)
		v.each(m[k.plural], below(path, k.plural), func(m map[string]any, path string) { k.read(v, m, path) })
	}
	v.beside(m, path, names...)
	v.each(m["Distributions"], below(path, "Distributions"), func(d map[string]any, path string) {
		if d["DistributionConfig"] != nil {
			v.distribution(d, path)
			return
		}
		v.inline(d, path)
	})
}

// each calls read with each object of a list, which may be in the API's form.
func (v visit) each(tree any, path string, read func(map[string]any, string)) {
	if m, ok := tree.(map[string]any); ok {
		tree, path = m["Items"], below(path, "Items")
	}
	list, ok := tree.([]any)
	if !ok && tree != nil {
		v.fail(v.file, &distribution.Error{Path: path, Text: "is not a list"})
	}
	for i, e := range list {
		at := path + "[" + strconv.Itoa(i) + "]"
		if m, ok := e.(map[string]any); ok {
			read(m, at)
		} else {
			v.fail(v.file, &distribution.Error{Path: at, Text: "is not an object"})
		}
	}
}

func (v visit) distribution(m map[string]any, path string) {
	d, warnings, err := distribution.Decode(m, path)
	v.took(warnings, err)
	if err == nil {
		v.keep(d, path)
	}
}

// inline reads a DistributionConfig that has an ID and a domain name in it, as
// list-distributions prints it, and as somebody may write it.
func (v visit) inline(m map[string]any, path string) {
	around, config := make(map[string]any), make(map[string]any)
	for name, value := range m {
		switch name {
		case "Id", "DomainName", "LastModifiedTime", "ARN", "Status", "ETag", "AliasICPRecordals",
			"CachePolicies", "OriginRequestPolicies", "ResponseHeadersPolicies", "KeyGroups":
			around[name] = value
		default:
			config[name] = value
		}
	}
	d, warnings, err := distribution.Decode(around, path)
	v.took(warnings, err)
	c, warnings, configErr := distribution.DecodeConfig(config, path)
	v.took(warnings, configErr)
	d.Config = c
	if err != nil || configErr != nil {
		return
	}
	v.keep(d, path)
	v.found[len(v.found)-1].inline = true
	if m["ARN"] != nil && c.CallerReference == "" {
		v.found[len(v.found)-1].summary = true
		v.warn(path, "lists lack DefaultRootObject and CacheTagConfig: `aws cloudfront get-distribution --id %s` prints them", d.ID)
	}
}

func (v visit) summaries(m map[string]any, path string) {
	v.beside(m, path, "DistributionList")
	list, _ := m["DistributionList"].(map[string]any)
	path = below(path, "DistributionList")
	v.beside(list, path, "Marker", "NextMarker", "NextToken", "MaxItems", "IsTruncated", "Quantity", "Items")
	if list["IsTruncated"] == true {
		v.warn(path, "is not complete: there are more distributions")
	}
	v.each(list["Items"], path+".Items", v.inline)
}

// list reads the list of a kind that the AWS CLI prints.
func (v visit) list(m map[string]any, k kind, path string) {
	name := k.name + "List"
	v.beside(m, path, name)
	list, _ := m[name].(map[string]any)
	path = below(path, name)
	v.beside(list, path, "NextMarker", "MaxItems", "Quantity", "Items")
	v.each(list["Items"], path+".Items", func(e map[string]any, path string) {
		switch {
		case e["Type"] == "managed":
		case e[k.name] == nil:
			k.read(v, e, path) // as in lists of public keys
		default:
			v.beside(e, path, k.name, "Type")
			v.inside(e, k.name, path, func(m map[string]any, path string) { k.read(v, m, path) })
		}
	})
}

// stem is the file's name without what follows the first dot.
func (v visit) stem() string {
	stem, _, _ := strings.Cut(filepath.Base(v.file), ".")
	return stem
}

var distributionID = regexp.MustCompile(`^E[A-Z0-9]{8,14}$`)

func (v visit) keep(d distribution.Distribution, path string) {
	if stem := v.stem(); d.ID == "" && distributionID.MatchString(stem) {
		d.ID = stem
	}
	v.found = append(v.found, found{Distribution: d, file: v.file, path: path, asked: v.source.asked, scope: v.scope(), named: d.ID != ""})
	for _, p := range d.CachePolicies {
		v.cachePolicies = append(v.cachePolicies, at(v, p, path, p.ID, p.Config.Name))
	}
	for _, p := range d.OriginRequestPolicies {
		v.requestPolicies = append(v.requestPolicies, at(v, p, path, p.ID, p.Config.Name))
	}
	for _, p := range d.ResponseHeadersPolicies {
		v.responsePolicies = append(v.responsePolicies, at(v, p, path, p.ID, p.Config.Name))
	}
	for _, g := range d.KeyGroups {
		v.keyGroups = append(v.keyGroups, at(v, g, path, g.ID, g.Name))
	}
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
