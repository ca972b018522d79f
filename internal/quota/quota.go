// Package quota decides when a request may be sent. A Broker stands between
// those who invalidate and a driver: it keeps within both of CloudFront's
// published quotas, what others use of them included, slows down when the CDN
// pushes back, and lets urgent work overtake bulk work. There is nothing to
// tune: while there is room a request goes at once.
package quota

import (
	"context"
	"errors"
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
	storeFor  = 5 * time.Second // how long to wait for the store
)

// Config is what a Broker works with. Only Driver is needed.
type Config struct {
	Driver  cdn.Driver
	Store   Store                               // what senders of one account share; nil: this Broker is the only one
	Default freshet.Quota                       // of distributions that Profiles has not described
	Of      func(freshet.Profile) freshet.Quota // what to keep to of what Profiles describes; nil: all of it
	Pushed  func(distribution string, c error)  // told whenever the CDN pushes back; may be nil
	Pause   time.Duration                       // after a first push-back; doubles with each; zero is a quarter of a second
	Log     *slog.Logger                        // nil: none
}

// Broker is a cdn.Driver that sends when there is room. Throttled and Busy are
// not failures to it but a sign that there was none: it goes on until its
// context is done. Everything else is the driver's.
type Broker struct {
	cfg      Config
	observer cdn.Observer  // nil if the driver is none
	alone    bool          // no store: the book is the record
	desk     chan struct{} // filled by who works with the store's record

	mu      sync.Mutex // never held while the store or the CDN is asked
	book    book       // the store's record as it was last seen; what it refers to never changes
	loaded  time.Time
	quotas  map[string]freshet.Quota
	tickets []*ticket       // in the order in which they came
	done    map[string]bool // invalidations that were seen completed since the book was last written
	looking map[string]bool // distributions of which somebody finds out what is in progress
	timer   *time.Timer     // wakes when there may be room; nil before it is needed
}

// New returns a broker.
func New(cfg Config) *Broker {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Pause <= 0 {
		cfg.Pause = time.Second / 4
	}
	if cfg.Of == nil {
		cfg.Of = func(p freshet.Profile) freshet.Quota { return p.Quota }
	}
	if cfg.Pushed == nil {
		cfg.Pushed = func(string, error) {}
	}
	observer, _ := cfg.Driver.(cdn.Observer)
	return &Broker{
		cfg: cfg, observer: observer, alone: cfg.Store == nil, desk: make(chan struct{}, 1),
		quotas: make(map[string]freshet.Quota), done: make(map[string]bool), looking: make(map[string]bool),
	}
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
		b.completed(id)
	}
	return receipt, err
}

func (b *Broker) completed(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.book.knows(id) {
		return
	}
	b.done[id] = true
	b.book = b.book.clone()
	b.book.completed(id)
	b.wake()
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
	if err := b.lock(ctx); err != nil {
		return 0, err
	}
	defer b.unlock()
	if err := b.load(ctx); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
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
	b.stands(t, true)
	for {
		booked, err := b.try(ctx, t)
		if ctx.Err() != nil && !booked {
			return fmt.Errorf("wait for room at %s: %w", t.inv.Distribution, context.Cause(ctx))
		}
		if err != nil {
			return unreserved(t, err)
		}
		if booked {
			return nil
		}
		select {
		case <-t.turn:
		case <-ctx.Done():
			return fmt.Errorf("wait for room at %s: %w", t.inv.Distribution, context.Cause(ctx))
		}
	}
}

// unreserved is why t could not be booked: the store may know better than that it
// was not reached.
func unreserved(t *ticket, err error) error {
	e := &cdn.Error{Class: cdn.Unavailable, Hint: "is the place where the quota is kept reachable?", Err: err}
	if errors.As(err, &e) {
		e = &cdn.Error{Class: e.Class, RetryAfter: e.RetryAfter, Hint: e.Hint, Err: e.Err}
	}
	e.Err = fmt.Errorf("reserve room at %s: %w", t.inv.Distribution, e.Err)
	return e
}

// try books t if it is its turn and there is room. Otherwise t is told when to
// try again.
func (b *Broker) try(ctx context.Context, t *ticket) (booked bool, err error) {
	if err := b.look(ctx, t); err != nil {
		return false, err
	}
	if err := b.lock(ctx); err != nil {
		return false, err
	}
	defer b.unlock()
	err = b.write(ctx, func(k *book) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := wall()
		booked = choose(b.tickets, k, func(t *ticket) bool { return b.blind(t, now) }, now).next == t
		if booked {
			k.reserve(t, now)
		}
		return booked
	})
	if err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.waiting = !booked
	b.wake()
	return booked, nil
}

// stands notes whether t waits.
func (b *Broker) stands(t *ticket, waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.waiting = waiting
}

// settle notes what came of a request, and reports whether to send it again.
func (b *Broker) settle(ctx context.Context, t *ticket, receipt freshet.Receipt, failed error) (again bool) {
	if failed != nil && cdn.ClassOf(failed).Temporary() {
		b.cfg.Pushed(t.inv.Distribution, failed)
	}
	err := b.note(ctx, func(k *book) { again = k.settle(t, receipt, failed, wall()) })
	if err != nil {
		b.cfg.Log.Warn("could not note what came of a request", "err", err)
		class := cdn.ClassOf(failed)
		again = failed != nil && (class == cdn.Throttled || class == cdn.Busy)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake()
	return again
}

// note writes what only spares others a push-back, so that its failure is none
// of the request's.
func (b *Broker) note(ctx context.Context, change func(*book)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeFor)
	defer cancel()
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.unlock()
	return b.write(ctx, func(k *book) bool {
		change(k)
		return true
	})
}

// wake tells those who may have something to try, and itself comes again when
// time alone may have made room. The caller holds b.mu.
func (b *Broker) wake() {
	if len(b.tickets) == 0 {
		if b.timer != nil {
			b.timer.Stop()
		}
		return
	}
	now := wall()
	c := choose(b.tickets, &b.book, func(t *ticket) bool { return b.blind(t, now) }, now)
	if c.next != nil {
		c.next.tell()
	}
	for _, t := range c.full {
		if b.old(now) || b.unseen(t, now) {
			t.tell()
		}
	}
	for _, t := range c.owes {
		if b.old(now) { // others count until they are answered, which is in the store only
			t.tell()
		}
		c.wait = min(c.wait, stale)
	}
	b.wakeAfter(max(c.wait, time.Millisecond))
}

func (b *Broker) wakeAfter(wait time.Duration) {
	if b.timer != nil {
		b.timer.Reset(wait)
		return
	}
	b.timer = time.AfterFunc(wait, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wake()
	})
}

// enter lines a request up.
func (b *Broker) enter(inv freshet.Invalidation, l Lane) *ticket {
	b.mu.Lock()
	defer b.mu.Unlock()
	quota, known := b.quotas[inv.Distribution]
	if !known {
		quota = b.cfg.Default
	}
	t := &ticket{inv: inv, lane: l, since: wall(), use: useOf(inv.Patterns), quota: quota, turn: make(chan struct{}, 1)}
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
	now, sums := wall(), make(map[string]Use)
	for d, w := range b.book.Windows {
		sums[d] = w.sum(now)
	}
	maps.DeleteFunc(sums, func(_ string, u Use) bool { return u == Use{} })
	return sums
}
