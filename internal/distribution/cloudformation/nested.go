package cloudformation

import (
	"maps"
	"slices"
	"strings"
)

const (
	functionType = "AWS::CloudFront::Function"
	storeType    = "AWS::CloudFront::KeyValueStore"
	stackType    = "AWS::CloudFormation::Stack"
	samStackType = "AWS::Serverless::Application"

	maxNested = 10  // stacks in stacks
	maxStacks = 500 // nested ones of a template: each may be there many times
)

// TemplateURLs returns where the templates of a template's nested stacks are, as
// far as it says so itself, as they are to be found in Options.Templates.
func TemplateURLs(tree any) []string {
	r := newResolver(tree, Options{})
	var urls []string
	for _, id := range slices.Sorted(maps.Keys(r.resources)) {
		if url := r.templateURL(id); url != "" {
			urls = append(urls, url)
		}
	}
	return urls
}

// templateURL returns a nested stack's URL: as it is written, or the last
// segment of one that CloudFormation puts together.
func (r *resolver) templateURL(id string) string {
	res, _ := r.resources[id].(map[string]any)
	properties, _ := res["Properties"].(map[string]any)
	var place any
	switch res["Type"] {
	case stackType:
		place = properties["TemplateURL"]
	case samStackType:
		place = properties["Location"]
	}
	switch place := place.(type) {
	case string:
		if !strings.Contains(place, "://") {
			return place
		}
		return place[strings.LastIndexByte(place, '/')+1:]
	case map[string]any:
		warnings, warned := r.warnings, r.warned
		r.warned = make(map[Warning]bool) // of a place that is not asked, nobody needs to know more
		url, _ := r.attempt(func() any { return r.value(place, "Resources."+id, 0) })
		r.warnings, r.warned = warnings, warned
		s, _ := url.(string)
		return s[strings.LastIndexByte(s, '/')+1:]
	}
	return ""
}

// nested returns the resolver of a nested stack's template, and nil where the
// template is not there.
func (r *resolver) nested(id string) *resolver {
	if c, done := r.children[id]; done {
		return c
	}
	r.children[id] = nil
	if k := r.kind(id); len(r.o.Templates) == 0 || k != stackType && k != samStackType || strings.Count(r.stack, ".") > maxNested || r.stacks == maxStacks {
		return nil
	}
	tree := r.o.Templates[r.templateURL(id)]
	if tree == nil {
		return nil
	}
	o := r.o
	o.Parameters, o.StackName = nil, ""
	r.stacks++
	c := newResolver(tree, o)
	c.session, c.parent, c.id = r.session, r, id
	c.stack, c.prefix = strings.TrimPrefix(r.stack+"."+id, "."), r.prefix+"Resources."+id+"."
	r.children[id] = c
	return c
}

// mayHave reports whether there is any need to look into a nested stack.
func (r *resolver) mayHave(types []string) bool {
	for id := range r.resources {
		if mentions(r.resources[id], append([]string{stackType, samStackType}, types...), 0) {
			return true
		}
	}
	return false
}

// output returns what a nested stack puts out.
func (r *resolver) output(id, name, path string) any {
	c := r.nested(id)
	if c == nil {
		return r.wanting(id+"."+"Outputs."+name, path, "%s.Outputs.%s is known to a nested stack only: give it as resource %s.Outputs.%s", id, name, id, name)
	}
	output, ok := c.outputs[name].(map[string]any)
	if !ok {
		return r.fail(path, "the nested stack %s has no output %s", id, name)
	}
	leave, ok := r.enter("Resources."+id+".Outputs."+name, path)
	if !ok {
		return broken{}
	}
	defer leave()
	return c.value(output["Value"], "Outputs."+name+".Value", 0)
}

// passed returns what the stack above gives for a parameter.
func (r *resolver) passed(name, path string) (value any, ok bool) {
	if r.parent == nil {
		return nil, false
	}
	res, _ := r.parent.resources[r.id].(map[string]any)
	properties, _ := res["Properties"].(map[string]any)
	parameters, _ := properties["Parameters"].(map[string]any)
	tree, ok := parameters[name]
	if !ok {
		return nil, false
	}
	leave, free := r.enter("Parameters."+name, path)
	if !free {
		return broken{}, true
	}
	defer leave()
	return r.parent.value(tree, "Resources."+r.id+".Properties.Parameters."+name, 0), true
}

// functionARN returns the ARN of a CloudFront function: as given, or formed of
// its name, or else of its logical ID.
func (r *resolver) functionARN(id string) string {
	for _, given := range []string{r.o.Resources[id+".FunctionARN"], r.o.Resources[id+".FunctionMetadata.FunctionARN"], r.o.Resources[id]} {
		if strings.HasPrefix(given, "arn:") {
			return given
		}
	}
	name, ok := r.o.Resources[id]
	if !ok {
		if name, ok = r.ownName(id, "Name"); !ok {
			name = id
		}
	}
	return r.ownARN("function/" + name)
}

// storeARN returns the ARN of a key value store. CloudFront makes up an ID for
// it, and the logical one stands for that.
func (r *resolver) storeARN(id string) string {
	if given, ok := r.o.Resources[id+".Arn"]; ok {
		return given
	}
	return r.ownARN("key-value-store/" + id)
}

// ownARN is the ARN of something of CloudFront. Of an account that nobody has
// told the number is all zeros.
func (r *resolver) ownARN(resource string) string {
	account := r.o.AccountID
	if account == "" {
		account = r.o.Parameters["AWS::AccountId"]
	}
	if account == "" {
		account = "000000000000"
	}
	return "arn:" + r.partition() + ":cloudfront::" + account + ":" + resource
}
