package edge

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/edge/compress"
)

// errorRules are those of the distribution, by status.
func (x *explaining) errorRules(r *http.Request) (all []ErrorRule) {
	for _, status := range slices.Sorted(maps.Keys(x.site.errors)) {
		rule := x.site.errors[status]
		made := ErrorRule{Status: status, MinTTL: int64(x.site.errorTTL(status).Seconds()), Page: rule.ResponsePagePath}
		if made.Page != "" {
			made.As = cmp.Or(rule.ResponseCode, status)
			page := x.site.query(pageRequest(r, made.Page), splitTarget(made.Page))
			made.Behavior = patternOf(page.behavior)
		}
		all = append(all, made)
	}
	return all
}

// dressingPolicy names the response headers policy of b; empty for none.
func (x *explaining) dressingPolicy(b *behavior) string {
	p, err := x.site.config.ResponseHeaders(b.CacheBehavior)
	if err != nil || p == nil {
		return ""
	}
	return cmp.Or(p.Config.Name, p.ID)
}

// dressingOf tries what is done to an answer without headers, and to one that has
// them all.
func dressingOf(b *behavior, policy string, r *http.Request) *Dressing {
	d := b.dressing
	if d == nil {
		return nil
	}
	const origins = "of the origin"
	bare, full := make(http.Header), make(http.Header)
	d.applySteady(bare, r)
	for name := range bare {
		full[name] = []string{origins}
	}
	d.applySteady(full, r)
	made := &Dressing{Policy: policy, Timing: 0}
	for _, name := range d.remove {
		if name != "Server" { // which becomes CloudFront's
			made.Removed = append(made.Removed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bare)) {
		value := strings.Join(bare[name], ", ")
		made.Set = append(made.Set, Dress{Name: name, Value: value, Override: !strings.Contains(strings.Join(full[name], ", "), origins)})
	}
	if d.timing {
		made.Timing = d.sampling * 100
	}
	return made
}

// compression tries what is done to an answer that lends itself to it.
func (x *explaining) compression(r *http.Request, q *query, passes bool) *Compression {
	k := &q.behavior.keying
	q.accepts = k.encodings(acceptEncoding(r))
	ideal := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}}, ContentLength: compress.Smallest}
	coding := q.encoding(&response{Response: ideal})
	switch {
	case passes:
		return &Compression{Reason: "what is not cached is passed on as it is"}
	case !q.behavior.Compress:
		return &Compression{Reason: "compression is off in the behavior"}
	case !k.gzip && !k.brotli:
		return &Compression{Reason: "the cache key has neither gzip nor Brotli"}
	case q.method != http.MethodGet:
		return &Compression{Reason: "only answers to GET are compressed"}
	case coding == compress.None:
		return &Compression{Reason: "the viewer accepts neither gzip nor Brotli as far as the cache key has them"}
	}
	return &Compression{Coding: string(coding), Reason: "if the origin answers 200, 403 or 404 with a Content-Type that is compressed and a Content-Length of 1,000 to 10,000,000 bytes, without Content-Encoding and no-transform"}
}
