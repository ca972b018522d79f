package edge

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
)

// hanging is an origin that answers /n once it is let go, and counts who waits.
type hanging struct {
	mu      sync.Mutex
	waiting map[string]bool
	given   []string // up, in order
	release chan struct{}
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.waiting[r.URL.Path] = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiting, r.URL.Path)
	}()
	select {
	case <-h.release:
		return reply(200, "late", "Cache-Control", "max-age=60"), nil
	case <-r.Context().Done():
		h.mu.Lock()
		defer h.mu.Unlock()
		h.given = append(h.given, r.URL.Path)
		return nil, context.Cause(r.Context())
	}
}

// Who opens requests and leaves them at once has no more than so many fetches
// going on. The oldest are given up first, and nothing of them is kept; those
// that somebody waits for are not among them.
func TestFetchesForNobodyAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const more = 50
		h := &hanging{waiting: make(map[string]bool), release: make(chan struct{})}
		e := open(t, h, Config{})
		leave := func(path string) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); doContext(ctx, e, "GET", "http://e1.cloudfront.localhost"+path) }()
			synctest.Wait()
			cancel()
			<-done
			synctest.Wait()
		}
		var staying sync.WaitGroup
		stay := func(path string) {
			staying.Go(func() { want(t, get(e, "http://e1.cloudfront.localhost"+path), 200, "Miss", "late") })
			synctest.Wait()
		}
		stay("/stays")
		leave("/joined")
		staying.Go(func() { want(t, get(e, "http://e1.cloudfront.localhost/joined"), 200, "Hit", "late") })
		synctest.Wait()
		for i := range maxOrphans + more {
			leave(fmt.Sprint("/", i))
		}
		h.mu.Lock()
		if n := len(h.waiting); n != maxOrphans+2 || !h.waiting["/stays"] || !h.waiting["/joined"] {
			t.Errorf("%d fetches go on, of what is waited for %v and %v", n, h.waiting["/stays"], h.waiting["/joined"])
		}
		for i, path := range h.given {
			if want := fmt.Sprint("/", i); path != want || len(h.given) != more {
				t.Fatalf("number %d of %d that were given up is %s, want %s", i, len(h.given), path, want)
			}
		}
		h.mu.Unlock()
		close(h.release)
		staying.Wait()
		synctest.Wait()
		if n := len(e.orphans.all); n != 0 {
			t.Errorf("%d are remembered that have ended", n)
		}
		want(t, get(e, "http://e1.cloudfront.localhost/0"), 200, "Miss", "late")
		want(t, get(e, "http://e1.cloudfront.localhost/"+fmt.Sprint(more)), 200, "Hit", "late")
		e.Close()
	})
}
