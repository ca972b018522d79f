// Package edge is an embedded cache with CloudFront's cache model: behaviors,
// TTLs, error caching, ranges, conditional requests, and invalidations that are
// exact.
//
// A request goes through lookup → validate → entry, and only if that gives
// nothing to the origin. Validity is decided by epochs: an invalidation raises
// its distribution's counter and is written down in a tree of patterns; a copy
// whose fetch began before the last invalidation that covers it is never served
// again, wherever it is on its way.
package edge

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/compress"
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/offheap"
)

// Config says what an edge serves. Distributions are required.
type Config struct {
	Distributions []distribution.Distribution
	First         string            // the ID of the distribution that answers hosts that none has; empty: the only one, if there is only one
	Resolve       Resolver          // nil: every origin is reached as its distribution says
	Origins       map[string]string // URL of the server that stands for an origin, by its domain name in lower case
	OriginCAs     *x509.CertPool    // that certificates of origins are checked against; nil for the system's
	TLSPort       int               // to which viewers are sent where HTTPS is required; 0 for 443

	MemoryLimit   int64         // bytes for stored responses, overhead included; 0 for 256 MiB
	LargestObject int64         // bytes of the largest body stored; 0 for a quarter of MemoryLimit, or 32 MiB if that is more; larger ones are passed through
	OriginTimeout time.Duration // for the first byte of a response and between any two; 0 for CloudFront's 30 s
	PoP           string        // for X-Amz-Cf-Pop; empty for LCL50-C1
	Log           *slog.Logger  // nil for none
	Function      Functions     // nil: no functions are run

	// AccessLog gets a record of each request once it is answered, with the ID of
	// the distribution, empty where none was found. It is called from many
	// goroutines and must not keep the record. Nil for none.
	AccessLog func(distributionID string, r *accesslog.Record)

	Connections int // of viewers, at most, over all doors; 0 for as many as the process may open files for
	Requests    int // that are not answered by loops, at most at once; 0 for 10,000, or a quarter of the files that the process may open

	Observer Observer // nil for none
	Disk     *Disk    // for what was cached, beside memory; nil for none
}

// Edge is an http.Handler. It must be closed.
type Edge struct {
	config   Config
	served   atomic.Pointer[served]
	store    *store
	tier     *tier // nil without a disk
	largest  int64
	limit    int64
	encoders compress.Encoders
	multiple int64 // of bytes, to which ranges are widened
	pop, via string
	tlsPort  int

	accessLog func(string, *accesslog.Record) // nil for none
	observer  Observer                        // nil for none
	log       *slog.Logger

	connections *loop.Room   // for viewers
	said        atomic.Int64 // when the log was last told of those who were refused; nanoseconds of the epoch
	yielded     int64        // bytes of the store's limit that it leaves to others
	guests      guests

	orphans orphans // fills that nobody waits for
	room    room    // beside the store
	bodies  *offheap.Space
	pieces  sync.Pool // *[pieceSize]byte, in which bodies arrive
	counts  counts
	retired atomic.Uint64 // invalidations of distributions that are served no more
	sweeps  chan struct{} // asks for a sweep
	untidy  untidy

	draining atomic.Bool   // each answer is the last of its connection
	lastWord atomic.Uint64 // answers since then

	ctx  context.Context // of everything in the background
	stop context.CancelFunc

	applying   sync.Mutex
	nextNumber uint32 // of a site; applying is held
	first      string // the ID of the distribution that answers hosts that none has

	running struct {
		sync.Mutex
		sync.WaitGroup
		closed bool
	}
}

// New returns an edge that is ready to serve.
func New(c Config) (*Edge, error) {
	c = c.withDefaults()
	e := &Edge{
		store: newStore(c.MemoryLimit), largest: c.LargestObject, limit: c.MemoryLimit, multiple: partSize,
		room: room{limit: c.MemoryLimit / 16 * 9, over: windowSize}, bodies: offheap.New(c.MemoryLimit / 16),
		pop: c.PoP, via: "1.1 " + hopName() + cloudfrontHop, log: c.Log, sweeps: make(chan struct{}, 1), tlsPort: c.TLSPort, accessLog: c.AccessLog, observer: c.Observer,
	}
	e.room.charge = e.store.arena.Charge
	e.connections = loop.NewRoom(c.Connections, c.Requests)
	e.connections.Charge(e.chargeRequests)
	e.connections.OnRefusal(e.sayRefused)
	if !e.connections.Fits() {
		e.log.Warn("the process may open too few files for that", slog.Int("connections", e.connections.Connections()), slog.Int("requests", e.connections.Requests()))
	}
	e.connections.HoldLent(e.makeRoom)
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.served.Store(new(served))
	if c.Disk != nil {
		t, err := e.openTier(c.Disk)
		if err != nil {
			e.stop()
			return nil, err
		}
		e.tier = t
	}
	if err := e.firstServed(c); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.start(e.sweepOnRequest)
	return e, nil
}

// maxObject is the largest object that may be stored, however much memory there
// is.
const maxObject = 2 << 30

func (c Config) withDefaults() Config {
	if c.MemoryLimit <= 0 {
		c.MemoryLimit = 256 << 20
	}
	if c.Requests <= 0 {
		c.Requests = min(loop.UsualRequests(), fitting(c.MemoryLimit))
	}
	if c.LargestObject <= 0 {
		c.LargestObject = max(c.MemoryLimit/4, 32<<20)
	}
	// An object must fit into the store to be of use there.
	c.LargestObject = min(c.LargestObject, c.MemoryLimit, maxObject)
	if c.OriginTimeout <= 0 {
		c.OriginTimeout = 30 * time.Second
	}
	if c.PoP == "" {
		c.PoP = "LCL50-C1"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// hopName is by what this edge goes in Via.
func hopName() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(b[:])
}

// start runs f in the background until Close. A closed edge runs it in the
// foreground, where everything it asks for fails at once.
func (e *Edge) start(f func()) {
	e.running.Lock()
	if e.running.closed {
		e.running.Unlock()
		f()
		return
	}
	e.running.Go(f)
	e.running.Unlock()
}

// Close ends all fetches and the sweeper, and waits for them. Requests that
// come later get what is in the cache, or an error. It may be called twice.
func (e *Edge) Close() error {
	e.running.Lock()
	e.running.closed = true
	e.running.Unlock()
	e.stop()
	e.running.Wait()
	for _, s := range e.serving().sites {
		s.close()
	}
	return e.tier.close()
}

// ServeHTTP answers a viewer. It ends with http.ErrAbortHandler, which a server
// knows, when a response breaks off after it began.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, r: r, began: time.Now(), logged: e.accessLog != nil, moving: moving{guest: guestOf(r)}}
	if x.logged || e.observer != nil {
		var complete bool
		defer func() { e.over(x, complete) }()
		e.exchange(x, r)
		complete = true // and did not panic
		return
	}
	e.exchange(x, r)
}

// exchange reads a request and answers it.
func (e *Edge) exchange(x *exchange, r *http.Request) {
	if isLast(r) || e.isEnding(r) {
		x.Header().Set("Connection", "close")
	}
	if m := missedBy(r); m != nil {
		e.goOn(x, r, m)
		return
	}
	q, why := e.read(r)
	x.site = q.site
	if q.behavior != nil {
		x.dressing = q.behavior.dressing
	}
	if why == nil && q.behavior.functions.any() {
		var answered bool
		if r, q, answered = e.callFirst(x, r, q); answered {
			return
		}
	}
	if q.behavior != nil && q.behavior.keys != nil {
		r = unsigned(r)
	}
	if why != nil {
		e.turnAway(x, r, &q, why)
		return
	}
	if upgradeOf(r) != "" {
		upgraded := q // as in serve
		upgraded.id = idOf(x.Header())
		e.pass(x, r, &upgraded)
		return
	}
	e.serve(x, r, q)
}

// serve answers a viewer, or fetches the page that stands for an error.
func (e *Edge) serve(w http.ResponseWriter, r *http.Request, q query) {
	var stored *entry
	if q.cached {
		stored = e.find(&q)
	}
	if stored != nil && stored.isMark() {
		stored = nil
	}
	how, asked := q.course(r, stored, time.Now(), e.multiple)
	if how == behindTheViewer {
		q.id = idOf(w.Header())
		behind := q // a copy, so that q itself need not live on the heap
		e.revalidateBehind(r, &behind)
	}
	if how == fromCache || how == behindTheViewer {
		if e.respondStored(w, r, answer{entry: stored, content: stored, outcome: hit, site: q.site, instead: q.instead}) {
			return
		}
		how, asked = q.course(r, nil, time.Now(), e.multiple)
	}
	q.id = idOf(w.Header())
	missed := q // likewise
	switch how {
	case inPart:
		e.servePart(w, r, &missed, asked)
	case passed:
		e.pass(w, r, &missed)
	default:
		e.serveFill(w, r, &missed)
	}
}

// course is how a request is answered.
type course int

const (
	fromCache       course = iota
	behindTheViewer        // from the cache, while the origin is asked whether that is still right
	inPart                 // from the origin, which is asked for a range
	passed                 // from the origin, for this viewer alone
	filled                 // from the origin, for everybody who waits
)

// course decides how q is answered, given the stored copy that may answer it,
// nil for none. In part it is by the range that is returned, in multiples of
// some bytes.
func (q *query) course(r *http.Request, stored *entry, now time.Time, multiple int64) (_ course, asked string) {
	switch {
	case stored != nil && stored.answers(now):
		return fromCache, ""
	case stored != nil && stored.answersBehind(now):
		return behindTheViewer, ""
	case !q.cached:
		return passed, ""
	case stored != nil:
		return filled, ""
	case r.Method == http.MethodHead:
		return passed, "" // what a HEAD brings is no response to a GET, so it is not stored
	case r.Method == http.MethodGet:
		if asked, ok := wideRange(r.Header.Get("Range"), multiple); ok {
			return inPart, asked
		}
	}
	return filled, ""
}

// ErrUnknownDistribution is what Invalidate fails with for an ID that the edge
// does not serve.
var ErrUnknownDistribution = errors.New("unknown distribution")

// ErrPattern is what Invalidate fails with for a pattern that CloudFront would
// not accept, and for a cache tag where the distribution does not say which
// header holds them: an invalidation that removes nothing must not look like one
// that worked.
var ErrPattern = errors.New("invalid pattern")

// Invalidate makes everything unreachable that the patterns cover and that was
// fetched, or begun to be fetched, before the call. When it returns, no request
// that arrives later is answered with such a copy. On an error of its
// arguments nothing was invalidated. Any other says that the disk fails, and that a
// restart might bring back what is there: call it again.
//
// A pattern matches the URL in the spelling of freshet.CanonicalPath, followed
// by the query string where that is part of the cache key. A tag matches what
// the origin gave that tag in the header of the distribution's CacheTagConfig.
func (e *Edge) Invalidate(distributionID string, patterns []freshet.Pattern) error {
	s := e.serving().byID[distributionID]
	if s == nil {
		return fmt.Errorf("invalidate at %q: %w", distributionID, ErrUnknownDistribution)
	}
	for _, p := range patterns {
		if _, err := freshet.ParsePattern(string(p)); err != nil {
			return fmt.Errorf("invalidate at %s: %w: %w", distributionID, ErrPattern, err)
		}
		if p.IsTag() && s.tagHeader == "" {
			return fmt.Errorf("invalidate at %s: %w: the distribution has no header for cache tags such as %q", distributionID, ErrPattern, string(p))
		}
	}
	e.requestSweep()
	if err := s.invalidate(patterns); err != nil {
		return fmt.Errorf("invalidate at %s: %w", distributionID, err)
	}
	return nil
}
