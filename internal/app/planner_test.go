package app_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/route"
)

// mustPlanner returns a planner of the default configuration, changed.
func mustPlanner(t *testing.T, change func(*config.Config)) *app.Planner {
	t.Helper()
	cfg := config.Default()
	cfg.Data = filepath.Join(t.TempDir(), "none")
	change(&cfg)
	p, err := app.NewPlanner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func changeOf(key string, second int) freshet.Change {
	return freshet.Change{Origin: "site", Key: key, Op: freshet.OpPut, Time: time.Unix(int64(second), 0).UTC()}
}

// TestTheSecondVersionOfANewObjectIsPlanned: what came first was under the key,
// although no inventory has it.
func TestTheSecondVersionOfANewObjectIsPlanned(t *testing.T) {
	p := mustPlanner(t, func(c *config.Config) { c.Routes.NewObjects = route.Skip })
	p.Inventories = map[string]*inventory.Inventory{p.Distributions[0].ID: new(inventory.Builder).Inventory()}
	made, err := p.Make([]freshet.Change{changeOf("once", 1), changeOf("twice", 1), changeOf("twice", 2)}, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Invalidations) != 1 || len(made.Invalidations[0].Patterns) != 1 || made.Invalidations[0].Patterns[0] != "/twice" || len(made.Unrouted) != 1 {
		t.Errorf("%+v", made)
	}
}
