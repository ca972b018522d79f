// Package codecommit asks AWS CodeCommit what a range of commits changed. No
// clone is needed.
//
// https://docs.aws.amazon.com/codecommit/latest/APIReference/API_GetDifferences.html
package codecommit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/codecommit/types"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

// API is what is asked of CodeCommit; *codecommit.Client has it. It needs the
// permissions codecommit:GetBranch, GetCommit and GetDifferences on the
// repository.
type API interface {
	GetBranch(context.Context, *codecommit.GetBranchInput, ...func(*codecommit.Options)) (*codecommit.GetBranchOutput, error)
	GetCommit(context.Context, *codecommit.GetCommitInput, ...func(*codecommit.Options)) (*codecommit.GetCommitOutput, error)
	GetDifferences(context.Context, *codecommit.GetDifferencesInput, ...func(*codecommit.Options)) (*codecommit.GetDifferencesOutput, error)
}

// DefaultBranch is what a branch is called that nobody names.
const DefaultBranch = "main"

// ErrUnknown is in the error about a branch or commit that the repository does
// not have.
var ErrUnknown = errors.New("the repository has no such commit")

// mostDifferences is how many paths one range may touch. It bounds the requests:
// there are some hundred paths on a page.
const mostDifferences = 1 << 20

// Repository is one of CodeCommit's.
type Repository struct {
	API  API
	Name string
}

// Commit is what a commit says.
type Commit struct {
	ID      string
	Parents []string  // the first is the branch that was merged into
	Time    time.Time // the committer's; zero where CodeCommit says none
}

// Branch returns the commit that a branch is at.
func (r Repository) Branch(ctx context.Context, name string) (string, error) {
	out, err := r.API.GetBranch(ctx, &codecommit.GetBranchInput{RepositoryName: &r.Name, BranchName: &name})
	var missing *types.BranchDoesNotExistException
	switch {
	case errors.As(err, &missing):
		return "", fmt.Errorf("find the branch %s of %s: %w", name, r.Name, ErrUnknown)
	case err != nil:
		return "", fmt.Errorf("find the branch %s of %s: %w", name, r.Name, err)
	case out.Branch == nil || !gitdiff.IsID(aws.ToString(out.Branch.CommitId)):
		return "", fmt.Errorf("find the branch %s of %s: CodeCommit named no commit", name, r.Name)
	}
	return *out.Branch.CommitId, nil
}

// Commit reads a commit by its ID.
func (r Repository) Commit(ctx context.Context, id string) (Commit, error) {
	out, err := r.API.GetCommit(ctx, &codecommit.GetCommitInput{RepositoryName: &r.Name, CommitId: &id})
	switch {
	case unknown(err):
		return Commit{}, fmt.Errorf("read the commit %s of %s: %w", id, r.Name, ErrUnknown)
	case err != nil:
		return Commit{}, fmt.Errorf("read the commit %s of %s: %w", id, r.Name, err)
	case out.Commit == nil:
		return Commit{}, fmt.Errorf("read the commit %s of %s: CodeCommit said nothing of it", id, r.Name)
	}
	c := Commit{ID: id, Parents: out.Commit.Parents}
	if by := out.Commit.Committer; by != nil {
		c.Time = seconds(aws.ToString(by.Date))
	}
	return c, nil
}

// unknown reports whether CodeCommit does not have a commit.
func unknown(err error) bool {
	var gone *types.CommitDoesNotExistException
	var id *types.CommitIdDoesNotExistException
	return errors.As(err, &gone) || errors.As(err, &id)
}

// seconds reads "1484167798 -0800".
func seconds(date string) time.Time {
	text, _, _ := strings.Cut(date, " ")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// Resolve finds the commit that is meant by an ID or a branch.
func (r Repository) Resolve(ctx context.Context, name string) (string, error) {
	if gitdiff.IsID(name) {
		return name, nil
	}
	return r.Branch(ctx, name)
}

// Entries returns what differs between two commits. Without a base, which an ID
// of zeros is as well, every file is added. lost is true if CodeCommit no longer
// has the base, as after a history was rewritten: every file counts as added
// then, and what was deleted since is not known. Links and submodules stand for
// themselves.
func (r Repository) Entries(ctx context.Context, base, head string) (entries []gitdiff.Entry, lost bool, err error) {
	if gitdiff.IsZero(base) {
		base = ""
	}
	entries, err = r.differences(ctx, base, head)
	if base != "" && unknown(err) {
		// It may be the head that is missing.
		if entries, err = r.differences(ctx, "", head); err == nil {
			return entries, true, nil
		}
	}
	if unknown(err) {
		err = ErrUnknown
	}
	if err != nil {
		return nil, false, fmt.Errorf("compare commits of %s, %s..%s: %w", r.Name, base, head, err)
	}
	return entries, false, nil
}

// differences pages through all of them.
func (r Repository) differences(ctx context.Context, base, head string) (entries []gitdiff.Entry, err error) {
	in := &codecommit.GetDifferencesInput{RepositoryName: &r.Name, AfterCommitSpecifier: &head}
	if base != "" {
		in.BeforeCommitSpecifier = &base
	}
	pages := codecommit.NewGetDifferencesPaginator(r.API, in, func(o *codecommit.GetDifferencesPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Differences {
			e, err := entry(d)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
		if len(entries) > mostDifferences {
			return nil, fmt.Errorf("more than %d paths differ", mostDifferences)
		}
	}
	return entries, nil
}

// entry reads one difference. CodeCommit knows no renames and no changes of kind:
// those are a deleted and an added path, and a modified one.
func entry(d types.Difference) (e gitdiff.Entry, err error) {
	e.Status = gitdiff.Modified
	switch before, after := d.BeforeBlob, d.AfterBlob; {
	case before == nil && after == nil:
		return e, errors.New("CodeCommit sent a difference without a file")
	case before == nil:
		e.Status = gitdiff.Added
	case after == nil:
		e.Status = gitdiff.Deleted
	case aws.ToString(before.Path) != aws.ToString(after.Path):
		return e, fmt.Errorf("CodeCommit sent one difference for %q and %q", aws.ToString(before.Path), aws.ToString(after.Path))
	}
	for _, side := range []struct {
		blob *types.BlobMetadata
		mode *gitdiff.Mode
		id   *string
	}{{d.BeforeBlob, &e.OldMode, &e.OldBlob}, {d.AfterBlob, &e.NewMode, &e.NewBlob}} {
		if side.blob == nil {
			continue
		}
		e.Path, *side.id = aws.ToString(side.blob.Path), aws.ToString(side.blob.BlobId)
		mode, err := strconv.ParseUint(aws.ToString(side.blob.Mode), 8, 32)
		if err != nil {
			return e, fmt.Errorf("CodeCommit says that %q has the mode %q", e.Path, aws.ToString(side.blob.Mode))
		}
		*side.mode = gitdiff.Mode(mode)
	}
	if e.Path == "" {
		return e, errors.New("CodeCommit sent a difference without a path")
	}
	if e.Status == gitdiff.Modified && e.OldMode&0o170000 != e.NewMode&0o170000 {
		e.Status = gitdiff.Retyped
	}
	return e, nil
}
