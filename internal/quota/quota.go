// Package quota decides when a request may be sent. A Broker stands between
// those who invalidate and a driver: it keeps within both of CloudFront's
// published quotas, what others use of them included, slows down when the CDN
// pushes back, and lets urgent work overtake bulk work. There is nothing to
// tune: while there is room a request goes at once.
package quota

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// Lane is how urgent a request is.
type Lane int

// The lanes. A bulk request that has waited for a minute is as urgent as a live
// one, so that it is never starved.
const (
	Live Lane = iota // a change that somebody waits for
	Bulk             // backfills, and plans that take longer than a second to send
)

const (
	patience  = time.Minute     // after which bulk is live
	lookEvery = 2 * time.Second // between two looks at what is in progress while there is no room
	lookAgain = time.Minute     // how long what was seen of others is believed
	stale     = time.Second     // age at which the record is read anew
)

// Config is what a Broker works with. Only Driver is needed.
type Config struct {
	Driver  cdn.Driver
	Store   Store                               // what senders of one account share; nil: this Broker is the only one
	Default freshet.Quota                       // of distributions that Profiles has not described
	Of      func(freshet.Profile) freshet.Quota // what to keep to of what Profiles describes; nil: all of it
	Pushed  func(distribution string, c error)  // told whenever the CDN pushes back; may be nil
	Pause   time.Duration                       // after a first push-back; doubles with each; zero is a second
	Log     *slog.Logger                        // nil: none
}

// Broker is a cdn.Driver that sends when there is room. Throttled and Busy are
// not failures to it but a sign that there was none: it goes on until its
// context is done. Everything else is the driver's.
type Broker struct {
	cfg Config

	mu      sync.Mutex
	book    book // the store's record as it was last seen
	loaded  time.Time
	quotas  map[string]freshet.Quota
	tickets []*ticket
	done    map[string]bool // invalidations that were seen completed since the book was last written
	changed chan struct{}   // closed when a ticket may have got its turn
}

// New returns a broker.
func New(cfg Config) *Broker {
	if cfg.Store == nil {
		cfg.Store = new(Memory)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Pause <= 0 {
		cfg.Pause = time.Second
	}
	if cfg.Of == nil {
		cfg.Of = func(p freshet.Profile) freshet.Quota { return p.Quota }
	}
	if cfg.Pushed == nil {
		cfg.Pushed = func(string, error) {}
	}
	return &Broker{cfg: cfg, quotas: make(map[string]freshet.Quota), done: make(map[string]bool), changed: make(chan struct{})}
}

// Lane returns the broker as a driver whose requests have that urgency.
func (b *Broker) Lane(l Lane) cdn.Driver { return lane{b, l} }

type lane struct {
	*Broker
	lane Lane
}

// Invalidate sends when there is room for a request of the lane.
func (l lane) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	return l.invalidate(ctx, inv, l.lane)
}

// Invalidate sends a live request.
func (b *Broker) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	return b.invalidate(ctx, inv, Live)
}

// Status asks the driver. What is completed makes room.
func (b *Broker) Status(ctx context.Context, distribution, id string) (freshet.Receipt, error) {
	receipt, err := b.cfg.Driver.Status(ctx, distribution, id)
	if err == nil && receipt.State != freshet.Accepted {
		b.mu.Lock()
		b.done[id] = true
		b.wake()
		b.mu.Unlock()
	}
	return receipt, err
}

// Profiles asks the driver, and keeps to what it says of quotas from then on.
func (b *Broker) Profiles(ctx context.Context) ([]freshet.Profile, error) {
	profiles, err := b.cfg.Driver.Profiles(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range profiles {
		b.quotas[p.Distribution] = b.cfg.Of(p)
	}
	return profiles, err
}

// Spent returns how many paths the senders of this account have been charged
// for in the month of now, in UTC, those that were free included.
func (b *Broker) Spent(ctx context.Context, now time.Time) (paths int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.load(ctx); err != nil {
		return 0, err
	}
	if b.book.Month != monthOf(now) {
		return 0, nil
	}
	return b.book.Spent, nil
}

func (b *Broker) invalidate(ctx context.Context, inv freshet.Invalidation, l Lane) (freshet.Receipt, error) {
	t := b.enter(inv, l)
	defer b.leave(t)
	for {
		if err := b.await(ctx, t); err != nil {
			return freshet.Receipt{}, err
		}
		receipt, err := b.cfg.Driver.Invalidate(ctx, inv)
		again := b.settle(ctx, t, receipt, err)
		if !again || ctx.Err() != nil {
			return receipt, err
		}
		b.cfg.Log.Info("the CDN pushes back: waiting for room", "distribution", inv.Distribution, "err", err)
	}
}

// await returns when t has got its turn and has been booked.
func (b *Broker) await(ctx context.Context, t *ticket) error {
	for {
		wait, changed, err := b.try(ctx, t)
		if err != nil {
			return &cdn.Error{Class: cdn.Unavailable, Hint: "is the place where the quota is kept reachable?", Err: fmt.Errorf("reserve room at %s: %w", t.inv.Distribution, err)}
		}
		if wait == 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for room at %s: %w", t.inv.Distribution, context.Cause(ctx))
		}
		timer.Stop()
	}
}

// try books t if it is its turn and there is room. Otherwise it returns how
// long to wait, at most, unless something changes.
func (b *Broker) try(ctx context.Context, t *ticket) (wait time.Duration, changed <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.waiting = true
	now := time.Now()
	if now.Sub(b.loaded) >= stale {
		b.book.read = false // others may have written
	}
	if err := b.look(ctx, t, now); err != nil {
		return 0, nil, err
	}
	err = b.write(ctx, func(k *book) bool {
		next, soon := choose(b.tickets, k, now)
		if next != t {
			wait = max(soon, time.Millisecond)
			return false
		}
		wait = 0
		k.reserve(t, now)
		return true
	})
	if err == nil && wait == 0 {
		t.waiting = false
		b.wake() // whoever is next has another wait now
	}
	return wait, b.changed, err
}

// settle notes what came of a request, and reports whether to send it again.
func (b *Broker) settle(ctx context.Context, t *ticket, receipt freshet.Receipt, failed error) (again bool) {
	if failed != nil && cdn.ClassOf(failed).Temporary() {
		b.cfg.Pushed(t.inv.Distribution, failed)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.wake()
	// What is noted here only spares others a push-back, so its failure is none
	// of the request's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := b.write(ctx, func(k *book) bool {
		again = k.settle(t, receipt, failed, time.Now())
		return true
	})
	if err != nil {
		b.cfg.Log.Warn("could not note what came of a request", "err", err)
	}
	return again
}

func (b *Broker) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// load reads the record if it was never read.
func (b *Broker) load(ctx context.Context) error {
	if b.book.read {
		return nil
	}
	return b.reload(ctx)
}

func (b *Broker) reload(ctx context.Context) error {
	text, revision, err := b.cfg.Store.Load(ctx)
	if err != nil {
		return err
	}
	b.book, err = readBook(text, revision)
	b.book.pauses, b.loaded = b.cfg.Pause, time.Now()
	return err
}

// write changes the record, once more whenever somebody else has changed it
// meanwhile. change returns false if there is nothing to write.
func (b *Broker) write(ctx context.Context, change func(*book) bool) error {
	if err := b.load(ctx); err != nil {
		return err
	}
	for {
		k := b.book.clone()
		for id := range b.done {
			k.completed(id)
		}
		write := change(&k)
		if !write {
			b.book.Windows = k.Windows // what was completed counts for nobody
			return nil
		}
		text, err := k.text()
		if err != nil {
			return err
		}
		revision, ok, err := b.cfg.Store.Swap(ctx, text, k.revision)
		if err != nil {
			b.book.read = false // it may have been written or not
			return err
		}
		if ok {
			k.revision = revision
			b.book = k
			clear(b.done)
			return nil
		}
		if err := b.reload(ctx); err != nil {
			return err
		}
	}
}

// enter lines a request up.
func (b *Broker) enter(inv freshet.Invalidation, l Lane) *ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	quota, known := b.quotas[inv.Distribution]
	if !known {
		quota = b.cfg.Default
	}
	t := &ticket{inv: inv, lane: l, since: time.Now(), use: useOf(inv.Patterns), quota: quota}
	b.tickets = append(b.tickets, t)
	return t
}

func (b *Broker) leave(t *ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.tickets {
		if other == t {
			b.tickets = append(b.tickets[:i], b.tickets[i+1:]...)
			break
		}
	}
	b.wake()
}

// Waiting returns how many requests wait for room, for metrics.
func (b *Broker) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, t := range b.tickets {
		if t.waiting {
			n++
		}
	}
	return n
}

// InProgress returns what is known to be in progress at each distribution.
func (b *Broker) InProgress() map[string]Use {
	b.mu.Lock()
	defer b.mu.Unlock()
	sums := make(map[string]Use)
	for d, w := range b.book.Windows {
		sums[d] = w.sum()
	}
	maps.DeleteFunc(sums, func(_ string, u Use) bool { return u == Use{} })
	return sums
}
