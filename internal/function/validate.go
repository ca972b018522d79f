package function

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// accept turns what a function returned into a request that CloudFront goes on
// with, or says what is wrong with it.
func (r *Request) accept(was Request) *Error {
	r.Headers = merge(was.Headers, r.Headers)
	r.Cookies = merge(was.Cookies, r.Cookies)
	r.QueryString = merge(was.QueryString, r.QueryString)
	if r.Raw == nil && r.QueryString.equal(inKeyOrder(was.QueryString)) {
		r.QueryString, r.Raw = was.QueryString, was.Raw
	}
	switch {
	case r.Method != was.Method:
		return invalid("request.method must not be changed: it was %s and is %q", was.Method, r.Method)
	case !strings.HasPrefix(r.URI, "/"):
		return invalid("request.uri must begin with /: it is %q", r.URI)
	case strings.ContainsFunc(r.URI, isControl):
		return invalid("request.uri has a control character: %q", r.URI)
	}
	query := r.Query()
	if changed := query != was.Query(); changed && strings.ContainsFunc(query, func(c rune) bool { return isControl(c) || c == '\t' || c == ' ' || c == '#' }) {
		return invalid("request.querystring must not contain spaces, control characters or #: it is %q", query)
	}
	if n := len(r.URI) + len("?") + len(query); n >= maxURL && (r.URI != was.URI || query != was.Query()) {
		return invalid("request.uri and request.querystring take %d characters, CloudFront passes on less than %d", n, maxURL)
	}
	if err := checkHeaders("request.headers", was.Headers, r.Headers, readOnly(ViewerRequest)); err != nil {
		return err
	}
	return checkCookies("request.cookies", r.Cookies)
}

// accept does the same for a response. was is empty if the function made it.
func (r *Response) accept(was Response) *Error {
	r.Headers = merge(was.Headers, r.Headers)
	r.Cookies = merge(was.Cookies, r.Cookies)
	if r.StatusCode < 200 || r.StatusCode > 599 {
		return invalid("response.statusCode must be from 200 to 599: it is %d", r.StatusCode)
	}
	if strings.ContainsFunc(r.StatusDescription, isControl) {
		return invalid("response.statusDescription has a control character")
	}
	if r.Body != nil {
		raw, err := r.Body.Bytes()
		if err != nil {
			return invalid("response.body: %v", err)
		}
		if len(raw) > maxGenerate {
			return invalid("response.body has %d bytes, CloudFront passes on %d", len(raw), maxGenerate)
		}
	}
	if err := checkHeaders("response.headers", was.Headers, r.Headers, readOnly(ViewerResponse)); err != nil {
		return err
	}
	return checkCookies("response.cookies", r.Cookies)
}

// inKeyOrder orders fields as the properties of a JavaScript object: whole
// numbers first, then the others as they came.
func inKeyOrder(fs Fields) Fields {
	fs = slices.Clone(fs)
	slices.SortStableFunc(fs, func(a, b Field) int {
		x, xIsIndex := index(a.Name)
		y, yIsIndex := index(b.Name)
		switch {
		case xIsIndex && yIsIndex:
			return cmp.Compare(x, y)
		case xIsIndex:
			return -1
		case yIsIndex:
			return 1
		}
		return 0
	})
	return fs
}

func index(name string) (uint64, bool) {
	n, err := strconv.ParseUint(name, 10, 32)
	return n, err == nil && strconv.FormatUint(n, 10) == name && n < 1<<32-1
}
