package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/plan"
)

// planFormat marks the files that freshet plan writes.
const planFormat = "freshet-plan/1"

// planFile is a plan as it is written to a file and printed by --json.
type planFile struct {
	Format string `json:"format"`
	freshet.Plan
	Commits *ranged `json:"commits,omitempty"` // that the changes are from
}

// maxPlanFile is the longest plan that is read, in bytes.
const maxPlanFile = 4 << 30

type applyCmd struct {
	File    string `arg:"" default:"-" optional:"" help:"What freshet plan --out wrote. - is standard input."`
	holding `embed:""`
	sending `embed:""`
}

// Help is shown below the flags.
func (applyCmd) Help() string {
	return `Sends exactly what the file says, with the caller references that are in it, so that a
second call invalidates nothing again. A file that was changed after it was written is
refused. Requests go to the freshet that runs on the data directory where it has the
distribution, and otherwise to AWS, with the credentials that the AWS CLI would use.

Examples:
  freshet plan --out plan.json event.json && freshet apply plan.json
  freshet apply --json plan.json
  freshet apply --wait-for 'url https://origin.example.com/ header X-Version matches ^7$' plan.json`
}

// Run sends a plan.
func (c *applyCmd) Run(ctx context.Context, t terminal, r *root) error {
	p, err := readPlan(c.File, t.in)
	if err != nil {
		return err
	}
	if err := c.hold(ctx, t, r, c.Endpoint, "nothing was invalidated"); err != nil {
		return err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	if len(p.Invalidations) == 0 && !c.JSON {
		_, err := fmt.Fprintln(t.out, "nothing to invalidate")
		return err
	}
	var all tally
	for from := 0; from < len(p.Invalidations); {
		to := from + 1
		for to < len(p.Invalidations) && p.Invalidations[to].Distribution == p.Invalidations[from].Distribution {
			to++
		}
		n := c.at(ctx, t, r, p.Invalidations[from:to])
		all.done += n.done
		all.failures = append(all.failures, n.failures...)
		from = to
	}
	return all.err()
}

// at sends the requests for one distribution.
func (c *applyCmd) at(ctx context.Context, t terminal, r *root, requests []freshet.Invalidation) tally {
	driver, distribution, err := c.driver(ctx, r, requests[0].Distribution)
	if err != nil {
		return tally{failures: []error{err}}
	}
	profile, err := profileOf(ctx, driver, distribution)
	if err != nil {
		return tally{failures: []error{err}}
	}
	return c.send(ctx, t, driver, profile, requests)
}

func readPlan(file string, stdin io.Reader) (freshet.Plan, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return freshet.Plan{}, fmt.Errorf("read the plan: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	var p planFile
	decoder := json.NewDecoder(io.LimitReader(in, maxPlanFile))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&p)
	switch {
	case errors.Is(err, io.EOF):
		return freshet.Plan{}, exitError{exitUsage, errors.New("read the plan: the file is empty")}
	case err != nil:
		return freshet.Plan{}, exitError{exitUsage, fmt.Errorf("read the plan: %w; it must be what freshet plan --out wrote", err)}
	case p.Format != planFormat:
		return freshet.Plan{}, exitError{exitUsage, fmt.Errorf("read the plan: its format is %q, and this freshet reads %q: plan again", p.Format, planFormat)}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return freshet.Plan{}, exitError{exitUsage, errors.New("read the plan: something follows it in the file")}
	}
	if err := plan.Check(p.Plan); err != nil {
		return freshet.Plan{}, exitError{exitUsage, fmt.Errorf("read the plan: %w; plan again instead of changing the file", err)}
	}
	return p.Plan, nil
}

// writePlan writes a plan to a file, all of it or nothing.
func writePlan(file string, p planFile) error {
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(p); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if err := replaceFile(file, text.Bytes()); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// replaceFile puts text under name once it is complete. What is no regular file,
// such as /dev/stdout, is written to.
func replaceFile(name string, text []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, text, 0o644) //nolint:gosec // a plan is no secret
	}
	temporary := name + ".part"
	err := os.WriteFile(temporary, text, 0o644) //nolint:gosec // a plan is no secret
	if err == nil {
		err = os.Rename(temporary, name)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}
