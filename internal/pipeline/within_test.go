package pipeline_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet/internal/journal"
)

// What takes longer than was promised is late, counted from the object's own
// time, and so is what is under way for longer.
func TestFreshWithin(t *testing.T) {
	l := newLine(t)
	l.stop()
	l.within = func(distribution string) time.Duration {
		return map[string]time.Duration{"": time.Minute, "E1": time.Hour}[distribution]
	}
	l.start()
	timely, late := put("timely", 1), put("late", 2)
	timely.Time = timely.Time.Add(-30 * time.Minute)
	late.Time = late.Time.Add(-2 * time.Hour)
	l.take("hold", time.Hour)
	l.put(timely, late)
	l.held(2)
	if r := l.last(timely, journal.Received); r.FreshWithin != 60 || r.Late {
		t.Errorf("received: %+v", r)
	}
	if n := l.run.Overdue(); n != 2 { // where they go is not known yet, and the promise is the general one
		t.Errorf("%d are overdue", n)
	}
	l.release("hold")
	if r := l.last(timely, journal.Verified); r.FreshWithin != 3600 || r.Late {
		t.Errorf("in time: %+v", r)
	}
	if r := l.last(late, journal.Verified); r.FreshWithin != 3600 || !r.Late {
		t.Errorf("too late: %+v", r)
	}
	l.settled()
	if n := l.run.Overdue(); n != 0 {
		t.Errorf("%d are overdue", n)
	}
}
