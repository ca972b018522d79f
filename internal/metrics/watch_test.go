package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
)

// watching has f tell r things while somebody looks on, and returns the snapshots
// that were made.
func watching(t *testing.T, r *metrics.Recorder, f func()) (seen []metrics.Snapshot) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- r.Watch(ctx, func(s metrics.Snapshot) error { seen = append(seen, s); return nil })
	}()
	synctest.Wait()
	f()
	synctest.Wait()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	return seen
}

func request(r *metrics.Recorder, n int, path, result string) {
	for range n {
		r.Served(edge.Served{Distribution: "E1", Method: "GET", Path: path, Result: result, Status: 200, Bytes: 100})
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder(t)
		request(r, 1000, "/before", "Hit") // anybody looked
		seen := watching(t, r, func() {
			request(r, 6, "/a b", "Hit")
			request(r, 2, "/c", "Miss")
			request(r, 1, "/c", "RefreshHit")
			request(r, 1, "/d", "Error")
			r.Fetched("E1", 200, time.Millisecond)
			time.Sleep(1100 * time.Millisecond) // within the bubble
			request(r, 8, "/c", "Hit")
			time.Sleep(time.Second)
			time.Sleep(9 * time.Second)
		})
		if len(seen) != 11 {
			t.Fatalf("%d snapshots in eleven seconds", len(seen))
		}
		s := seen[0]
		if s.Seconds != 1 || s.Requests != 10 || s.Bytes != 1000 || s.Fetches != 1 || s.Results["Hit"] != 6 || s.Results["Error"] != 1 ||
			s.HitRatio == nil || *s.HitRatio != 7.0/9 || s.StoredObjects != 3 || s.Waiting == nil || *s.Waiting != 5 {
			t.Errorf("first: %+v", s)
		}
		want := []metrics.Path{
			{Distribution: "E1", Path: "/a%20b", Requests: 6, HitRatio: 1, Bytes: 600}, {Distribution: "E1", Path: "/c", Requests: 3, HitRatio: 0.333, Bytes: 300},
			{Distribution: "E1", Path: "/d", Requests: 1, Bytes: 100},
		}
		if !slices.Equal(s.Hottest, want) {
			t.Errorf("hottest at first: %+v", s.Hottest)
		}
		s = seen[1]
		if s.Requests != 8 || *s.HitRatio != 1 || s.Hottest[0].Path != "/c" || s.Hottest[0].Requests != 5.5 {
			t.Errorf("second: %+v", s)
		}
		if s = seen[2]; s.Requests != 0 || s.HitRatio != nil || len(s.Results) != 0 || len(s.Hottest) != 3 {
			t.Errorf("a quiet second: %+v", s)
		}
		if s = seen[10]; len(s.Hottest) != 1 || s.Hottest[0].Path != "/c" || s.Hottest[0].Requests != 0.8 {
			t.Errorf("what was asked for longer than ten seconds ago still counts: %+v", s.Hottest)
		}
		if text, err := json.Marshal(seen[2]); err != nil || !strings.Contains(string(text), `"hit_ratio":null`) || !strings.Contains(string(text), `"changes":[]`) {
			t.Errorf("%s %v", text, err)
		}
	})
}

// However many URLs there are, the hottest are found, and no more is said of
// them than is certain.
func TestHottestAmongMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder(t)
		seen := watching(t, r, func() {
			for i := range 20000 {
				request(r, 1, fmt.Sprint("/rare/", i), "Miss")
				for j := 10; j > 0; j-- {
					if i%j == 0 {
						request(r, 1, fmt.Sprint("/hot/", j), "Hit")
					}
				}
			}
			request(r, 1, "/"+strings.Repeat("x", 5000), "Hit")
			time.Sleep(1100 * time.Millisecond)
		})
		hottest := seen[0].Hottest
		if len(hottest) != 10 {
			t.Fatalf("%d paths", len(hottest))
		}
		for i, h := range hottest[:5] {
			asked := float64((20000 + i) / (i + 1))
			if h.Path != fmt.Sprint("/hot/", i+1) || h.Requests > asked || h.Requests < asked*0.9 || h.HitRatio != 1 {
				t.Errorf("%d: %+v, asked for %v times", i, h, asked)
			}
		}
		for _, h := range hottest {
			if len(h.Path) > 3*256 {
				t.Errorf("a path of %d bytes is kept", len(h.Path))
			}
		}
	})
}

// Invalidations and changes are shown newest first, each once, in the state that
// it is in.
func TestNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder(t)
		seen := watching(t, r, func() {
			now := time.Now()
			for i := range 12 {
				r.Invalidation(api.Invalidation{ID: fmt.Sprint("I", i), Distribution: "E1", Paths: slices.Repeat([]string{"/a"}, 3000), Created: now})
				r.Records([]journal.Record{{ID: fmt.Sprint(i), Key: fmt.Sprint("k", i), State: journal.Received, ChangedAt: now}})
			}
			r.Invalidation(api.Invalidation{ID: "I5", Distribution: "E1", Paths: []string{"/a"}, Created: now, Completed: now.Add(time.Second)})
			r.Records([]journal.Record{
				{ID: "5", Key: "k5", Distribution: "E1", State: journal.Verified, ChangedAt: now, VerifiedAt: &now},
				{ID: "5", Key: "k5", Distribution: "E2", State: journal.Dead, ChangedAt: now, Reason: "why"},
			})
			time.Sleep(1100 * time.Millisecond)
		})
		s := seen[0]
		if len(s.Invalidations) != 10 || s.Invalidations[0].ID != "I11" || len(s.Invalidations[0].Paths) != 10 || s.Invalidations[0].Completed != nil {
			t.Errorf("%+v", s.Invalidations)
		}
		if i := s.Invalidations[6]; i.ID != "I5" || i.Status != api.StatusCompleted || i.Completed == nil {
			t.Errorf("%+v", i)
		}
		if len(s.Changes) != 10 || s.Changes[0].Distribution != "E2" || s.Changes[0].Reason != "why" || s.Changes[1].Key != "k11" || s.Changes[7].State != "verified" || s.Changes[7].Distribution != "E1" {
			t.Errorf("%+v", s.Changes)
		}
	})
}

// Looking on ends when the reader does, and there is room for eight.
func TestWatchingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder(t)
		enough := errors.New("enough")
		if err := r.Watch(t.Context(), func(metrics.Snapshot) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range 8 {
			go func() { _ = r.Watch(ctx, func(metrics.Snapshot) error { return nil }) }()
		}
		synctest.Wait()
		if err := r.Watch(ctx, nil); !errors.Is(err, metrics.ErrWatched) {
			t.Errorf("a ninth: %v", err)
		}
		cancel()
		synctest.Wait()
		if err := r.Watch(t.Context(), func(metrics.Snapshot) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("after they left: %v", err)
		}
	})
}
