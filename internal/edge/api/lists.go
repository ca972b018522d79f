package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// listOperations are those that find distributions by what they have.
func listOperations() []operation {
	list := func(by, segment string, serve func(*handler, call) (reply, error)) operation {
		return operation{name: "ListDistributionsBy" + by, method: http.MethodGet, path: []string{segment, "*"}, serve: serve}
	}
	return []operation{
		list("WebACLId", "distributionsByWebACLId", distributionsWith(func(c *distribution.Config, id string) bool {
			return c.WebACLID == id || id == "null" && c.WebACLID == ""
		})),
		list("AnycastIpListId", "distributionsByAnycastIpListId", distributionsWith(func(c *distribution.Config, id string) bool { return c.AnycastIPListID == id })),
		list("ConnectionMode", "distributionsByConnectionMode", distributionsWith(func(c *distribution.Config, mode string) bool {
			return c.ConnectionMode == mode || mode == "direct" && c.ConnectionMode == ""
		})),
		list("VpcOriginId", "distributionsByVpcOriginId", distributionIDsWith(func(c *distribution.Config, id string) bool {
			return slices.ContainsFunc(c.Origins, func(o distribution.Origin) bool {
				return o.VPCOriginConfig != nil && o.VPCOriginConfig.VPCOriginID == id
			})
		})),
		{name: "ListDistributionsByRealtimeLogConfig", method: http.MethodPost, path: []string{"distributionsByRealtimeLogConfig"}, slash: true, serve: (*handler).distributionsByRealtimeLog},
		{name: "ListConflictingAliases", method: http.MethodGet, path: []string{"conflicting-alias"}, serve: (*handler).conflictingAliases},
	}
}

func (s *state) with(has func(*distribution.Config) bool) []*resource {
	return slices.DeleteFunc(s.all(distributionKind), func(r *resource) bool { return !has(configOf(r)) })
}

// distributionsWith lists the distributions that have what the path names.
func distributionsWith(has func(c *distribution.Config, id string) bool) func(*handler, call) (reply, error) {
	return func(h *handler, c call) (reply, error) {
		return h.distributionList(c, h.Catalog.state.Load().with(func(config *distribution.Config) bool { return has(config, c.args[0]) }))
	}
}

// distributionIDsWith lists no more than their IDs.
func distributionIDsWith(has func(c *distribution.Config, id string) bool) func(*handler, call) (reply, error) {
	return func(h *handler, c call) (reply, error) {
		return h.distributionIDs(c, h.Catalog.state.Load().with(func(config *distribution.Config) bool { return has(config, c.args[0]) }))
	}
}

func (h *handler) distributionIDs(c call, found []*resource) (reply, error) {
	below, err := h.paged(c, found, pageWithMarker, func(r *resource) (element, error) { return text("DistributionId", r.key.id), nil })
	return reply{body: document{name: "DistributionIdList", below: below}}, err
}

// distributionsByRealtimeLog takes the ARN or the name at the end of it. The
// page is asked for in the body.
func (h *handler) distributionsByRealtimeLog(c call) (reply, error) {
	f, err := readFields(c.body, "ListDistributionsByRealtimeLogConfigRequest")
	marker, most, arn, name := f.text("Marker"), f.text("MaxItems"), f.text("RealtimeLogConfigArn"), f.text("RealtimeLogConfigName")
	if err := f.end(err); err != nil {
		return reply{}, err
	}
	if arn == "" && name == "" {
		return reply{}, refuse(InvalidArgument, "One of RealtimeLogConfigArn and RealtimeLogConfigName is required")
	}
	query := c.URL.Query()
	query.Set("Marker", marker)
	if most != "" {
		query.Set("MaxItems", most)
	}
	paged := *c.Request
	url := *c.URL
	url.RawQuery = query.Encode()
	paged.URL = &url
	c.Request = &paged
	return h.distributionList(c, h.Catalog.state.Load().with(anyBehaviorLogs(arn, name)))
}

func anyBehaviorLogs(arn, name string) func(*distribution.Config) bool {
	return func(c *distribution.Config) bool {
		return slices.ContainsFunc(behaviors(c), func(b *distribution.CacheBehavior) bool {
			return b.RealtimeLogConfigARN != "" && (b.RealtimeLogConfigARN == arn || name != "" && strings.HasSuffix(b.RealtimeLogConfigARN, "/"+name))
		})
	}
}

// conflictingAliases lists the aliases of other distributions that cover the one
// asked for, or are covered by it.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ListConflictingAliases.html
func (h *handler) conflictingAliases(c call) (reply, error) {
	query := c.URL.Query()
	alias, s := query.Get("Alias"), h.Catalog.state.Load()
	if alias == "" {
		return reply{}, refuse(InvalidArgument, "The parameter Alias is required")
	}
	if _, err := s.get(resourceKey{distributionKind, query.Get("DistributionId")}); err != nil {
		return reply{}, err
	}
	var found []element
	for _, r := range s.all(distributionKind) {
		if r.key.id == query.Get("DistributionId") {
			continue
		}
		for _, other := range configOf(r).Aliases {
			if overlap(alias, other) {
				found = append(found, group("ConflictingAlias", text("Alias", other),
					text("DistributionId", veiled(r.key.id)), text("AccountId", veiled(h.Catalog.cfg.Account))))
			}
		}
	}
	_, limit, err := paging(query)
	return reply{body: document{name: "ConflictingAliasesList", below: append([]element{number("MaxItems", limit)}, items(found)...)}}, err
}

// overlap reports whether a name belongs to both aliases. A wildcard stands for
// one label or more.
func overlap(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	covers := func(wild, name string) bool {
		suffix, ok := strings.CutPrefix(wild, "*")
		return ok && strings.HasSuffix(name, suffix)
	}
	return a == b || covers(a, b) || covers(b, a)
}

// veiled hides all but the end, as CloudFront does with what may be somebody
// else's.
func veiled(id string) string {
	return strings.Repeat("*", max(len(id)-6, 0)) + id[max(len(id)-6, 0):]
}
