// Package edgetest gives drivers of our own edge, direct ones and ones over
// HTTP, a register to be tested against.
package edgetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cdntest"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

// Open returns a register of two distributions over an edge that caches nothing,
// and a fixture for it that lacks its driver. The register is closed when the
// test ends.
func Open(t *testing.T) (*api.Register, cdntest.Fixture) {
	t.Helper()
	e := &edge{removed: make(map[string][][]freshet.Pattern)}
	aliased := distribution.ForBucket("E2ALIASED", "assets")
	aliased.Config.Aliases = []string{"www.example.com"}
	distributions := []distribution.Distribution{aliased, distribution.ForBucket("E1PLAIN", "site")}
	register, err := api.Open(context.Background(), api.RegisterConfig{
		Distributions: func() []distribution.Distribution { return distributions },
		Invalidator:   e,
		Log:           &api.MemoryLog{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(register.Close)
	return register, cdntest.Fixture{
		Distributions: []string{"E2ALIASED", "E1PLAIN"},
		Hold:          e.hold,
		Removed:       e.at,
		TooMany:       3001,
	}
}

// edge is an api.Invalidator that remembers.
type edge struct {
	mu      sync.Mutex
	gate    chan struct{} // not nil while calls are held
	removed map[string][][]freshet.Pattern
}

func (e *edge) Invalidate(distributionID string, patterns []freshet.Pattern) error {
	e.mu.Lock()
	gate := e.gate
	e.mu.Unlock()
	if gate != nil {
		<-gate
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.removed[distributionID] = append(e.removed[distributionID], slices.Clone(patterns))
	return nil
}

func (e *edge) hold() (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gate := make(chan struct{})
	e.gate = gate
	return sync.OnceFunc(func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.gate = nil
		close(gate)
	})
}

func (e *edge) at(distribution string) [][]freshet.Pattern {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.removed[distribution])
}
