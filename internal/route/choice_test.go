package route_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

// choosing is a distribution whose default behavior leads to one origin and runs
// a function, and whose behavior for /plain/ runs none.
func choosing() distribution.Distribution {
	d := distribution.ForBucket("E1", "one")
	c := &d.Config
	c.Origins = []distribution.Origin{
		{ID: "one", DomainName: "one.s3.amazonaws.com"},
		{ID: "two", DomainName: "two.s3.amazonaws.com", OriginPath: "/v2"},
		{ID: "app", DomainName: "app.example.com"},
	}
	c.DefaultCacheBehavior.TargetOriginID, c.DefaultRootObject = "one", ""
	c.CacheBehaviors = []distribution.CacheBehavior{{PathPattern: "/plain/*", TargetOriginID: "one"}}
	c.DefaultCacheBehavior.FunctionAssociations = []distribution.FunctionAssociation{{EventType: "viewer-request", FunctionARN: "f"}}
	return d
}

func choiceOf(c route.Choice, known bool) route.Functions {
	return route.Functions{Choice: func(string) (route.Choice, bool) { return c, known }}
}

// An object that viewers reach only because a function chooses its origin has its
// URLs, at the behaviors of that function and nowhere else.
func TestPromiseExactWhereFunctionsChooseOrigins(t *testing.T) {
	for name, tt := range map[string]struct {
		functions   route.Functions
		bucket, key string
		want        []string
	}{
		"not chosen":                {choiceOf(route.Choice{}, true), "two", "v2/a", nil},
		"by its ID":                 {choiceOf(route.Choice{IDs: []string{"two"}}, true), "two", "v2/a", []string{"/a"}},
		"another ID":                {choiceOf(route.Choice{IDs: []string{"app"}}, true), "two", "v2/a", nil},
		"any ID":                    {choiceOf(route.Choice{AnyID: true}, true), "two", "v2/a", []string{"/a"}},
		"outside its path":          {choiceOf(route.Choice{AnyID: true}, true), "two", "a", nil},
		"a behavior without":        {choiceOf(route.Choice{AnyID: true}, true), "two", "v2/plain/a", nil},
		"of the behavior's own":     {choiceOf(route.Choice{IDs: []string{"two"}}, true), "one", "v2/a", []string{"/v2/a"}},
		"updated domain":            {choiceOf(route.Choice{Domains: []string{"two.s3.amazonaws.com"}}, true), "two", "v2/a", []string{"/v2/a"}},
		"a bucket of no origin":     {choiceOf(route.Choice{Domains: []string{"three.s3.eu-west-1.amazonaws.com"}}, true), "three", "a", []string{"/a"}},
		"no bucket":                 {choiceOf(route.Choice{Domains: []string{"api.example.com"}}, true), "two", "v2/a", nil},
		"any domain":                {choiceOf(route.Choice{AnyDomain: true}, true), "two", "v2/a", []string{"/v2/a"}},
		"updated path":              {choiceOf(route.Choice{Paths: []string{"/x/y"}}, true), "one", "x/y/a", []string{"/x/y/a", "/a"}},
		"any path":                  {choiceOf(route.Choice{AnyPath: true}, true), "one", "x/y/a", []string{"/x/y/a", "/y/a", "/a"}},
		"any path of a folder":      {choiceOf(route.Choice{AnyPath: true}, true), "one", "x/", []string{"/x/"}},
		"selected and updated":      {choiceOf(route.Choice{IDs: []string{"two"}, Paths: []string{"/v3"}}, true), "two", "v3/a", []string{"/a"}},
		"not known":                 {choiceOf(route.Choice{}, false), "two", "v2/a", []string{"/a"}},
		"nothing is known":          {route.Functions{}, "two", "v2/a", []string{"/a"}},
		"not known, but led to":     {choiceOf(route.Choice{}, false), "one", "a", []string{"/a"}},
		"was known to choose, once": {choiceOf(route.Choice{IDs: []string{"two"}}, false), "two", "v2/a", []string{"/a"}},
	} {
		r, err := route.NewWith([]distribution.Distribution{choosing()}, route.Rules{}, tt.functions)
		if err != nil {
			t.Fatal(err)
		}
		targets, _ := r.Targets([]freshet.Change{{Origin: tt.bucket, Key: tt.key, Op: freshet.OpPut}}, nil)
		var got []string
		for _, target := range targets {
			got = append(got, target.URL)
			chosen := strings.Contains(target.Reason, "may choose this origin")
			if own := tt.bucket == "one" && target.URL == "/"+tt.key; chosen == own || chosen && target.Served {
				t.Errorf("%s: %+v", name, target)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// A Lambda function at origin-request may choose, too, and its code is never
// known.
func TestLambdaMayChooseWhatNothingLeadsTo(t *testing.T) {
	d := choosing()
	d.Config.DefaultCacheBehavior.FunctionAssociations = nil
	change := []freshet.Change{{Origin: "two", Key: "v2/a", Op: freshet.OpPut}}
	for event, want := range map[string]int{"origin-request": 1, "viewer-request": 0, "origin-response": 0} {
		d.Config.DefaultCacheBehavior.LambdaFunctionAssociations = []distribution.LambdaFunctionAssociation{{EventType: event}}
		r, err := route.New([]distribution.Distribution{d}, route.Rules{})
		if err != nil {
			t.Fatal(err)
		}
		if targets, _ := r.Targets(change, nil); len(targets) != want {
			t.Errorf("%s: %+v", event, targets)
		}
	}
}

// What a probe meets is the object where the function sends the probe.
func TestProbesGoWhereFunctionsSendThem(t *testing.T) {
	d := choosing()
	goes := d.Config.Origins[1]
	to, known := "", true
	functions := choiceOf(route.Choice{IDs: []string{"two"}}, true)
	functions.Destination = func(_ *distribution.Distribution, arn, path string) (distribution.Origin, string, bool) {
		if arn != "f" {
			t.Errorf("asked for %s", arn)
		}
		if to != "" {
			path = to
		}
		return goes, path, known
	}
	r, err := route.NewWith([]distribution.Distribution{d}, route.Rules{}, functions)
	if err != nil {
		t.Fatal(err)
	}
	served := func(bucket, key string) bool {
		targets, _ := r.Targets([]freshet.Change{{Origin: bucket, Key: key, Op: freshet.OpPut}}, nil)
		if len(targets) != 1 {
			t.Fatalf("%+v", targets)
		}
		return targets[0].Served
	}
	if !served("two", "v2/a") || served("one", "a") || !served("one", "plain/a") {
		t.Error("a probe looks where the function does not send it")
	}
	goes = d.Config.Origins[0]
	if served("two", "v2/a") || !served("one", "a") {
		t.Error("a probe looks where the function no longer sends it")
	}
	to = "/b"
	if served("one", "a") {
		t.Error("a probe of what is rewritten is expected to show the object")
	}
	to, known = "", false
	if served("one", "a") || served("two", "v2/a") {
		t.Error("a probe is expected to show what nobody knows")
	}
}

// Explanations say what functions have to do with it.
func TestExplanationsOfChosenOrigins(t *testing.T) {
	r, err := route.NewWith([]distribution.Distribution{choosing()}, route.Rules{}, choiceOf(route.Choice{IDs: []string{"two"}, AnyPath: true}, true))
	if err != nil {
		t.Fatal(err)
	}
	var feeds []string
	e := r.ExplainKey("two", "v2/a")
	for _, o := range e.Distributions[0].Origins {
		if o.Feeds {
			feeds = append(feeds, o.ID+": "+o.Reason)
		}
	}
	if want := []string{"two: has the key as a below its origin path", "two: has the key: a function at the edge may make this of the origin, with any origin path"}; !slices.Equal(feeds, want) {
		t.Errorf("%q", feeds)
	}
	u := r.ExplainURL(route.Question{URL: "/a"}).Distributions[0].URLs[0]
	if !slices.ContainsFunc(u.Notes, func(n string) bool { return strings.Contains(n, "may send requests to another origin than one") }) {
		t.Errorf("notes %q", u.Notes)
	}
	if !slices.ContainsFunc(u.Keys, func(c route.Candidate) bool {
		return c.Bucket == "two" && c.Key == "{path...}/a" && strings.Contains(c.Reason, "may choose this origin")
	}) {
		t.Errorf("keys %+v", u.Keys)
	}
}
