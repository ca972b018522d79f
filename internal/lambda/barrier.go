package lambda

import (
	"context"
	"fmt"

	"github.com/freshet/freshet/internal/barrier"
)

// facts reads WaitFor. Commands are refused: beside the function there are no
// programs.
func (c Config) facts() (facts []barrier.Fact, err error) {
	for i, text := range c.WaitFor {
		f, err := barrier.Parse(text)
		if err == nil && f.Kind == barrier.Command {
			err = fmt.Errorf("fact %q: there are no programs in a function", text)
		}
		if err != nil {
			return nil, fmt.Errorf("wait_for[%d]: %w", i, err)
		}
		facts = append(facts, f)
	}
	return facts, nil
}

// hold returns when all that is waited for is true. With its error nothing may be
// invalidated: what was asked for comes again.
func (r *run) hold(ctx context.Context) error {
	facts, err := r.cfg.facts()
	if err != nil || len(facts) == 0 {
		return err
	}
	w := barrier.Waiter{Clients: r.world.Asked, Each: func(p barrier.Progress) {
		r.log.Debug("waited for", "fact", p.Fact.String(), "holds", p.Holds, "saw", p.Saw, "after", p.After)
	}}
	if err := w.Wait(ctx, facts); err != nil {
		return fmt.Errorf("nothing was invalidated: %w", err)
	}
	return nil
}
