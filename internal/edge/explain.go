package edge

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/function"
)

// Explain says what the edge does with a request, by the very decisions with
// which it serves, and asks no origin. With look it also says what is in the
// cache now. Nothing is counted, stored or forgotten by it; functions are run,
// without their lines in the log.
func (e *Edge) Explain(question Question, look bool) (Way, error) {
	at := e.serving()
	s := at.byID[question.Distribution]
	if question.Distribution == "" {
		if s = at.hosts.find(question.Host); s == nil {
			return Way{}, fmt.Errorf("explain a request: %w: none answers to the host %q", ErrUnknownDistribution, question.Host)
		}
	}
	if s == nil {
		return Way{}, fmt.Errorf("explain a request at %q: %w", question.Distribution, ErrUnknownDistribution)
	}
	r, err := question.request(usualHost(&s.config))
	if err != nil {
		return Way{}, err
	}
	x := explaining{edge: e, site: s, now: time.Now(), runs: look}
	x.way = Way{Distribution: s.config.ID, Method: r.Method, URL: schemeOf(r) + r.Host + r.RequestURI, Viewer: viewerAddr(r).String()}
	q, why := e.readAt(s, r)
	if tooLarge(r) {
		q, why = query{}, refuseSize()
	}
	if q.behavior != nil {
		x.admitted(r, &q)
	}
	if why != nil {
		x.refused(&q, why)
		return x.way, nil
	}
	if r, q = x.called(r, q); x.way.Refused == nil && (x.way.Function == nil || x.way.Function.Generated == nil) {
		x.served(r, &q, question.Answers)
		if look {
			x.way.Live = x.look(r, &q)
		}
	}
	return x.way, nil
}

// Answering returns the ID of the distribution that answers requests for a host,
// and whether there is one.
func (e *Edge) Answering(host string) (id string, ok bool) {
	s := e.serving().hosts.find(host)
	if s == nil {
		return "", false
	}
	return s.config.ID, true
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://"
	}
	return "http://"
}

// explaining is one explanation in the making.
type explaining struct {
	edge *Edge
	site *site
	now  time.Time
	runs bool // the edge is one that serves: what it does not know it does not do
	way  Way
}

func (x *explaining) note(format string, args ...any) {
	x.way.Notes = append(x.way.Notes, fmt.Sprintf(format, args...))
}

// patternOf is the path pattern of a behavior; * is the default one's.
func patternOf(b *behavior) string {
	if b.PathPattern == "" {
		return "*"
	}
	return b.PathPattern
}

// admitted says what the behavior that answers wants of viewers.
func (x *explaining) admitted(r *http.Request, q *query) {
	b := q.behavior
	x.way.Matched, x.way.Behavior = matchedPath(targetOf(r).path), patternOf(b)
	x.way.Access = &Access{
		Policy: [...]string{allowAll: "allow-all", redirectToHTTPS: "redirect-to-https", httpsOnly: "https-only"}[b.protocol], Secure: q.secure,
		Allowed: slices.Sorted(maps.Keys(b.allowed)), Cached: slices.Sorted(maps.Keys(b.cached)), Signed: b.keys != nil,
	}
}

func (x *explaining) refused(q *query, why *refusal) {
	x.way.Refused = &Refused{Status: why.status, Reason: why.reason, Location: why.location}
	if rule, ok := x.site.page(why.status); ok && q.behavior != nil {
		x.way.Refused.Page = rule.ResponsePagePath
	}
}

// called runs the function before the cache, as callFirst does.
func (x *explaining) called(r *http.Request, q query) (*http.Request, query) {
	b := q.behavior
	x.way.LastFunction = b.functions.response
	if x.knows(b) {
		seen := requestOf(r, targetOf(r))
		ev := function.Event{Context: function.Context{EventType: function.ViewerRequest, RequestID: requestID()}, Request: seen}
		result, err := x.edge.evaluate(x.site, r, b.functions.request, ev)
		to := b.to
		if err == nil {
			to, err = q.destined(result)
		}
		run := &FunctionRun{ARN: b.functions.request, Logs: result.Logs, Utilization: result.Utilization}
		x.way.Function = run
		switch {
		case err != nil:
			name, status := failureOf(err)
			run.Error = err.Error()
			x.way.Refused = &Refused{Status: status, Reason: string(name)}
		case result.Response != nil:
			run.Generated = generated(result.Response)
		default:
			run.Changes = changesBetween(&seen, result.Request)
			for _, c := range result.Origins {
				run.Changes = append(run.Changes, Change{What: "origin", Name: c.Method})
			}
			r, q = q.rewritten(r, result.Request)
			q.to = to
			run.URL = r.RequestURI
		}
	}
	for _, a := range b.LambdaFunctionAssociations {
		x.note("Lambda@Edge function %s, which is not run here, runs at %s", a.LambdaFunctionARN, a.EventType)
	}
	if b.keys != nil {
		r = unsigned(r)
	}
	return r, q
}

// knows reports whether b has a function before the cache that can be run.
func (x *explaining) knows(b *behavior) bool {
	for _, a := range b.FunctionAssociations {
		if a.EventType != string(function.ViewerRequest) {
			continue
		}
		why := "its code is not known"
		if b.functions.request != "" {
			_, _, err := x.edge.config.Function(a.FunctionARN)
			if err == nil || x.runs {
				return true
			}
			why = err.Error()
		}
		x.note("function %s sees the request before the cache is asked; what it does is not in what follows: %s", a.FunctionARN, why)
	}
	return false
}

func generated(made *function.Response) *Generated {
	g := &Generated{Status: made.StatusCode, Header: made.Header()}
	if made.Body != nil {
		body, _ := made.Body.Bytes() // the run has checked it
		g.Body = string(body)
	}
	return g
}

// changesBetween lists what a function has changed.
func changesBetween(before, after *function.Request) (all []Change) {
	if before.URI != after.URI {
		all = append(all, Change{What: "uri", Before: before.URI, After: after.URI})
	}
	if was, is := before.Query(), after.Query(); was != is {
		all = append(all, Change{What: "query string", Before: was, After: is, Added: was == "", Gone: is == ""})
	}
	all = append(all, fieldChanges("header", before.Headers, after.Headers)...)
	return append(all, fieldChanges("cookie", before.Cookies, after.Cookies)...)
}

func fieldChanges(what string, before, after function.Fields) (all []Change) {
	for _, f := range before {
		g, there := after.Get(f.Name)
		if was, is := valuesOf(f), valuesOf(g); was != is || !there {
			all = append(all, Change{What: what, Name: f.Name, Before: was, After: is, Gone: !there})
		}
	}
	for _, f := range after {
		if _, there := before.Get(f.Name); !there {
			all = append(all, Change{What: what, Name: f.Name, After: valuesOf(f), Added: true})
		}
	}
	return all
}

func valuesOf(f function.Field) string {
	var values []string
	for _, v := range f.Values() {
		values = append(values, v.Value)
	}
	return strings.Join(values, ", ")
}

// served says how an admitted request is answered.
func (x *explaining) served(r *http.Request, q *query, answers []Answer) {
	w, b := &x.way, q.behavior
	switch {
	case upgradeOf(r) != "":
		w.Uncached = "a WebSocket connection goes through to the origin"
	case b.caching.Caches() && !q.cached:
		w.Uncached = "answers to " + r.Method + " are not cached by this behavior"
	case !q.cached:
		w.Uncached = uncachedBecause(b)
	}
	if w.Uncached == "" {
		w.Key = x.key(r, q)
		w.Names = q.names(x.site.root)
		q.authorized = b.authorizes(x.edge.toOriginForAll(r, q))
		w.Lifetimes = x.lifetimes(q, answers)
		if r.Method == http.MethodHead {
			x.note("HEAD is answered from what a GET has stored; where there is nothing it goes to the origin as HEAD, and nothing is stored")
		}
	} else if changes(r.Method) && b.caching.Caches() {
		w.Names = q.names(x.site.root)
		x.note("a %s that succeeds removes the copies of its URL", r.Method)
	}
	how, part := q.course(r, nil, x.now, x.edge.multiple)
	passes := how == passed || w.Uncached != ""
	w.Ask = x.ask(r, q, passes, part)
	w.Errors = x.errorRules(r)
	w.Dressing = dressingOf(b, x.dressingPolicy(b), r)
	w.Compression = x.compression(r, q, passes)
	if b.collapses() || passes {
		return
	}
	x.note("requests do not wait for one another's answers, since cookies are forwarded")
}

func uncachedBecause(b *behavior) string {
	if b.keying.anyHeader {
		return "the behavior forwards all headers, so nothing is cached"
	}
	return "the MaxTTL of " + sourceOf(b) + " is 0, so nothing is cached"
}

// sourceOf names where a behavior's key and TTLs are configured.
func sourceOf(b *behavior) string {
	if b.CachePolicyID == "" {
		return "the behavior"
	}
	if b.caching.Policy == "" {
		return "cache policy " + b.CachePolicyID
	}
	return "cache policy " + b.caching.Policy
}
