package edge

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/packed"
)

// site is one distribution as it is served.
type site struct {
	number    uint32
	config    distribution.Distribution
	errors    map[int]distribution.CustomErrorResponse
	behaviors []behavior              // the default last
	dialing   []*dialing              // made for this site's origins
	targets   map[string]*destination // by ID of the origin or the origin group
	choices   chosen                  // of functions
	root      string                  // path of the default root object, as a viewer would spell it; empty if there is none
	security  security
	logsPlain bool // what a log has of the distribution is written as it is
	epochs    *epochs
	store     *store // shared with the other sites
	tier      *tier  // likewise; nil without a disk
	lineage   *lineage

	// reach prepares an origin, and returns by what it is connected to; nil where
	// that is somebody else's.
	reach func(distribution.Origin) (*origin, *dialing, error)

	tagHeader string // of the origin's responses, in canonical form; empty if there are no cache tags

	*underway
}

// underway are the fills of a site, and of those that it goes on from.
type underway struct {
	mu      sync.Mutex
	fills   map[key]*fill      // that a request may join, at most one for each key
	running map[*fill]struct{} // all of them
	begun   uint64             // how many there were
}

// behavior is a CacheBehavior as it is served.
type behavior struct {
	*distribution.CacheBehavior
	conduct

	caching   distribution.Caching
	keying    keying
	functions functions
	quick     quickness
}

// caches reports whether an answer to a request with this method may come from
// the cache. HEAD is answered by what a GET has brought.
func (b *behavior) caches(method string) bool {
	return b.caching.Caches() && b.cached[method]
}

func newSite(number uint32, d distribution.Distribution, c *Config, s *store) (*site, error) {
	made := &site{
		number: number, config: d,
		epochs: newEpochs(maxRecords), store: s, underway: &underway{fills: make(map[key]*fill), running: make(map[*fill]struct{})},
		errors: make(map[int]distribution.CustomErrorResponse, len(d.Config.CustomErrorResponses)),
	}
	made.logsPlain = accesslog.Plain(c.PoP) && accesslog.Plain(d.DomainName)
	var err error
	if made.security, err = securityOf(&d); err != nil {
		return nil, fmt.Errorf("distribution %s: %w", d.ID, err)
	}
	if tags := d.Config.CacheTagConfig; tags != nil {
		made.tagHeader = http.CanonicalHeaderKey(tags.HeaderName)
	}
	for _, r := range d.Config.CustomErrorResponses {
		made.errors[r.ErrorCode] = r
	}
	if root := d.Config.DefaultRootObject; root != "" {
		made.root = freshet.KeyPaths(root)[0]
	}
	made.reach = func(o distribution.Origin) (*origin, *dialing, error) { return c.origin(made.config, o) }
	if made.targets, err = made.newTargets(); err != nil {
		return nil, err
	}
	made.behaviors = make([]behavior, 0, len(d.Config.CacheBehaviors)+1) // which stay where they are
	for i := range len(d.Config.CacheBehaviors) + 1 {
		b := made.config.Config.BehaviorAt(i)
		caching, err := d.Caching(b)
		if err != nil {
			return nil, fmt.Errorf("behavior %d of distribution %s: %w", i, d.ID, err)
		}
		conduct, err := newConduct(&made.config, b, made.targets, c.Log)
		if err != nil {
			return nil, fmt.Errorf("behavior %d of distribution %s: %w", i, d.ID, err)
		}
		made.behaviors = append(made.behaviors, behavior{CacheBehavior: b, conduct: conduct, caching: caching, keying: newKeying(&caching)})
		added := &made.behaviors[len(made.behaviors)-1]
		added.keying.beyond = &added.forwarding
		added.functions = functionsOf(b, &made.config, c)
		added.quick = quicknessOf(added)
	}
	return made, nil
}

// close lets go of the connections to the origins that nobody uses.
func (s *site) close() {
	for _, d := range s.dialing {
		d.hangUp()
	}
	s.choices.close()
}

// lookup returns the copy stored under k, fresh or expired, or nil if there is
// none that has not been invalidated.
func (s *site) lookup(k key) *entry {
	pk := packedKey(k)
	r := s.store.arena.EnterAnywhere()
	v := r.Get(&pk)
	if v.IsNone() {
		r.Leave()
		return nil
	}
	if !s.epochs.holds(v) {
		r.Leave()
		s.store.arena.Drop(&pk, func(v packed.View) bool { return !s.epochs.holds(v) })
		return nil
	}
	defer r.Leave()
	return s.store.unpack(r, v)
}

// hasNewer reports whether what is stored under the key of e was fetched later.
func (s *site) hasNewer(e *entry) bool {
	pk := packedKey(e.key)
	r := s.store.arena.EnterAnywhere()
	defer r.Leave()
	v := r.Peek(&pk)
	return !v.IsNone() && v.Begun() > e.begun && s.epochs.holds(v)
}

// peek is lookupFor without a trace: what was invalidated stays in the store, and
// no use is counted.
func (s *site) peek(q *query) *entry {
	e := s.store.peek(q.key)
	if e == nil || !s.epochs.admits(&e.stamp, e.names) || !s.answersAlias(e, q.alias) {
		return nil
	}
	return e
}

// join finds what answers a query that no stored copy did: a copy stored in the
// meantime, or else a fill to wait for, which begins with this query if mine is
// true and then has the expired copy in old, if there is one.
//
// A fill is joined only if it began after the last invalidation of its URL; the
// older one goes on for those who asked before. One whose answer may be for one
// viewer only is joined by nobody who waits, but it is reason enough not to ask
// behind everybody's back.
func (s *site) join(q *query, now time.Time, behind bool) (stored *entry, f *fill, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f = &fill{ready: make(chan struct{})}
	// In this order: what is found valid after the fetch was stamped cannot
	// have been invalidated before it.
	s.epochs.begin(&f.stamp)
	old := s.lookupFor(q)
	if old != nil && (old.answers(now) || behind && old.resting(now)) {
		return old, nil, false
	}
	apart := !behind && (!q.behavior.collapses() || old != nil && old.life.each)
	if f := s.fills[q.key]; f != nil && !apart && s.joinable(f) && s.serves(f, q) {
		if !behind {
			f.adopt()
		}
		return nil, f, false
	}
	if old != nil && old.isMark() {
		old = nil
	}
	if old != nil {
		old.claim.enter()
	}
	f.old, f.names, f.tagged = old, q.names(s.root), s.tagHeader == ""
	f.key = key{q.key.site, strings.Clone(q.key.url), q.key.variant} // not the whole request line
	f.kept = f.key
	s.fills[f.key] = f
	s.running[f] = struct{}{}
	s.begun++
	f.begun, f.at = s.begun, s.underway
	if !behind {
		f.adopt()
	}
	return nil, f, true
}

// collapses reports whether requests with one key wait for one answer. They do
// not where cookies are forwarded.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html#request-custom-traffic-spikes
func (b *behavior) collapses() bool { return !b.keying.cookiesMayBeSet() }

// leave lets no further request join f.
func (s *site) leave(f *fill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fills[f.key] == f {
		delete(s.fills, f.key)
	}
}

// end forgets a fill that has stored what it will store.
func (s *site) end(f *fill) {
	s.leave(f)
	if f.old != nil {
		f.old.claim.leave()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, f)
	if f.orphaned != nil {
		f.orphaned.remove(f)
		f.orphaned = nil
	}
}

// keep stores what a fill brought, and reports whether it may be used. It may not
// if it was invalidated after the fetch began. It does not take the place of what
// a later fetch has brought, which may have begun because of an invalidation that
// does not concern this one, or where requests do not wait for one another.
func (s *site) keep(e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.epochs.admits(&e.stamp, e.names) {
		return false
	}
	if s.hasNewer(e) {
		return true
	}
	e.ready = s.readied(e)
	s.store.put(e)
	return true
}

// checkFills brings the stamps of all running fills up to date, and returns the
// lower of epoch and that at which the oldest began whose tags are unknown.
func (s *site) checkFills(epoch uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.running {
		s.epochs.valid(&f.stamp, f.names)
		if f.old != nil {
			s.epochs.valid(&f.old.stamp, f.old.names)
		}
		if !f.tagged {
			epoch = min(epoch, f.birth)
		}
	}
	return epoch
}

// hosts finds the distribution of a request by its Host header.
type hosts struct {
	byName map[string]*site
	only   *site // answers every other host; nil when there are several
}

func newHosts(sites []*site) (hosts, error) {
	h := hosts{byName: make(map[string]*site)}
	if len(sites) == 1 {
		h.only = sites[0]
	}
	for _, s := range sites {
		for _, name := range s.config.Hosts() {
			name = strings.ToLower(name)
			if name == "" {
				continue
			}
			if other := h.byName[name]; other != nil && other != s {
				return hosts{}, fmt.Errorf("distributions %s and %s both answer %s", other.config.ID, s.config.ID, name)
			}
			h.byName[name] = s
		}
	}
	return h, nil
}

// find returns nil for a host that no distribution answers.
func (h hosts) find(host string) *site {
	if s := h.byName[host]; s != nil {
		return s
	}
	name := host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		name = bare
	}
	if s := h.named(name); s != nil {
		return s
	}
	return h.only
}

// named returns the distribution that has a name, without a port, or nil. An
// alias such as *.example.com stands for all names below example.com, however
// deep, that no more specific alias stands for.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/CNAMEs.html#alternate-domain-names-wildcard
func (h hosts) named(name string) *site {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if s := h.byName[name]; s != nil {
		return s
	}
	for _, parent, ok := strings.Cut(name, "."); ok; _, parent, ok = strings.Cut(parent, ".") {
		if s := h.byName["*."+parent]; s != nil {
			return s
		}
	}
	return nil
}
