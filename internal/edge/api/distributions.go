package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

func (h *handler) createDistribution(c call) (reply, error) {
	config, err := readDistribution(c.body)
	if err != nil {
		return reply{}, err
	}
	return h.addDistribution(c, config, nil)
}

func (h *handler) createDistributionWithTags(c call) (reply, error) {
	config, tags, err := readTagged(c.body)
	if err != nil {
		return reply{}, err
	}
	return h.addDistribution(c, config, tags)
}

func (h *handler) addDistribution(c call, config distribution.Config, tags []Tag) (reply, error) {
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		all := s.all(distributionKind)
		if len(all) >= maxDistributions {
			return nil, refuse("TooManyDistributions", "Your request would cause you to exceed the maximum number of distributions: %d", maxDistributions)
		}
		for _, r := range all {
			if r.config.(distributionConfig).CallerReference == config.CallerReference {
				return nil, refuse(DistributionAlreadyExists, "The caller reference that you are using to create a distribution is associated with another distribution. Already exists: %s", r.key.id)
			}
		}
		return h.Catalog.fresh(resourceKey{distributionKind, newID("E")}, distributionConfig{config}, tags), nil
	}, h.judgeDistribution)
	if err != nil {
		return reply{}, err
	}
	return h.distributionReply(c, made, http.StatusCreated)
}

func (h *handler) judgeDistribution(next *state, r *resource) error {
	d, err := next.distribution(r.key.id)
	if err != nil {
		return err
	}
	var before *distribution.Config
	if old := h.Catalog.state.Load().resources[r.key]; old != nil {
		before = configOf(old)
	}
	if err := next.functions(before, &d.Config); err != nil {
		return err
	}
	if err := next.originAccess(before, &d.Config); err != nil {
		return err
	}
	if id := d.Config.ContinuousDeploymentPolicyID; id != "" && (before == nil || before.ContinuousDeploymentPolicyID != id) {
		return refuse("NoSuchContinuousDeploymentPolicy", "The continuous deployment policy doesn't exist: %q", clip(id))
	}
	return next.judge(d, slices.DeleteFunc(slices.Clone(next.distributions), func(o distribution.Distribution) bool { return o.ID == d.ID }))
}

func (h *handler) updateDistribution(c call) (reply, error) {
	config, err := readDistribution(c.body)
	if err != nil {
		return reply{}, err
	}
	return h.changeDistribution(c, func(s *state) (*resource, error) {
		old, err := s.current(resourceKey{distributionKind, c.args[0]}, c)
		if err != nil {
			return nil, err
		}
		if was := old.config.(distributionConfig).CallerReference; was != config.CallerReference {
			return nil, refuse(IllegalUpdate, "The caller reference cannot be changed: it is %q", clip(was))
		}
		return h.Catalog.revised(old, distributionConfig{config}), nil
	})
}

func (h *handler) deleteDistribution(c call) (reply, error) {
	err := h.Catalog.remove(c.Context(), func(s *state) (*resource, error) {
		old, err := s.current(resourceKey{distributionKind, c.args[0]}, c)
		switch {
		case err != nil:
			return nil, err
		case old.builtFrom != "":
			return nil, old.builtIn()
		case old.config.(distributionConfig).Enabled:
			return nil, refuse(DistributionNotDisabled, "The distribution you are trying to delete has not been disabled.")
		case h.Catalog.status(old.modified) == statusInProgress:
			return nil, refuse(DistributionNotDisabled, "The distribution you are trying to delete has not been disabled everywhere yet: its status is InProgress.")
		}
		return old, nil
	})
	return reply{status: http.StatusNoContent}, err
}

func (h *handler) getDistribution(c call) (reply, error) {
	r, err := h.Catalog.state.Load().get(resourceKey{distributionKind, c.args[0]})
	if err != nil {
		return reply{}, err
	}
	return h.distributionReply(c, r, http.StatusOK)
}

func (h *handler) getDistributionConfig(c call) (reply, error) {
	r, err := h.Catalog.state.Load().get(resourceKey{distributionKind, c.args[0]})
	if err != nil {
		return reply{}, err
	}
	etag, err := r.etag()
	return reply{header: map[string]string{"ETag": etag}, body: document{name: "DistributionConfig", below: r.config.elements()}}, err
}

// distributionReply is what creating, reading and updating answer. A version
// that another request has replaced since is shown as it was made.
func (h *handler) distributionReply(c call, r *resource, status int) (reply, error) {
	etag, err := r.etag()
	if err != nil {
		return reply{}, err
	}
	header := map[string]string{"ETag": etag}
	if status == http.StatusCreated {
		header["Location"] = c.location("distribution/" + r.key.id)
	}
	d := h.Catalog.state.Load().assemble(r)
	return reply{status: status, header: header, body: document{name: "Distribution", below: []element{
		text("Id", d.ID),
		text("ARN", h.Catalog.arn("distribution/"+d.ID)),
		text("Status", h.Catalog.status(r.modified)),
		text("LastModifiedTime", timestamp(r.modified)),
		number("InProgressInvalidationBatches", h.Register.InProgress(d.ID)),
		text("DomainName", d.DomainName),
		activeSigners(&d.Config),
		h.activeKeyGroups(&d.Config),
		recordals(&d.Config),
		group("DistributionConfig", r.config.elements()...),
	}}}, nil
}

// listDistributions pages through the distributions in the order of their IDs.
func (h *handler) listDistributions(c call) (reply, error) {
	return h.distributionList(c, h.Catalog.state.Load().all(distributionKind))
}

func (h *handler) distributionList(c call, all []*resource) (reply, error) {
	below, err := h.paged(c, all, pageWithMarker, func(r *resource) (element, error) {
		etag, err := r.etag()
		d := h.Catalog.state.Load().assemble(r)
		return group("DistributionSummary", append([]element{
			text("Id", d.ID),
			text("ARN", h.Catalog.arn("distribution/"+d.ID)),
			text("ETag", etag),
			text("Status", h.Catalog.status(r.modified)),
			text("LastModifiedTime", timestamp(r.modified)),
			text("DomainName", d.DomainName),
			recordals(&d.Config),
		}, summaryElements(d.Config)...)...), err
	})
	return reply{body: document{name: "DistributionList", below: below}}, err
}

// listDistributionsUsing answers ListDistributionsByCachePolicyId and its like:
// with the IDs of the distributions that use a resource.
func listDistributionsUsing(kind kindName) func(*handler, call) (reply, error) {
	return func(h *handler, c call) (reply, error) {
		s := h.Catalog.state.Load()
		if _, managed := managedOf(kind, c.args[0]); !managed {
			if _, err := s.get(resourceKey{kind, c.args[0]}); err != nil {
				return reply{}, err
			}
		}
		return h.distributionIDs(c, s.with(func(config *distribution.Config) bool { return uses(kind, config, c.args[0]) }))
	}
}

// pageStyle says which elements a list has beside its own.
type pageStyle bool

const (
	pageWithMarker pageStyle = true  // Marker and IsTruncated, as the older lists have
	pageWithout    pageStyle = false // neither, as the newer ones
)

// paged returns the elements of one page of a list. all is in the order of IDs.
func (h *handler) paged(c call, all []*resource, style pageStyle, show func(*resource) (element, error)) ([]element, error) {
	marker, limit, err := paging(c.URL.Query())
	if err != nil {
		return nil, err
	}
	begin, found := slices.BinarySearchFunc(all, marker, func(r *resource, id string) int { return strings.Compare(r.key.id, id) })
	if found {
		begin++
	}
	end := min(begin+limit, len(all))
	page := make([]element, 0, end-begin)
	for _, r := range all[begin:end] {
		shown, err := show(r)
		if err != nil {
			return nil, err
		}
		page = append(page, shown)
	}
	var below []element
	if style == pageWithMarker {
		below = append(below, text("Marker", marker), flag("IsTruncated", end < len(all)))
	}
	if end < len(all) {
		below = append(below, text("NextMarker", all[end-1].key.id))
	}
	return append(append(below, number("MaxItems", limit)), items(page)...), nil
}
