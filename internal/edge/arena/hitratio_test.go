package arena

import (
	"container/list"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/maypok86/otter/v2"

	"github.com/freshet/freshet/internal/edge/packed"
)

// cache is what is compared: a request is a hit, or what was asked for is stored.
type cache interface {
	request(n uint64, size int64) (hit bool)
}

// overhead is about what an entry takes besides its body, which is charged to all.
const overhead = 320

type ours struct{ arena *Arena[int64] }

var page = make([]byte, 4<<10) // of which bodies that are inside are a part

func (c ours) request(n uint64, size int64) bool {
	k := keyOf(n)
	r := c.arena.EnterAnywhere()
	hit := !r.Get(&k).IsNone()
	r.Leave()
	if !hit {
		e := &packed.Entry{Key: k, Names: []string{k.URL}, Status: 200, Header: map[string][]string{"Etag": {fmt.Sprintf("%0170d", n)}}}
		if size <= int64(len(page)) {
			e.Body = page[:size]
			_, _ = c.arena.Put(e, nil, 0) // what is not stored is missed again
		} else {
			e.Size = size
			_, _ = c.arena.Put(e, &size, size)
		}
	}
	return hit
}

// lru evicts what was not asked for for the longest time.
type lru struct {
	limit, taken int64
	order        *list.List
	by           map[uint64]*list.Element
}

type lruEntry struct {
	n     uint64
	bytes int64
}

func (c *lru) request(n uint64, size int64) bool {
	if e := c.by[n]; e != nil {
		c.order.MoveToFront(e)
		return true
	}
	c.by[n] = c.order.PushFront(lruEntry{n, size + overhead})
	for c.taken += size + overhead; c.taken > c.limit; {
		last := c.order.Back()
		c.taken -= last.Value.(lruEntry).bytes
		delete(c.by, last.Value.(lruEntry).n)
		c.order.Remove(last)
	}
	return false
}

// peer is otter, a well-kept cache with W-TinyLFU.
type peer struct{ cache *otter.Cache[uint64, int64] }

func (c peer) request(n uint64, size int64) bool {
	if _, ok := c.cache.GetIfPresent(n); ok {
		return true
	}
	c.cache.Set(n, size)
	return false
}

// contestants have so many bytes each.
func contestants(b *testing.B, limit int64) map[string]cache {
	otters, err := otter.New(&otter.Options[uint64, int64]{
		MaximumWeight: uint64(limit), Weigher: func(_ uint64, size int64) uint32 { return uint32(size + overhead) },
		Executor: func(f func()) { f() },
	})
	if err != nil {
		b.Fatal(err)
	}
	return map[string]cache{
		"S3-FIFO": ours{New(limit, func(*int64) {})},
		"LRU":     &lru{limit: limit, order: list.New(), by: make(map[uint64]*list.Element)},
		"otter":   peer{otters},
	}
}

// sizeOf is the size of an object: half of them have less than 4 KiB, one of a
// hundred more than 130 KiB, none more than 1 MiB.
func sizeOf(n uint64) int64 {
	source := rand.New(rand.NewPCG(n, 77))
	return int64(min(max(math.Exp(source.NormFloat64()*1.5)*4096, 100), 1<<20))
}

// zipf draws numbers below n, of which number i comes up in proportion to
// 1/(i+1)^alpha; none is where its popularity says.
func zipf(n int, alpha float64) func(*rand.Rand) uint64 {
	sums, sum := make([]float64, n), 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -alpha)
		sums[i] = sum
	}
	names := rand.New(rand.NewPCG(1, 2)).Perm(n)
	return func(r *rand.Rand) uint64 { return uint64(names[sort.SearchFloat64s(sums, r.Float64()*sum)]) }
}

const traceObjects = 50_000

// traces are requests, one after the other; limit is the bytes of the cache as a
// part of those of all objects.
func traces(all int64) []struct {
	name  string
	limit int64
	next  func(*rand.Rand) uint64
} {
	type trace = struct {
		name  string
		limit int64
		next  func(*rand.Rand) uint64
	}
	var made []trace
	for _, share := range []int64{100, 10} {
		size := fmt.Sprintf(", cache of 1/%d", share)
		for _, alpha := range []float64{0.7, 0.9, 1.1} {
			draw := zipf(traceObjects, alpha)
			made = append(made, trace{fmt.Sprintf("Zipf %.1f", alpha) + size, all / share, draw})
		}
		draw, scanned, left := zipf(traceObjects, 0.9), uint64(traceObjects), 0
		made = append(made, trace{"Zipf 0.9 with scans" + size, all / share, func(r *rand.Rand) uint64 {
			// Four in ten requests are for what nobody asks for again, in rows of a
			// thousand.
			if left == 0 && r.IntN(1500) == 0 {
				left = 1000
			}
			if left > 0 {
				left--
				scanned++
				return scanned
			}
			return draw(r)
		}})
		for _, times := range []float64{0.9, 1.5, 3} {
			length, at := uint64(float64(traceObjects)/float64(share)*times), uint64(0)
			made = append(made, trace{fmt.Sprintf("loop of %.1f caches", times) + size, all / share, func(*rand.Rand) uint64 {
				at++
				return at % length
			}})
		}
		draw = zipf(traceObjects, 1)
		shift := uint64(0)
		made = append(made, trace{"Zipf 1.0 that shifts" + size, all / share, func(r *rand.Rand) uint64 {
			if r.IntN(200) == 0 {
				shift += 7 // in the course of the trace nearly all that was popular is not any more
			}
			return (draw(r) + shift) % traceObjects
		}})
	}
	return made
}

// BenchmarkHitRatio prints which share of the requests, and of the bytes, is a hit.
// Run it with -benchtime 1x.
func BenchmarkHitRatio(b *testing.B) {
	sizes := make([]int64, traceObjects)
	all := int64(0)
	for i := range sizes {
		sizes[i] = sizeOf(uint64(i))
		all += sizes[i] + overhead
	}
	const requests = 400_000
	for _, trace := range traces(all) {
		stream := make([]uint64, requests)
		source := rand.New(rand.NewPCG(5, 6))
		for i := range stream {
			stream[i] = trace.next(source)
		}
		for _, name := range []string{"S3-FIFO", "LRU", "otter"} {
			b.Run(trace.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					objects, bytes := play(contestants(b, trace.limit)[name], stream, sizes)
					b.ReportMetric(objects*100, "%objects")
					b.ReportMetric(bytes*100, "%bytes")
				}
			})
		}
	}
}

// play returns the shares of the second half that are hits.
func play(c cache, stream []uint64, sizes []int64) (objects, bytes float64) {
	var hits, hitBytes, asked, askedBytes float64
	for i, n := range stream {
		size := int64(4096)
		if n < uint64(len(sizes)) {
			size = sizes[n]
		}
		hit := c.request(n, size)
		if i < len(stream)/2 {
			continue
		}
		asked++
		askedBytes += float64(size)
		if hit {
			hits++
			hitBytes += float64(size)
		}
	}
	return hits / asked, hitBytes / askedBytes
}
