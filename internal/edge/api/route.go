package api

import (
	"net/http"
	"net/url"
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
		{name: "TagResource", method: http.MethodPost, path: []string{"tagging"}, serve: (*handler).changeTags},
		{name: "CreateInvalidationForDistributionTenant", method: http.MethodPost, path: []string{"distribution-tenant", "*", "invalidation"}, serve: noTenant},
		{name: "ListInvalidationsForDistributionTenant", method: http.MethodGet, path: []string{"distribution-tenant", "*", "invalidation"}, serve: noTenant},
		{name: "GetInvalidationForDistributionTenant", method: http.MethodGet, path: []string{"distribution-tenant", "*", "invalidation", "*"}, serve: noTenant},
	}
	return append(append(all, functionOperations()...), kindOperations()...)
}

// route finds the operation that r asks for.
func (h *handler) route(r *http.Request) (operation, error) {
	segments, ok := segmentsOf(r.URL)
	if ok && segments[0] == version {
		for _, op := range h.operations {
			if args, ok := op.match(segments[1:]); ok && op.method == r.Method {
				op.args = args
				return op, nil
			}
		}
	}
	return operation{}, refuse(UnsupportedOperation, "This edge has no operation %s %s of the API version %s. It has those on distributions, invalidations, tags, policies, functions and keys", clip(r.Method), clip(r.URL.Path), version)
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

// noTenant answers for distribution tenants, of which we have none.
func noTenant(_ *handler, c call) (reply, error) {
	return reply{}, refuse(EntityNotFound, "The specified distribution tenant does not exist: %q", clip(c.args[0]))
}
