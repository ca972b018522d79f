package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
)

// past is a history of the given steps: a change's name, its distribution and
// the state it reached.
func past(t *testing.T, f filter, steps ...[3]string) *history {
	t.Helper()
	h := newHistory()
	for _, s := range steps {
		r := journal.Record{ID: s[0], Key: s[0], Distribution: s[1], State: journal.State(s[2]), ChangedAt: time.Now(), Patterns: []freshet.Pattern{}}
		if err := h.add(f)(r); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// rows are the changes of h with their distributions and states, in order.
func rows(h *history) string {
	var rows []string
	for _, id := range h.order {
		r := h.last[id]
		rows = append(rows, strings.Join(strings.Fields(r.ID+" "+r.Distribution+" "+string(r.State)), " "))
	}
	return strings.Join(rows, ", ")
}

func TestHistoryHasARowForEachChangeAtEachDistribution(t *testing.T) {
	tests := []struct {
		name  string
		steps [][3]string
		want  string
	}{
		{"one", [][3]string{{"a", "", "received"}, {"a", "E1", "planned"}, {"a", "E1", "verified"}}, "a E1 verified"},
		{"two distributions", [][3]string{{"a", "", "received"}, {"a", "E1", "planned"}, {"a", "E2", "planned"}}, "a E1 planned, a E2 planned"},
		{"waiting", [][3]string{{"a", "", "received"}}, "a received"},
		{"nothing caches it", [][3]string{{"a", "", "received"}, {"a", "", "planned"}, {"a", "", "verified"}}, "a verified"},
		{"received again after a restart", [][3]string{
			{"a", "", "received"}, {"a", "E1", "planned"}, {"b", "", "received"}, {"a", "", "received"}, {"a", "E1", "planned"}, {"a", "E1", "verified"},
		}, "a E1 verified, b received"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := rows(past(t, filter{}, tt.steps...).choose(filter{}, 0)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestHistoryChooses(t *testing.T) {
	steps := [][3]string{
		{"a", "", "received"}, {"a", "E1", "planned"}, {"a", "", "received"}, {"a", "E1", "dead"},
		{"b", "E1", "verified"}, {"c", "E1", "dead"}, {"d", "", "received"},
	}
	dead := filter{states: map[journal.State]bool{journal.Dead: true}}
	for _, tt := range []struct {
		f    filter
		last int
		want string
	}{
		{filter{}, 0, "a E1 dead, b E1 verified, c E1 dead, d received"},
		{filter{}, 2, "c E1 dead, d received"},
		{filter{}, 9, "a E1 dead, b E1 verified, c E1 dead, d received"},
		{dead, 0, "a E1 dead, c E1 dead"},
		{dead, 1, "c E1 dead"},
	} {
		if got := rows(past(t, tt.f, steps...).choose(tt.f, tt.last)); got != tt.want {
			t.Errorf("%v, last %d: got %s, want %s", tt.f.states, tt.last, got, tt.want)
		}
	}
}
