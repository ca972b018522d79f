package api

import (
	"net/http"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// stagingOperations make a distribution, or a part of one, out of another.
func stagingOperations() []operation {
	one := func(last string) []string { return []string{"distribution", "*", last} }
	monitoring := []string{"distributions", "*", "monitoring-subscription"}
	return []operation{
		{name: "CopyDistribution", method: http.MethodPost, path: one("copy"), serve: (*handler).copyDistribution},
		{name: "UpdateDistributionWithStagingConfig", method: http.MethodPut, path: one("promote-staging-config"), serve: (*handler).promote},
		{name: "AssociateDistributionWebACL", method: http.MethodPut, path: one("associate-web-acl"), serve: (*handler).associateWebACL},
		{name: "DisassociateDistributionWebACL", method: http.MethodPut, path: one("disassociate-web-acl"), serve: (*handler).disassociateWebACL},
		{name: "CreateMonitoringSubscription", method: http.MethodPost, path: monitoring, slash: true, serve: (*handler).createMonitoring},
		{name: "GetMonitoringSubscription", method: http.MethodGet, path: monitoring, slash: true, serve: (*handler).getMonitoring},
		{name: "DeleteMonitoringSubscription", method: http.MethodDelete, path: monitoring, slash: true, serve: (*handler).deleteMonitoring},
	}
}

// copyDistribution makes a distribution with the configuration of another, but
// for its aliases. The edge serves it under its own name: a continuous
// deployment policy, which would send it a share of another's viewers, is not
// implemented.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CopyDistribution.html
func (h *handler) copyDistribution(c call) (reply, error) {
	f, err := readFields(c.body, "CopyDistributionRequest", "CallerReference")
	reference, enabled := f.text("CallerReference"), f.text("Enabled")
	if err := f.end(err); err != nil {
		return reply{}, err
	}
	if !oneOf(enabled, "", "true", "false") {
		return reply{}, refuse(MalformedInput, "Enabled must be true or false, not %q", clip(enabled))
	}
	if staging := c.Header.Get("Staging"); !strings.EqualFold(staging, "true") {
		return reply{}, refuse(InvalidArgument, "The header Staging must be true, not %q: only staging distributions can be made by copying", clip(staging))
	}
	primary, err := h.Catalog.state.Load().current(resourceKey{distributionKind, c.args[0]}, c)
	if err != nil {
		return reply{}, err
	}
	config := *configOf(primary)
	config.CallerReference, config.Staging, config.Enabled = reference, true, enabled != "false"
	config.Aliases, config.ContinuousDeploymentPolicyID = nil, ""
	return h.addDistribution(c, config, nil)
}

// promote gives a distribution the configuration of a staging distribution. What
// tells the two apart stays. If-Match names both versions, with a comma in
// between.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_UpdateDistributionWithStagingConfig.html
func (h *handler) promote(c call) (reply, error) {
	return h.changeDistribution(c, func(s *state) (*resource, error) {
		primary, err := s.get(resourceKey{distributionKind, c.args[0]})
		if err != nil {
			return nil, err
		}
		staging, err := s.get(resourceKey{distributionKind, c.URL.Query().Get("StagingDistributionId")})
		if err != nil {
			return nil, err
		}
		if err := matchBoth(c, primary, staging); err != nil {
			return nil, err
		}
		if !configOf(staging).Staging {
			return nil, refuse(IllegalUpdate, "The distribution %s is no staging distribution", staging.key.id)
		}
		was, next := configOf(primary), *configOf(staging)
		next.CallerReference, next.Staging, next.Enabled = was.CallerReference, was.Staging, was.Enabled
		next.Aliases, next.ContinuousDeploymentPolicyID = was.Aliases, was.ContinuousDeploymentPolicyID
		return h.Catalog.revised(primary, distributionConfig{next}), nil
	})
}

func matchBoth(c call, primary, staging *resource) error {
	first, second, ok := strings.Cut(c.Header.Get("If-Match"), ",")
	if !ok {
		return refuse(InvalidIfMatchVersion, "If-Match must hold the versions of the primary and the staging distribution, with a comma in between.")
	}
	for r, given := range map[*resource]string{primary: first, staging: second} {
		etag, err := r.etag()
		if err != nil {
			return err
		}
		if strings.Trim(strings.TrimSpace(given), `"`) != etag {
			return preconditionFailed()
		}
	}
	return nil
}

// changeDistribution makes another version of a distribution.
func (h *handler) changeDistribution(c call, draft func(*state) (*resource, error)) (reply, error) {
	made, err := h.Catalog.put(c.Context(), draft, h.judgeDistribution)
	if err != nil {
		return reply{}, err
	}
	return h.distributionReply(c, made, http.StatusOK)
}

func (h *handler) associateWebACL(c call) (reply, error) {
	f, err := readFields(c.body, "AssociateDistributionWebACLRequest", "WebACLArn")
	arn := f.text("WebACLArn")
	if err := f.end(err); err != nil {
		return reply{}, err
	}
	if arn == "" {
		return reply{}, refuse(InvalidArgument, "The parameter WebACLArn must not be empty")
	}
	return h.setWebACL(c, "AssociateDistributionWebACLResult", arn)
}

func (h *handler) disassociateWebACL(c call) (reply, error) {
	return h.setWebACL(c, "DisassociateDistributionWebACLResult", "")
}

// setWebACL works without If-Match, too.
func (h *handler) setWebACL(c call, answer, arn string) (reply, error) {
	made, err := h.Catalog.put(c.Context(), func(s *state) (*resource, error) {
		old, err := s.get(resourceKey{distributionKind, c.args[0]})
		if err == nil && c.Header.Get("If-Match") != "" {
			old, err = s.current(old.key, c)
		}
		if err != nil {
			return nil, err
		}
		config := *configOf(old)
		config.WebACLID = arn
		return h.Catalog.revised(old, distributionConfig{config}), nil
	}, h.judgeDistribution)
	if err != nil {
		return reply{}, err
	}
	etag, err := made.etag()
	return reply{header: map[string]string{"ETag": etag}, body: document{name: answer, below: []element{
		text("Id", made.key.id), optional("WebACLArn", arn),
	}}}, err
}

// recordals say that every alias is registered in China, which is nobody's
// concern outside.
func recordals(c *distribution.Config) element {
	if len(c.Aliases) == 0 {
		return element{}
	}
	return group("AliasICPRecordals", each(c.Aliases, func(alias string) element {
		return group("AliasICPRecordal", text("CNAME", alias), text("ICPRecordalStatus", "APPROVED"))
	})...)
}
