package api

import (
	"cmp"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
)

// addPolicies gives d what it uses of what is configured, and nothing else.
func (s *state) addPolicies(d *distribution.Distribution) {
	d.CachePolicies = used(s, cachePolicyKind, d, func(id string, p cachePolicy) distribution.CachePolicy {
		return distribution.CachePolicy{ID: id, Config: p.CachePolicyConfig}
	})
	d.OriginRequestPolicies = used(s, requestPolicyKind, d, func(id string, p requestPolicy) distribution.OriginRequestPolicy {
		return distribution.OriginRequestPolicy{ID: id, Config: p.OriginRequestPolicyConfig}
	})
	d.ResponseHeadersPolicies = used(s, responsePolicyKind, d, func(id string, p responsePolicy) distribution.ResponseHeadersPolicy {
		return distribution.ResponseHeadersPolicy{ID: id, Config: p.ResponseHeadersPolicyConfig}
	})
	d.KeyGroups = used(s, keyGroupKind, d, func(id string, g keyGroup) distribution.KeyGroup {
		shown := distribution.KeyGroup{ID: id}
		for _, key := range g.Keys {
			if r := s.resources[resourceKey{publicKeyKind, key}]; r != nil {
				shown.Keys = append(shown.Keys, distribution.PublicKey{ID: key, EncodedKey: r.config.(publicKey).EncodedKey})
			}
		}
		return shown
	})
}

// used returns what d uses of a kind, or nil.
func used[C configured, T any](s *state, name kindName, d *distribution.Distribution, turn func(id string, config C) T) (found []T) {
	k, _ := kindCalled(name)
	for _, r := range s.all(name) {
		if k.uses(&d.Config, r.key.id) {
			found = append(found, turn(r.key.id, r.config.(C)))
		}
	}
	return found
}

// partsOf are the resources that come with a distribution of the configuration
// file.
func partsOf(d distribution.Distribution) map[resourceKey]configured {
	parts := make(map[resourceKey]configured)
	for _, p := range d.CachePolicies {
		parts[resourceKey{cachePolicyKind, p.ID}] = cachePolicy{p.Config}
	}
	for _, p := range d.OriginRequestPolicies {
		parts[resourceKey{requestPolicyKind, p.ID}] = requestPolicy{p.Config}
	}
	for _, p := range d.ResponseHeadersPolicies {
		parts[resourceKey{responsePolicyKind, p.ID}] = responsePolicy{p.Config}
	}
	for _, g := range d.KeyGroups {
		group := keyGroup{Name: cmp.Or(g.Name, g.ID)}
		for _, key := range g.Keys {
			group.Keys = append(group.Keys, key.ID)
			parts[resourceKey{publicKeyKind, key.ID}] = publicKey{CallerReference: key.ID, Name: cmp.Or(key.Name, key.ID), EncodedKey: key.EncodedKey}
		}
		parts[resourceKey{keyGroupKind, g.ID}] = group
	}
	return parts
}

// associations refuses a distribution that uses what is not there.
func (s *state) associations(c *distribution.Config) error {
	for _, b := range behaviors(c) {
		for _, use := range []struct {
			kind kindName
			id   string
		}{{cachePolicyKind, b.CachePolicyID}, {requestPolicyKind, b.OriginRequestPolicyID}, {responsePolicyKind, b.ResponseHeadersPolicyID}} {
			if err := s.there(use.kind, use.id); err != nil {
				return err
			}
		}
		if i := slices.IndexFunc(b.TrustedKeyGroups, func(g string) bool { return s.resources[resourceKey{keyGroupKind, g}] == nil }); i >= 0 {
			return refuse("TrustedKeyGroupDoesNotExist", "The specified key group does not exist: %q", clip(b.TrustedKeyGroups[i]))
		}
		if b.OriginRequestPolicyID != "" && b.CachePolicyID == "" {
			return refuse(InvalidArgument, "The parameter OriginRequestPolicyId cannot be used without a cache policy.")
		}
	}
	return nil
}

// there refuses the ID of a resource that is neither configured nor managed. An
// empty one is none.
func (s *state) there(name kindName, id string) error {
	if _, managed := managedOf(name, id); managed || id == "" {
		return nil
	}
	_, err := s.get(resourceKey{name, id})
	return err
}
