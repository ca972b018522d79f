package plan_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan"
)

// TestAPlanOutlivesItsFile: whatever Make makes passes Check and comes back from
// JSON as it was.
func TestAPlanOutlivesItsFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawn(t)
		made, err := plan.Make(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := plan.Check(made); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		var read freshet.Plan
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if err := plan.Check(read); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(text, again) {
			t.Fatalf("%s\n%s", text, again)
		}
	})
}

// drawn is an input with groups, wildcards that are needed, and tags.
func drawn(t *rapid.T) plan.Input {
	letter := rapid.SampledFrom([]string{"a", "b", "é", "<", "~", "/", "*"})
	keys := rapid.SliceOfNDistinct(rapid.StringOfN(rapid.RuneFrom([]rune("ab/~é<*")), 1, 6, -1), 1, 12, rapid.ID).Draw(t, "keys")
	in := input(keys...)
	p := &in.Profiles[0]
	p.PatternPrice, p.Tags = 0.005, rapid.Bool().Draw(t, "tags")
	p.MaxPatterns, p.MaxWildcards = rapid.IntRange(5, 20).Draw(t, "patterns"), rapid.IntRange(12, 15).Draw(t, "wildcards")
	var b inventory.Builder
	for i, target := range in.Targets {
		if rapid.IntRange(0, 3).Draw(t, "grouped") == 0 {
			in.Targets[i].Group = "g"
		}
		b.Add(inventory.Entry{URL: target.URL, Size: 10, Tags: []string{"t" + letter.Draw(t, "tag"), "u"}})
	}
	for n := range rapid.IntRange(0, 20).Draw(t, "others") {
		b.Add(inventory.Entry{URL: fmt.Sprint("/", letter.Draw(t, "first"), n), Size: 10})
	}
	in.Inventories = map[string]*inventory.Inventory{p.Distribution: b.Inventory()}
	in.Live = rapid.Bool().Draw(t, "live")
	return in
}
