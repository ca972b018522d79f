package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/server"
)

type chaosCmd struct {
	Show  chaosShowCmd  `cmd:"" help:"Show what goes wrong, and how often it did."`
	Set   chaosSetCmd   `cmd:"" help:"Have other things go wrong from now on."`
	Clear chaosClearCmd `cmd:"" help:"Have nothing go wrong any more."`
}

// Help is shown below the flags.
func (chaosCmd) Help() string {
	return `Calls of the CloudFront API of a running freshet go wrong on purpose, to try out what you have
built on it: the same calls fail alike each time. freshet up --chaos begins with a SPEC; what
is set here holds until freshet ends, and counts anew.

Examples:
  freshet chaos set throttle=5,slow=200ms@30%
  freshet chaos set lose:CreateInvalidation,unavailable=2:GetInvalidation
  freshet chaos set stuck             invalidations stay in progress
  freshet chaos show --json
  freshet chaos clear                 and now they are completed`
}

type chaosShowCmd struct {
	JSON bool `name:"json" help:"Print spec and counts as JSON."`
}

// Run shows the chaos.
func (c *chaosShowCmd) Run(ctx context.Context, t terminal, r *root) error {
	return changeChaos(ctx, t, r, c.JSON, server.Client.Chaos)
}

type chaosSetCmd struct {
	Spec string `arg:"" help:"What goes wrong; see below."`
	JSON bool   `name:"json" help:"Print the new spec as JSON."`
}

// Help is shown below the flags.
func (chaosSetCmd) Help() string {
	return api.ChaosGrammar + `

Examples:
  freshet chaos set throttle=5
  freshet chaos set busy=3,complete=20s
  freshet chaos set lose=2:CreateInvalidation,slow=1s:ListDistributions+GetDistribution`
}

// Validate refuses a spec without asking the running freshet.
func (c *chaosSetCmd) Validate() error {
	spec, err := api.ParseChaos(c.Spec)
	if err == nil && len(spec.Rules) == 0 {
		return fmt.Errorf("%q lets nothing go wrong: freshet chaos clear does that", c.Spec)
	}
	return err
}

// Run replaces the chaos.
func (c *chaosSetCmd) Run(ctx context.Context, t terminal, r *root) error {
	return changeChaos(ctx, t, r, c.JSON, func(s server.Client, ctx context.Context) (server.Chaos, error) {
		return s.SetChaos(ctx, c.Spec)
	})
}

type chaosClearCmd struct {
	JSON bool `name:"json" help:"Print the empty spec as JSON."`
}

// Run ends the chaos.
func (c *chaosClearCmd) Run(ctx context.Context, t terminal, r *root) error {
	return changeChaos(ctx, t, r, c.JSON, func(s server.Client, ctx context.Context) (server.Chaos, error) {
		return s.SetChaos(ctx, "")
	})
}

// changeChaos asks the running freshet, and shows what goes wrong then.
func changeChaos(ctx context.Context, t terminal, r *root, asJSON bool, ask func(server.Client, context.Context) (server.Chaos, error)) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	running, err := app.Client(cfg.Data)
	if err != nil {
		return err
	}
	now, err := ask(running, ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(t.out, now)
	}
	var b strings.Builder
	fmt.Fprintln(&b, cmp.Or(now.Spec, "nothing goes wrong on purpose"))
	for _, trouble := range slices.Sorted(maps.Keys(now.Counts)) {
		fmt.Fprintf(&b, "  %s: %s\n", trouble, count(now.Counts[trouble], "time"))
	}
	_, err = t.out.Write([]byte(b.String()))
	return err
}
