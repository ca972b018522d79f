package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/distribution"
)

// ledgerName is the document on the shelf that says which cache tags all cached
// copies carry.
const ledgerName = "cleared.json.gz"

// deployTags is what a deploy knows of cache tags. A nil one has none.
type deployTags struct {
	headers map[string]string // by distribution that has tags, in lower case
	era     string            // empty: caches may be configured in several ways at the moment, and nothing is sure
	eraNow  func(context.Context) (string, error)
	ledger  *deploy.Ledger // nil: none
}

// tagsOf reads what is known of the cache tags of distributions. Of those that
// the API does not know, and where the shelf has nothing that can be read, that
// is nothing: then they are invalidated by path.
func tagsOf(ctx context.Context, api *sdkcloudfront.Client, all []distribution.Distribution, s shelf.Shelf) *deployTags {
	headers := make(map[string]string)
	for _, d := range all {
		if c := d.Config.CacheTagConfig; c != nil {
			headers[d.ID] = strings.ToLower(c.HeaderName)
		}
	}
	if len(headers) == 0 {
		return nil
	}
	t := &deployTags{headers: headers}
	t.eraNow = func(ctx context.Context) (string, error) { return eraOf(ctx, api, slices.Sorted(maps.Keys(headers))) }
	if era, err := t.eraNow(ctx); err == nil {
		t.era = era
	}
	if document, err := s.Get(ctx, ledgerName); err == nil {
		if t.ledger, err = deploy.DecodeLedger(document.Text); err != nil {
			t.ledger = nil
		}
	}
	return t
}

// eraOf names the configuration that all edges have of distributions; empty while
// one of them is being deployed, since some edges have another one then. An ETag
// comes once.
func eraOf(ctx context.Context, api *sdkcloudfront.Client, ids []string) (string, error) {
	var era strings.Builder
	for _, id := range ids {
		out, err := api.GetDistribution(ctx, &sdkcloudfront.GetDistributionInput{Id: &id})
		if err != nil {
			return "", fmt.Errorf("ask how distribution %s is configured: %w", id, err)
		}
		if out.Distribution == nil || aws.ToString(out.Distribution.Status) != "Deployed" || aws.ToString(out.ETag) == "" {
			return "", nil
		}
		fmt.Fprintf(&era, "%s=%s ", id, *out.ETag)
	}
	return era.String(), nil
}

func (t *deployTags) names() []string {
	headers := slices.Sorted(maps.Values(t.headers))
	return slices.Compact(headers)
}

// believe has the planner rely on the tags that every cached copy carries, given
// what the bucket holds, and know of those that some may carry.
func (s *deploySite) believe(have []deploy.Present) {
	t := s.tags
	if t == nil {
		s.planner.Holds(s.bucket, presentKeys(have))
		return
	}
	sure := t.ledger.Sure(t.era, have)
	may := make(map[string][]string)
	for i := range have {
		lines := sure[have[i].Key]
		if have[i].Served != nil {
			lines += have[i].Served.Lines(t.names())
		}
		for _, h := range t.names() {
			may[have[i].Key] = append(may[have[i].Key], freshet.TagsIn(lines, h)...)
		}
	}
	s.planner.HoldsTagged(s.bucket, presentKeys(have), may)
	s.planner.Sure = func(target freshet.Target) []string {
		if !target.Served { // what is cached there is no copy of the object
			return nil
		}
		return freshet.TagsIn(sure[target.Key], t.headers[target.Distribution])
	}
}

// clear writes down of which objects nothing older is cached, now that deploys
// are completed.
func (s *deploySite) clear(ctx context.Context, results []conduct.Result) error {
	t := s.tags
	if t == nil || t.era == "" || s.mode != bySelf {
		return nil
	}
	for _, r := range results {
		d := r.Deploy
		if d == nil || d.Elsewhere || d.Plan == nil || d.Phase != deploy.Completed && d.Phase != deploy.Verified {
			continue
		}
		document, err := s.shelf.Get(ctx, conduct.ManifestName)
		if err != nil {
			return err
		}
		m, err := deploy.DecodeManifest(document.Text)
		if err != nil || m.Deploy != d.ID { // that of another deploy
			return err
		}
		if era, err := t.eraNow(ctx); err != nil || era != t.era {
			return err
		}
		listed, err := s.store.List(ctx, s.prefix, nil)
		if err != nil {
			return err
		}
		t.ledger = t.ledger.After(t.era, d, m, listed.Objects, t.names(), s.everywhere(d.Plan))
		text, err := deploy.Encode(t.ledger)
		if err == nil {
			_, err = s.shelf.Put(ctx, ledgerName, text, shelf.Any)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// everywhere reports of keys whether a plan has invalidated them at every
// distribution that caches them with tags.
func (s *deploySite) everywhere(p *freshet.Plan) func(key string) bool {
	type place struct{ distribution, url, key string }
	sent := make(map[place]bool)
	for _, inv := range p.Invalidations {
		for _, t := range inv.Targets {
			sent[place{t.Distribution, t.URL, t.Key}] = true
		}
	}
	return func(key string) bool {
		cached := false
		for _, own := range s.planner.Router.Own(s.bucket, key) {
			if s.tags.headers[own.Distribution] == "" {
				continue
			}
			if cached = true; !sent[place{own.Distribution, own.URL, key}] {
				return false
			}
		}
		return cached
	}
}
