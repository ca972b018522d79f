package codecommit

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

// mostCommits is how many commits are looked at one by one.
const mostCommits = 200

// Walk looks at commits one by one, and remembers them: a commit never changes.
// It is used by one goroutine at a time.
type Walk struct {
	Repository

	steps map[string]step
}

// step is a commit and what it changed.
type step struct {
	parent  string // the first; empty of a first commit
	entries []gitdiff.Entry
}

// Touched returns what any commit after base and up to head changed in the
// branch: also what a later one has taken back, since what was in between may
// have been published. complete is false where the branch does not lead back to
// base within 200 commits, as after it was rewritten; then nobody can tell what
// was not touched.
func (w *Walk) Touched(ctx context.Context, base, head string) (entries []gitdiff.Entry, complete bool, err error) {
	for at, n := head, 0; at != base; n++ {
		if n == mostCommits || at == "" {
			return nil, false, nil
		}
		s, err := w.step(ctx, at)
		if errors.Is(err, ErrUnknown) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("walk from %s to %s: %w", head, base, err)
		}
		entries = append(entries, s.entries...)
		at = s.parent
	}
	return entries, true, nil
}

func (w *Walk) step(ctx context.Context, id string) (step, error) {
	if s, known := w.steps[id]; known {
		return s, nil
	}
	c, err := w.Commit(ctx, id)
	if err != nil {
		return step{}, err
	}
	s := step{}
	if len(c.Parents) > 0 {
		s.parent = c.Parents[0]
	}
	var lost bool
	if s.entries, lost, err = w.Entries(ctx, s.parent, id); err != nil {
		return step{}, err
	}
	if lost {
		return step{}, ErrUnknown
	}
	if w.steps == nil || len(w.steps) >= 2*mostCommits {
		w.steps = make(map[string]step)
	}
	w.steps[id] = s
	return s, nil
}
