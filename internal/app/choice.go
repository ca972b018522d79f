package app

import (
	"cmp"
	"context"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/function"
	"github.com/freshet/freshet/internal/route"
)

// routing is what routing wants to know of the functions.
func (s *scripts) routing() route.Functions {
	return route.Functions{Choice: s.choice, Destination: s.destination}
}

// choice is route.Functions.Choice. The cache may still have what a function
// brought before it was changed, so what it could choose once counts as long as
// this cache lasts.
func (s *scripts) choice(arn string) (c route.Choice, known bool) {
	program, _, err := s.find(arn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.choices[arn] = s.choices[arn].Or(program.Choice())
	}
	return route.Choice(s.choices[arn]), err == nil
}

// expect notes what a function will be able to choose once it is published, and
// reports whether that is more than was known.
func (s *scripts) expect(f api.LiveFunction) bool {
	program, err := function.Compile(f.Name, f.Code, function.Runtime(f.Runtime))
	s.mu.Lock()
	defer s.mu.Unlock()
	before, known := s.choices[f.ARN]
	if err != nil {
		return false // it will answer nobody
	}
	now := before.Or(program.Choice())
	s.choices[f.ARN] = now
	return !known || !now.Within(before)
}

// publishing comes before a function is published, so that no change of what it
// chooses is missed.
func (u *Up) publishing(f api.LiveFunction) error {
	if !u.scripts.expect(f) {
		return nil
	}
	router, err := u.router(u.catalog.Distributions())
	if err != nil {
		return err
	}
	u.reroute(router)
	return nil
}

// destination is route.Functions.Destination. It runs the function as it would
// be for a probe.
func (s *scripts) destination(d *distribution.Distribution, arn, path string) (o distribution.Origin, to string, ok bool) {
	program, store, err := s.find(arn)
	if err != nil {
		return distribution.Origin{}, "", false
	}
	target := d.Config.Behavior(path).TargetOriginID
	result, err := program.Run(context.Background(), function.Event{
		Context: function.Context{EventType: function.ViewerRequest, DistributionID: d.ID, DistributionDomainName: d.DomainName},
		Viewer:  function.Viewer{IP: "127.0.0.1"},
		Request: function.RequestOf("GET", cmp.Or(d.DomainName, "localhost"), path, nil, nil),
	}, function.Options{KVS: store, Edge: function.Edge{Name: "LCL50", ServerIP: "127.0.0.1", Region: "local"}})
	if err != nil || result.Request == nil {
		return distribution.Origin{}, "", false
	}
	if o, ok = d.Config.Origin(target); !ok && len(result.Origins) == 0 {
		o, ok = primary(&d.Config, target)
	}
	for _, change := range result.Origins {
		switch {
		case change.Select != nil:
			o, ok = d.Config.Origin(change.Select.ID)
		case change.Group != nil:
			o, ok = distribution.Origin{}, false // either of two
		default:
			if name := change.Update.DomainName; name != nil {
				o.DomainName = *name
			}
			if path := change.Update.OriginPath; path != nil {
				o.OriginPath = *path
			}
		}
	}
	return o, result.Request.URI, ok
}

// primary is the origin of a group that is asked first.
func primary(c *distribution.Config, group string) (distribution.Origin, bool) {
	i := slices.IndexFunc(c.OriginGroups, func(g distribution.OriginGroup) bool { return g.ID == group })
	if i < 0 || len(c.OriginGroups[i].Members) == 0 {
		return distribution.Origin{}, false
	}
	return c.Origin(c.OriginGroups[i].Members[0])
}
