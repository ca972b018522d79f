package route_test

import (
	"reflect"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

func TestAmong(t *testing.T) {
	rules := route.Rules{
		IndexDocuments: []string{"home.html"},
		Rewrites: []route.Rewrite{
			{URL: "/a", Key: "a.html"},
			{URL: "/b", Key: "b.html", Distributions: []string{"E9"}},
			{URL: "/c", Key: "c.html", Distributions: []string{"E9", "E1"}},
		},
		Derived: []route.Derived{{Key: "d.json", URLs: []string{"/d"}, Distributions: []string{"E8"}}},
	}
	ds := []distribution.Distribution{distribution.ForBucket("E1", "site")}
	got, idle := rules.Among(ds)
	if want := []string{"rewrites[1] (/b)", "derived[0] (d.json)"}; !reflect.DeepEqual(idle, want) {
		t.Errorf("idle are %q, want %q", idle, want)
	}
	if len(got.Rewrites) != 2 || len(got.Derived) != 0 || !reflect.DeepEqual(got.Rewrites[1].Distributions, []string{"E1"}) || got.IndexDocuments[0] != "home.html" {
		t.Errorf("got %+v", got)
	}
	if len(rules.Rewrites) != 3 || len(rules.Rewrites[2].Distributions) != 2 {
		t.Errorf("the rules became %+v", rules)
	}
	if _, err := route.New(ds, got); err != nil {
		t.Error(err)
	}
	if _, err := route.New(ds, rules); err == nil {
		t.Error("rules about distributions that are not there were taken")
	}
}
