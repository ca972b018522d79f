package pipeline_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/pipeline"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func holding(key, etag string) freshet.Change {
	return freshet.Change{Origin: "site", Key: key, ETag: etag, Time: at}
}

func seen(key, etag string) journal.Seen { return journal.Seen{Origin: "site", Key: key, ETag: etag} }

func inventory(all ...journal.Seen) map[[2]string]journal.Seen {
	known := make(map[[2]string]journal.Seen)
	for _, s := range all {
		known[[2]string{s.Origin, s.Key}] = s
	}
	return known
}

func TestReconcile(t *testing.T) {
	gone := journal.Seen{Origin: "site", Key: "a", Gone: true}
	served := holding("a", "1")
	served.Served = "headers"
	queued := func(op freshet.Op, etag string, seq freshet.Sequencer) freshet.Change {
		return freshet.Change{Origin: "site", Key: "a", Op: op, ETag: etag, Sequencer: seq, Time: at}
	}
	verified := func(etag string, seq freshet.Sequencer) journal.Seen {
		s := seen("a", etag)
		s.Sequencer = seq
		return s
	}
	tests := []struct {
		name    string
		held    []freshet.Change
		known   map[[2]string]journal.Seen
		waiting []freshet.Change
		want    []string
	}{
		{"nothing at all", nil, nil, nil, nil},
		{"as it was", []freshet.Change{holding("a", "1")}, inventory(seen("a", "1")), nil, nil},
		{"new", []freshet.Change{holding("a", "1")}, nil, nil, []string{"put a 1"}},
		{"other bytes", []freshet.Change{holding("a", "2")}, inventory(seen("a", "1")), nil, []string{"put a 2"}},
		{"other headers", []freshet.Change{served}, inventory(seen("a", "1")), nil, []string{"put a 1"}},
		{"gone", nil, inventory(seen("a", "1")), nil, []string{"delete a "}},
		{"still gone", nil, inventory(gone), nil, nil},
		{"back again", []freshet.Change{holding("a", "1")}, inventory(gone), nil, []string{"put a 1"}},
		{"another origin's", nil, inventory(journal.Seen{Origin: "other", Key: "a", ETag: "1"}), nil, nil},
		{"order", []freshet.Change{holding("z", "1"), holding("b", "1")}, inventory(seen("y", "1"), seen("c", "1")), nil, []string{"put z 1", "put b 1", "delete c ", "delete y "}},
		{"its put waits", []freshet.Change{holding("a", "2")}, inventory(seen("a", "1")), []freshet.Change{queued(freshet.OpPut, "2", "1")}, nil},
		{"its delete waits", nil, inventory(seen("a", "1")), []freshet.Change{queued(freshet.OpDelete, "", "1")}, nil},
		{"an older put waits", []freshet.Change{holding("a", "3")}, inventory(seen("a", "1")), []freshet.Change{queued(freshet.OpPut, "2", "1")}, []string{"put a 3"}},
		{"a put waits of what is gone", nil, inventory(seen("a", "1")), []freshet.Change{queued(freshet.OpPut, "2", "1")}, []string{"delete a "}},
		{"a put waits of what is gone and was never seen", nil, nil, []freshet.Change{queued(freshet.OpPut, "2", "1")}, []string{"delete a "}},
		{"a delete waits of what is back", []freshet.Change{holding("a", "1")}, inventory(seen("a", "1")), []freshet.Change{queued(freshet.OpDelete, "", "1")}, []string{"put a 1"}},
		{
			"the newest of those that wait counts", []freshet.Change{holding("a", "2")}, nil,
			[]freshet.Change{queued(freshet.OpPut, "2", "2"), queued(freshet.OpDelete, "", "1")}, nil,
		},
		{
			"a dead letter that a newer change made void", []freshet.Change{holding("a", "2")}, inventory(verified("2", "0A")),
			[]freshet.Change{queued(freshet.OpPut, "1", "09")}, nil,
		},
		{
			"what was verified waits still", []freshet.Change{holding("a", "2")}, inventory(verified("2", "0A")),
			[]freshet.Change{queued(freshet.OpPut, "2", "0A")}, nil,
		},
		{
			"back to what a void dead letter made", []freshet.Change{holding("a", "1")}, inventory(verified("2", "0A")),
			[]freshet.Change{queued(freshet.OpPut, "1", "09")}, []string{"put a 1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range pipeline.Reconcile("site", tt.held, tt.known, tt.waiting, at) {
				got = append(got, fmt.Sprintf("%s %s %s", c.Op, c.Key, c.ETag))
				if c.Origin != "site" || c.Cause != pipeline.CauseReconcile || c.Sequencer != "" || c.Time.IsZero() {
					t.Errorf("change %+v", c)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Once its changes are done, what is known is what the origin holds, and there
// is nothing more to reconcile. Nothing is asked for twice, and nothing that is
// given is changed.
func TestReconcileBringsKnowledgeUpToDate(t *testing.T) {
	key := rapid.SampledFrom([]string{"a", "b", "c", "d/e", ""})
	etag := rapid.SampledFrom([]string{"1", "2", ""})
	header := rapid.SampledFrom([]string{"", "x"})
	rapid.Check(t, func(t *rapid.T) {
		var held []freshet.Change
		for _, k := range rapid.SliceOfDistinct(key, rapid.ID[string]).Draw(t, "held") {
			held = append(held, freshet.Change{Origin: "site", Key: k, ETag: etag.Draw(t, "etag"), Served: header.Draw(t, "served"), Time: at})
		}
		known := inventory()
		for _, k := range rapid.SliceOfDistinct(key, rapid.ID[string]).Draw(t, "known") {
			s := journal.Seen{Origin: "site", Key: k, ETag: etag.Draw(t, "etag"), Served: header.Draw(t, "served"), Gone: rapid.Bool().Draw(t, "gone")}
			known[[2]string{"site", k}] = s
		}
		var waiting []freshet.Change
		for i, k := range rapid.SliceOf(key).Draw(t, "waiting") {
			waiting = append(waiting, freshet.Change{
				Origin: "site", Key: k, ETag: etag.Draw(t, "etag"), Served: header.Draw(t, "served"), Time: at,
				Op:        rapid.SampledFrom([]freshet.Op{freshet.OpPut, freshet.OpDelete}).Draw(t, "op"),
				Sequencer: freshet.Sequencer(fmt.Sprintf("%04d", i+1)),
			})
		}
		heldBefore, waitingBefore := slices.Clone(held), slices.Clone(waiting)
		knownBefore := inventory()
		for o, s := range known {
			knownBefore[o] = s
		}

		missed := pipeline.Reconcile("site", held, known, waiting, at)

		if !reflect.DeepEqual(held, heldBefore) || !reflect.DeepEqual(waiting, waitingBefore) || !reflect.DeepEqual(known, knownBefore) {
			t.Fatal("what was given was changed")
		}
		latest, _ := freshet.Latest(waiting)
		settle(known, latest)
		settle(known, missed)
		for _, c := range held {
			s, ok := known[[2]string{"site", c.Key}]
			if !ok || s.Gone || s.ETag != c.ETag || s.Served != c.Served {
				t.Fatalf("%+v is held, known is %+v after %+v", c, s, missed)
			}
			delete(known, [2]string{"site", c.Key})
		}
		for o, s := range known {
			if !s.Gone {
				t.Fatalf("%v is known and not held after %+v", o, missed)
			}
		}
		objects := make(map[string]bool)
		for _, c := range missed {
			if objects[c.Key] {
				t.Fatalf("%s is in the result twice", c.Key)
			}
			objects[c.Key] = true
		}
	})
}

// settle notes changes as verified.
func settle(known map[[2]string]journal.Seen, changes []freshet.Change) {
	for _, c := range changes {
		known[[2]string{c.Origin, c.Key}] = journal.Seen{Origin: c.Origin, Key: c.Key, ETag: c.ETag, Served: c.Served, Gone: c.Op == freshet.OpDelete}
	}
}
