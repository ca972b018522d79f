package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/pipeline"
)

// Hold asks for a lease, or renews it: until it ends changes gather, and nothing
// is invalidated.
type Hold struct {
	Name          string   `json:"name"`
	Seconds       float64  `json:"seconds,omitempty"`       // from now; not for a release
	Distributions []string `json:"distributions,omitempty"` // IDs; empty: all
}

// Released is the answer to a release.
type Released struct {
	Held bool `json:"held"` // false: there was no such hold, or none any more
}

// During is how long the lease is asked for.
func (h Hold) During() time.Duration { return time.Duration(h.Seconds * float64(time.Second)) }

func (c Config) hold(w http.ResponseWriter, r *http.Request) {
	h, ok := readHold(w, r)
	if !ok {
		return
	}
	lease, err := c.Hold(r.Context(), h)
	answer(w, lease, err)
}

// release ends a hold. It answers when what was put before will be in the plan
// of what has gathered.
func (c Config) release(w http.ResponseWriter, r *http.Request) {
	h, ok := readHold(w, r)
	if !ok {
		return
	}
	held, err := c.Release(r.Context(), h.Name)
	answer(w, Released{held}, err)
}

// holds answers with the leases, and with what else changes wait for.
func (c Config) holds(w http.ResponseWriter, _ *http.Request) {
	waits := c.Waits()
	if waits == nil {
		waits = []pipeline.Wait{}
	}
	answer(w, waits, nil)
}

func readHold(w http.ResponseWriter, r *http.Request) (h Hold, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&h); err != nil {
		fail(w, http.StatusBadRequest, "read the hold: "+err.Error())
		return h, false
	}
	return h, true
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, pipeline.ErrLease):
		fail(w, http.StatusBadRequest, err.Error())
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
}

// Hold takes or renews a lease.
func (c Client) Hold(ctx context.Context, h Hold) (lease pipeline.Lease, err error) {
	return lease, c.ask(ctx, http.MethodPost, "hold", h, &lease)
}

// Release ends a lease. held is false where there was none any more.
func (c Client) Release(ctx context.Context, name string) (held bool, err error) {
	var r Released
	err = c.ask(ctx, http.MethodPost, "hold/release", Hold{Name: name}, &r)
	return r.Held, err
}

// Waits returns the leases, and what else changes wait for before they are
// planned.
func (c Client) Waits(ctx context.Context) (waits []pipeline.Wait, err error) {
	return waits, c.ask(ctx, http.MethodGet, "hold", nil, &waits)
}

// ask sends question, unless it is nil, and reads the answer.
func (c Client) ask(ctx context.Context, method, path string, question, answer any) error {
	var payload []byte
	if question != nil {
		var err error
		if payload, err = json.Marshal(question); err != nil {
			return fmt.Errorf("ask the running freshet: %w", err)
		}
	}
	body, err := c.do(ctx, method, path, payload)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return fmt.Errorf("read the running freshet's answer: %w", err)
	}
	return nil
}
