package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/journal"
)

// Lease says that somebody is at work until a time, so that changes gather and
// nothing is invalidated. It ends by itself.
type Lease struct {
	Name          string    `json:"name"`
	Distributions []string  `json:"distributions,omitempty"` // empty: all
	Since         time.Time `json:"since"`
	Until         time.Time `json:"until"`
}

// on reports whether the lease concerns one of the distributions.
func (l Lease) on(distributions []string) bool {
	return len(l.Distributions) == 0 || slices.ContainsFunc(l.Distributions, func(d string) bool { return slices.Contains(distributions, d) })
}

const (
	// LongestLease is for how long a lease may be taken at a time. Renewed, it
	// may last as long as anybody likes.
	LongestLease = time.Hour
	maxLeases    = 64
)

// ErrLease is what Take fails with when what is asked for cannot be had.
var ErrLease = errors.New("no such hold can be taken")

var leaseName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$`)

// Holds are the leases that are in force. They outlive the process. The methods
// may be called concurrently.
type Holds struct {
	shelf *journal.Shelf

	mu      sync.Mutex
	leases  map[string]Lease
	changed chan struct{} // closed when leases are
}

// OpenHolds returns the leases that an earlier run kept on shelf and that have
// not ended since.
func OpenHolds(ctx context.Context, shelf *journal.Shelf) (*Holds, error) {
	h := &Holds{shelf: shelf, leases: make(map[string]Lease), changed: make(chan struct{})}
	var over []string
	err := shelf.All(ctx, func(value []byte) error {
		var l Lease
		if err := json.Unmarshal(value, &l); err != nil {
			return fmt.Errorf("read a hold: %w", err)
		}
		if !l.Until.After(time.Now()) {
			over = append(over, l.Name)
			return nil
		}
		h.leases[l.Name] = l
		h.endLater(l)
		return nil
	})
	for _, name := range over {
		err = errors.Join(err, shelf.Delete(ctx, name))
	}
	return h, err
}

// Take takes or renews the lease called name, from now on for a while. It is on
// disk when Take returns.
func (h *Holds) Take(ctx context.Context, name string, distributions []string, during time.Duration) (Lease, error) {
	switch {
	case !leaseName.MatchString(name):
		return Lease{}, fmt.Errorf("%w: the name %q must be up to 64 letters, digits and any of ._- in between", ErrLease, name)
	case during <= 0 || during > LongestLease:
		return Lease{}, fmt.Errorf("%w: it must end within %v and not before it begins; renew it while the work goes on", ErrLease, LongestLease)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now().UTC()
	lease, again := h.leases[name]
	if !again {
		lease = Lease{Name: name, Since: now}
	}
	if !again && len(h.leases) >= maxLeases {
		return Lease{}, fmt.Errorf("%w: there are %d already", ErrLease, maxLeases)
	}
	lease.Distributions, lease.Until = slices.Clone(distributions), now.Add(during)
	text, err := json.Marshal(lease)
	if err == nil {
		err = h.shelf.Put(ctx, name, text)
	}
	if err != nil {
		return Lease{}, fmt.Errorf("keep hold %s: %w", name, err)
	}
	h.leases[name] = lease
	h.endLater(lease)
	h.tell()
	return lease, nil
}

// Release ends the lease called name. It is no error if there is none: it may
// have ended by itself.
func (h *Holds) Release(ctx context.Context, name string) (held bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, held = h.leases[name]; !held {
		return false, nil
	}
	delete(h.leases, name)
	h.tell()
	if err := h.shelf.Delete(ctx, name); err != nil {
		return true, fmt.Errorf("release hold %s: %w", name, err)
	}
	return true, nil
}

// Leases are those in force, the oldest first.
func (h *Holds) Leases() []Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	leases := make([]Lease, 0, len(h.leases))
	for _, l := range h.leases {
		leases = append(leases, l)
	}
	slices.SortFunc(leases, func(a, b Lease) int {
		if age := a.Since.Compare(b.Since); age != 0 {
			return age
		}
		return strings.Compare(a.Name, b.Name)
	})
	return leases
}

func (h *Holds) none() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.leases) == 0
}

// on returns the oldest lease that concerns one of the distributions.
func (h *Holds) on(distributions []string) (Lease, bool) {
	for _, l := range h.Leases() {
		if l.on(distributions) {
			return l, true
		}
	}
	return Lease{}, false
}

// next returns a channel that is closed when something changes. Who takes it
// before looking misses nothing.
func (h *Holds) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// endLater has a lease end when it was not renewed until then.
func (h *Holds) endLater(l Lease) {
	time.AfterFunc(time.Until(l.Until), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if now, ok := h.leases[l.Name]; ok && !now.Until.After(l.Until) {
			delete(h.leases, l.Name) // its place on the shelf is cleared at the next start
			h.tell()
		}
	})
}

// tell wakes those who look on. The caller holds h.mu.
func (h *Holds) tell() {
	close(h.changed)
	h.changed = make(chan struct{})
}
