package git

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

// Entries returns what differs between the ends of a span. Symbolic links count
// as what they lead to within the repository, and submodules that are checked
// out as their files; those that are not stand there as such.
func (r *Repository) Entries(ctx context.Context, s Span) ([]gitdiff.Entry, error) {
	switch {
	case s.Way == Gone || s.Way == Same:
		return nil, nil
	case s.Whole():
		after, err := r.Tree(ctx, s.Head.ID)
		return gitdiff.Compare(nil, after), err
	}
	var entries []gitdiff.Entry
	var before, after []gitdiff.Leaf
	all, each := errgroup.WithContext(ctx)
	all.Go(func() (err error) { entries, err = r.difference(each, s.Base.ID, s.Head.ID); return err })
	all.Go(func() (err error) { before, err = r.leaves(each, s.Base.ID, false); return err })
	all.Go(func() (err error) { after, err = r.leaves(each, s.Head.ID, false); return err })
	if err := all.Wait(); err != nil {
		return nil, err
	}
	if len(entries) == 0 || !slices.ContainsFunc(before, special) && !slices.ContainsFunc(after, special) {
		return entries, nil
	}
	// What a link leads to changes without the link.
	var err error
	if before, err = r.expand(ctx, before, false, 0); err != nil {
		return nil, err
	}
	if after, err = r.expand(ctx, after, false, 0); err != nil {
		return nil, err
	}
	return gitdiff.Compare(before, after), nil
}

func special(l gitdiff.Leaf) bool { return !l.Mode.IsFile() }

// difference compares two commits without looking into what is equal.
// https://git-scm.com/docs/git-diff-tree
func (r *Repository) difference(ctx context.Context, base, head string) ([]gitdiff.Entry, error) {
	out, err := r.run(ctx, mostOutput, "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--full-index",
		"--ignore-submodules=none", "--no-ext-diff", "--no-relative", "--end-of-options", base, head, "--")
	if err != nil {
		return nil, fmt.Errorf("compare %s with %s: %w", base, head, err)
	}
	return gitdiff.Parse(out)
}

// Tree returns all files of a commit with their sizes, sorted by path. Links and
// submodules are as in Entries.
func (r *Repository) Tree(ctx context.Context, commit string) ([]gitdiff.Leaf, error) {
	all, err := r.leaves(ctx, commit, true)
	if err != nil || !slices.ContainsFunc(all, special) {
		return all, err
	}
	return r.expand(ctx, all, true, 0)
}

// leaves lists a tree as it is.
// https://git-scm.com/docs/git-ls-tree
func (r *Repository) leaves(ctx context.Context, commit string, sizes bool) ([]gitdiff.Leaf, error) {
	args := []string{"ls-tree", "-r", "-z", "--full-tree"}
	if sizes {
		args = append(args, "-l") // which fetches every blob in a partial clone
	}
	out, err := r.run(ctx, mostOutput, append(args, "--end-of-options", commit)...)
	if err != nil {
		return nil, fmt.Errorf("read the tree of %s: %w", commit, err)
	}
	return gitdiff.ParseTree(out)
}

// mostNested is how deep submodules may stand in submodules.
const mostNested = 8

// expand puts files in the place of links and submodules.
func (r *Repository) expand(ctx context.Context, leaves []gitdiff.Leaf, sizes bool, depth int) ([]gitdiff.Leaf, error) {
	all, err := r.withSubmodules(ctx, leaves, sizes, depth)
	if err != nil || depth > 0 {
		return all, err
	}
	targets, err := r.targets(ctx, all)
	if err != nil {
		return nil, err
	}
	return gitdiff.Expand(all, targets)
}

func (r *Repository) withSubmodules(ctx context.Context, leaves []gitdiff.Leaf, sizes bool, depth int) (all []gitdiff.Leaf, err error) {
	for _, l := range leaves {
		if l.Mode != gitdiff.Submodule || depth >= mostNested {
			all = append(all, l)
			continue
		}
		inside, err := r.submodule(ctx, l, sizes, depth)
		if err != nil {
			return nil, err
		}
		all = append(all, inside...)
	}
	gitdiff.SortLeaves(all)
	return all, nil
}

// submodule returns the files of one, or itself where they are not here.
func (r *Repository) submodule(ctx context.Context, l gitdiff.Leaf, sizes bool, depth int) ([]gitdiff.Leaf, error) {
	sub, ok := r.at(ctx, l.Path)
	if !ok {
		return []gitdiff.Leaf{l}, nil
	}
	if _, err := sub.Commit(ctx, l.Blob); errors.Is(err, ErrUnknown) {
		return []gitdiff.Leaf{l}, nil
	}
	inside, err := sub.leaves(ctx, l.Blob, sizes)
	if err == nil {
		inside, err = sub.expand(ctx, inside, sizes, depth+1)
	}
	if err != nil {
		return nil, fmt.Errorf("submodule %s: %w", l.Path, err)
	}
	for i := range inside {
		inside[i].Path = l.Path + "/" + inside[i].Path
		inside[i].In = path.Join(l.Path, inside[i].In)
	}
	return inside, nil
}

// mostTarget is how long the text of a link may be, in bytes.
const mostTarget = 4096

// targets reads the texts of links, by their blobs.
func (r *Repository) targets(ctx context.Context, leaves []gitdiff.Leaf) (map[string]string, error) {
	targets := make(map[string]string)
	blobs := r.Blobs(ctx)
	defer func() { _ = blobs.Close() }()
	for _, l := range leaves {
		if _, known := targets[l.Blob]; known || l.Mode != gitdiff.Link {
			continue
		}
		text, err := blobs.Read(l, mostTarget)
		if err != nil {
			return nil, fmt.Errorf("read the link %s: %w", l.Path, err)
		}
		targets[l.Blob] = string(text)
	}
	return targets, blobs.Close()
}
