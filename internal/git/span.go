package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

// Commit is what a commit says.
type Commit struct {
	ID      string    `json:"id"`
	Tree    string    `json:"-"`
	Parents []string  `json:"-"` // the first is the branch that was merged into
	Time    time.Time `json:"time,omitzero"`
}

// Commit returns the commit that a revision names. The error is ErrUnknown if
// there is none.
// https://git-scm.com/docs/gitrevisions
func (r *Repository) Commit(ctx context.Context, rev string) (Commit, error) {
	if rev == "" || strings.ContainsAny(rev, "\x00\n") {
		return Commit{}, fmt.Errorf("find the commit %q: that is no name of a commit", rev)
	}
	id, err := r.text(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	if exited(err, 1) {
		return Commit{}, fmt.Errorf("find the commit %s: %w", rev, ErrUnknown)
	}
	if err != nil {
		return Commit{}, fmt.Errorf("find the commit %s: %w", rev, err)
	}
	text, err := r.run(ctx, mostAnswer, "cat-file", "commit", id)
	if err != nil {
		return Commit{}, fmt.Errorf("read the commit %s: %w", id, err)
	}
	return parseCommit(id, string(text))
}

// parseCommit reads the header of a commit. Its time is the committer's, since a
// commit that is applied again has the author's time of before.
func parseCommit(id, text string) (Commit, error) {
	c := Commit{ID: id}
	header, _, _ := strings.Cut(text, "\n\n")
	for line := range strings.SplitSeq(header, "\n") {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "tree":
			c.Tree = value
		case "parent":
			c.Parents = append(c.Parents, value)
		case "committer":
			fields := strings.Fields(value[strings.LastIndexByte(value, '>')+1:])
			if len(fields) > 0 {
				seconds, err := strconv.ParseInt(fields[0], 10, 64)
				if err != nil {
					return c, fmt.Errorf("read the commit %s: its time is %q", id, fields[0])
				}
				c.Time = time.Unix(seconds, 0).UTC()
			}
		}
	}
	if !gitdiff.IsID(c.Tree) {
		return c, fmt.Errorf("read the commit %s: it has no tree", id)
	}
	return c, nil
}

// Way is how a span leads from its base to its head.
type Way string

// The ways.
const (
	Forward  Way = "forward"  // the base is an ancestor of the head
	Back     Way = "back"     // the head is an ancestor of the base
	Sideways Way = "sideways" // neither is: history was rewritten, or another branch is published
	Same     Way = "same"     // they are one commit
	First    Way = "first"    // there is no base: everything is new
	Lost     Way = "lost"     // the base was named, but its commit is not here
	Gone     Way = "gone"     // there is no head: the branch was deleted
	Compared Way = "compared" // nobody has looked which is the earlier one
)

// Span is what lies between the commit that caches were filled from and the one
// that is published. Head is empty if the way is Gone, and Base if it is First
// or Lost.
type Span struct {
	Base Commit `json:"base,omitzero"`
	Head Commit `json:"head,omitzero"`
	Way  Way    `json:"way"`
	Note string `json:"note,omitempty"` // what a person ought to know about it
}

// Whole reports whether everything at the head counts as changed, since nobody
// knows what was there before.
func (s Span) Whole() bool { return s.Way == First || s.Way == Lost }

// Span finds out how to come from base to head. An ID of zeros, as webhooks
// write it, and the empty tree stand for nothing. A base that is a whole ID
// without a commit here gives a span that is Lost; any other name that means
// nothing is an error.
func (r *Repository) Span(ctx context.Context, base, head string) (s Span, err error) {
	if gitdiff.IsZero(head) {
		return Span{Way: Gone, Note: "the branch was deleted, so nothing is published from it; its objects stay"}, nil
	}
	if s.Head, err = r.Commit(ctx, head); err != nil {
		return Span{}, r.shallowHint(err)
	}
	if gitdiff.IsZero(base) || slices.Contains(gitdiff.EmptyTrees[:], base) {
		s.Way, s.Note = First, "there is nothing to compare with, so every file counts as new"
		return s, nil
	}
	s.Base, err = r.Commit(ctx, base)
	switch {
	case errors.Is(err, ErrUnknown) && gitdiff.IsID(base):
		s.Base, s.Way, s.Note = Commit{}, Lost, r.lostNote(base)
		return s, nil
	case err != nil:
		return Span{}, r.shallowHint(err)
	}
	return r.way(ctx, s)
}

func (r *Repository) shallowHint(err error) error {
	if r.Shallow && errors.Is(err, ErrUnknown) {
		return fmt.Errorf("%w; the clone is shallow: git fetch --deepen=100, or --unshallow (in GitHub's checkout action fetch-depth: 0, in GitLab GIT_DEPTH: 0)", err)
	}
	return err
}

func (r *Repository) lostNote(base string) string {
	why := "it was rewritten away, perhaps"
	do := "git fetch origin " + base
	if r.Shallow {
		why = "the clone is shallow"
		do = "git fetch --depth=1 origin " + base + ", git fetch --deepen=100 or --unshallow"
	}
	return fmt.Sprintf("the commit %s is not here (%s), so every file counts as changed, and what was deleted since is not known: %s would tell", base, why, do)
}

// way finds out which of two commits is the earlier one. The trees are compared
// whatever it is.
func (r *Repository) way(ctx context.Context, s Span) (Span, error) {
	if s.Base.ID == s.Head.ID {
		s.Way = Same
		return s, nil
	}
	forward, err := r.ancestor(ctx, s.Base.ID, s.Head.ID)
	if err != nil {
		return Span{}, err
	}
	back := false
	if !forward {
		if back, err = r.ancestor(ctx, s.Head.ID, s.Base.ID); err != nil {
			return Span{}, err
		}
	}
	switch {
	case forward:
		s.Way = Forward
	case back:
		s.Way, s.Note = Back, "it goes back to an earlier commit"
	case r.Shallow:
		s.Way, s.Note = Sideways, "the clone is too shallow to tell whether history was rewritten; the two commits are compared as they are"
	default:
		s.Way, s.Note = Sideways, "history was rewritten, or this is another branch; the two commits are compared as they are"
	}
	return s, nil
}

// ancestor reports whether one commit is an ancestor of another, as far as the
// history is here.
func (r *Repository) ancestor(ctx context.Context, one, other string) (bool, error) {
	_, err := r.run(ctx, mostAnswer, "merge-base", "--is-ancestor", "--end-of-options", one, other)
	if exited(err, 1) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare the histories of %s and %s: %w", one, other, err)
	}
	return true, nil
}

// ParseRange reads BASE..HEAD. Without a HEAD that is HEAD, and without a BASE,
// or without the dots, the base is left to be found.
func ParseRange(text string) (base, head string, err error) {
	if strings.Contains(text, "...") {
		return "", "", fmt.Errorf("range %q: three dots would begin where the branches parted, but caches were filled from the first commit itself: write two", text)
	}
	base, head, dots := strings.Cut(text, "..")
	if !dots {
		base, head = "", text
	}
	if strings.Contains(head, "..") {
		return "", "", fmt.Errorf("range %q: it is written as BASE..HEAD", text)
	}
	if head == "" {
		head = "HEAD"
	}
	return base, head, nil
}

// EmptyTree is the ID of the tree without files, in the repository's own format.
func (r *Repository) EmptyTree(ctx context.Context) (string, error) {
	format, err := r.text(ctx, "rev-parse", "--show-object-format")
	if err != nil {
		return "", fmt.Errorf("ask for the format of IDs: %w", err)
	}
	if format == "sha256" {
		return gitdiff.EmptyTrees[1], nil
	}
	return gitdiff.EmptyTrees[0], nil
}
