package route_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

const everyRule = `
index_documents: [index.html, default.htm]
new_objects: skip
error_pages: expire
rewrites:
- {url: "/blog/{slug}", key: "blog/{slug}.html"}
- {url: "/app/{path...}", key: app/index.html, fallback: true, distributions: [E1]}
derived:
- {key: "articles/{id}.json", urls: ["/articles/{id}", "/api?id={id}"], distributions: [E1]}
groups:
- {name: app, keys: [index.html, "assets/{file...}"]}
sources:
- {bucket: site, prefix: [img/], suffix: [.jpg], include: ["*"], exclude: ["*/raw/*"]}
`

// The names of the configuration are those of the documentation, in both
// notations, and none is forgotten.
func TestRulesAreRead(t *testing.T) {
	var fromYAML, fromJSON route.Rules
	if err := yaml.UnmarshalWithOptions([]byte(everyRule), &fromYAML, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &fromJSON); err != nil || !reflect.DeepEqual(fromYAML, fromJSON) {
		t.Errorf("%+v became %+v, %v", fromYAML, fromJSON, err)
	}
	everyFieldIsSet(t, "rules", reflect.ValueOf(fromYAML))
	if _, err := route.New([]distribution.Distribution{distribution.ForBucket("E1", "site")}, fromYAML); err != nil {
		t.Error(err)
	}
}

// everyFieldIsSet looks at the last element of lists.
func everyFieldIsSet(t *testing.T, name string, v reflect.Value) {
	if v.IsZero() {
		t.Errorf("%s is not read", name)
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		everyFieldIsSet(t, name, v.Index(v.Len()-1))
	case reflect.Struct:
		for i := range v.NumField() {
			everyFieldIsSet(t, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
	}
}

func TestRouterIsSharedByGoroutines(t *testing.T) {
	r, err := route.New(crowd(), rules())
	if err != nil {
		t.Fatal(err)
	}
	changes := []freshet.Change{{Origin: "site", Key: "blog/a~b.html"}, {Origin: "site", Key: "app/index.html"}, {Origin: "site", Key: "articles/1.json"}}
	want, _ := r.Targets(changes, nil)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if got, _ := r.Targets(changes, nil); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			r.Own("site", "blog/a.html")
			r.ExplainKey("site", "app/index.html")
			r.ExplainURL(route.Question{URL: "/app/x"})
		})
	}
	group.Wait()
}

// A cache policy that nobody read is an error, not a guess.
func TestAnUnknownCachePolicyIsAnError(t *testing.T) {
	d := distribution.ForBucket("E1", "site")
	d.Config.DefaultCacheBehavior = distribution.CacheBehavior{TargetOriginID: "site", CachePolicyID: "nobody-knows"}
	r, err := route.New([]distribution.Distribution{d}, route.Rules{})
	if err == nil || r != nil || !strings.Contains(err.Error(), "nobody-knows") {
		t.Errorf("%v, %v", r, err)
	}
}
