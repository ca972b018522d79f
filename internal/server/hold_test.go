package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/pipeline"
	"github.com/freshet/freshet/internal/server"
)

func TestHold(t *testing.T) {
	until := time.Now().Add(time.Minute).UTC()
	var asked server.Hold
	c := open(t, server.Config{
		Hold: func(_ context.Context, h server.Hold) (pipeline.Lease, error) {
			if h.Name == "bad" {
				return pipeline.Lease{}, fmt.Errorf("%w: its name is bad", pipeline.ErrLease)
			}
			asked = h
			return pipeline.Lease{Name: h.Name, Until: until}, nil
		},
		Release: func(_ context.Context, name string) (bool, error) { return name == "deploy", nil },
		Waits:   func() []pipeline.Wait { return []pipeline.Wait{{Lease: "deploy", Why: "hold deploy", Changes: 3}} },
	})
	lease, err := c.Hold(t.Context(), server.Hold{Name: "deploy", Seconds: 1.5, Distributions: []string{"E1"}})
	if err != nil || lease.Name != "deploy" || !lease.Until.Equal(until) {
		t.Errorf("%+v, %v", lease, err)
	}
	if asked.During() != 1500*time.Millisecond || !slices.Equal(asked.Distributions, []string{"E1"}) {
		t.Errorf("asked for %+v", asked)
	}
	if _, err := c.Hold(t.Context(), server.Hold{Name: "bad"}); err == nil || !strings.Contains(err.Error(), "its name is bad") {
		t.Errorf("%v", err)
	}
	for name, want := range map[string]bool{"deploy": true, "other": false} {
		if held, err := c.Release(t.Context(), name); err != nil || held != want {
			t.Errorf("released %s: %v, %v", name, held, err)
		}
	}
	waits, err := c.Waits(t.Context())
	if err != nil || len(waits) != 1 || waits[0].Changes != 3 || !waits[0].Until.IsZero() {
		t.Errorf("%+v, %v", waits, err)
	}
	stranger := server.Client{URL: c.URL, Token: "guess"}
	if _, err := stranger.Hold(t.Context(), server.Hold{Name: "x", Seconds: 1}); err == nil || asked.Name == "x" {
		t.Errorf("without the token: %v", err)
	}
}
