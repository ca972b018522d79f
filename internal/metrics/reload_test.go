package metrics

import (
	"testing"
	"time"
)

// A refusal leaves when files were last taken over as it was, and the next success
// ends it.
func TestReloadsAreTold(t *testing.T) {
	r := New()
	want := func(when string, success, last float64) {
		t.Helper()
		families, err := r.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range families {
			expected := map[string]float64{"freshet_reload_success": success, "freshet_reload_last_success_timestamp_seconds": last}
			if value, ok := expected[f.GetName()]; ok {
				found++
				if got := f.GetMetric()[0].GetGauge().GetValue(); got != value {
					t.Errorf("%s: %s is %v, want %v", when, f.GetName(), got, value)
				}
			}
		}
		if found != 2 {
			t.Errorf("%s: %d of two metrics", when, found)
		}
	}
	want("before anything", 1, 0)
	r.Reloaded(time.Unix(100, 0), true)
	want("taken over", 1, 100)
	r.Reloaded(time.Unix(200, 0), false)
	want("refused", 0, 100)
	r.Reloaded(time.Unix(300, 0), true)
	want("mended", 1, 300)
}
