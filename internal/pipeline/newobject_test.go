package pipeline_test

import (
	"errors"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/route"
)

// sent returns the pattern that a verified change was invalidated by.
func (l *line) sent(c freshet.Change) []freshet.Pattern {
	l.t.Helper()
	return l.last(c, journal.Verified).Patterns
}

// TestOnlyAKeyThatNothingWasUnderIsNew: where new objects are skipped, a viewer
// may have fetched the first version of an object whose second version comes
// before the first was verified.
func TestOnlyAKeyThatNothingWasUnderIsNew(t *testing.T) {
	l := newLine(t)
	l.stop()
	l.rules = route.Rules{NewObjects: route.Skip}
	l.start()
	first := put("alone", 1)
	l.put(first)
	if got := l.sent(first); len(got) != 0 {
		t.Errorf("a new object was invalidated by %q", got)
	}
	second := put("alone", 2)
	l.put(second)
	if got := l.sent(second); len(got) != 1 {
		t.Errorf("its second version was invalidated by %q", got)
	}

	// Both in one batch, which waits for another to be sent.
	begun, release := make(chan struct{}), make(chan struct{})
	l.network.set(func() {
		l.network.refuse = func(inv freshet.Invalidation) error {
			if inv.Patterns[0] == "/alone" {
				close(begun)
				<-release
			}
			return nil
		}
	})
	l.put(put("alone", 3))
	<-begun
	a, b := put("twice", 1), put("twice", 2)
	l.put(a, b)
	l.delivered(3)
	close(release)
	if got := l.sent(b); len(got) != 1 {
		t.Errorf("the second of two versions was invalidated by %q", got)
	}
	l.settled()
}

// TestWhatADeadLetterIsAboutIsNotNew: nobody knows what is cached of it.
func TestWhatADeadLetterIsAboutIsNotNew(t *testing.T) {
	l := newLine(t)
	l.network.refuse = func(freshet.Invalidation) error {
		return &cdn.Error{Class: cdn.Denied, Err: errors.New("no permission")}
	}
	dead := put("a", 1)
	l.put(dead)
	l.last(dead, journal.Dead)
	l.settled()
	l.stop()
	l.network.set(func() { l.network.refuse = nil })
	l.rules = route.Rules{NewObjects: route.Skip}
	l.start()
	next := put("a", 2)
	l.put(next)
	if got := l.sent(next); len(got) != 1 {
		t.Errorf("it was invalidated by %q", got)
	}
}
