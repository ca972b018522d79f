package api

import (
	"errors"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// readDistribution reads the body of CreateDistribution and UpdateDistribution.
func readDistribution(body []byte) (distribution.Config, error) {
	t, err := readTree(body, "DistributionConfig")
	if err != nil {
		return distribution.Config{}, err
	}
	return decodeDistribution(t)
}

// readTagged reads the body of CreateDistributionWithTags.
func readTagged(body []byte) (distribution.Config, []Tag, error) {
	const root = "DistributionConfigWithTags"
	t, err := readTree(body, root)
	if err == nil {
		err = required(t, "distributionConfigWithTags", "DistributionConfig", "Tags")
	}
	if err != nil {
		return distribution.Config{}, nil, err
	}
	inner, ok := t["DistributionConfig"].(tree)
	if !ok {
		return distribution.Config{}, nil, malformed(root, errors.New("DistributionConfig is empty"))
	}
	tags, err := tagsOf(t["Tags"])
	if err != nil {
		return distribution.Config{}, nil, err
	}
	c, err := decodeDistribution(inner)
	return c, tags, err
}

// decodeDistribution is strict: an element that the model does not know would be
// lost, and the distribution would not be what was asked for, so it is
// MalformedInput. What CloudFront itself does with such elements is not
// documented.
func decodeDistribution(t tree) (distribution.Config, error) {
	if err := complete(t); err != nil {
		return distribution.Config{}, err
	}
	c, strangers, err := distribution.DecodeConfig(t, "")
	return c, decoded("DistributionConfig", strangers, err)
}

// decoded turns what package distribution found into a refusal.
func decoded(root string, strangers []distribution.Warning, err error) error {
	switch {
	case err != nil:
		first, _, _ := strings.Cut(err.Error(), "\n")
		return malformed(root, errors.New(first))
	case len(strangers) > 0:
		return malformed(root, errors.New(strangers[0].String()))
	}
	return nil
}

// complete asks for the members that CloudFront's model requires and that have
// no default.
func complete(t tree) error {
	const path = "distributionConfig"
	if err := required(t, path, "CallerReference", "Origins", "DefaultCacheBehavior", "Comment", "Enabled"); err != nil {
		return err
	}
	for i, o := range listed(t["Origins"]) {
		if err := required(o, path+".origins.items."+member(i), "Id", "DomainName"); err != nil {
			return err
		}
	}
	if b, ok := t["DefaultCacheBehavior"].(tree); ok {
		if err := required(b, path+".defaultCacheBehavior", "TargetOriginId", "ViewerProtocolPolicy"); err != nil {
			return err
		}
	}
	for i, b := range listed(t["CacheBehaviors"]) {
		if err := required(b, path+".cacheBehaviors.items."+member(i), "PathPattern", "TargetOriginId", "ViewerProtocolPolicy"); err != nil {
			return err
		}
	}
	for i, r := range listed(t["CustomErrorResponses"]) {
		if err := required(r, path+".customErrorResponses.items."+member(i), "ErrorCode"); err != nil {
			return err
		}
	}
	return nil
}

// member counts from 1, as CloudFront does in its messages.
func member(i int) string { return strconv.Itoa(i+1) + ".member" }
