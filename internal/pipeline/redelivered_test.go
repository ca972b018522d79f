package pipeline_test

import (
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
)

// TestWhatWasSettledBeforeAKillIsNotDoneAgain: who queues the changes of commits
// was killed before it noted that it had, and queues them again, together with
// newer ones. They have no sequencers.
func TestWhatWasSettledBeforeAKillIsNotDoneAgain(t *testing.T) {
	l := newLine(t)
	old := freshet.Change{Origin: "site", Key: "a", Op: freshet.OpPut, Version: "commit 1", Cause: "commit"}
	l.put(old)
	l.last(old, journal.Verified)
	l.settled()
	sent := len(l.requests())
	l.stop()

	l.start()
	newer := freshet.Change{Origin: "site", Key: "b", Op: freshet.OpPut, Version: "commit 2", Cause: "commit"}
	l.take("both", time.Minute) // or the old one would go alone, under the reference that it had
	l.put(old, newer)
	l.held(1)
	l.release("both")
	l.last(newer, journal.Verified)
	l.settled()
	all := l.requests()
	if len(all) != sent+1 || len(all[sent].Patterns) != 1 || all[sent].Patterns[0] != "/b" {
		t.Errorf("sent %+v", all[sent:])
	}
	again := freshet.Change{Origin: "site", Key: "a", Op: freshet.OpPut, Version: "commit 3", Cause: "commit"}
	l.put(again)
	l.last(again, journal.Verified)
	l.settled()
	if n := len(l.requests()); n != sent+2 {
		t.Errorf("another occasion was not one: %d", n-sent)
	}
	l.stop()
}
