package api

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// Invalidation is one accepted batch.
type Invalidation struct {
	ID              string
	Distribution    string
	CallerReference string
	Paths           []string // as the client sent them; empty once the register has dropped them
	Created         time.Time
	Completed       time.Time // zero while it is in progress
}

// The values of an invalidation's status. CloudFront has no others.
const (
	StatusInProgress = "InProgress"
	StatusCompleted  = "Completed"
)

// Status is StatusCompleted once the edge serves nothing that the invalidation
// covers, and StatusInProgress before.
func (i Invalidation) Status() string {
	if i.Completed.IsZero() {
		return StatusInProgress
	}
	return StatusCompleted
}

// record is an invalidation and what is needed to recognise it. Without its
// paths it has a few hundred bytes.
type record struct {
	Invalidation
	fingerprint [sha256.Size]byte // outlives the paths
	forgotten   bool              // no history holds it any more
}

// pathBytes is roughly what the paths cost in memory.
func (r *record) pathBytes() int {
	n := 0
	for _, path := range r.Paths {
		n += len(path) + 16
	}
	return n
}

// snapshot is the invalidation as others may keep it.
func (r *record) snapshot() Invalidation {
	i := r.Invalidation
	i.Paths = slices.Clone(i.Paths)
	return i
}

// running counts what a distribution has in progress.
type running struct{ batches, paths, wildcards int }

func (n *running) add(r *record)    { n.change(r, 1) }
func (n *running) remove(r *record) { n.change(r, -1) }

func (n *running) change(r *record, by int) {
	n.batches += by
	n.paths += by * len(r.Paths)
	n.wildcards += by * countWildcards(r.Paths)
}

// history is all that a register knows about one distribution. It does not
// lock.
type history struct {
	records map[string]*record       // by ID
	order   []*record                // the same, oldest first
	pending map[string]chan struct{} // IDs whose Created entry is being appended; closed when that is decided
	running running                  // of records in progress and of pending ones
}

func newHistory() *history {
	return &history{records: make(map[string]*record), pending: make(map[string]chan struct{})}
}

// insert adds r, or puts it in the place of the record with the same ID.
func (h *history) insert(r *record) {
	if old, ok := h.records[r.ID]; ok {
		h.order = slices.DeleteFunc(h.order, func(o *record) bool { return o == old })
	}
	h.records[r.ID] = r
	// Almost always the end. Two appends may overtake each other, but a restart
	// must not change the order of a list that somebody is paging through.
	at, _ := slices.BinarySearchFunc(h.order, r, byAge)
	h.order = slices.Insert(h.order, at, r)
}

func byAge(a, b *record) int {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
}

// forget drops completed invalidations created before t, and the oldest of more
// than keep, from the old end. What is in progress there is only passed over when
// much would stay because of it.
func (h *history) forget(t time.Time, keep int) {
	n := 0
	for n < len(h.order) && !h.order[n].Completed.IsZero() && (h.order[n].Created.Before(t) || len(h.order)-n > keep) {
		h.drop(h.order[n])
		n++
	}
	clear(h.order[:n])
	h.order = h.order[n:]
	if surplus := len(h.order) - keep; surplus > keep/8 {
		h.order = slices.DeleteFunc(h.order, func(r *record) bool {
			if surplus <= 0 || r.Completed.IsZero() {
				return false
			}
			surplus--
			h.drop(r)
			return true
		})
	}
}

func (h *history) drop(r *record) {
	delete(h.records, r.ID)
	r.forgotten = true
}

// page returns up to limit records older than the one named by marker, or the
// newest for an empty marker, newest first; and whether there are older ones.
// ok is false for a marker that names no record.
func (h *history) page(marker string, limit int) (page []*record, more, ok bool) {
	end := len(h.order)
	if marker != "" {
		at, known := h.records[marker]
		if !known {
			return nil, false, false
		}
		end, _ = slices.BinarySearchFunc(h.order, at, byAge)
	}
	begin := max(0, end-limit)
	page = slices.Clone(h.order[begin:end])
	slices.Reverse(page)
	return page, begin > 0, true
}
