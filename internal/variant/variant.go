// Package variant lists the requests that a cache key tells apart, as far as a
// configuration says what they are.
package variant

import (
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// Field is a header, a cookie or a parameter of a query string.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Variant is one way to ask for a URL.
type Variant struct {
	Encoding string  // Accept-Encoding
	Headers  []Field // others
	Cookies  []Field
	Query    []Field // added to the URL's own
}

// String names what tells v from others, such as br or gzip, X-Device: tablet.
func (v Variant) String() string {
	parts := []string{v.Encoding}
	for _, h := range v.Headers {
		parts = append(parts, h.Name+": "+h.Value)
	}
	for _, c := range v.Cookies {
		parts = append(parts, "cookie "+c.Name+"="+c.Value)
	}
	for _, q := range v.Query {
		parts = append(parts, "?"+q.Name+"="+q.Value)
	}
	return strings.Join(parts, ", ")
}

// Given is what somebody knows viewers to send.
type Given struct {
	Encodings []string // values of Accept-Encoding in place of those that the key tells apart
	Headers   []Field
	Cookies   []Field
	Query     []Field
}

// Set is the variants of a URL. What is in the key and has values that nobody
// gave is in Unknown, in words.
type Set struct {
	Variants []Variant
	Unknown  []string
}

// Most is how many variants one URL may have.
const Most = 256

// The values of Accept-Encoding that CloudFront's cache key knows, and what stands
// for none of them.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/controlling-the-cache-key.html
const (
	None   = "identity"
	Gzip   = "gzip"
	Brotli = "br"
	Both   = "br, gzip"
)

// Of lists the variants that a behavior's cache tells apart: every encoding that
// is in its key, and for every header, cookie and parameter that is, its absence
// and the values that were given. What was given and is not in the key is sent
// with all of them, since the origin may want it.
func Of(c distribution.Caching, g Given) (Set, error) {
	if !c.Caches() {
		c = distribution.Caching{}
	}
	axes := [][]Variant{encodings(c, g.Encodings)}
	s := Set{}
	var always Variant
	headers, unknown := split(c.Headers, g.Headers, true)
	for _, group := range headers.in {
		axes = append(axes, axis(group, func(f Field) Variant { return Variant{Headers: []Field{f}} }))
	}
	always.Headers = headers.out
	s.Unknown = append(s.Unknown, said("header", "header", c.Headers, unknown)...)
	cookies, unknown := split(c.Cookies, g.Cookies, false)
	for _, group := range cookies.in {
		axes = append(axes, axis(group, func(f Field) Variant { return Variant{Cookies: []Field{f}} }))
	}
	always.Cookies = cookies.out
	s.Unknown = append(s.Unknown, said("cookie", "cookie", c.Cookies, unknown)...)
	query, unknown := split(c.QueryStrings, g.Query, false)
	for _, group := range query.in {
		axes = append(axes, axis(group, func(f Field) Variant { return Variant{Query: []Field{f}} }))
	}
	always.Query = query.out
	s.Unknown = append(s.Unknown, said("query parameter", "query", c.QueryStrings, unknown)...)
	all, err := product(axes)
	if err != nil {
		return Set{}, err
	}
	for i := range all {
		all[i] = all[i].and(always)
	}
	s.Variants = all
	return s, nil
}

// Unconfigured lists the variants of a URL of which nobody says what is in its
// key: those of all encodings.
func Unconfigured(g Given) (Set, error) {
	s, err := Of(distribution.Caching{MaxTTL: 1, Gzip: true, Brotli: true}, g)
	s.Unknown = append(s.Unknown, "no distribution is configured for the host, so what its cache tells apart is not known")
	return s, err
}

// encodings are the variants by Accept-Encoding, most asked for first.
func encodings(c distribution.Caching, given []string) []Variant {
	var values []string
	listed := c.Headers.Mode == distribution.Listed && slices.ContainsFunc(c.Headers.Names, isAcceptEncoding)
	switch {
	case len(given) > 0:
		values = given
	case c.Gzip && c.Brotli || listed:
		values = []string{Both, Gzip, Brotli, None}
	case c.Brotli:
		values = []string{Brotli, None}
	case c.Gzip:
		values = []string{Gzip, None}
	default:
		values = []string{None}
	}
	all := make([]Variant, len(values))
	for i, v := range values {
		all[i] = Variant{Encoding: v}
	}
	return all
}

func isAcceptEncoding(name string) bool { return strings.EqualFold(name, "Accept-Encoding") }

// axis is none of the values, and each of them.
func axis(values []Field, of func(Field) Variant) []Variant {
	all := []Variant{{}}
	for _, f := range values {
		all = append(all, of(f))
	}
	return all
}

// parted is what was given: by name what is in the key, and the rest.
type parted struct {
	in  [][]Field
	out []Field
}

// split parts what was given, and returns the listed names of which no value was.
func split(s distribution.Selection, given []Field, fold bool) (p parted, unknown []string) {
	same := func(a, b string) bool { return a == b || fold && strings.EqualFold(a, b) }
	for _, f := range given {
		if !selects(s, f.Name, same) {
			p.out = append(p.out, f)
			continue
		}
		i := slices.IndexFunc(p.in, func(group []Field) bool { return same(group[0].Name, f.Name) })
		if i < 0 {
			p.in = append(p.in, []Field{f})
		} else if !slices.Contains(p.in[i], f) {
			p.in[i] = append(p.in[i], f)
		}
	}
	if s.Mode != distribution.Listed {
		return p, nil
	}
	for _, name := range s.Names {
		if !slices.ContainsFunc(p.in, func(group []Field) bool { return same(group[0].Name, name) }) {
			unknown = append(unknown, name)
		}
	}
	return p, unknown
}

func selects(s distribution.Selection, name string, same func(a, b string) bool) bool {
	listed := slices.ContainsFunc(s.Names, func(n string) bool { return same(n, name) })
	switch s.Mode {
	case distribution.All:
		return true
	case distribution.Listed:
		return listed
	case distribution.AllBut:
		return !listed
	}
	return false
}

// said says what of a selection nobody can list.
func said(what, flag string, s distribution.Selection, unknown []string) (notes []string) {
	switch s.Mode {
	case distribution.All:
		return []string{fmt.Sprintf("every %s is in the cache key: only those given with --%s are looked at", what, flag)}
	case distribution.AllBut:
		return []string{fmt.Sprintf("every %s but %s is in the cache key: only those given with --%s are looked at", what, strings.Join(s.Names, ", "), flag)}
	}
	for _, name := range unknown {
		if what == "header" && (isAcceptEncoding(name) || strings.EqualFold(name, "Host")) {
			continue // the one has values of its own, and the other is that of the URL
		}
		notes = append(notes, fmt.Sprintf("%s %s is in the cache key: what is kept under its values is not looked at, but for those given with --%s", what, name, flag))
	}
	return notes
}

// product combines one of each axis with one of every other.
func product(axes [][]Variant) ([]Variant, error) {
	all := []Variant{{}}
	for _, axis := range axes {
		if len(all)*len(axis) > Most {
			return nil, fmt.Errorf("a URL has more than %d variants: give fewer headers, cookies and query parameters at a time", Most)
		}
		next := make([]Variant, 0, len(all)*len(axis))
		for _, v := range all {
			for _, w := range axis {
				next = append(next, v.and(w))
			}
		}
		all = next
	}
	return all, nil
}

func (v Variant) and(w Variant) Variant {
	if v.Encoding == "" {
		v.Encoding = w.Encoding
	}
	v.Headers = slices.Concat(v.Headers, w.Headers)
	v.Cookies = slices.Concat(v.Cookies, w.Cookies)
	v.Query = slices.Concat(v.Query, w.Query)
	return v
}
