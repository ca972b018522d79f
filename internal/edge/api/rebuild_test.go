package api_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

// rebuilt is a catalog of three distributions: one that the file changes, one
// that it does not, and one that the API has made.
type rebuilt struct {
	*api.Catalog
	built   []distribution.Distribution
	shelf   *api.MemoryShelf
	applied [][]distribution.Distribution
	refuse  error
	c       *cloudfront.Client
	made    string
}

func fileDistribution(id, comment string) distribution.Distribution {
	d := distribution.ForBucket(id, "b")
	d.Config.Comment = comment
	return d
}

func newRebuilt(t *testing.T) *rebuilt {
	t.Helper()
	r := &rebuilt{shelf: &api.MemoryShelf{}, built: []distribution.Distribution{fileDistribution("EA", "first"), fileDistribution("EB", "first")}}
	r.Catalog = catalog(t, func(c *api.CatalogConfig) {
		c.Shelf, c.BuiltIn = r.shelf, r.built
		c.Apply = func(ds []distribution.Distribution) error {
			if r.refuse == nil {
				r.applied = append(r.applied, ds)
			}
			return r.refuse
		}
	})
	r.c = goClient(serve(t, open(t, &edge{}, func(c *api.RegisterConfig) { c.Distributions = r.Distributions }), func(c *api.HandlerConfig) { c.Catalog = r.Catalog }).URL, secret)
	made, err := r.c.CreateDistribution(t.Context(), &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("one")})
	if err != nil {
		t.Fatal(err)
	}
	r.made = *made.Distribution.Id
	return r
}

func (r *rebuilt) update(t *testing.T, id, comment string) {
	t.Helper()
	now, err := r.c.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: &id})
	if err != nil {
		t.Fatal(err)
	}
	now.DistributionConfig.Comment = aws.String(comment)
	if _, err := r.c.UpdateDistribution(t.Context(), &cloudfront.UpdateDistributionInput{Id: &id, IfMatch: now.ETag, DistributionConfig: now.DistributionConfig}); err != nil {
		t.Fatal(err)
	}
}

// comments are the distributions with what they say.
func comments(ds []distribution.Distribution) map[string]string {
	all := make(map[string]string)
	for _, d := range ds {
		all[d.ID] = d.Config.Comment
	}
	return all
}

func (r *rebuilt) has(t *testing.T, what string, want map[string]string) {
	t.Helper()
	want[r.made] = "made by a test"
	if got := comments(r.Distributions()); !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
	if got := comments(r.applied[len(r.applied)-1]); !reflect.DeepEqual(got, want) {
		t.Errorf("%s: the edge has %v, want %v", what, got, want)
	}
}

// What the file changes is as the file says, what it leaves alone keeps what the
// API has made of it, and what the API has made stays.
func TestRebuild(t *testing.T) {
	r := newRebuilt(t)
	r.update(t, "EA", "of the API")
	r.update(t, "EB", "of the API")
	etag := func(id string) string {
		got, err := r.c.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: &id})
		if err != nil {
			t.Fatal(err)
		}
		return *got.ETag
	}
	before := []string{etag("EA"), etag("EB")}
	if err := r.Rebuild(t.Context(), []distribution.Distribution{fileDistribution("EA", "second"), r.built[1], fileDistribution("EC", "new")}); err != nil {
		t.Fatal(err)
	}
	r.has(t, "rebuilt", map[string]string{"EA": "second", "EB": "of the API", "EC": "new"})
	if after := []string{etag("EA"), etag("EB")}; after[0] == before[0] || after[1] != before[1] {
		t.Errorf("versions %q, were %q", after, before)
	}
	r.update(t, "EC", "of the API")
	// What the file gives up is gone; back to the first word is not back to what
	// the API had made of it.
	if err := r.Rebuild(t.Context(), r.built[:1]); err != nil {
		t.Fatal(err)
	}
	r.has(t, "as at first", map[string]string{"EA": "first"})
	if keys := shelved(t, r.shelf); keys != 1 {
		t.Errorf("the shelf keeps %d, want what the API has made", keys)
	}
}

func shelved(t *testing.T, s api.Shelf) (n int) {
	t.Helper()
	if err := s.All(context.Background(), func([]byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// What the edge refuses, or cannot be, leaves everything as it was.
func TestARebuildThatFailsChangesNothing(t *testing.T) {
	r := newRebuilt(t)
	r.update(t, "EA", "of the API")
	want := map[string]string{"EA": "of the API", "EB": "first"}
	r.refuse = errors.New("no such policy")
	if err := r.Rebuild(t.Context(), []distribution.Distribution{fileDistribution("EA", "second")}); !errors.Is(err, r.refuse) {
		t.Errorf("refused as %v", err)
	}
	r.refuse = nil
	r.has(t, "refused", want)
	if err := r.Rebuild(t.Context(), slices.Repeat(r.built[:1], 2)); err == nil {
		t.Error("two of one ID were taken")
	}
	r.has(t, "twice", want)
}
