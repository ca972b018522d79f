package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
)

// TestAPlanIsNoLongerThanWhatItsChangesWeigh compares the estimate with the plan
// as it is written.
func TestAPlanIsNoLongerThanWhatItsChangesWeigh(t *testing.T) {
	ends := []string{"", "/index.html", " x", "~", "*", " /index.html"}
	letters := []string{"a", "&", "<", "é", "\x01", " ", "\u2028", "%", "\""}
	rapid.Check(t, func(t *rapid.T) {
		one := distribution.ForBucket("E1ABCDEFGHIJKL", "site")
		one.Config.DefaultCacheBehavior.ForwardedValues.QueryString = rapid.Bool().Draw(t, "query")
		two := distribution.ForBucket("E2ABCDEFGHIJKL", "site")
		router, err := route.New([]distribution.Distribution{one, two}, route.Rules{
			Groups:   []route.Group{{Name: "what belongs together", Keys: []string{"1{rest...}", "2{rest...}"}}},
			Rewrites: []route.Rewrite{{URL: "/{path...}", Key: "3", Fallback: true}},
			Derived:  []route.Derived{{Key: "4{rest...}", URLs: []string{"/four/{rest...}", "/all"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		p := &Pipeline{cfg: Config{Router: router}}
		var batch []freshet.Change
		weight := perRequest + costings // the plan's own names
		for n := range rapid.IntRange(1, 40).Draw(t, "changes") {
			letter := rapid.SampledFrom(letters).Draw(t, "letter")
			key := fmt.Sprint(n%30) + strings.Repeat(letter, rapid.IntRange(0, 300).Draw(t, "length")) + rapid.SampledFrom(ends).Draw(t, "end")
			c := freshet.Change{
				Origin: rapid.SampledFrom([]string{"site", "elsewhere"}).Draw(t, "origin"), Key: key, Op: freshet.OpPut,
				Sequencer: freshet.Sequencer(fmt.Sprintf("%016X", n+1)), ETag: strings.Repeat("e", 32), Time: time.Now(), Cause: "ObjectCreated:Put",
			}
			batch = append(batch, c)
			weight += p.weigh(c)
		}
		terms := plan.DefaultTerms()
		if rapid.Bool().Draw(t, "wildcards") { // then they cost nothing but their own price
			terms.AssumeObjects = 0
		}
		in := plan.Input{Terms: &terms, Live: rapid.Bool().Draw(t, "live"), Profiles: []freshet.Profile{
			{Distribution: one.ID, PatternPrice: 0.005, MaxWildcards: 1}, {Distribution: two.ID, PatternPrice: 0.005, MaxPatterns: 1, MaxWildcards: 1},
		}}
		in.Changes, in.Superseded = freshet.Latest(batch)
		in.Targets, in.Unrouted = p.cfg.Router.Targets(in.Changes, nil)
		made, err := plan.Make(in)
		if refused := new(plan.Refused); errors.As(err, &refused) {
			t.Skip("a group that no request has room for")
		}
		if err != nil {
			t.Fatal(err)
		}
		w := journal.Work{Plan: made, Planned: time.Now(), Received: make(map[string]time.Time)}
		for _, c := range batch {
			w.Received[c.ID()] = time.Now()
		}
		text, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > weight {
			t.Fatalf("the plan is %d bytes long, its changes weigh %d", len(text), weight)
		}
	})
}
