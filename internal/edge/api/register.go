// Package api is CloudFront's invalidation API over our own edge: a Register of
// invalidations, which applies them to the edge and remembers them, and a
// Handler that speaks REST-XML 2020-05-31 in front of it, so that the AWS CLI
// and every SDK can drive the edge.
//
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/Welcome.html
package api

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// Invalidator removes content from the edge. When Invalidate returns nil no node
// of the edge serves anything the patterns covered. It may be called
// concurrently, and again with patterns it has had.
type Invalidator interface {
	Invalidate(distributionID string, patterns []freshet.Pattern) error
}

// RegisterConfig is what a register works with. Distributions, Invalidator and
// Log are required.
type RegisterConfig struct {
	Distributions func() []distribution.Distribution // called for each request; concurrently
	Invalidator   Invalidator
	Log           Log
	Limits        Limits
	Quota         Quota

	// Hold is called, where it is not nil, for each invalidation that was applied
	// to the edge, and returns when it may be recorded as completed. ctx is done on
	// Close. It is called concurrently, and again for an invalidation that was in
	// progress when the register was closed.
	Hold func(ctx context.Context, i Invalidation)

	// AtOnce has Create tell the invalidator before it answers, and not afterwards:
	// for one that waits for nobody. What it is told of is durable by then. Where it
	// fails, it is told again behind the client's back.
	AtOnce bool

	// Changed is told, where it is not nil, of each invalidation when it is
	// accepted and when it is completed. It must not call the register, block, or
	// change or keep the paths.
	Changed func(i Invalidation)

	// Resumed is called once, where it is not nil, when everything that was in
	// progress when the register was opened has been applied to the edge; maybe
	// before Open returns, maybe never.
	Resumed func()

	// Retain is how long a completed invalidation and its caller reference are
	// remembered. Zero is for ever; give the age limit of the log where it has
	// one. A remembered invalidation takes a few hundred bytes.
	Retain time.Duration

	// Keep is how many invalidations of a distribution are remembered at most,
	// however young; zero is 100,000. Those in progress are always remembered.
	Keep int

	// KeepPaths is how many bytes the paths of completed invalidations may
	// take in memory, all distributions together; zero is 64 MiB. Beyond that the
	// earliest completed ones lose their paths, and nothing else.
	KeepPaths int

	Now    func() time.Time // nil is time.Now
	Logger *slog.Logger     // is told of each failed attempt to complete an invalidation; nil discards
}

// Register holds the invalidations of all distributions: at most one for each
// distribution and caller reference. All methods may be called concurrently.
type Register struct {
	cfg    RegisterConfig
	closed context.Context // done once Close was called
	close  context.CancelFunc
	work   sync.WaitGroup // invalidations being completed
	behind atomic.Int64   // of those that were in progress when it was opened, not applied yet

	mu        sync.Mutex
	rate      *rate // nil where the quota has none
	histories map[string]*history
	ended     []Entry   // completions that are not recorded yet
	ending    bool      // somebody records them
	kept      []*record // completed, with their paths, in the order of completion
	keptBytes int
}

// appendWithin bounds an append, which goes on when the client that asked for
// it has gone away.
const appendWithin = 10 * time.Second

// Open replays the log and begins to complete the invalidations that were in
// progress, once more from the start. ctx covers the replay only. Call Close
// when done.
func Open(ctx context.Context, cfg RegisterConfig) (*Register, error) {
	if cfg.Distributions == nil || cfg.Invalidator == nil || cfg.Log == nil {
		return nil, fmt.Errorf("open the register of invalidations: distributions, invalidator and log are required")
	}
	cfg.Limits = cfg.Limits.under(cfg.Quota)
	if cfg.KeepPaths == 0 {
		cfg.KeepPaths = 64 << 20
	}
	if cfg.Keep == 0 {
		cfg.Keep = 100_000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Register{cfg: cfg, histories: make(map[string]*history)}
	if cfg.Quota == QuotaRate || cfg.Quota == QuotaBoth {
		r.rate = newRate(cfg.Limits)
	}
	r.closed, r.close = context.WithCancel(context.Background())
	if err := cfg.Log.Replay(ctx, r.replay); err != nil {
		return nil, fmt.Errorf("replay the log of invalidations: %w", err)
	}
	r.resume()
	return r, nil
}

// Close stops completing invalidations and waits for the calls to the edge that
// are under way. What is in progress stays so in the log, for the next Open.
// Create fails afterwards; reading still works. It may be called twice.
func (r *Register) Close() {
	r.mu.Lock() // no worker is added after this
	r.close()
	r.mu.Unlock()
	r.work.Wait()
}

// Distributions returns what the register's configuration does.
func (r *Register) Distributions() []distribution.Distribution { return r.cfg.Distributions() }

// Distribution returns the distribution with the given ID, or a
// NoSuchDistribution error.
func (r *Register) Distribution(id string) (distribution.Distribution, error) {
	for _, d := range r.cfg.Distributions() {
		if d.ID == id {
			return d, nil
		}
	}
	return distribution.Distribution{}, noSuchDistribution(id)
}

// Create accepts a batch. The invalidation it returns is durable and in
// progress; the edge is told of it afterwards, unless AtOnce says otherwise. A caller reference that the
// distribution has seen with the same set of paths gets the earlier
// invalidation, and nothing is removed again; with other paths it gets
// ErrReferenceUsed. Errors are *Error, or ctx's. After ServiceUnavailable, or
// ctx's error, the same batch may be sent again.
func (r *Register) Create(ctx context.Context, distributionID string, batch Batch) (Invalidation, error) {
	if err := ctx.Err(); err != nil {
		return Invalidation{}, fmt.Errorf("create an invalidation: %w", err)
	}
	d, err := r.Distribution(distributionID)
	if err != nil {
		return Invalidation{}, err
	}
	if err := batch.check(d, r.cfg.Limits); err != nil {
		return Invalidation{}, err
	}
	wanted := newRecord(distributionID, batch, r.cfg.Now())
	for {
		earlier, undecided, err := r.reserve(wanted)
		switch {
		case err != nil:
			return Invalidation{}, err
		case earlier != nil:
			return *earlier, nil
		case undecided == nil:
			return r.publish(ctx, wanted)
		}
		select {
		case <-undecided:
		case <-ctx.Done():
			return Invalidation{}, fmt.Errorf("wait for another request with the same caller reference: %w", ctx.Err())
		}
	}
}

func newRecord(distributionID string, batch Batch, at time.Time) *record {
	return &record{Invalidation: Invalidation{
		ID:              idFor(distributionID, batch.CallerReference),
		Distribution:    distributionID,
		CallerReference: batch.CallerReference,
		Paths:           slices.Clone(batch.Paths),
		Created:         at.UTC().Truncate(time.Millisecond),
	}, fingerprint: batch.fingerprint()}
}

// reserve decides what becomes of a wanted invalidation: it was there earlier;
// another request is creating it, which is decided when undecided is closed; it
// is refused; or, with three nils, the caller must publish it.
func (r *Register) reserve(wanted *record) (earlier *Invalidation, undecided <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.history(wanted.Distribution)
	r.forget(h)
	if known, ok := h.records[wanted.ID]; ok {
		earlier, err = known.repeated(wanted)
		return earlier, nil, err
	}
	if undecided, ok := h.pending[wanted.ID]; ok {
		return nil, undecided, nil
	}
	if r.closed.Err() != nil {
		return nil, nil, unavailable("The service is shutting down", nil)
	}
	if err := h.running.exceeds(wanted, r.cfg.Limits); err != nil {
		return nil, nil, err
	}
	if r.rate != nil {
		if err := r.rate.take(len(wanted.Paths), countWildcards(wanted.Paths), r.cfg.Now()); err != nil {
			return nil, nil, err
		}
	}
	h.pending[wanted.ID] = make(chan struct{})
	h.running.add(wanted)
	return nil, nil, nil
}

// repeated answers a request for an invalidation that is there already.
func (r *record) repeated(wanted *record) (*Invalidation, error) {
	if r.CallerReference != wanted.CallerReference || r.fingerprint != wanted.fingerprint {
		err := refuse(InvalidArgument, "Your request contains a caller reference that was used for a previous invalidation batch for the same distribution.")
		err.Err = ErrReferenceUsed
		return nil, err
	}
	earlier := r.snapshot()
	if earlier.Paths == nil {
		earlier.Paths = wanted.Paths
	}
	return &earlier, nil
}

// exceeds returns the error for which wanted must be refused, or nil.
func (n running) exceeds(wanted *record, limits Limits) error {
	if n.paths+len(wanted.Paths) > limits.Paths {
		return refuse(TooManyInvalidationsInProgress, "Processing your request will cause you to exceed the maximum number of in-progress invalidations: %d paths of %d", n.paths+len(wanted.Paths), limits.Paths)
	}
	if w := countWildcards(wanted.Paths); w > 0 && n.wildcards+w > limits.Wildcards {
		return tooManyWildcards(n.wildcards+w, limits)
	}
	return nil
}

// publish makes a reserved invalidation durable, then visible, then has it
// completed.
func (r *Register) publish(ctx context.Context, created *record) (Invalidation, error) {
	// A client that hangs up must not leave half an append behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendWithin)
	defer cancel()
	err := r.cfg.Log.Append(ctx, Entry{Kind: Created, Distribution: created.Distribution, ID: created.ID,
		At: created.Created, CallerReference: created.CallerReference, Paths: created.Paths})
	applied := err == nil && r.cfg.AtOnce && r.apply(created.Invalidation) == nil
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.history(created.Distribution)
	close(h.pending[created.ID])
	delete(h.pending, created.ID)
	if err != nil {
		h.running.remove(created)
		return Invalidation{}, unavailable("CloudFront encountered an internal error. Please try again.", fmt.Errorf("record the invalidation: %w", err))
	}
	h.insert(created)
	r.changed(created)
	r.begin(created, applied, nil)
	return created.snapshot(), nil
}

// history returns that of one distribution, which begins empty. r.mu is held.
func (r *Register) history(distributionID string) *history {
	h, ok := r.histories[distributionID]
	if !ok {
		h = newHistory()
		r.histories[distributionID] = h
	}
	return h
}
