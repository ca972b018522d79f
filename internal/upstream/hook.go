package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/source/webhook"
)

// answerWithin is how long a sender waits, if nobody says otherwise: GitHub gives
// up after ten seconds.
// https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks
const answerWithin = 9 * time.Second

// mostDeliveries is how many are remembered, so that one that is sent again
// costs no look.
const mostDeliveries = 1024

// mostBodies is how many long deliveries are read at a time: before it is known
// who sent them, each may take what the longest takes. Those of up to shortBody
// bytes, as most are, do not wait for them.
const (
	mostBodies = 4
	shortBody  = 64 << 10
)

// Hook answers deliveries about a branch. It says 2xx once all changes are
// queued. A look that takes longer than the sender waits goes on; the answer is
// 503 then, and the sender need not send again.
type Hook struct {
	From       webhook.Sender
	Secret     webhook.Secret
	Repository string // full name that deliveries must have; empty: any
	Branch     *Branch
	Name       string          // of the branch
	Within     time.Duration   // for how long a sender waits; 0 for nine seconds
	Serving    context.Context //nolint:containedctx // looks outlast the requests that ask for them
	Now        func() time.Time
	Log        *slog.Logger

	mu     sync.Mutex
	done   map[string]bool // deliveries
	order  []string
	bodies chan struct{}
	once   sync.Once
	looks  sync.WaitGroup
	over   bool // no more looks begin
}

// Close returns when no look is under way that a delivery has asked for. What
// comes after gets 503.
func (h *Hook) Close() {
	h.mu.Lock()
	h.over = true
	h.mu.Unlock()
	h.looks.Wait()
}

// begin calls look beside, unless Close was called.
func (h *Hook) begin(look func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.looks.Go(look)
	}
	return !h.over
}

// ServeHTTP answers one delivery.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(func() { h.done, h.bodies = make(map[string]bool), make(chan struct{}, mostBodies) })
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "deliveries are sent with POST"})
		return
	}
	push, what, ok := h.read(w, r)
	switch {
	case !ok:
	case push.Branch == "":
		answer(w, http.StatusOK, map[string]string{"ignored": what})
	case push.Branch != h.Name:
		answer(w, http.StatusOK, map[string]string{"ignored": "the branch " + push.Branch})
	case h.Repository != "" && push.Repository != h.Repository:
		answer(w, http.StatusOK, map[string]string{"ignored": "the repository " + push.Repository})
	case h.known(push.Delivery):
		answer(w, http.StatusOK, map[string]string{"ignored": "the delivery was done before"})
	default:
		h.look(w, r, push)
	}
}

// read answers what is not about a branch, with ok false.
func (h *Hook) read(w http.ResponseWriter, r *http.Request) (push webhook.Push, what string, ok bool) {
	tooLongAnswer := func() {
		answer(w, http.StatusRequestEntityTooLarge, map[string]string{"error": "the delivery is too long"})
	}
	switch {
	case r.ContentLength > webhook.MaxBytes:
		tooLongAnswer()
		return push, "", false
	case r.ContentLength < 0 || r.ContentLength > shortBody:
		select {
		case h.bodies <- struct{}{}:
			defer func() { <-h.bodies }()
		case <-r.Context().Done():
			return push, "", false
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, webhook.MaxBytes))
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		tooLongAnswer()
		return push, "", false
	}
	if err != nil {
		return push, "", false // the sender has gone
	}
	d := webhook.Delivery{Header: r.Header.Get, Body: body}
	if err := webhook.Verify(h.From, h.Secret, d, h.Now()); err != nil {
		h.Log.Warn("refused a delivery", "from", r.RemoteAddr, "sender", string(h.From), "err", err)
		answer(w, http.StatusUnauthorized, map[string]string{"error": err.Error()})
		return push, "", false
	}
	push, what, _, err = webhook.Parse(h.From, d)
	if err != nil {
		h.Log.Error("cannot read a delivery", "sender", string(h.From), "err", err)
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
		return push, "", false
	}
	return push, what, true
}

// look has the branch looked at, and answers what was found.
func (h *Hook) look(w http.ResponseWriter, r *http.Request, push webhook.Push) {
	type found struct {
		News
		err error
	}
	looked := make(chan found, 1)
	begun := h.begin(func() {
		news, err := h.Branch.Look(h.Serving, push.Before)
		looked <- found{news, err}
	})
	if !begun {
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "the service ends"})
		return
	}
	late := time.NewTimer(cmp.Or(h.Within, answerWithin))
	defer late.Stop()
	select {
	case f := <-looked:
		if f.err != nil {
			h.Log.Error("a push was not followed; it will be looked at again", "err", f.err)
			answer(w, http.StatusServiceUnavailable, map[string]string{"error": "not done yet; it is tried again here"})
			return
		}
		h.remember(push.Delivery)
		answer(w, http.StatusOK, f.News)
	case <-late.C:
		answer(w, http.StatusServiceUnavailable, map[string]string{"error": "not done yet; it goes on here"})
	case <-r.Context().Done():
	}
}

func (h *Hook) known(delivery string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return delivery != "" && h.done[delivery]
}

func (h *Hook) remember(delivery string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delivery == "" || h.done[delivery] {
		return
	}
	h.done[delivery] = true
	if h.order = append(h.order, delivery); len(h.order) > mostDeliveries {
		delete(h.done, h.order[0])
		h.order = h.order[1:]
	}
}

func answer(w http.ResponseWriter, status int, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(what)
}
