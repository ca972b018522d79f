package git

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

// Fetch gets a branch of a remote into a name of our own, refs/freshet/<branch>,
// and returns the commit that it is at. found is
// false if the remote has no such branch. Nothing that anybody else uses is
// changed: neither branches nor FETCH_HEAD nor the work tree.
func (r *Repository) Fetch(ctx context.Context, remote, branch string) (tip Commit, found bool, err error) {
	if err := r.validBranch(ctx, branch); err != nil {
		return Commit{}, false, err
	}
	head, own := "refs/heads/"+branch, "refs/freshet/"+branch
	if listed, err := r.text(ctx, "ls-remote", "--quiet", "--end-of-options", remote, head); err != nil {
		return Commit{}, false, fmt.Errorf("ask %s for the branch %s: %w", remote, branch, err)
	} else if !lists(listed, head) {
		return Commit{}, false, nil
	}
	if err := r.fetch(ctx, remote, "+"+head+":"+own); err != nil {
		return Commit{}, false, fmt.Errorf("fetch the branch %s from %s: %w", branch, remote, err)
	}
	tip, err = r.Commit(ctx, own)
	return tip, err == nil, err
}

// Fetched returns the commit that a branch was at when it was fetched last, by
// Fetch or else by somebody, and nothing if it never was.
func (r *Repository) Fetched(ctx context.Context, remote, branch string) (string, error) {
	if err := r.validBranch(ctx, branch); err != nil {
		return "", err
	}
	for _, ref := range []string{"refs/freshet/" + branch, "refs/remotes/" + remote + "/" + branch} {
		c, err := r.Commit(ctx, ref)
		if err == nil || !errors.Is(err, ErrUnknown) {
			return c.ID, err
		}
	}
	return "", nil
}

// lists reports whether ls-remote has printed a name, since a pattern that it
// takes matches the ends of others, too.
func lists(listed, name string) bool {
	for line := range strings.SplitSeq(listed, "\n") {
		if _, ref, _ := strings.Cut(line, "\t"); ref == name {
			return true
		}
	}
	return false
}

// FetchCommit gets a commit by its ID, and without its history where the clone
// is shallow. Not every remote gives commits that no branch leads to.
func (r *Repository) FetchCommit(ctx context.Context, remote, id string) error {
	if !gitdiff.IsID(id) || gitdiff.IsZero(id) {
		return fmt.Errorf("fetch the commit %q: it is no whole ID", id)
	}
	var depth []string
	if r.Shallow {
		depth = []string{"--depth=1"}
	}
	if err := r.fetch(ctx, remote, id, depth...); err != nil {
		return fmt.Errorf("fetch the commit %s from %s: %w", id, remote, err)
	}
	return nil
}

// fetch is git fetch without what it does beside.
// https://git-scm.com/docs/git-fetch
func (r *Repository) fetch(ctx context.Context, remote, refspec string, flags ...string) error {
	args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--refmap="}
	args = append(append(args, flags...), "--end-of-options", remote, refspec)
	_, err := r.run(ctx, mostAnswer, args...)
	return err
}

func (r *Repository) validBranch(ctx context.Context, branch string) error {
	if _, err := r.run(ctx, mostAnswer, "check-ref-format", "refs/heads/"+branch); err != nil {
		return fmt.Errorf("%q is no name of a branch", branch)
	}
	return nil
}
