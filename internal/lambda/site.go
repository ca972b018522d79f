package lambda

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/survey"
)

// site is what is known of the distributions that some buckets feed.
type site struct {
	router   *route.Router
	profiles []freshet.Profile
	read     time.Time
}

// sites remembers them from one invocation to the next.
type sites struct {
	cfg  Config
	api  survey.API
	held map[string]*site // by bucket; "" where the configuration names the distributions
}

// of returns the site of a bucket.
func (s *sites) of(ctx context.Context, bucket string) (*site, error) {
	name := bucket
	if len(s.cfg.Distributions) > 0 {
		name = ""
	}
	if known := s.held[name]; known != nil && time.Since(known.read) < time.Duration(s.cfg.Remember) {
		return known, nil
	}
	ids := s.cfg.Distributions
	if name != "" {
		feeding, err := survey.Feeding(ctx, s.api, bucket)
		if err != nil {
			return nil, fmt.Errorf("find the distributions of the bucket %s: %w; name them in %s, and cloudfront:ListDistributions is not needed", bucket, err, EnvDistributions)
		}
		maps.DeleteFunc(feeding, func(_ string, enabled bool) bool { return !enabled })
		ids = slices.Sorted(maps.Keys(feeding))
	}
	found, err := survey.Read(ctx, s.api, ids...)
	if err != nil {
		return nil, err
	}
	rules, _ := s.cfg.Routes.Among(found.Distributions)
	router, err := route.New(found.Distributions, rules)
	if err != nil {
		return nil, err
	}
	made := &site{router: router, read: time.Now()}
	for _, d := range found.Distributions {
		p := cloudfront.ProfileOf(d.ID, d.Hosts())
		p.Quota, p.Tags = s.cfg.quota(), d.Config.CacheTagConfig != nil
		made.profiles = append(made.profiles, p)
	}
	s.held[name] = made
	return made, nil
}

// forget has everything read anew: a distribution is not what it was.
func (s *sites) forget() { clear(s.held) }
