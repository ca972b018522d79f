package api_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/edge/api"
)

func TestListPages(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	log := &api.MemoryLog{}
	withClock := func(c *api.RegisterConfig) {
		c.Log = log
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	}
	r := open(t, &edge{}, withClock)
	var ids []string // newest first
	create := func(n int) {
		i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: fmt.Sprint(n), Paths: []string{"/a"}})
		if err != nil {
			t.Fatal(err)
		}
		ids = slices.Insert(ids, 0, i.ID)
		if n%3 == 0 { // several in the same millisecond
			mu.Lock()
			now = now.Add(time.Millisecond)
			mu.Unlock()
		}
		eventually(t, "completion", completed(r, "E1PLAIN", i.ID))
	}
	for n := range 7 {
		create(n)
	}
	read := func(r *api.Register, limit int) (all []string) {
		for marker := ""; ; {
			page, err := r.List("E1PLAIN", marker, limit)
			if err != nil || len(page.Invalidations) > limit {
				t.Fatalf("page %+v, %v", page, err)
			}
			for _, i := range page.Invalidations {
				if i.Paths != nil || i.Status() != api.StatusCompleted {
					t.Errorf("listed %+v", i)
				}
				all = append(all, i.ID)
			}
			if page.Next == "" {
				return all
			}
			if page.Next != all[len(all)-1] {
				t.Fatalf("the next marker is %s", page.Next)
			}
			marker = page.Next
		}
	}
	sortedIDs := slices.Sorted(slices.Values(ids))
	whole := read(r, 100)
	if !slices.Equal(slices.Sorted(slices.Values(whole)), sortedIDs) || whole[0] == ids[6] || whole[6] != ids[6] {
		t.Fatalf("list %v, created %v", whole, ids)
	}
	for limit := 1; limit <= 8; limit++ {
		if got := read(r, limit); !slices.Equal(got, whole) {
			t.Errorf("pages of %d: %v, want %v", limit, got, whole)
		}
	}
	// What is created between two pages does not shift the second one.
	first, err := r.List("E1PLAIN", "", 3)
	if err != nil {
		t.Fatal(err)
	}
	create(7)
	second, err := r.List("E1PLAIN", first.Next, 100)
	if err != nil || len(second.Invalidations) != 4 || second.Invalidations[0].ID != whole[3] {
		t.Errorf("second page %+v, %v", second, err)
	}
	r.Close()
	again := open(t, &edge{}, withClock)
	if got := read(again, 3); !slices.Equal(got[1:], whole) {
		t.Errorf("after a restart %v, want %v", got[1:], whole)
	}
	_, err = r.List("E1PLAIN", "INOTHERE", 3)
	wantCode(t, err, api.InvalidArgument, 400)
	_, err = r.List("ENONE", "", 3)
	wantCode(t, err, api.NoSuchDistribution, 404)
	if page, err := r.List("E2RICH", "", 3); err != nil || len(page.Invalidations) != 0 || page.Next != "" {
		t.Errorf("an empty list: %+v, %v", page, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := api.Open(context.Background(), api.RegisterConfig{Distributions: distributions, Invalidator: &edge{}, Log: &api.MemoryLog{},
			KeepPaths: 3 * (2 + 16), Retain: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		var ids []string
		for n := range 5 {
			i, err := r.Create(context.Background(), "E1PLAIN", api.Batch{CallerReference: fmt.Sprint(n), Paths: []string{"/" + fmt.Sprint(n)}})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, i.ID)
			synctest.Wait()
			time.Sleep(time.Minute)
		}
		for n, id := range ids {
			i, err := r.Get("E1PLAIN", id)
			if kept := n >= 2; err != nil || i.Status() != api.StatusCompleted || (len(i.Paths) == 1) != kept {
				t.Errorf("%d: %+v, %v", n, i, err)
			}
		}
		// The reference is as good as on the first day.
		if i, err := r.Create(context.Background(), "E1PLAIN", api.Batch{CallerReference: "0", Paths: []string{"/0"}}); err != nil || i.ID != ids[0] || len(i.Paths) != 1 {
			t.Errorf("repeated: %+v, %v", i, err)
		}
		if _, err := r.Create(context.Background(), "E1PLAIN", api.Batch{CallerReference: "0", Paths: []string{"/1"}}); !errors.Is(err, api.ErrReferenceUsed) {
			t.Errorf("used for other paths: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err := r.Create(context.Background(), "E1PLAIN", api.Batch{CallerReference: "late", Paths: []string{"/late"}}); err != nil {
			t.Fatal(err)
		}
		if page, err := r.List("E1PLAIN", "", 10); err != nil || len(page.Invalidations) != 1 {
			t.Errorf("after an hour: %+v, %v", page, err)
		}
	})
}
