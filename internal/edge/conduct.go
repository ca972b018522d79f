package edge

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/signed"
)

// conduct is what a behavior says of everything but the cache: what viewers may
// do, and who answers them.
type conduct struct {
	allowed, cached map[string]bool // methods
	protocol        protocol
	to              *destination
	forwarding      forwarding
	dressing        *dressing    // nil for none
	keys            *signed.Keys // nil where viewers need no signature
}

// protocol is what viewers must use.
type protocol int

const (
	allowAll protocol = iota
	redirectToHTTPS
	httpsOnly
)

// destination is the origin that a behavior leads to, or the pair of origins of
// its group.
type destination struct {
	primary   *origin
	secondary *origin      // nil without a group
	failover  map[int]bool // statuses of the primary for which the secondary is asked
}

func newConduct(d *distribution.Distribution, b *distribution.CacheBehavior, targets map[string]*destination, log *slog.Logger) (conduct, error) {
	c := conduct{to: targets[b.TargetOriginID]}
	if c.to == nil {
		return conduct{}, fmt.Errorf("distribution %s has no origin or origin group %q", d.ID, b.TargetOriginID)
	}
	var err error
	if c.allowed, err = methodSet(b.AllowedMethods, allowedSets[:]); err != nil {
		return conduct{}, fmt.Errorf("allowed methods: %w", err)
	}
	if c.cached, err = methodSet(b.CachedMethods, allowedSets[:2]); err != nil {
		return conduct{}, fmt.Errorf("cached methods: %w", err)
	}
	switch b.ViewerProtocolPolicy {
	case "", "allow-all":
	case "redirect-to-https":
		c.protocol = redirectToHTTPS
	case "https-only":
		c.protocol = httpsOnly
	default:
		return conduct{}, fmt.Errorf("viewer protocol policy %q is not allow-all, redirect-to-https or https-only", b.ViewerProtocolPolicy)
	}
	if c.forwarding, err = newForwarding(d, b); err != nil {
		return conduct{}, err
	}
	if c.keys, err = newKeys(d, b, log); err != nil {
		return conduct{}, err
	}
	policy, err := d.ResponseHeaders(b)
	if err != nil {
		return conduct{}, err
	}
	c.dressing, err = newDressing(policy)
	return c, err
}

// allowedSets are the sets of methods that CloudFront knows, the first two of
// which can be cached.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_AllowedMethods.html
var allowedSets = [...][]string{
	{"GET", "HEAD"},
	{"GET", "HEAD", "OPTIONS"},
	{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"},
}

// methodSet returns a list as a set, GET and HEAD where it is empty.
func methodSet(list []string, sets [][]string) (map[string]bool, error) {
	sorted := slices.Compact(slices.Sorted(slices.Values(list)))
	if len(sorted) == 0 {
		sorted = sets[0]
	}
	if !slices.ContainsFunc(sets, func(s []string) bool { return slices.Equal(s, sorted) }) {
		return nil, fmt.Errorf("%v is none of the sets that there are: %v", list, sets)
	}
	set := make(map[string]bool, len(sorted))
	for _, m := range sorted {
		set[m] = true
	}
	return set, nil
}

// newTargets returns what the behaviors of a site may lead to, by ID of the origin
// or the origin group.
func (s *site) newTargets() (map[string]*destination, error) {
	all := make(map[string]*destination)
	for _, o := range s.config.Config.Origins {
		made, dialing, err := s.reach(o)
		if err != nil {
			return nil, fmt.Errorf("origin %q of distribution %s: %w", o.ID, s.config.ID, err)
		}
		if dialing != nil {
			s.dialing = append(s.dialing, dialing)
		}
		all[o.ID] = &destination{primary: made}
	}
	for _, g := range s.config.Config.OriginGroups {
		d, err := newGroup(g, all)
		if err != nil {
			return nil, fmt.Errorf("origin group %q of distribution %s: %w", g.ID, s.config.ID, err)
		}
		all[g.ID] = d
	}
	return all, nil
}

// origin prepares an origin of d, and returns by what it is connected to; nil if
// the resolver gave a transport.
func (c *Config) origin(d distribution.Distribution, o distribution.Origin) (*origin, *dialing, error) {
	var reached Origin
	var err error
	if c.Resolve != nil {
		if reached, err = c.Resolve(d, o); err != nil {
			return nil, nil, fmt.Errorf("resolve: %w", err)
		}
	}
	if reached.URL == "" {
		if reached, err = c.reach(o); err != nil {
			return nil, nil, err
		}
	}
	made, err := newOrigin(reached, o, c.OriginTimeout)
	if err != nil || made.transport != nil {
		return made, nil, err
	}
	return made, made.dial(c.OriginCAs), nil
}

// failoverStatuses are those for which a group may ask its secondary.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/high_availability_origin_failover.html
var failoverStatuses = [...]int{400, 403, 404, 416, 429, 500, 502, 503, 504}

func newGroup(g distribution.OriginGroup, origins map[string]*destination) (*destination, error) {
	if len(g.Members) != 2 {
		return nil, fmt.Errorf("it has %d members instead of a primary and a secondary", len(g.Members))
	}
	d := &destination{failover: make(map[int]bool, len(g.StatusCodes))}
	for i, into := range []**origin{&d.primary, &d.secondary} {
		member := origins[g.Members[i]]
		if member == nil || member.secondary != nil {
			return nil, fmt.Errorf("its member %q is no origin", g.Members[i])
		}
		*into = member.primary
	}
	for _, status := range g.StatusCodes {
		if !slices.Contains(failoverStatuses[:], status) {
			return nil, fmt.Errorf("status %d is none of %v", status, failoverStatuses)
		}
		d.failover[status] = true
	}
	return d, nil
}
