package metrics

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// hottest finds the URLs that are asked for most, in bounded memory: the
// space-saving algorithm of Metwally, Agrawal and El Abbadi ("Efficient
// Computation of Frequent and Top-k Elements in Data Streams", 2005). It is
// divided so that requests for different URLs seldom wait for each other; each
// URL belongs to one part.
type hottest struct {
	seed  maphash.Seed
	parts [16]part
}

// partSize is how many URLs a part tells apart. What has more than one in
// partSize of a part's requests is never missed.
const partSize = 64

// longest is how many bytes of a path are told apart.
const longest = 256

// visit names what is counted.
type visit struct{ distribution, path string }

// counted is how often something was asked for: count - over times at least,
// and count at most.
type counted struct {
	visit
	count, over, hits, bytes uint64
}

type part struct {
	mu   sync.Mutex
	at   map[visit]int // in heap
	heap []counted     // the smallest count first
	_    [64]byte      // so that parts do not share a cache line
}

func newHottest() *hottest { return &hottest{seed: maphash.MakeSeed()} }

// add counts one request.
func (h *hottest) add(v visit, hit bool, bytes uint64) {
	v.path = v.path[:min(len(v.path), longest)]
	p := &h.parts[maphash.Comparable(h.seed, v)%uint64(len(h.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	i, known := p.at[v]
	if !known {
		i = p.admit(visit{v.distribution, strings.Clone(v.path)}) // not the whole request line
	}
	c := &p.heap[i]
	c.count++
	c.bytes += bytes
	if hit {
		c.hits++
	}
	p.sink(i)
}

// admit returns the place of something new, which may be that of the smallest,
// whose count it takes over as what it may have had.
func (p *part) admit(v visit) int {
	if p.at == nil {
		p.at = make(map[visit]int, partSize)
	}
	if len(p.heap) < partSize {
		p.heap = append(p.heap, counted{visit: v})
		i := len(p.heap) - 1
		p.at[v] = i
		return p.rise(i)
	}
	smallest := &p.heap[0]
	delete(p.at, smallest.visit)
	*smallest = counted{visit: v, count: smallest.count, over: smallest.count}
	p.at[v] = 0
	return 0
}

// rise moves a place towards the smallest and returns where it went.
func (p *part) rise(i int) int {
	for i > 0 && p.heap[i].count < p.heap[(i-1)/2].count {
		p.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	return i
}

// sink moves a place away from the smallest.
func (p *part) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(p.heap) {
			return
		}
		if child+1 < len(p.heap) && p.heap[child+1].count < p.heap[child].count {
			child++
		}
		if p.heap[i].count <= p.heap[child].count {
			return
		}
		p.swap(i, child)
		i = child
	}
}

func (p *part) swap(i, j int) {
	p.heap[i], p.heap[j] = p.heap[j], p.heap[i]
	p.at[p.heap[i].visit], p.at[p.heap[j].visit] = i, j
}

// take returns what was counted since the last call, in no order.
func (h *hottest) take() []counted {
	var all []counted
	for i := range h.parts {
		p := &h.parts[i]
		p.mu.Lock()
		all = append(all, p.heap...)
		p.heap = p.heap[:0]
		clear(p.at)
		p.mu.Unlock()
	}
	return all
}

// sum adds up what was counted in several spans and returns the n that were
// asked for most, for certain.
func sum(spans [][]counted, n int) []counted {
	at := make(map[visit]counted)
	for _, span := range spans {
		for _, c := range span {
			s := at[c.visit]
			at[c.visit] = counted{c.visit, s.count + c.count, s.over + c.over, s.hits + c.hits, s.bytes + c.bytes}
		}
	}
	all := make([]counted, 0, len(at))
	for _, c := range at {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.count-b.over, a.count-a.over), cmp.Compare(a.path, b.path), cmp.Compare(a.distribution, b.distribution))
	})
	return all[:min(len(all), n)]
}
