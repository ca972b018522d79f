package api

import (
	_ "embed"
	"net/http"
	"regexp"
	"strings"
)

// operationNames are the operations of CloudFront's API, one in a line: its
// name, its method and its path behind the version, in which * stands for an
// argument; those that are told from others by a parameter come first. It is how
// what we do not serve is called.
//
//go:embed operations.txt
var operationNames string

// unserved says why there is no operation for r.
func (h *handler) unserved(r *http.Request, segments []string) error {
	if len(segments) > 0 && segments[0] != version && regexp.MustCompile(`^20\d\d-\d\d-\d\d$`).MatchString(segments[0]) {
		return refuse(UnsupportedOperation, "The API version %s is not served here, %s is: use a client that speaks it", segments[0], version)
	}
	if len(segments) > 0 && segments[0] == version {
		if query := h.queryOf(r.Method, segments[1:]); query != "" {
			return refuse(InvalidArgument, "The query parameter %s is missing or not valid", query)
		}
		if name := operationCalled(r, segments[1:]); name != "" {
			return refuse(UnsupportedOperation, "%s is not implemented: this edge has no use for it", name)
		}
	}
	return refuse(UnsupportedOperation, "CloudFront's API has no operation %s %s", clip(r.Method), clip(r.URL.Path))
}

// queryOf is the parameter by which served operations with the same path are
// told apart, or empty.
func (h *handler) queryOf(method string, segments []string) string {
	for _, op := range h.operations {
		if _, ok := op.match(segments); ok && op.method == method {
			name, _, _ := strings.Cut(op.query, "=")
			return name
		}
	}
	return ""
}

// operationCalled is the name of one of CloudFront's operations, or empty.
func operationCalled(r *http.Request, segments []string) string {
	for line := range strings.Lines(operationNames) {
		words := strings.Fields(line)
		if len(words) != 3 || words[1] != r.Method {
			continue
		}
		path, query, _ := strings.Cut(words[2], "?")
		op := operation{path: strings.Split(path, "/"), query: query}
		if _, ok := op.match(segments); ok && op.asked(r.URL.Query()) {
			return words[0]
		}
	}
	return ""
}
