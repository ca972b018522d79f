package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// call is one request to an operation.
type call struct {
	*http.Request
	args []string // the variable segments of the path, unescaped
	body []byte
}

// operation is one of those that we serve.
type operation struct {
	name   string // CloudFront's
	method string
	path   []string // segments behind the version; * stands for an argument
	query  string   // a parameter that tells it from another with the same path, or empty
	slash  bool     // older clients end the path in a slash
	serve  func(*handler, call) (reply, error)
	args   []string // of the request that was routed here
}

// version is the API's, and the first segment of every path.
const version = "2020-05-31"

func operations() []operation {
	all := []operation{
		{name: "CreateInvalidation", method: http.MethodPost, path: []string{"distribution", "*", "invalidation"}, serve: (*handler).createInvalidation},
		{name: "ListInvalidations", method: http.MethodGet, path: []string{"distribution", "*", "invalidation"}, serve: (*handler).listInvalidations},
		{name: "GetInvalidation", method: http.MethodGet, path: []string{"distribution", "*", "invalidation", "*"}, serve: (*handler).getInvalidation},
		{name: "CreateDistributionWithTags", method: http.MethodPost, path: []string{"distribution"}, query: "WithTags", serve: (*handler).createDistributionWithTags},
		{name: "CreateDistribution", method: http.MethodPost, path: []string{"distribution"}, serve: (*handler).createDistribution},
		{name: "ListDistributions", method: http.MethodGet, path: []string{"distribution"}, serve: (*handler).listDistributions},
		{name: "GetDistribution", method: http.MethodGet, path: []string{"distribution", "*"}, serve: (*handler).getDistribution},
		{name: "GetDistributionConfig", method: http.MethodGet, path: []string{"distribution", "*", "config"}, serve: (*handler).getDistributionConfig},
		{name: "UpdateDistribution", method: http.MethodPut, path: []string{"distribution", "*", "config"}, serve: (*handler).updateDistribution},
		{name: "DeleteDistribution", method: http.MethodDelete, path: []string{"distribution", "*"}, serve: (*handler).deleteDistribution},
		{name: "ListDistributionsByCachePolicyId", method: http.MethodGet, path: []string{"distributionsByCachePolicyId", "*"}, serve: listDistributionsUsing(cachePolicyKind)},
		{name: "ListDistributionsByOriginRequestPolicyId", method: http.MethodGet, path: []string{"distributionsByOriginRequestPolicyId", "*"}, serve: listDistributionsUsing(requestPolicyKind)},
		{name: "ListDistributionsByResponseHeadersPolicyId", method: http.MethodGet, path: []string{"distributionsByResponseHeadersPolicyId", "*"}, serve: listDistributionsUsing(responsePolicyKind)},
		{name: "ListDistributionsByKeyGroup", method: http.MethodGet, path: []string{"distributionsByKeyGroupId", "*"}, serve: listDistributionsUsing(keyGroupKind)},
		{name: "ListTagsForResource", method: http.MethodGet, path: []string{"tagging"}, serve: (*handler).listTags},
		{name: "TagResource", method: http.MethodPost, path: []string{"tagging"}, query: "Operation=Tag", serve: (*handler).tag},
		{name: "UntagResource", method: http.MethodPost, path: []string{"tagging"}, query: "Operation=Untag", serve: (*handler).untag},
	}
	return slices.Concat(all, functionOperations(), storeOperations(), kindOperations(), listOperations(), stagingOperations(), absentOperations())
}

// route finds the operation that r asks for.
func (h *handler) route(r *http.Request) (operation, error) {
	segments, ok := segmentsOf(r.URL)
	if !ok {
		return operation{}, h.unserved(r, nil)
	}
	if op, ok := h.served(r, segments); ok {
		return op, nil
	}
	if end := len(segments) - 1; segments[end] == "" {
		if op, ok := h.served(r, segments[:end]); ok && op.slash {
			return op, nil
		}
	}
	return operation{}, h.unserved(r, segments)
}

func (h *handler) served(r *http.Request, segments []string) (operation, bool) {
	if len(segments) == 0 || segments[0] != version {
		return operation{}, false
	}
	for _, op := range h.operations {
		if args, ok := op.match(segments[1:]); ok && op.method == r.Method && op.asked(r.URL.Query()) {
			op.args = args
			return op, true
		}
	}
	return operation{}, false
}

// asked reports whether the query has the parameter that the operation needs.
func (o operation) asked(query url.Values) bool {
	name, value, valued := strings.Cut(o.query, "=")
	return o.query == "" || query.Has(name) && (!valued || query.Get(name) == value)
}

// segmentsOf takes the path apart before it is unescaped, so that %2F stays
// inside its segment. ok is false for a path that does not begin with a slash.
func segmentsOf(u *url.URL) (segments []string, ok bool) {
	path, ok := strings.CutPrefix(u.EscapedPath(), "/")
	if !ok {
		return nil, false
	}
	for segment := range strings.SplitSeq(path, "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return nil, false
		}
		segments = append(segments, plain)
	}
	return segments, true
}

func (o operation) match(segments []string) (args []string, ok bool) {
	if len(segments) != len(o.path) {
		return nil, false
	}
	for i, want := range o.path {
		switch want {
		case "*":
			args = append(args, segments[i])
		case segments[i]:
		default:
			return nil, false
		}
	}
	return args, true
}
