package edge

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// theID stands for what is different with each request.
const theID = "…"

// ask is the request that the origin gets: for this viewer alone if it passes,
// and else for everybody. part is the range that is asked for; empty for the
// whole.
func (x *explaining) ask(r *http.Request, q *query, passes bool, part string) *Ask {
	named := *q
	named.id = theID
	asked := asking{method: q.method, header: x.edge.toOriginForAll(r, &named), host: q.host, secure: q.secure}
	if part != "" {
		asked.header.Set("Range", part)
	}
	if passes {
		asked.method, asked.header = r.Method, x.edge.toOrigin(r, &named)
		asked.setUpgrade(upgradeOf(r))
	}
	to := q.to
	first := x.askOf(to.primary, r, q, asked)
	if first != nil && to.secondary != nil && failsOver(asked.method) {
		first.FailsOver = slices.Sorted(maps.Keys(to.failover))
		first.Second = x.askOf(to.secondary, r, q, asked)
	}
	return first
}

// askOf returns nil for a path that cannot be asked for.
func (x *explaining) askOf(o *origin, viewer *http.Request, q *query, a asking) *Ask {
	r, err := o.request(viewer.Context(), a, q.path, q.forwarded)
	if err != nil {
		x.note("origin %s cannot be asked: %v", o.config.ID, err)
		return nil
	}
	made := &Ask{
		Origin: o.config.ID, Method: r.Method, URL: r.URL.String(), Host: r.Host, Header: r.Header, Attempts: o.attempts, Signing: signing(o.config),
		Timeouts: Timeouts{connectTimeout(o.config).Seconds(), o.patience.Seconds(), o.completion.Seconds(), keepAlive(o.config).Seconds()},
	}
	if via := r.Header.Get("Via"); via != "" {
		made.Header["Via"] = []string{strings.ReplaceAll(via, x.edge.via, "1.1 "+theID+cloudfrontHop)}
	}
	made.compare(viewer.Header, q.behavior, viewer.Method)
	return made
}

// signing says what signs requests to an origin; empty for nothing.
func signing(o distribution.Origin) string {
	switch {
	case o.OriginAccessControlID != "":
		return "origin access control " + o.OriginAccessControlID
	case o.S3OriginConfig != nil && o.S3OriginConfig.OriginAccessIdentity != "":
		return o.S3OriginConfig.OriginAccessIdentity
	}
	return ""
}

// compare lists in what the headers differ from the viewer's.
func (a *Ask) compare(viewer http.Header, b *behavior, method string) {
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		if sent, there := viewer[name]; !there {
			a.Added = append(a.Added, name)
		} else if !slices.Equal(sent, a.Header[name]) {
			a.Changed = append(a.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(viewer)) {
		if _, goes := a.Header[name]; !goes {
			a.Removed = append(a.Removed, LeftOut{name, b.keptBack(name, method)})
		}
	}
}

// keptBack says why a header of the viewer does not go to the origin.
func (b *behavior) keptBack(name, method string) string {
	switch {
	case slices.Contains(hopByHop, name):
		return "it concerns one connection only"
	case slices.Contains(removed, name) || isUnsent(name):
		return "no configuration sends it on"
	case isCloudFronts(name):
		return "only CloudFront itself says it"
	case name != "Cookie" && b.forwards(name, method):
		return "the answer is kept for everybody"
	}
	return "neither the cache key nor an origin request policy has it"
}

// lifetimes judges what an origin may answer: what was asked about, or else the
// usual.
func (x *explaining) lifetimes(q *query, answers []Answer) (all []Lifetime) {
	if len(answers) == 0 {
		answers = []Answer{
			{200, http.Header{"Cache-Control": {"max-age=3600"}}}, {200, nil}, {200, http.Header{"Cache-Control": {"no-cache"}}}, {404, nil}, {503, nil},
		}
	}
	for _, a := range answers {
		all = append(all, x.lifetime(q, a, x.now))
	}
	return all
}

// lifetime judges one answer that arrived at some time.
func (x *explaining) lifetime(q *query, a Answer, at time.Time) Lifetime {
	h := make(http.Header, len(a.Header))
	for name, values := range a.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	l, why := rule(&q.behavior.caching, arrival{status: a.Status, header: h, at: at, errorTTL: q.site.errorTTL(a.Status), authorized: q.authorized})
	made := Lifetime{Answer: a, Stored: l.store, Fresh: int64(l.fresh / time.Second), By: why.by, Said: why.said, Behind: int64(l.behind / time.Second)}
	if l.store && l.staleOnError {
		made.Stale = max(int64(l.staleFor/time.Second), -1)
		if l.staleFor < 0 {
			made.Stale = -1
		}
	}
	if made.Reason = reasonOf(a.Status, l, why); q.authorized && !sharedDespiteAuthorization(h) {
		made.Reason = "the origin sees an Authorization that is not in the cache key, and does not say public, s-maxage or must-revalidate"
	}
	return made
}

// reasonOf puts a ruling into words.
func reasonOf(status int, l lifetime, why ruling) string {
	switch {
	case storingOf(status) == never:
		return "answers with this status are not cached"
	case storingOf(status) == ifItSaysSo && why == ruling{}:
		return "cached only with Cache-Control or Expires"
	case storingOf(status) == asErrorIfItSaysSo && why == ruling{}:
		return "cached only with max-age or s-maxage"
	case why.by == "ErrorCachingMinTTL":
		return "the error caching minimum TTL"
	case why.by == "DefaultTTL":
		return "DefaultTTL, since the origin says nothing"
	case why.by == "MaxTTL" && why.said == "":
		return "MaxTTL, which is less than the error caching minimum TTL"
	case why.by == "MaxTTL":
		return "MaxTTL, which is less than the origin's " + why.said
	case why.by == "MinTTL" && why.said == "":
		return "MinTTL, since the origin says nothing"
	case why.by == "MinTTL" && l.fresh > 0:
		return "MinTTL, which overrules the origin's " + why.said
	case why.by == "MinTTL":
		return "the origin's " + why.said + ", since MinTTL is 0"
	case why.said == "Vary: *":
		return "the origin's Vary: *, since MinTTL is 0"
	}
	return "the origin's " + why.said
}
