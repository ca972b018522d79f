package e2e_test

import (
	"bufio"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The states of a record that the tests wait for, as they are printed.
const (
	sent      = "sent"
	completed = "completed"
	verified  = "verified"
	stale     = "stale"
	dead      = "dead"
)

// record is a line of freshet up --json and of freshet log --json, as far as
// the tests look at it.
type record struct {
	ID           string     `json:"id"`
	Key          string     `json:"key"`
	Op           string     `json:"op"`
	State        string     `json:"state"`
	Patterns     []string   `json:"patterns"`
	Invalidation string     `json:"invalidation"`
	ETag         string     `json:"etag"`
	Sequencer    string     `json:"sequencer"`
	Cause        string     `json:"cause"`
	ChangedAt    time.Time  `json:"changed_at"`
	ReceivedAt   *time.Time `json:"received_at"`
	PlannedAt    *time.Time `json:"planned_at"`
	SentAt       *time.Time `json:"sent_at"`
	CompletedAt  *time.Time `json:"completed_at"`
	VerifiedAt   *time.Time `json:"verified_at"`
	Reason       string     `json:"reason"`
}

// records collects what a freshet prints.
type records struct {
	mu      sync.Mutex
	all     []record
	bad     []string      // lines that are no records
	grown   chan struct{} // closed and replaced when there is more
	drained chan struct{} // closed at the end of the output
}

func newRecords() *records {
	return &records{grown: make(chan struct{}), drained: make(chan struct{})}
}

func (l *records) read(lines *bufio.Scanner) {
	defer close(l.drained)
	for lines.Scan() {
		var r record
		err := json.Unmarshal(lines.Bytes(), &r)
		l.mu.Lock()
		if err == nil && r.State != "" {
			l.all = append(l.all, r)
		} else {
			l.bad = append(l.bad, lines.Text())
		}
		close(l.grown)
		l.grown = make(chan struct{})
		l.mu.Unlock()
	}
}

// since returns the records from the nth on, and what tells of more.
func (l *records) since(n int) ([]record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[min(n, len(l.all)):]), l.grown
}

func (l *records) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// await returns the first record for which ok holds.
func (l *records) await(t testing.TB, what string, ok func(record) bool) record {
	t.Helper()
	return l.awaitFrom(t, 0, what, ok)
}

// awaitFrom does so from the nth record on.
func (l *records) awaitFrom(t testing.TB, n int, what string, ok func(record) bool) record {
	t.Helper()
	late := time.After(patience)
	for {
		more, grown := l.since(n)
		if i := slices.IndexFunc(more, ok); i >= 0 {
			return more[i]
		}
		n += len(more)
		select {
		case <-grown:
		case <-late:
			all, _ := l.since(0)
			t.Fatalf("timed out: %s; the last of %d records: %+v", what, len(all), all[max(0, len(all)-3):])
		}
	}
}

// verifiedETags waits until every key was verified with its ETag, "" standing
// for a delete, from the nth record on.
func (l *records) verifiedETags(t testing.TB, n int, want map[string]string) {
	t.Helper()
	missing := make(map[string]string, len(want))
	for key, etag := range want {
		missing[key] = etag
	}
	if len(missing) == 0 {
		return
	}
	l.awaitFrom(t, n, "all are verified", func(r record) bool {
		if etag, ok := missing[r.Key]; ok && r.State == verified && r.ETag == etag && (r.Op == "delete") == (etag == "") {
			delete(missing, r.Key)
		}
		return len(missing) == 0
	})
}

// byChange groups records by change, in their order.
func byChange(all []record) map[string][]record {
	changes := make(map[string][]record)
	for _, r := range all {
		changes[r.ID] = append(changes[r.ID], r)
	}
	return changes
}

// sound complains of changes that did not end well, and of those that were
// invalidated more than once although nothing was found stale.
func sound(t testing.TB, all []record) {
	t.Helper()
	changes := byChange(all)
	byKey := make(map[string][][]record)
	for _, steps := range changes {
		byKey[steps[0].Key] = append(byKey[steps[0].Key], steps)
	}
	for id, steps := range changes {
		last := steps[len(steps)-1]
		if last.State != verified {
			t.Errorf("change %s of %q ended as %s: %s", id, last.Key, last.State, last.Reason)
		}
		if slices.ContainsFunc(steps, func(r record) bool { return r.State == stale }) {
			t.Logf("change %s of %q was seen stale: %+v", id, last.Key, steps)
			continue
		}
		if again := repeated(steps, byKey[last.Key]); len(again) > 0 {
			t.Errorf("change %s of %q was carried by the invalidations %q, of which %q were not made by its first plan", id, last.Key, invalidationsOf(steps), again)
		}
	}
}

// repeated returns the invalidations that a change names beyond those of its
// plan: the requests of one plan are all named as soon as the first is. A change
// that was overtaken on its way also names those of the newer change of its key
// with which it was settled; they were not made for it.
func repeated(steps []record, ofKey [][]record) []string {
	first := slices.IndexFunc(steps, func(r record) bool { return r.Invalidation != "" })
	if first < 0 {
		return nil
	}
	own := invalidationsOf(steps[first : first+1])
	more := slices.DeleteFunc(invalidationsOf(steps), func(id string) bool { return slices.Contains(own, id) })
	for i := 0; i < len(ofKey) && len(more) > 0; i++ {
		if newer := ofKey[i]; newer[0].Sequencer > steps[0].Sequencer {
			theirs := invalidationsOf(newer)
			more = slices.DeleteFunc(more, func(id string) bool { return slices.Contains(theirs, id) })
		}
	}
	return more
}

// invalidationsOf lists the different invalidations that records name.
func invalidationsOf(all []record) (ids []string) {
	seen := make(map[string]bool)
	for _, r := range all {
		for id := range strings.SplitSeq(r.Invalidation, ",") {
			if id != "" && !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}
