package journal_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/journal"
)

func TestLate(t *testing.T) {
	changed := time.Unix(1000, 0)
	promised := journal.Record{ChangedAt: changed, FreshWithin: 10}
	for _, tt := range []struct {
		name  string
		r     journal.Record
		state journal.State
		took  time.Duration
		late  bool // as written
		later bool // a minute after
	}{
		{"in time", promised, journal.Verified, 10 * time.Second, false, false},
		{"too late", promised, journal.Verified, 10*time.Second + 1, true, true},
		{"before it changed", promised, journal.Verified, -time.Second, false, false},
		{"under way", promised, journal.Sent, time.Minute, false, true},
		{"given up early", promised, journal.Dead, time.Second, false, true},
		{"given up late", promised, journal.Dead, time.Minute, true, true},
		{"no promise", journal.Record{ChangedAt: changed}, journal.Verified, time.Hour, false, false},
		{"no promise, under way", journal.Record{ChangedAt: changed}, journal.Sent, time.Hour, false, false},
		{"no time", journal.Record{FreshWithin: 10}, journal.Verified, time.Hour, false, false},
	} {
		r := tt.r.At(tt.state, changed.Add(tt.took))
		if got := r.LateAt(changed.Add(tt.took + time.Minute)); r.Late != tt.late || got != tt.later {
			t.Errorf("%s: late %v, a minute later %v", tt.name, r.Late, got)
		}
	}
	// A dead letter that a retry brings in time is not late.
	r := promised.At(journal.Dead, changed.Add(time.Minute)).At(journal.Planned, changed.Add(time.Minute))
	if r.At(journal.Verified, changed.Add(time.Second)).Late {
		t.Error("it was late once, and so for ever")
	}
}
