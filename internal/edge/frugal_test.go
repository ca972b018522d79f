package edge

import (
	"fmt"
	"net/http"
	"testing"
)

// What the rest of the process takes makes room in the store, and comes back to it.
func TestYield(t *testing.T) {
	const limit = 4 << 20
	o := &warehouse{size: 10_000}
	e := open(t, o, Config{MemoryLimit: limit})
	fill := func(from int) {
		for i := range 1000 {
			if got := get(e, fmt.Sprintf("/%d", from+i)); got.Code != http.StatusOK {
				t.Fatal(got.Code)
			}
		}
	}
	fill(0)
	full := int64(e.store.bytes())
	if full < limit/2 || full > limit {
		t.Fatalf("full it has %d bytes", full)
	}
	e.Yield(limit / 2)
	if now := int64(e.store.bytes()); now > limit/2 {
		t.Errorf("%d bytes are left where %d may be", now, limit/2)
	}
	e.Yield(limit / 4)
	e.Yield(-5)
	fill(1000)
	if now := int64(e.store.bytes()); now < limit/2 {
		t.Errorf("%d bytes are there again of %d", now, full)
	}
	e.Yield(100 * limit)
	if now := int64(e.store.bytes()); now > limit/4 || now == 0 {
		t.Errorf("%d bytes are left where a quarter of %d is", now, limit)
	}
	e.Yield(0)
	for range 100 {
		if !e.connections.Lend() {
			t.Fatal("no room")
		}
	}
	e.Yield(100 * limit / leastRequestShare)
	if e.yielded != 0 {
		t.Errorf("%d bytes more than what the requests take", e.yielded)
	}
	for range 100 {
		e.connections.Return()
	}
}

// No more requests are worked on at once than half the memory is enough for.
func TestRequestsFitIntoMemory(t *testing.T) {
	for limit, want := range map[int64]int{1 << 20: 256, 64 << 20: 512, 256 << 20: 2048} {
		e := open(t, &warehouse{size: 1}, Config{MemoryLimit: limit})
		if got := e.connections.Requests(); got > want || got < min(want, 256) {
			t.Errorf("%d with %d bytes, want %d", got, limit, want)
		}
	}
	if e := open(t, &warehouse{size: 1}, Config{MemoryLimit: 1 << 20, Requests: 1000}); e.connections.Requests() != 1000 {
		t.Error("what was configured does not count")
	}
}
