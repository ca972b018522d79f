package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	sdkcodecommit "github.com/aws/aws-sdk-go-v2/service/codecommit"

	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/codecommit"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

// mostTries is how often CodeCommit is asked the same while it is throttling.
const mostTries = 8

// codeCommit is a repository of CodeCommit, written as REPOSITORY or
// REPOSITORY@BRANCH.
type codeCommit struct{ repository, branch string }

// UnmarshalText reads a flag's value.
func (c *codeCommit) UnmarshalText(text []byte) error {
	name, branch, named := strings.Cut(string(text), "@")
	if name == "" || named && branch == "" {
		return fmt.Errorf("%q: it is written as REPOSITORY or REPOSITORY@BRANCH", text)
	}
	c.repository, c.branch = name, branch
	if !named {
		c.branch = codecommit.DefaultBranch
	}
	return nil
}

// read finds out what a range of commits changed. Its ends are IDs or branches;
// HEAD is the branch.
func (c codeCommit) read(ctx context.Context, t terminal, text, bucket, name string, rules gitdiff.Rules, last baseOf) (batch.Result, *ranged, error) {
	base, head, err := git.ParseRange(text)
	if err != nil {
		return batch.Result{}, nil, exitError{exitUsage, err}
	}
	sdk, err := config.LoadDefaultConfig(ctx, config.WithRetryer(func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = mostTries })
	}))
	if err != nil {
		return batch.Result{}, nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	repository := codecommit.Repository{API: sdkcodecommit.NewFromConfig(sdk), Name: c.repository}
	stop := progress(t.err, "asking CodeCommit")
	defer stop()
	if base == "" {
		if base, err = last(ctx); err != nil {
			return batch.Result{}, nil, err
		}
	}
	s, err := c.span(ctx, repository, base, head)
	if err != nil {
		return batch.Result{}, nil, err
	}
	var entries []gitdiff.Entry
	if s.Way != git.Gone && s.Way != git.Same {
		var lost bool
		if entries, lost, err = repository.Entries(ctx, s.Base.ID, s.Head.ID); err != nil {
			return batch.Result{}, nil, err
		}
		if lost {
			s.Way, s.Note = git.Lost, fmt.Sprintf("CodeCommit does not have the commit %s any more, so every file counts as changed, and what was deleted since is not known", s.Base.ID)
			s.Base = git.Commit{}
		}
	}
	if s.Note != "" {
		warn(t, []string{s.Note})
	}
	read := rules.Changes(entries, versionOf(s, bucket, name))
	return read, &ranged{Span: s, Paths: len(entries), Unmapped: unmapped(read)}, nil
}

// span finds the ends of a range.
func (c codeCommit) span(ctx context.Context, r codecommit.Repository, base, head string) (s git.Span, err error) {
	if gitdiff.IsZero(head) {
		return git.Span{Way: git.Gone, Note: "the branch was deleted, so nothing is published from it; its objects stay"}, nil
	}
	if head == "HEAD" {
		head = c.branch
	}
	if s.Head.ID, err = r.Resolve(ctx, head); err != nil {
		return s, err
	}
	commit, err := r.Commit(ctx, s.Head.ID)
	if err != nil {
		return s, err
	}
	s.Head.Time, s.Way = commit.Time, git.Compared
	if base == "" || gitdiff.IsZero(base) {
		s.Way, s.Note = git.First, "there is nothing to compare with, so every file counts as new"
		return s, nil
	}
	s.Base.ID, err = r.Resolve(ctx, base)
	if s.Base.ID == s.Head.ID {
		s.Way = git.Same
	}
	return s, err
}
