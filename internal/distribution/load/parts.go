package load

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/distribution/cloudformation"
)

// part is something that distributions use, and where it was.
type part[T any] struct {
	value      T
	id         string // as Result has it
	ref        string // as it is called where it was
	name       string // by which it is found as well
	file, path string
	scope      string // of ref: the file, and within it the nested stack
	stack      string // name of the stack that makes it, or of its file
	named      bool   // its ID is CloudFront's
}

// parts are all of one kind.
type parts[T any] []part[T]

// compare refuses two of one ID that are not the same and leaves out those that
// are. What has its ID from a template only is told apart by its stack.
func (ps *parts[T]) compare(r *reader, kind string) {
	first, count := make(map[string]part[T]), make(map[string]int)
	*ps = slices.DeleteFunc(*ps, func(p part[T]) bool {
		was, twice := first[p.id]
		switch {
		case !p.named:
			return false
		case !twice:
			first[p.id] = p
		case !reflect.DeepEqual(was.value, p.value):
			r.errs = append(r.errs, fmt.Errorf("%s %s is in %s and, otherwise, in %s", kind, p.id, was.file, p.file))
		}
		return twice
	})
	for _, p := range *ps {
		count[p.id]++
	}
	for i := range *ps {
		if p := &(*ps)[i]; !p.named && count[p.id] > 1 {
			p.id = apart(p.id, p.stack)
		}
	}
}

// apart tells what two stacks call alike apart. Of an ARN, the last name is.
func apart(id, stack string) string {
	slash := strings.LastIndexByte(id, '/') + 1
	if slash > 0 {
		return id[:slash] + strings.Map(func(c rune) rune {
			if c == '.' {
				return '-'
			}
			return c
		}, stack) + "-" + id[slash:]
	}
	return stack + "." + id
}

// lookUp prefers what is in the same place: two stacks may call theirs alike.
func (ps parts[T]) lookUp(ref, scope string) (part[T], bool) {
	if ref == "" {
		return part[T]{}, false
	}
	for _, matches := range []func(p part[T]) bool{
		func(p part[T]) bool { return p.ref == ref && p.scope == scope },
		func(p part[T]) bool { return p.ref == ref },
		func(p part[T]) bool { return p.name == ref && p.scope == scope },
		func(p part[T]) bool { return p.name == ref },
	} {
		if i := slices.IndexFunc(ps, matches); i >= 0 {
			return ps[i], true
		}
	}
	return part[T]{}, false
}

// used returns those that refs name, by ID, and makes final IDs of the names. A
// ref that is known already, as one to what Amazon manages, stays.
func (ps parts[T]) used(scope string, known func(ref string) bool, refs ...*string) []part[T] {
	var used []part[T]
	for _, ref := range refs {
		if known(*ref) {
			continue
		}
		p, ok := ps.lookUp(*ref, scope)
		if !ok {
			continue // whoever needs it says so
		}
		*ref = p.id
		if !slices.ContainsFunc(used, func(u part[T]) bool { return u.id == p.id }) {
			used = append(used, p)
		}
	}
	slices.SortFunc(used, func(a, b part[T]) int { return cmp.Compare(a.id, b.id) })
	return used
}

// values returns what parts hold, nil where there are none.
func values[T any](ps []part[T], id func(v *T, id string)) (out []T) {
	for _, p := range ps {
		id(&p.value, p.id)
		out = append(out, p.value)
	}
	return out
}

// at says where a part is and what it is called, given what its text says.
func at[T any](v visit, value T, path, id, name string) part[T] {
	if stem := v.stem(); id == "" && policyID.MatchString(stem) {
		id = stem
	}
	made := v.nested != nil
	p := part[T]{value: value, id: cmp.Or(id, name), name: name, file: v.file, path: path, scope: v.scope(), stack: v.stack(), named: id != "" && !made}
	p.ref = p.id
	return p
}

var policyID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// kind is one of the things that distributions use, as AWS prints it.
type kind struct {
	name, plural string
	template     string // its type in templates
	read         func(v visit, m map[string]any, path string)
}

// kinds are what is read beside distributions.
func kinds() []kind {
	return []kind{
		{"CachePolicy", "CachePolicies", policyType, visit.policy},
		{"OriginRequestPolicy", "OriginRequestPolicies", "AWS::CloudFront::OriginRequestPolicy", visit.originRequestPolicy},
		{"ResponseHeadersPolicy", "ResponseHeadersPolicies", "AWS::CloudFront::ResponseHeadersPolicy", visit.responseHeadersPolicy},
		{"KeyGroup", "KeyGroups", "AWS::CloudFront::KeyGroup", visit.keyGroup},
		{"PublicKey", "PublicKeys", "AWS::CloudFront::PublicKey", visit.publicKey},
		{"KeyValueStore", "KeyValueStores", "AWS::CloudFront::KeyValueStore", visit.store},
		{"Function", "Functions", "AWS::CloudFront::Function", visit.function},
	}
}

func (v visit) policy(m map[string]any, path string) {
	if p, ok := decoded[distribution.CachePolicy](v, m, path); ok {
		v.cachePolicies = append(v.cachePolicies, at(v, p, path, p.ID, p.Config.Name))
	}
}

func (v visit) originRequestPolicy(m map[string]any, path string) {
	if p, ok := decoded[distribution.OriginRequestPolicy](v, m, path); ok {
		v.requestPolicies = append(v.requestPolicies, at(v, p, path, p.ID, p.Config.Name))
	}
}

func (v visit) responseHeadersPolicy(m map[string]any, path string) {
	if p, ok := decoded[distribution.ResponseHeadersPolicy](v, m, path); ok {
		v.responsePolicies = append(v.responsePolicies, at(v, p, path, p.ID, p.Config.Name))
	}
}

func (v visit) keyGroup(m map[string]any, path string) {
	if g, ok := decoded[distribution.KeyGroup](v, m, path); ok {
		v.keyGroups = append(v.keyGroups, at(v, g, path, g.ID, g.Name))
	}
}

func (v visit) publicKey(m map[string]any, path string) {
	if k, ok := decoded[distribution.PublicKey](v, m, path); ok {
		v.publicKeys = append(v.publicKeys, at(v, k, path, k.ID, k.Name))
	}
}

func decoded[T any](v visit, m map[string]any, path string) (T, bool) {
	value, warnings, err := distribution.DecodeAs[T](m, path)
	v.took(warnings, err)
	return value, err == nil
}

// compareParts is compare for all kinds.
func (r *reader) compareParts() {
	r.cachePolicies.compare(r, "cache policy")
	r.requestPolicies.compare(r, "origin request policy")
	r.responsePolicies.compare(r, "response headers policy")
	r.publicKeys.compare(r, "public key")
	r.keyGroups.compare(r, "key group")
	r.stores.compare(r, "key value store")
	r.functions.compare(r, "function")
}

// attach gives a distribution what it uses of what was read.
func (r *reader) attach(f *found) {
	var cache, request, response, groups, functions []*string
	for i := range len(f.Config.CacheBehaviors) + 1 {
		b := f.Config.BehaviorAt(i)
		cache, request, response = append(cache, &b.CachePolicyID), append(request, &b.OriginRequestPolicyID), append(response, &b.ResponseHeadersPolicyID)
		for j := range b.TrustedKeyGroups {
			groups = append(groups, &b.TrustedKeyGroups[j])
		}
		for j := range b.FunctionAssociations {
			functions = append(functions, &b.FunctionAssociations[j].FunctionARN)
		}
	}
	none := func(ref string) bool { return ref == "" }
	f.CachePolicies = values(r.cachePolicies.used(f.scope, managed(distribution.ManagedCachePolicy), cache...), func(p *distribution.CachePolicy, id string) { p.ID = id })
	f.OriginRequestPolicies = values(r.requestPolicies.used(f.scope, managed(distribution.ManagedOriginRequestPolicy), request...), func(p *distribution.OriginRequestPolicy, id string) { p.ID = id })
	f.ResponseHeadersPolicies = values(r.responsePolicies.used(f.scope, managed(distribution.ManagedResponseHeadersPolicy), response...), func(p *distribution.ResponseHeadersPolicy, id string) { p.ID = id })
	r.functions.used(f.scope, none, functions...)
	f.KeyGroups = nil
	for _, g := range r.keyGroups.used(f.scope, none, groups...) {
		f.KeyGroups = append(f.KeyGroups, r.withKeys(g))
	}
	r.unknown(f)
}

func managed[T any](find func(string) (T, bool)) func(string) bool {
	return func(ref string) bool {
		_, ok := find(ref)
		return ok || ref == ""
	}
}

// withKeys returns a key group with its keys in place of their IDs.
func (r *reader) withKeys(g part[distribution.KeyGroup]) distribution.KeyGroup {
	out := g.value
	out.ID, out.KeyIDs = g.id, nil
	out.Keys = slices.Clone(out.Keys)
	for i := range g.value.KeyIDs {
		id := g.value.KeyIDs[i]
		key, ok := r.publicKeys.lookUp(id, g.scope)
		if !ok {
			r.gap(g.file, g.path, "public key %s is not among what was read, and nobody who signs with it is answered: `aws cloudfront get-public-key --id %s` prints it, give that as well", id, id)
			continue
		}
		key.value.ID = key.id
		out.Keys = append(out.Keys, key.value)
	}
	return out
}

// unknown tells of what a distribution names that nobody has described, or that
// is not run here.
func (r *reader) unknown(f *found) {
	config := below(f.path, "DistributionConfig")
	for i := range len(f.Config.CacheBehaviors) + 1 {
		b, path := f.Config.BehaviorAt(i), config+".DefaultCacheBehavior"
		if i < len(f.Config.CacheBehaviors) {
			path = fmt.Sprintf("%s.CacheBehaviors[%d]", config, i)
		}
		if _, err := f.OriginRequest(b); err != nil {
			r.gap(f.file, f.where(path+".OriginRequestPolicyId"), "%v", err)
		}
		if _, err := f.ResponseHeaders(b); err != nil {
			r.gap(f.file, f.where(path+".ResponseHeadersPolicyId"), "%v", err)
		}
		for j, id := range b.TrustedKeyGroups {
			if !slices.ContainsFunc(f.KeyGroups, func(g distribution.KeyGroup) bool { return g.ID == id }) {
				r.gap(f.file, f.where(fmt.Sprintf("%s.TrustedKeyGroups[%d]", path, j)), "the keys of %s are not known, and nobody is answered: `aws cloudfront get-key-group --id %s` prints it, give that and its public keys as well", id, id)
			}
		}
		for j, l := range b.LambdaFunctionAssociations {
			r.gap(f.file, f.where(fmt.Sprintf("%s.LambdaFunctionAssociations[%d]", path, j)),
				"Lambda@Edge is not run here: what %s does at %s is left out", lastName(l.LambdaFunctionARN), l.EventType)
		}
	}
}

// lastName shortens an ARN.
func lastName(arn string) string {
	_, name, ok := strings.Cut(arn, ":function:")
	if !ok {
		return arn
	}
	return name
}

// besides reads what a template has beside distributions. What cannot be resolved
// there is a warning, since perhaps nobody needs it.
func (v visit) besides(m map[string]any, o cloudformation.Options) {
	read := make(map[string]kind)
	var types []string
	for _, k := range kinds() {
		if k.template != policyType {
			read[k.template] = k
			types = append(types, k.template)
		}
	}
	resources, warnings := cloudformation.Beside(m, types, o)
	for _, w := range warnings {
		v.warn(w.Path, "%s", w.Text)
	}
	for _, res := range resources {
		if res.Err != nil {
			v.gap(v.file, res.Path, "is not used: %v", strings.ReplaceAll(res.Err.Error(), "\n", "; "))
			continue
		}
		v.nested = &res
		res.Properties["Id"] = res.ID
		read[res.Type].read(v, res.Properties, res.Path+".Properties")
	}
}
