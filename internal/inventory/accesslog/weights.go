package accesslog

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strings"
)

const (
	// MaxURLs is how many URLs Weights keeps if it is not told otherwise.
	MaxURLs = 1_000_000
	// MaxLocations is how many edge locations Weights tells apart.
	MaxLocations = 4096
)

// Weight is how much one URL is asked for.
type Weight struct {
	Host      string
	URL       string
	Requests  int64
	Bytes     int64 // sent to viewers
	Locations int   // distinct edge locations, at most MaxLocations
}

// Weights sums up hits by host and URL. The zero value is ready for use. Its
// memory is bounded by the number of URLs: once there are more than MaxURLs, the
// half that is asked for least is forgotten, and Tally says how much that was
// and how wrong the rest can be by it. It is not safe for concurrent use.
type Weights struct {
	MaxURLs int // 0 means the constant MaxURLs
	// Under says for which host (or whatever else stands for a site) and URL a hit
	// counts; without a URL it is ignored. nil means the hit's host and its path
	// without the query string.
	Under func(Hit) (host, url string)

	urls      map[target]*weight
	locations map[string]int // in the order of their first hits
	tally     Tally
}

type target struct{ host, url string }

type weight struct {
	requests, bytes int64
	seen            []uint64 // bit n is the location of number n
}

// Tally says what became of the lines of all logs.
type Tally struct {
	Counted   int64     // hits summed up, those forgotten since included
	Ignored   int64     // hits that warm no cache: other methods than GET and HEAD, no status or one from 400, no URL
	Bad       int64     // lines that could not be read
	FirstBad  error     // the first of them, with its number
	Forgotten Forgotten // URLs that were left out to bound the memory
	Unplaced  int64     // hits at locations beyond MaxLocations, which count as one
}

// Forgotten is what was left out to bound the memory.
type Forgotten struct {
	Requests int64
	Bytes    int64
	// Most is the largest number of requests by which any URL counts for less
	// than it was asked for. A URL that was asked for more often than that has
	// not been left out altogether.
	Most int64
}

// AddLog adds the hits of a log as Read yields them. A line that cannot be read
// is counted; any other error ends the log and is returned, with what was added
// before it in the sums. name says in errors which log it is, and may be empty.
func (w *Weights) AddLog(name string, hits iter.Seq2[Hit, error]) error {
	for h, err := range hits {
		if err == nil {
			w.Add(h)
			continue
		}
		if name != "" {
			err = fmt.Errorf("%s: %w", name, err)
		}
		if _, bad := errors.AsType[*LineError](err); !bad {
			return err
		}
		if w.tally.Bad++; w.tally.FirstBad == nil {
			w.tally.FirstBad = err
		}
	}
	return nil
}

// Add adds one hit. Only GET and HEAD requests count that were answered with a
// status below 400, since nothing else is worth keeping warm.
func (w *Weights) Add(h Hit) {
	host, url := h.Host, h.Path
	if w.Under != nil && url != "" {
		host, url = w.Under(h)
	}
	if h.Method != "GET" && h.Method != "HEAD" || h.Status < 100 || h.Status >= 400 || url == "" {
		w.tally.Ignored++
		return
	}
	w.tally.Counted++
	at := w.urls[target{host, url}]
	if at == nil {
		at = w.insert(target{host, url})
	}
	at.requests++
	at.bytes += h.Bytes
	if h.Location != "" {
		at.see(w.location(h.Location))
	}
}

func (w *Weights) insert(t target) *weight {
	most := cmp.Or(max(w.MaxURLs, 0), MaxURLs)
	if w.urls == nil {
		w.urls = make(map[target]*weight)
	}
	if len(w.urls) >= most {
		w.forget((most + 1) / 2)
	}
	at := new(weight)
	w.urls[target{strings.Clone(t.host), strings.Clone(t.url)}] = at
	return at
}

// forget leaves out the n URLs that are asked for least. What any of them had is
// no more than what the last of them had, so the losses of one URL over time sum
// up to no more than the sum of those.
func (w *Weights) forget(n int) {
	order := make([]target, 0, len(w.urls))
	for t := range w.urls {
		order = append(order, t)
	}
	slices.SortFunc(order, func(a, b target) int { return w.compare(b, a) })
	for _, t := range order[:n] {
		w.tally.Forgotten.Requests += w.urls[t].requests
		w.tally.Forgotten.Bytes += w.urls[t].bytes
	}
	w.tally.Forgotten.Most += w.urls[order[n-1]].requests
	for _, t := range order[:n] {
		delete(w.urls, t)
	}
}

// compare orders by requests, most first, then by bytes and name, so that the
// same logs always give the same result.
func (w *Weights) compare(a, b target) int {
	x, y := w.urls[a], w.urls[b]
	return cmp.Or(cmp.Compare(y.requests, x.requests), cmp.Compare(y.bytes, x.bytes), strings.Compare(a.host, b.host), strings.Compare(a.url, b.url))
}

// location numbers the edge locations. Those beyond MaxLocations share the last
// number.
func (w *Weights) location(name string) int {
	n, ok := w.locations[name]
	switch {
	case ok:
		return n
	case len(w.locations) >= MaxLocations-1:
		w.tally.Unplaced++
		return MaxLocations - 1
	case w.locations == nil:
		w.locations = make(map[string]int)
	}
	n = len(w.locations)
	w.locations[strings.Clone(name)] = n
	return n
}

func (w *weight) see(n int) {
	for len(w.seen) <= n/64 {
		w.seen = append(w.seen, 0)
	}
	w.seen[n/64] |= 1 << (n % 64)
}

// Tally says what became of the lines so far.
func (w *Weights) Tally() Tally { return w.tally }

// All yields the weights, those of the most requests first; the order of equals
// is that of more bytes, then of host and URL.
func (w *Weights) All() iter.Seq[Weight] {
	return func(yield func(Weight) bool) {
		order := make([]target, 0, len(w.urls))
		for t := range w.urls {
			order = append(order, t)
		}
		slices.SortFunc(order, w.compare)
		for _, t := range order {
			if !yield(w.Of(t.host, t.url)) {
				return
			}
		}
	}
}

// Of returns the weight of one URL, zero if it was not asked for or is
// forgotten.
func (w *Weights) Of(host, url string) Weight {
	at := w.urls[target{host, url}]
	if at == nil {
		return Weight{Host: host, URL: url}
	}
	n := 0
	for _, word := range at.seen {
		n += bits.OnesCount64(word)
	}
	return Weight{Host: host, URL: url, Requests: at.requests, Bytes: at.bytes, Locations: n}
}
