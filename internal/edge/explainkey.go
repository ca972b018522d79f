package edge

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// key takes the cache key of q apart. r is what the function before the cache
// and the removal of a signature have left of the request.
func (x *explaining) key(r *http.Request, q *query) *Key {
	k := &q.behavior.keying
	made := &Key{URL: q.key.url, Variant: q.key.variant, Source: sourceOf(q.behavior)}
	made.headers(k, r)
	made.encodings(k, r)
	if cookies := k.cookie(r.Header["Cookie"]); cookies != "" || k.cookies.Mode == distribution.Listed {
		made.Parts = append(made.Parts, Part{Name: "cookies", Value: cookies, None: cookies == ""})
	}
	if r.Method == http.MethodOptions {
		made.Parts = append(made.Parts, Part{Name: "method", Value: r.Method})
	}
	made.leaveOut(k, r, q)
	return made
}

func (made *Key) headers(k *keying, r *http.Request) {
	for _, name := range k.headers {
		value, ok := viewerHeader(r, name)
		made.Parts = append(made.Parts, Part{Name: "header " + name, Value: value, None: !ok})
	}
}

// encodings shows what became of Accept-Encoding.
func (made *Key) encodings(k *keying, r *http.Request) {
	if !k.gzip && !k.brotli {
		return
	}
	kept, sent := k.encodings(acceptEncoding(r)), strings.Join(r.Header["Accept-Encoding"], ", ")
	p := Part{Name: "Accept-Encoding", Value: kept, None: kept == ""}
	if sent != kept {
		p.Sent = sent
	}
	made.Parts = append(made.Parts, p)
}

// leaveOut lists what the viewer sent, or a function made of it, that is not in
// the key.
func (made *Key) leaveOut(k *keying, r *http.Request, q *query) {
	out := func(name, reason string) {
		if o := (LeftOut{name, reason}); !slices.Contains(made.Out, o) {
			made.Out = append(made.Out, o)
		}
	}
	t := targetOf(r)
	if bare := t.unsigned(); q.behavior.keys != nil && bare != t {
		out("the signature in the query string", "it is checked and goes no further")
		t = bare
	}
	for parameter := range strings.SplitSeq(t.text, "&") {
		if name, _, _ := strings.Cut(parameter, "="); parameter != "" && k.query(parameter) == "" {
			out("query string parameter "+name, because(k.queryStrings, made.Source))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if reason := k.withoutHeader(name, made.Source); reason != "" {
			out("header "+name, reason)
		}
	}
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = trimSpace(pair); pair != "" && k.cookie([]string{pair}) == "" {
				out("cookie "+cookieName(pair), because(k.cookies, made.Source))
			}
		}
	}
}

// withoutHeader says why a header is not in the key; nothing if it is, or is
// shown elsewhere.
func (k *keying) withoutHeader(name, source string) string {
	switch {
	case name == "Cookie" || slices.Contains(k.headers, name):
		return ""
	case name == "Accept-Encoding" && (k.gzip || k.brotli):
		return ""
	case slices.Contains(hopByHop, name):
		return "it concerns one connection only"
	case isUnsent(name):
		return "no configuration sends it on"
	case isCloudFronts(name):
		return "only CloudFront itself says it"
	case name == "Range" || strings.HasPrefix(name, "If-"):
		return "the edge answers ranges and conditions from the whole"
	}
	return because(distribution.Selection{Mode: headerMode(k), Names: k.headers}, source)
}

func headerMode(k *keying) distribution.SelectionMode {
	if len(k.headers) == 0 {
		return distribution.None
	}
	return distribution.Listed
}

// because says why a selection does not have something.
func because(s distribution.Selection, source string) string {
	switch s.Mode {
	case distribution.Listed:
		return source + " has only " + strings.Join(s.Names, ", ")
	case distribution.AllBut:
		return source + " has all but " + strings.Join(s.Names, ", ")
	}
	return source + " has none"
}
