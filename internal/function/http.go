package function

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// RequestOf makes what a function sees of an HTTP request. path is escaped as
// the viewer sent it, query is nil where there is no question mark, and host is
// the Host header, which Go keeps apart from the others. Headers that CloudFront
// does not show to functions are left out.
func RequestOf(method, host, path string, query *string, header http.Header) Request {
	r := Request{Method: method, URI: path, Raw: query, Headers: shown(header, "Cookie", "Host")}
	if host != "" {
		r.Headers = append(Fields{{Name: "host", Value: Value{Value: host}}}, r.Headers...)
	}
	if query != nil {
		r.QueryString = parseQuery(*query)
	}
	for _, line := range header.Values("Cookie") {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.TrimSpace(part); part != "" {
				name, value, _ := strings.Cut(part, "=")
				r.Cookies.add(name, Value{Value: value})
			}
		}
	}
	return r
}

// ResponseOf makes what a function sees of an HTTP response.
func ResponseOf(status int, header http.Header) Response {
	r := Response{StatusCode: status, StatusDescription: http.StatusText(status), Headers: shown(header, "Set-Cookie")}
	for _, line := range header.Values("Set-Cookie") {
		pair, attributes, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if name != "" {
			r.Cookies.add(name, Value{value, strings.TrimSpace(attributes)})
		}
	}
	return r
}

// shown returns the headers that functions see, sorted by name.
func shown(header http.Header, except ...string) (fs Fields) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if Hidden(name) || slices.Contains(except, http.CanonicalHeaderKey(name)) {
			continue
		}
		for _, v := range header[name] {
			fs.add(strings.ToLower(name), Value{Value: v})
		}
	}
	return fs
}

// Host returns the Host header.
func (r Request) Host() string {
	host, _ := r.Headers.Get("host")
	return host.Value.Value
}

// Header returns the headers with their cookies, and without Host. The first
// letter of each word is a capital, as CloudFront writes them.
func (r Request) Header() http.Header {
	h := written(r.Headers)
	h.Del("Host")
	var pairs []string
	for _, c := range r.Cookies {
		for _, v := range c.Values() {
			pairs = append(pairs, c.Name+"="+v.Value)
		}
	}
	if len(pairs) > 0 {
		h.Add("Cookie", strings.Join(pairs, "; "))
	}
	return h
}

// Header returns the headers with one Set-Cookie for each value of a cookie.
func (r Response) Header() http.Header {
	h := written(r.Headers)
	for _, c := range r.Cookies {
		for _, v := range c.Values() {
			line := c.Name + "=" + v.Value
			if v.Attributes != "" {
				line += "; " + v.Attributes
			}
			h.Add("Set-Cookie", line)
		}
	}
	return h
}

func written(fs Fields) http.Header {
	h := make(http.Header, len(fs)+1)
	for _, f := range fs {
		for _, v := range f.Values() {
			h.Add(f.Name, v.Value)
		}
	}
	return h
}

// Query returns the query string, without its question mark. It is Raw where
// that is known, and put together from QueryString otherwise.
func (r Request) Query() string {
	if r.Raw != nil {
		return *r.Raw
	}
	var pairs []string
	for _, p := range r.QueryString {
		for _, v := range p.Values() {
			pairs = append(pairs, p.Name+"="+v.Value)
		}
	}
	return strings.Join(pairs, "&")
}

// parseQuery takes a query string apart. Names and values stay as they are
// escaped; CloudFront shows them so, and sends on what it is given.
func parseQuery(query string) (fs Fields) {
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			fs.add(name, Value{Value: value})
		}
	}
	return fs
}

// Path returns the URI with what may not stand in a request line escaped:
// spaces, ?, # and all that is not ASCII, which a function may have put in
// unescaped. CloudFront sends on such characters in UTF-8.
func (r Request) Path() string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(r.URI) {
		c := r.URI[i]
		if c <= ' ' || c >= 0x7F || c == '?' || c == '#' {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
