package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/freshet/freshet/internal/source/batch"
	"github.com/freshet/freshet/internal/source/codecommit"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

// Commits is what a function asks of CodeCommit. Commits that are changes need
// the permission codecommit:GetDifferences on the repository, and those that
// events are held against GetBranch and GetCommit, too.
type Commits = codecommit.API

func (c Checkout) branch() string { return cmp.Or(c.Branch, codecommit.DefaultBranch) }

func (c Checkout) rules() (gitdiff.Rules, error) {
	r := gitdiff.Rules{Folder: c.Path, Prefix: c.Prefix}
	for _, text := range c.Map {
		m, err := gitdiff.ParseMap(text)
		if err != nil {
			return r, err
		}
		r.Maps = append(r.Maps, m)
	}
	return r, nil
}

// commit asks what a push has changed, from where the branch was to where it is.
// https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html
func (r *run) commit(ctx context.Context, n notice) (changes []batch.Change, err error) {
	var detail struct {
		Repository    string `json:"repositoryName"`
		ReferenceType string `json:"referenceType"`
		Reference     string `json:"referenceName"`
		Commit        string `json:"commitId"`
		Old           string `json:"oldCommitId"`
	}
	if err := json.Unmarshal(n.Detail, &detail); err != nil {
		return nil, fmt.Errorf("read a change of a repository: %w", err)
	}
	concerned := false
	for _, c := range r.cfg.CodeCommit {
		if c.Repository != detail.Repository || detail.ReferenceType != "branch" || c.branch() != detail.Reference || detail.Commit == "" || c.OnlyTouched {
			continue
		}
		concerned = true
		if r.world.Commits == nil {
			return nil, errors.New("a commit came, but there is no client of CodeCommit")
		}
		found, err := r.pushed(ctx, n, c, detail.Old, detail.Commit)
		if err != nil {
			return nil, err
		}
		changes = append(changes, found...)
	}
	if !concerned {
		r.skip(n, strings.Join([]string{"nothing is to be done about", detail.ReferenceType, detail.Reference, "of", detail.Repository}, " "))
	}
	return changes, nil
}

// pushed are the changes of a range of commits. The event is in their version, so
// that there and back and there again are three occasions; delivered again, it is
// the same.
func (r *run) pushed(ctx context.Context, n notice, c Checkout, old, now string) ([]batch.Change, error) {
	rules, err := c.rules()
	if err != nil {
		return nil, err
	}
	entries, lost, err := codecommit.Repository{API: r.world.Commits, Name: c.Repository}.Entries(ctx, old, now)
	if err != nil {
		return nil, err
	}
	if lost {
		r.log.Warn("CodeCommit does not have the commit any more that the branch was at: every file counts as changed, and what was deleted is not known", "repository", c.Repository, "commit", old)
	}
	read := rules.Changes(entries, gitdiff.Version{Origin: c.Bucket, Name: now + " " + n.ID, Time: n.Time})
	for _, p := range read.Problems { // it would be one again
		r.meter.add(unreadable, 1)
		r.log.Error("a path of a commit makes stale nobody knows what", "repository", c.Repository, "commit", now, "err", p)
	}
	r.meter.add(skipped, len(read.Skipped))
	for i := range read.Changes {
		read.Changes[i].At.Message = n.message
	}
	return read.Changes, nil
}
