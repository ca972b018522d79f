package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/smithy-go"
)

// configurer makes distributions, changes, invalidates and deletes them, one
// after the other, and remembers what it was told.
type configurer struct {
	name     string
	version  map[string]string // ETag by the ID of what must be there; what was being changed when the end came is in neither
	gone     map[string]bool   // IDs that were deleted
	sent     map[string]string // ID of an invalidation by its caller reference
	at       map[string]string // ID of the distribution of an invalidation, likewise
	problems []error
	told     func() // called after each answer
}

func newConfigurer(name string, told func()) *configurer {
	return &configurer{name: name, told: told, version: make(map[string]string), gone: make(map[string]bool), sent: make(map[string]string), at: make(map[string]string)}
}

func (w *configurer) config(reference, comment string, enabled bool) *types.DistributionConfig {
	return &types.DistributionConfig{
		CallerReference: &reference, Comment: &comment, Enabled: &enabled,
		Origins: &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{Id: aws.String("o"), DomainName: aws.String("example.com"),
			CustomOriginConfig: &types.CustomOriginConfig{HTTPPort: aws.Int32(80), HTTPSPort: aws.Int32(443), OriginProtocolPolicy: types.OriginProtocolPolicyHttpOnly}}}},
		DefaultCacheBehavior: &types.DefaultCacheBehavior{TargetOriginId: aws.String("o"), ViewerProtocolPolicy: types.ViewerProtocolPolicyAllowAll,
			CachePolicyId: aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6")},
	}
}

// work goes on until a request fails, which is when the server was killed.
func (w *configurer) work(ctx context.Context, c *cloudfront.Client, most int) {
	for n := range most {
		if err := w.round(ctx, c, fmt.Sprintf("%s-%d", w.name, n), n%2 == 0); err != nil {
			var refused smithy.APIError
			if errors.As(err, &refused) {
				w.problems = append(w.problems, err)
			}
			return
		}
	}
}

func (w *configurer) round(ctx context.Context, c *cloudfront.Client, reference string, remove bool) error {
	made, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: w.config(reference, "first", true)})
	if err != nil {
		return err
	}
	id := *made.Distribution.Id
	w.version[id] = *made.ETag
	w.told()
	invalidated, err := c.CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: &id, InvalidationBatch: w.batch(reference)})
	if err != nil {
		return err
	}
	w.sent[reference], w.at[reference] = *invalidated.Invalidation.Id, id
	w.told()
	delete(w.version, id)
	updated, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: &id, IfMatch: made.ETag, DistributionConfig: w.config(reference, "second", false)})
	if err != nil {
		return err
	}
	if !remove {
		w.version[id] = *updated.ETag
		w.told()
		return nil
	}
	if _, err := c.DeleteDistribution(ctx, &cloudfront.DeleteDistributionInput{Id: &id, IfMatch: updated.ETag}); err != nil {
		return err
	}
	w.gone[id] = true
	w.told()
	return nil
}

func (w *configurer) batch(reference string) *types.InvalidationBatch {
	return &types.InvalidationBatch{CallerReference: &reference, Paths: &types.Paths{Quantity: aws.Int32(2), Items: []string{"/a", "/" + reference}}}
}

// check compares what is there with what the API had answered.
func (w *configurer) check(t *testing.T, c *cloudfront.Client) {
	t.Helper()
	for _, err := range w.problems {
		t.Error(err)
	}
	for id, etag := range w.version {
		got, err := c.GetDistribution(t.Context(), &cloudfront.GetDistributionInput{Id: &id})
		if err != nil || *got.ETag != etag {
			t.Errorf("a distribution that was acknowledged with version %s is %+v, %v", etag, got, err)
		}
	}
	for id := range w.gone {
		_, err := c.GetDistribution(t.Context(), &cloudfront.GetDistributionInput{Id: &id})
		var none *types.NoSuchDistribution
		if !errors.As(err, &none) {
			t.Errorf("a distribution that was deleted is there again: %v", err)
		}
	}
	for reference, id := range w.sent {
		if _, there := w.version[w.at[reference]]; !there {
			continue
		}
		again, err := c.CreateInvalidation(t.Context(), &cloudfront.CreateInvalidationInput{DistributionId: aws.String(w.at[reference]), InvalidationBatch: w.batch(reference)})
		if err != nil || *again.Invalidation.Id != id {
			t.Errorf("invalidation %s, sent again, became %+v, %v", id, again, err)
		}
	}
}

// What the CloudFront API acknowledged to any of fifty clients at once is there
// after it was killed, and nothing that was deleted is.
func TestPromiseWhatTheAPIAcknowledgedIsKept(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	data := t.TempDir()
	var all []*configurer
	for life := range rounds {
		f := start(t, options{data: data, config: "deploy: 0s\n"})
		c := f.cloudfront(t)
		// In the middle of it: there are some 550 answers.
		var answers atomic.Int64
		last := 150 + rand.Int64N(350)
		told := func() {
			if answers.Add(1) == last {
				_ = f.command.Process.Kill()
			}
		}
		var running sync.WaitGroup
		for n := range 50 {
			w := newConfigurer(fmt.Sprintf("life%d-%d", life, n), told)
			all = append(all, w)
			running.Go(func() { w.work(t.Context(), c, 4) })
		}
		running.Wait()
		f.kill()
	}
	f := start(t, options{data: data})
	c := f.cloudfront(t)
	kept, gone, sent := 0, 0, 0
	for _, w := range all {
		w.check(t, c)
		kept, gone, sent = kept+len(w.version), gone+len(w.gone), sent+len(w.sent)
	}
	if sent == 0 { // each client has three answers on the average
		t.Error("nothing was acknowledged")
	}
	t.Logf("%d distributions kept, %d deleted, %d invalidations", kept, gone, sent)
}

// A path with an empty ID is no other path.
func TestEmptyIDsAreNotRedirected(t *testing.T) {
	f := start(t, options{})
	for path, code := range map[string]string{
		"/2020-05-31/distribution//config": "NoSuchDistribution", "//2020-05-31/distribution": "UnsupportedOperation", "/2020-05-31/../_freshet/v1/log": "UnsupportedOperation",
	} {
		if got := f.signed(t, "cloudfront", http.MethodGet, f.API+path, ""); got.Error.Code != code {
			t.Errorf("%s: %+v, want %s", path, got, code)
		}
	}
}
