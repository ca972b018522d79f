package apply_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/cdn"
)

// failing lists its distributions after so many failures.
type failing struct {
	cdn.Driver
	class    cdn.Class
	failures int
	calls    int
}

func (f *failing) Profiles(context.Context) ([]freshet.Profile, error) {
	f.calls++
	if f.calls <= f.failures {
		return nil, &cdn.Error{Class: f.class, Err: errors.New("no")}
	}
	return []freshet.Profile{{Distribution: "E1"}}, nil
}

func TestProfilesAreAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &failing{class: cdn.Throttled, failures: 3}
		got, err := apply.Profiles(t.Context(), d, apply.Retry{For: time.Minute})
		if err != nil || len(got) != 1 || d.calls != 4 {
			t.Errorf("got %v, %v after %d calls", got, err, d.calls)
		}
		denied := &failing{class: cdn.Denied, failures: 1}
		if _, err := apply.Profiles(t.Context(), denied, apply.Retry{For: time.Minute}); cdn.ClassOf(err) != cdn.Denied || denied.calls != 1 {
			t.Errorf("got %v after %d calls, want it to be given up", err, denied.calls)
		}
		began := time.Now()
		if _, err := apply.Profiles(t.Context(), &failing{class: cdn.Throttled, failures: 1000}, apply.Retry{For: time.Minute}); cdn.ClassOf(err) != cdn.Throttled || time.Since(began) > time.Minute {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}
