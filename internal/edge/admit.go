package edge

import (
	"net"
	"net/http"
	"strconv"
	"strings"
)

// admit says why a behavior does not answer a request, or nothing. The protocol
// comes first: a viewer who is sent elsewhere learns nothing else.
func (e *Edge) admit(r *http.Request, q *query) *refusal {
	c := &q.behavior.conduct
	switch {
	case !q.secure && c.protocol == redirectToHTTPS:
		return e.redirection(r)
	case !q.secure && c.protocol == httpsOnly:
		return &refusal{status: http.StatusForbidden, reason: "This distribution answers HTTPS only."}
	case !c.allowed[r.Method]:
		return &refusal{status: http.StatusForbidden, reason: "The distribution is not configured to allow this method."}
	case r.ContentLength != 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return &refusal{status: http.StatusForbidden, reason: "A GET or HEAD request must not have a body."}
	}
	return nil
}

// redirection sends a viewer to the same URL over HTTPS: with 301 for GET and
// HEAD, and for the other methods with 307, which keeps the method. Viewers of
// HTTP/1.0 do not know a 307.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-https-viewers-to-cloudfront.html
func (e *Edge) redirection(r *http.Request) *refusal {
	status := http.StatusMovedPermanently
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusTemporaryRedirect
		if !r.ProtoAtLeast(1, 1) {
			return &refusal{status: http.StatusForbidden, reason: "This distribution answers this method over HTTPS only."}
		}
	}
	return &refusal{status: status, reason: "This distribution answers HTTPS only.", location: e.secured(r)}
}

// secured is the URL of a request over HTTPS.
func (e *Edge) secured(r *http.Request) string {
	host := r.Host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		host = bare
		if strings.Contains(bare, ":") {
			host = "[" + bare + "]"
		}
	}
	if e.tlsPort != 0 && e.tlsPort != 443 {
		host += ":" + strconv.Itoa(e.tlsPort)
	}
	t := targetOf(r)
	to := "https://" + host + escapePath(t.path)
	if t.text != "" {
		to += "?" + t.text
	}
	return to
}
