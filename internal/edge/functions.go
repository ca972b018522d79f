package edge

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/function"
)

// Functions finds the function that a behavior names by its ARN, and the key
// value store that is associated with it, nil for none. It is called for every
// run, by many goroutines: what it compiles it should keep.
type Functions func(arn string) (*function.Program, function.Store, error)

// functions are the ARNs of what a behavior runs; empty for nothing.
type functions struct{ request, response string }

func (f functions) any() bool { return f.request != "" || f.response != "" }

// functionsOf returns the functions of b, none where nobody can find them.
func functionsOf(b *distribution.CacheBehavior, d *distribution.Distribution, c *Config) (f functions) {
	for _, a := range b.FunctionAssociations {
		switch {
		case c.Function == nil:
			c.Log.Warn("a function is not run, since its code is not known", slog.String("distribution", d.ID), slog.String("function", a.FunctionARN))
		case a.EventType == string(function.ViewerRequest):
			f.request = a.FunctionARN
		case a.EventType == string(function.ViewerResponse):
			f.response = a.FunctionARN
		}
	}
	return f
}

// failureOf is by what name a run's failure is shown, and its status. A function
// that cannot be found or does not compile gives no result either.
func failureOf(err error) (outcome, int) {
	kind := function.ExecutionError
	if failure := (*function.Error)(nil); errors.As(err, &failure) {
		kind = failure.Kind
	}
	return outcome(kind), kind.Status()
}

// call runs a function. What it logs goes into the edge's log, and so does its
// failure.
func (e *Edge) call(x *exchange, arn string, ev function.Event) (function.Result, error) {
	log := e.log.With(slog.String("distribution", x.site.config.ID), slog.String("function", arn), slog.String("path", ev.Request.URI))
	ev.Context.RequestID = idOf(x.Header())
	result, err := e.evaluate(x.site, x.r, arn, ev)
	for _, line := range result.Logs {
		log.Info("console.log", slog.String("line", line))
	}
	if err != nil {
		log.Warn("a function failed", slog.Any("error", err))
	}
	return result, err
}

// evaluate runs a function and tells nobody. Nothing is changed by it.
func (e *Edge) evaluate(s *site, r *http.Request, arn string, ev function.Event) (function.Result, error) {
	program, store, err := e.config.Function(arn)
	if err != nil {
		return function.Result{}, err
	}
	ev.Context.DistributionDomainName, ev.Context.DistributionID = s.config.DomainName, s.config.ID
	ev.Viewer.IP, _, _ = net.SplitHostPort(r.RemoteAddr)
	at, _, _ := strings.Cut(e.pop, "-")
	return program.Run(r.Context(), ev, function.Options{KVS: store, Edge: function.Edge{Name: at, ServerIP: "127.0.0.1", Region: "local"}})
}

// destined returns where the request goes on to that a function at
// viewer-request has made. The error is what the function did wrong.
func (q *query) destined(result function.Result) (*destination, error) {
	if result.Request == nil || len(result.Origins) == 0 {
		return q.behavior.to, nil
	}
	return q.site.chosen(q.behavior, result.Origins)
}

// callFirst runs the functions' part before the cache is asked. It returns the
// request as the function wants it, and the query for that, or reports that the
// viewer has got its answer. The behavior stays the one that the viewer's path
// chose.
func (e *Edge) callFirst(x *exchange, r *http.Request, q query) (*http.Request, query, bool) {
	b, t := q.behavior, targetOf(r)
	seen := requestOf(r, t)
	if b.functions.request != "" {
		result, err := e.call(x, b.functions.request, function.Event{Context: function.Context{EventType: function.ViewerRequest}, Request: seen})
		var to *destination
		if err == nil {
			if to, err = q.destined(result); err != nil {
				e.log.Warn("a function failed", slog.String("distribution", q.site.config.ID), slog.String("function", b.functions.request), slog.String("path", t.path), slog.Any("error", err))
			}
		}
		switch {
		case err != nil:
			name, status := failureOf(err)
			e.refuse(x, r, &refusal{status: status, reason: "The function at the edge gave no usable result.", result: name})
			return r, q, true
		case result.Response != nil:
			e.sendGenerated(x, r, result.Response)
			return r, q, true
		}
		seen = *result.Request
		r, q = q.rewritten(r, &seen)
		q.to = to
	}
	if b.functions.response != "" {
		x.last = &lastCall{edge: e, arn: b.functions.response, request: seen}
	}
	return r, q, false
}

func requestOf(r *http.Request, t target) function.Request {
	var text *string
	if strings.Contains(t.url, "?") {
		text = &t.text
	}
	return function.RequestOf(r.Method, r.Host, t.path, text, r.Header)
}

// rewritten returns r as a function has made it, and the query for that.
func (q *query) rewritten(r *http.Request, made *function.Request) (*http.Request, query) {
	to := target{path: made.Path(), text: made.Query()}
	to.url = to.path
	if to.text != "" {
		to.url += "?" + to.text
	}
	next := r.WithContext(r.Context())
	next.RequestURI = to.url
	next.Header = made.Header()
	for name, values := range r.Header {
		if function.Hidden(name) {
			next.Header[name] = values
		}
	}
	changed := q.site.queryAt(q.behavior, next, to)
	changed.secure = q.secure
	if before := q.names("")[0]; before != changed.names("")[0] {
		changed.alias = before
	}
	return next, changed
}

// lookupFor is lookup for a request whose URL a function may have rewritten. A
// copy that was not asked for by the viewer's URL before is only used if it is
// known that nothing covering that URL was invalidated since it was fetched.
func (s *site) lookupFor(q *query) *entry {
	found := s.lookup(q.key)
	if found == nil || q.alias == "" || found.isNamed(q.alias) {
		return found
	}
	if !s.answersAlias(found, q.alias) {
		s.store.drop(found)
		return nil
	}
	if len(found.names) >= maxNames {
		return found
	}
	named := found.named(q.alias)
	named.ready = s.readied(named)
	s.store.replace(found, named)
	return named
}

// answersAlias reports whether nothing is known against a copy that is found by
// what a function made of the URL alias, empty for none.
func (s *site) answersAlias(found *entry, alias string) bool {
	return alias == "" || found.isNamed(alias) || s.epochs.untouched(&found.stamp, alias)
}

// serves reports whether the answer of f, which may be the expired copy, may go
// to q although another URL was rewritten to the same one when it began. s.mu is
// held.
func (s *site) serves(f *fill, q *query) bool {
	if q.alias == "" {
		return true
	}
	if f.old != nil && !s.answersAlias(f.old, q.alias) {
		return false
	}
	return slices.Contains(f.names, q.alias) || s.epochs.untouched(&f.stamp, q.alias)
}

// untouched reports whether nothing that covers the name was invalidated since s
// began. It is false, too, once that may have been forgotten.
func (e *epochs) untouched(s *stamp, name string) bool {
	r := e.records.Load()
	return s.birth >= r.floor && r.root.invalidated(name) <= s.birth
}

// maxNames is how many names are remembered of a response.
const maxNames = 128

func (e *entry) isNamed(name string) bool { return slices.Contains(e.names, name) }

// named returns the entry with one more name. It counts as checked at its birth,
// since what was found later did not ask for that name.
func (e *entry) named(name string) *entry {
	named := &entry{
		key: e.key, names: append(slices.Clip(e.names), name), status: e.status, header: e.header, body: e.body, piece: e.piece, remote: e.remote, claim: e.claim, part: e.part,
		begun: e.begun, received: e.received, age: e.age, aged: e.aged, life: e.life,
	}
	named.birth = e.birth
	named.checked.Store(e.birth)
	named.retry.Store(e.retry.Load())
	return named
}
