package mirror

import (
	"testing"
	"time"
)

// A timer that fires while its task is stopped from waiting for it, since the
// path was marked again, does not have the path worked on twice at once.
func TestLateTimers(t *testing.T) {
	q := newQueue()
	defer q.close()
	q.mark("a", false)
	first, _ := q.next()
	q.finish(first, outcome{wait: time.Hour})
	turn := first.turn
	q.mark("a", false)
	q.due(first, turn)
	if again, _ := q.next(); again != first || len(q.ready) > 0 {
		t.Fatalf("%+v, and %d more", again, len(q.ready))
	}
	if q.due(first, turn); len(q.ready) > 0 {
		t.Error("one path is worked on twice at once")
	}
	q.finish(first, outcome{})
	if q.due(first, turn); len(q.ready) > 0 || q.active != 0 {
		t.Error("what was done is begun again")
	}
}
