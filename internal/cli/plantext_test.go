package cli

import (
	"strings"
	"testing"

	"github.com/freshet/freshet"
)

// TestWhatIsNotFreeCostsWhatThePlanSays: pattern_price may be another than the
// CDN's.
func TestWhatIsNotFreeCostsWhatThePlanSays(t *testing.T) {
	plan := freshet.Plan{
		Invalidations: []freshet.Invalidation{{Distribution: "E1", Patterns: []freshet.Pattern{"/a", "/b", "/c", "/d"}}},
		Costs:         []freshet.Costing{{Distribution: "E1", Plan: freshet.Estimate{Patterns: 4, Dollars: 4}}},
	}
	for _, tt := range []struct {
		free int
		want string
	}{
		{0, "$4.000: 0 of the month's free paths are left, and the other 4 cost"},
		{1, "$3.000: 1 of the month's free paths are left, and the other 3 cost"},
		{4, "$0.000: 4 of the month's free paths are left, and 0 after this"},
	} {
		text := &planText{Plan: plan, free: &tt.free}
		text.total()
		if got := strings.TrimSpace(text.b.String()); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
