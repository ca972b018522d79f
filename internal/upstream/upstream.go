// Package upstream follows a branch of a repository elsewhere: when somebody
// says that it was pushed to, it is fetched, and what lies between the commit
// that was seen last and where the branch is now becomes changes.
//
// What the sender says is a reason to look and nothing else. So it does not
// matter whether a message is lost, comes twice or late, or lists a part of the
// commits only: the next look finds all of it.
package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

// Seen is what is on record of a branch.
type Seen struct {
	Commit string `json:"commit"` // the last whose changes were queued
	Count  int64  `json:"count"`  // how often it was another one: tells there and back and there again apart
}

// Config says what is followed, and how.
type Config struct {
	Dir    string // a clone; its branches and work tree are left alone
	Remote string // of the clone
	Branch string
	Rules  gitdiff.Rules
	Origin string // bucket of the objects

	Load func(context.Context) (Seen, error)         // the zero value at first
	Save func(context.Context, Seen) error           // returns when it is on disk
	Put  func(context.Context, freshet.Change) error // likewise

	Log *slog.Logger
}

// Branch is one that is followed. Its methods may be called concurrently.
type Branch struct {
	cfg Config

	looking sync.Mutex
	failed  chan struct{} // holds an element when a look has to be repeated
}

// New returns a branch that nobody has looked at.
func New(cfg Config) *Branch { return &Branch{cfg: cfg, failed: make(chan struct{}, 1)} }

// News is what a look has found.
type News struct {
	Commit   string  `json:"commit,omitempty"` // where the branch is; empty if it is not there
	Way      git.Way `json:"way,omitempty"`
	Changes  int     `json:"changes"`
	Problems int     `json:"problems,omitempty"` // paths of which nobody knows what they change
}

// Look fetches the branch and queues what changed. Before is the commit that it
// was at, for the first look of all: without one that is where the clone has seen
// it, and if it never has, the look only notes where the branch is. A look that fails has queued some of its changes at most, is repeated by
// Run, and queues those again under the same IDs.
func (b *Branch) Look(ctx context.Context, before string) (News, error) {
	b.looking.Lock()
	defer b.looking.Unlock()
	news, err := b.look(ctx, before)
	if err != nil {
		select {
		case b.failed <- struct{}{}:
		default:
		}
		return News{}, fmt.Errorf("follow the branch %s of %s: %w", b.cfg.Branch, b.cfg.Dir, err)
	}
	return news, nil
}

func (b *Branch) look(ctx context.Context, before string) (News, error) {
	seen, err := b.cfg.Load(ctx)
	if err != nil {
		return News{}, err
	}
	if seen.Commit == "" && before != "" {
		seen.Commit = before
		if err := b.cfg.Save(ctx, seen); err != nil { // this look may fail, and the next one is not told
			return News{}, err
		}
	}
	repo, err := git.Open(ctx, b.cfg.Dir)
	if err != nil {
		return News{}, err
	}
	if seen.Commit == "" {
		if seen.Commit, err = repo.Fetched(ctx, b.cfg.Remote, b.cfg.Branch); err != nil {
			return News{}, err
		}
		if seen.Commit != "" {
			if err := b.cfg.Save(ctx, seen); err != nil { // fetching moves it
				return News{}, err
			}
		}
	}
	tip, found, err := repo.Fetch(ctx, b.cfg.Remote, b.cfg.Branch)
	if err != nil {
		return News{}, err
	}
	if !found {
		b.cfg.Log.Warn("the branch is not there: its objects stay as they are", "branch", b.cfg.Branch)
		return News{Way: git.Gone}, nil
	}
	if seen.Commit == "" {
		return News{Commit: tip.ID, Way: git.First}, b.cfg.Save(ctx, Seen{Commit: tip.ID})
	}
	return b.span(ctx, repo, seen, tip)
}

// span queues what lies between two commits, and then notes the later one.
func (b *Branch) span(ctx context.Context, repo *git.Repository, seen Seen, tip git.Commit) (News, error) {
	s, err := repo.Span(ctx, seen.Commit, tip.ID)
	if err != nil {
		return News{}, err
	}
	news := News{Commit: tip.ID, Way: s.Way}
	if s.Way == git.Same {
		return news, nil
	}
	if s.Note != "" {
		b.cfg.Log.Warn(s.Note, "branch", b.cfg.Branch)
	}
	entries, err := repo.Entries(ctx, s)
	if err != nil {
		return News{}, err
	}
	next := Seen{Commit: tip.ID, Count: seen.Count + 1}
	read := b.cfg.Rules.Changes(entries, gitdiff.Version{Origin: b.cfg.Origin, Name: fmt.Sprintf("%s after %s, %d", tip.ID, seen.Commit, next.Count), Time: tip.Time})
	for _, p := range read.Problems {
		b.cfg.Log.Error("a path of the commit makes stale nobody knows what", "commit", tip.ID, "err", p)
	}
	for _, c := range read.Changes {
		if err := b.cfg.Put(ctx, c.Change); err != nil {
			return News{}, err
		}
	}
	news.Changes, news.Problems = len(read.Changes), len(read.Problems)
	b.cfg.Log.Info("commits", "branch", b.cfg.Branch, "from", seen.Commit, "to", tip.ID, "changes", news.Changes)
	return news, b.cfg.Save(ctx, next)
}

// How soon a look that failed is repeated, and at last.
const (
	firstPause = time.Second
	lastPause  = 5 * time.Minute
)

// Run looks once, since messages may have been missed, and repeats looks that
// fail until one does not. It returns when ctx is done.
func (b *Branch) Run(ctx context.Context) error {
	_, err := b.Look(ctx, "")
	for pause := firstPause; ; {
		if err == nil {
			pause = firstPause
			select {
			case <-b.failed:
			case <-ctx.Done():
				return nil
			}
		} else if ctx.Err() == nil {
			b.cfg.Log.Error("will look again", "in", pause, "err", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		select {
		case <-b.failed: // this look is for it
		default:
		}
		pause = min(2*pause, lastPause)
		_, err = b.Look(ctx, "")
	}
}
