package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

// commits is a range of commits and how the paths of a repository become keys.
type commits struct {
	Git    string `placeholder:"[BASE..]HEAD" help:"What the commits from BASE to HEAD changed, such as v1.2..main. BASE is the commit that caches were filled from, not HEAD's parent (default: the last deploy that was verified)."`
	Repo   string `placeholder:"DIR" default:"." type:"path" help:"Repository of --git."`
	mapped `embed:""`
	Remote string `placeholder:"NAME" help:"Fetch BASE from this remote where the clone does not have it, as shallow ones do not."`
}

// mapped is how paths become keys.
type mapped struct {
	Path   string        `placeholder:"FOLDER" help:"Folder of the repository whose files are published: its name is no part of their keys (default: the whole repository, if there is no --map)."`
	Map    []gitdiff.Map `placeholder:"RULE" sep:"none" help:"What is made of other paths: 'content/{page...}.md => {page}/index.html'. Nothing is made of those whose rule ends with the arrow. May be given several times; all rules that fit hold."`
	Prefix string        `placeholder:"PREFIX" help:"What stands before every key."`
}

func (m mapped) rules() gitdiff.Rules {
	return gitdiff.Rules{Folder: m.Path, Maps: m.Map, Prefix: m.Prefix}
}

func (m mapped) given() bool { return m.Path != "" || len(m.Map) > 0 || m.Prefix != "" }

// given reports whether commits are the source.
func (c *commits) given() bool { return c.Git != "" }

// ranged is a range of commits and what became of its paths, as --json has it.
type ranged struct {
	git.Span
	Paths    int      `json:"paths"`              // that differ
	Unmapped []string `json:"unmapped,omitempty"` // paths without an object
}

// baseOf finds the commit of the last deploy that was verified. It is empty where
// there is none.
type baseOf func(context.Context) (commit string, err error)

// span finds the commits of the range.
func (c *commits) span(ctx context.Context, t terminal, last baseOf) (*git.Repository, git.Span, error) {
	base, head, err := git.ParseRange(c.Git)
	if err != nil {
		return nil, git.Span{}, exitError{exitUsage, err}
	}
	if base == "" {
		if base, err = last(ctx); err != nil {
			return nil, git.Span{}, err
		}
	}
	repo, err := git.Open(ctx, c.Repo)
	if err != nil {
		return nil, git.Span{}, err
	}
	if base == "" { // everything is new
		if base, err = repo.EmptyTree(ctx); err != nil {
			return nil, git.Span{}, err
		}
	}
	s, err := repo.Span(ctx, base, head)
	if err == nil && s.Way == git.Lost && c.Remote != "" {
		stop := progress(t.err, "fetching "+base)
		fetched := repo.FetchCommit(ctx, c.Remote, base)
		stop()
		if fetched != nil {
			warn(t, []string{fetched.Error()})
		}
		s, err = repo.Span(ctx, base, head)
	}
	return repo, s, err
}

// read finds out what the range changed. name tells it from the same range on
// another occasion.
func (c *commits) read(ctx context.Context, t terminal, bucket, name string, last baseOf) (batch.Result, *ranged, error) {
	repo, s, err := c.span(ctx, t, last)
	if err != nil {
		return batch.Result{}, nil, err
	}
	if s.Note != "" {
		warn(t, []string{s.Note})
	}
	entries, err := repo.Entries(ctx, s)
	if err != nil {
		return batch.Result{}, nil, err
	}
	read := c.rules().Changes(entries, versionOf(s, bucket, name))
	return read, &ranged{Span: s, Paths: len(entries), Unmapped: unmapped(read)}, nil
}

func versionOf(s git.Span, bucket, name string) gitdiff.Version {
	v := gitdiff.Version{Origin: bucket, Name: s.Head.ID, Time: s.Head.Time}
	if name != "" {
		v.Name += " " + name
	}
	return v
}

func unmapped(read batch.Result) (paths []string) {
	for _, s := range read.Skipped {
		paths = append(paths, s.At.Path)
	}
	return paths
}

// write shows the range, and what has no object.
func (r *ranged) write(w io.Writer, skipped []batch.Skipped) error {
	base := "nothing"
	if r.Base.ID != "" {
		base = r.Base.ID[:12]
	}
	head := "nothing"
	if r.Head.ID != "" {
		head = r.Head.ID[:12]
	}
	if _, err := fmt.Fprintf(w, "%s..%s: %s\n", base, head, count(r.Paths, "path")); err != nil {
		return err
	}
	byReason := make(map[string][]string)
	var reasons []string
	for _, s := range skipped {
		if byReason[s.Reason] == nil {
			reasons = append(reasons, s.Reason)
		}
		byReason[s.Reason] = append(byReason[s.Reason], s.At.Path)
	}
	slices.SortFunc(reasons, func(a, b string) int { return cmp.Compare(a, b) })
	for _, reason := range reasons {
		if err := few(w, reason, byReason[reason]); err != nil {
			return err
		}
	}
	return nil
}

// few names the first few paths that share a reason.
func few(w io.Writer, reason string, paths []string) error {
	const most = 5
	if _, err := fmt.Fprintf(w, "skipped %s: %s\n", count(len(paths), "path"), reason); err != nil {
		return err
	}
	for i, p := range paths {
		if i == most {
			_, err := fmt.Fprintf(w, "   and %d more\n", len(paths)-most)
			return err
		}
		if _, err := fmt.Fprintf(w, "   %s\n", visible(p)); err != nil {
			return err
		}
	}
	return nil
}
