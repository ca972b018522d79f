package api_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/api"
)

// nowhere is a log and an edge that keep nothing, so that what is measured is the register.
type nowhere struct{}

func (nowhere) Append(context.Context, ...api.Entry) error          { return nil }
func (nowhere) Replay(context.Context, func(api.Entry) error) error { return nil }

func (nowhere) Invalidate(string, []freshet.Pattern) error { return nil }

// An invalidation takes less than a kilobyte of memory, its paths apart, so that
// the hundred thousand that are remembered of a distribution are affordable.
func TestMemoryOfTheRegister(t *testing.T) {
	const all = 20_000
	r := open(t, &edge{}, func(c *api.RegisterConfig) { c.Log, c.Invalidator, c.KeepPaths = nowhere{}, nowhere{}, 1 })
	before := heap()
	for n := range all {
		if _, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "reference number " + strconv.Itoa(n), Paths: []string{"/a/path/" + strconv.Itoa(n)}}); err != nil {
			t.Fatal(err)
		}
		if n%1000 == 0 {
			eventually(t, "completion", func() bool { return r.InProgress("E1PLAIN") == 0 })
		}
	}
	eventually(t, "completion", func() bool { return r.InProgress("E1PLAIN") == 0 })
	each := (int64(heap()) - int64(before)) / all
	t.Logf("%d bytes for each invalidation", each)
	if each > 1000 {
		t.Errorf("an invalidation takes %d bytes", each)
	}
	runtime.KeepAlive(r)
}

// heap is how many bytes are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
