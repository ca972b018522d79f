package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/function"
)

// Code is a CloudFront function as it runs.
type Code struct {
	Text    []byte
	Runtime string
}

// functions finds code that makes other paths of viewers' paths, so that an
// object is reached under URLs that only a rule can name.
func (s Seen) functions(site *Site) (findings []Finding) {
	const check = "functions"
	about, _ := s.Routes.Among([]distribution.Distribution{site.Distribution})
	declared := len(about.Rewrites) > 0
	looked := make(map[string]bool)
	add := func(l Level, saw, do string) {
		findings = append(findings, Finding{Level: l, Check: check, Saw: saw, Do: do})
	}
	for _, b := range s.behaviors(site) {
		for _, arn := range rewriters(b) {
			if looked[arn] {
				continue
			}
			looked[arn] = true
			name := arn[strings.LastIndexByte(arn, '/')+1:]
			seen, known := site.Rewritten[arn]
			switch odd := s.unexplained(seen.Is); {
			case known && seen.Err == nil && len(odd) == 0:
				add(OK, fmt.Sprintf("%s makes of %s what route makes of them", name, count(len(seen.Is), "path")), "")
			case declared:
				add(OK, fmt.Sprintf("%s may rewrite paths of %s, and routes.rewrites has rules for it", name, named(b)), "")
			case known && seen.Err == nil:
				r := telling(odd)
				add(Warning, fmt.Sprintf("%s makes %s of %s, which no rule says: %s stays stale when that object changes", name, r.To, r.From, r.From),
					fmt.Sprintf("declare it under routes.rewrites, such as {url: %s, key: %s}; freshet explain shows what follows", r.From, strings.TrimPrefix(r.To, "/")))
			case known:
				add(Warning, fmt.Sprintf("%s runs before the cache of %s, and what it does is not known: %s", name, named(b), why(seen.Err)), "if it rewrites paths, declare that under routes.rewrites")
			default:
				add(Warning, fmt.Sprintf("the Lambda@Edge function %s may rewrite paths of %s, and its code is not looked at", name, named(b)), "if it rewrites paths, declare that under routes.rewrites")
			}
		}
	}
	if len(findings) == 0 {
		add(OK, "none rewrites paths before they reach the bucket", "")
	}
	return findings
}

// rewriters returns the ARNs of what may rewrite a behavior's paths.
func rewriters(b *distribution.CacheBehavior) (arns []string) {
	for _, f := range b.FunctionAssociations {
		if f.EventType == string(function.ViewerRequest) {
			arns = append(arns, f.FunctionARN)
		}
	}
	for _, f := range b.LambdaFunctionAssociations {
		if strings.HasSuffix(f.EventType, "-request") {
			arns = append(arns, f.LambdaFunctionARN)
		}
	}
	return arns
}

// unexplained returns what route does not know: anything but the same path, and
// an index document for its folder.
func (s Seen) unexplained(all []Rewritten) (odd []Rewritten) {
	for _, r := range all {
		explained := r.To == r.From
		for _, index := range s.indexes() {
			explained = explained || r.To == strings.TrimSuffix(r.From, "/")+"/"+index
		}
		if !explained {
			odd = append(odd, r)
		}
	}
	return odd
}

// telling chooses the rewrite that says most: to an object, where there is one.
func telling(odd []Rewritten) Rewritten {
	for _, r := range odd {
		if !strings.HasSuffix(r.To, "/") {
			return r
		}
	}
	return odd[0]
}

func (s Seen) indexes() []string {
	if s.Routes.IndexDocuments == nil {
		return []string{"index.html"}
	}
	return s.Routes.IndexDocuments
}

// samples returns paths that viewers may ask for: those of keys, and the folders
// of index documents with and without their slash.
func samples(keys, indexes []string) (paths []string) {
	for _, key := range keys {
		path := freshet.KeyPaths(key)[0]
		paths = append(paths, path)
		for _, index := range indexes {
			if folder, ok := strings.CutSuffix(path, "/"+index); ok {
				paths = append(paths, folder+"/")
				if folder != "" {
					paths = append(paths, folder)
				}
			}
		}
	}
	if len(paths) == 0 {
		paths = []string{"/", "/page", "/folder/", "/folder/page.html"}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// try runs a function with paths.
func try(ctx context.Context, d *distribution.Distribution, name string, code Code, paths []string) ([]Rewritten, error) {
	program, err := function.Compile(name, code.Text, function.Runtime(code.Runtime))
	if err != nil {
		return nil, err
	}
	var all []Rewritten
	host := cmp.Or(slices.Concat(d.Config.Aliases, []string{d.DomainName})[0], "example.com")
	for _, path := range paths {
		ev := function.Event{
			Version: "1.0",
			Context: function.Context{DistributionDomainName: d.DomainName, DistributionID: d.ID, EventType: function.ViewerRequest, RequestID: "freshet-doctor"},
			Viewer:  function.Viewer{IP: "127.0.0.1"},
			Request: function.Request{Method: "GET", URI: path, Headers: function.Fields{{Name: "host", Value: function.Value{Value: host}}}},
		}
		result, err := program.Run(ctx, ev, function.Options{})
		if err != nil {
			return nil, fmt.Errorf("with %s: %w", path, err)
		}
		if result.Response != nil { // such as a redirect: no object answers
			continue
		}
		to := path
		if result.Request != nil {
			to = freshet.CanonicalPath(result.Request.URI)
		}
		all = append(all, Rewritten{path, to})
	}
	return all, nil
}
