package api_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

// sdkConfig is a small distribution as people make them today.
func sdkConfig(reference string, aliases ...string) *types.DistributionConfig {
	return &types.DistributionConfig{
		CallerReference: &reference, Comment: aws.String("made by a test"), Enabled: aws.Bool(true), DefaultRootObject: aws.String("index.html"),
		Aliases: &types.Aliases{Quantity: aws.Int32(int32(len(aliases))), Items: aliases},
		Origins: &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{Id: aws.String("app"), DomainName: aws.String("app.example.com"),
			CustomOriginConfig: &types.CustomOriginConfig{HTTPPort: aws.Int32(80), HTTPSPort: aws.Int32(443), OriginProtocolPolicy: types.OriginProtocolPolicyHttpOnly}}}},
		DefaultCacheBehavior: &types.DefaultCacheBehavior{TargetOriginId: aws.String("app"), ViewerProtocolPolicy: types.ViewerProtocolPolicyRedirectToHttps,
			CachePolicyId: aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6"), Compress: aws.Bool(true)},
	}
}

// codeOf is the API's error code, with its HTTP status where it has one.
func codeOf(err error) string {
	var e smithy.APIError
	if !errors.As(err, &e) {
		if err == nil {
			return "none"
		}
		return "no API error: " + err.Error()
	}
	return e.ErrorCode()
}

func refusedAs(t *testing.T, what, code string, err error) {
	t.Helper()
	if got := codeOf(err); got != code {
		t.Errorf("%s: %s (%v), want %s", what, got, err, code)
	}
}

func TestDistributionLifecycle(t *testing.T) {
	var applied [][]string
	cat := catalog(t, func(c *api.CatalogConfig) {
		c.Apply = func(ds []distribution.Distribution) error {
			var ids []string
			for _, d := range ds {
				ids = append(ids, d.ID+" "+d.Config.Comment)
			}
			applied = append(applied, ids)
			return nil
		}
	})
	r := open(t, &edge{}, func(c *api.RegisterConfig) { c.Distributions = cat.Distributions })
	s := serve(t, r, func(c *api.HandlerConfig) { c.Catalog = cat })
	c, ctx := goClient(s.URL, secret), t.Context()

	made, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("one", "one.example.com")})
	if err != nil {
		t.Fatal(err)
	}
	id := *made.Distribution.Id
	if *made.Location != s.URL+"/2020-05-31/distribution/"+id || *made.Distribution.DomainName != strings.ToLower(id)+".cloudfront.localhost" ||
		*made.Distribution.ARN != "arn:aws:cloudfront::123456789012:distribution/"+id || *made.Distribution.Status != "Deployed" {
		t.Errorf("made %+v of %+v", made, made.Distribution)
	}
	if len(applied) != 1 || !slices.Contains(applied[0], id+" made by a test") || len(applied[0]) != 3 {
		t.Errorf("the edge was given %v", applied)
	}
	if _, err := c.CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: &id, InvalidationBatch: goBatch("r", "/a")}); err != nil {
		t.Errorf("invalidate what was made: %v", err)
	}
	_, err = c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("one")})
	refusedAs(t, "same caller reference", "DistributionAlreadyExists", err)
	for _, alias := range []string{"one.example.com", "ONE.example.com", "www.example.com", strings.ToLower(id) + ".cloudfront.localhost"} {
		_, err = c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("two", alias)})
		refusedAs(t, "alias "+alias, "CNAMEAlreadyExists", err)
	}

	config, err := c.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: &id})
	if err != nil || *config.ETag != *made.ETag || !reflect.DeepEqual(config.DistributionConfig, made.Distribution.DistributionConfig) {
		t.Fatalf("read back %+v, %v", config, err)
	}
	update := func(etag *string, change func(*types.DistributionConfig)) (*cloudfront.UpdateDistributionOutput, error) {
		next := *config.DistributionConfig
		if change != nil {
			change(&next)
		}
		return c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: &id, IfMatch: etag, DistributionConfig: &next})
	}
	_, err = update(nil, nil)
	refusedAs(t, "without If-Match", "InvalidIfMatchVersion", err)
	_, err = update(aws.String("ESTALE"), nil)
	refusedAs(t, "stale", "PreconditionFailed", err)
	_, err = update(made.ETag, func(c *types.DistributionConfig) { c.CallerReference = aws.String("other") })
	refusedAs(t, "other caller reference", "IllegalUpdate", err)
	updated, err := update(made.ETag, func(c *types.DistributionConfig) { c.Comment = aws.String("second") })
	if err != nil || *updated.ETag == *made.ETag || *updated.Distribution.DistributionConfig.Comment != "second" {
		t.Fatalf("update: %+v, %v", updated, err)
	}
	if last := applied[len(applied)-1]; !slices.Contains(last, id+" second") {
		t.Errorf("the edge was given %v", last)
	}
	_, err = update(made.ETag, nil)
	refusedAs(t, "the version before", "PreconditionFailed", err)
	// Back to what it was is a version of its own.
	back, err := update(updated.ETag, nil)
	if err != nil || *back.ETag == *made.ETag {
		t.Errorf("back: %+v, %v", back, err)
	}

	_, err = c.DeleteDistribution(ctx, &cloudfront.DeleteDistributionInput{Id: &id, IfMatch: back.ETag})
	refusedAs(t, "delete while enabled", "DistributionNotDisabled", err)
	off, err := update(back.ETag, func(c *types.DistributionConfig) { c.Enabled = aws.Bool(false) })
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.DeleteDistribution(ctx, &cloudfront.DeleteDistributionInput{Id: &id})
	refusedAs(t, "delete without If-Match", "InvalidIfMatchVersion", err)
	_, err = c.DeleteDistribution(ctx, &cloudfront.DeleteDistributionInput{Id: &id, IfMatch: back.ETag})
	refusedAs(t, "delete a version before", "PreconditionFailed", err)
	if _, err = c.DeleteDistribution(ctx, &cloudfront.DeleteDistributionInput{Id: &id, IfMatch: off.ETag}); err != nil {
		t.Fatal(err)
	}
	_, err = c.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: &id})
	refusedAs(t, "get what is gone", "NoSuchDistribution", err)
	if last := applied[len(applied)-1]; len(last) != 2 {
		t.Errorf("the edge was given %v", last)
	}
	if _, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("one", "one.example.com")}); err != nil {
		t.Errorf("the same once more: %v", err)
	}
}

func TestBuiltInDistributions(t *testing.T) {
	shelf := &api.MemoryShelf{}
	start := func(comment string) (*api.Catalog, *cloudfront.Client) {
		cat := catalog(t, func(c *api.CatalogConfig) {
			c.Shelf = shelf
			c.BuiltIn[0].Config.Comment = comment
		})
		return cat, goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret)
	}
	comment := func(c *api.Catalog) string {
		for _, d := range c.Distributions() {
			if d.ID == "E2RICH" {
				return d.Config.Comment
			}
		}
		return "not there"
	}
	first, c := start("of the file")
	id := aws.String("E2RICH")
	was, err := c.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	was.DistributionConfig.Comment = aws.String("of the API")
	if _, err := c.UpdateDistribution(t.Context(), &cloudfront.UpdateDistributionInput{Id: id, IfMatch: was.ETag, DistributionConfig: was.DistributionConfig}); err != nil {
		t.Fatal(err)
	}
	second, c := start("of the file")
	if got := []string{comment(first), comment(second)}; !slices.Equal(got, []string{"of the API", "of the API"}) {
		t.Errorf("after the update, and after a restart: %q", got)
	}
	now, err := c.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.DeleteDistribution(t.Context(), &cloudfront.DeleteDistributionInput{Id: id, IfMatch: now.ETag})
	refusedAs(t, "delete what the file has", "AccessDenied", err)
	if third, _ := start("changed in the file"); comment(third) != "changed in the file" {
		t.Errorf("the file changed, and the comment is %q", comment(third))
	}
}

// A shelf of which nobody knows whether it works.
type brokenShelf struct {
	api.MemoryShelf
	err error
}

func (s *brokenShelf) Put(ctx context.Context, key string, value []byte) error {
	return errors.Join(s.MemoryShelf.Put(ctx, key, value), s.err)
}

func TestAChangeThatIsNotKeptIsNotServed(t *testing.T) {
	shelf := &brokenShelf{err: errors.New("disk full")}
	var serving int
	refuse := false
	cat := catalog(t, func(c *api.CatalogConfig) {
		c.Shelf = shelf
		c.Apply = func(ds []distribution.Distribution) error {
			if refuse {
				return errors.New("no such host")
			}
			serving = len(ds)
			return nil
		}
	})
	s := serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat })
	c := goClient(s.URL, secret)
	_, err := c.CreateDistribution(t.Context(), &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("r")})
	refusedAs(t, "shelf broken", "ServiceUnavailable", err)
	if n := len(cat.Distributions()); n != 2 || serving != 2 {
		t.Errorf("%d distributions, the edge serves %d", n, serving)
	}
	shelf.err, refuse = nil, true
	_, err = c.CreateDistribution(t.Context(), &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("r")})
	refusedAs(t, "edge refuses", "InvalidArgument", err)
	refuse = false
	if _, err = c.CreateDistribution(t.Context(), &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("r")}); err != nil || len(cat.Distributions()) != 3 {
		t.Errorf("once more: %v", err)
	}
}

func TestReadOnlyCatalog(t *testing.T) {
	cat := catalog(t, func(c *api.CatalogConfig) { c.Shelf = nil })
	c := goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret)
	_, err := c.CreateDistribution(t.Context(), &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("r")})
	refusedAs(t, "create", "AccessDenied", err)
}

// Everything that was made is there after a restart, under the same versions.
func TestCatalogSurvives(t *testing.T) {
	shelf := &api.MemoryShelf{}
	start := func() *cloudfront.Client {
		cat := catalog(t, func(c *api.CatalogConfig) { c.Shelf = shelf })
		return goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret)
	}
	c, ctx := start(), t.Context()
	policy, err := c.CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: sdkPolicy("mine")})
	if err != nil {
		t.Fatal(err)
	}
	config := sdkConfig("r")
	config.DefaultCacheBehavior.CachePolicyId = policy.CachePolicy.Id
	made, err := c.CreateDistributionWithTags(ctx, &cloudfront.CreateDistributionWithTagsInput{DistributionConfigWithTags: &types.DistributionConfigWithTags{
		DistributionConfig: config, Tags: &types.Tags{Items: []types.Tag{{Key: aws.String("b"), Value: aws.String("2")}, {Key: aws.String("a"), Value: aws.String("1")}}}}})
	if err != nil {
		t.Fatal(err)
	}
	c = start()
	got, err := c.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: made.Distribution.Id})
	if err != nil || *got.ETag != *made.ETag || !reflect.DeepEqual(got.Distribution, made.Distribution) {
		t.Errorf("the distribution is %+v, %v", got, err)
	}
	again, err := c.GetCachePolicy(ctx, &cloudfront.GetCachePolicyInput{Id: policy.CachePolicy.Id})
	if err != nil || *again.ETag != *policy.ETag || !reflect.DeepEqual(again.CachePolicy, policy.CachePolicy) {
		t.Errorf("the policy is %+v, %v", again, err)
	}
	tags, err := c.ListTagsForResource(ctx, &cloudfront.ListTagsForResourceInput{Resource: made.Distribution.ARN})
	if err != nil || len(tags.Tags.Items) != 2 || *tags.Tags.Items[0].Key != "a" || *tags.Tags.Items[1].Value != "2" {
		t.Errorf("the tags are %+v, %v", tags, err)
	}
	_, err = c.DeleteCachePolicy(ctx, &cloudfront.DeleteCachePolicyInput{Id: policy.CachePolicy.Id, IfMatch: again.ETag})
	refusedAs(t, "delete a policy in use", "CachePolicyInUse", err)
}

func TestTags(t *testing.T) {
	c, ctx := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret), t.Context()
	arn := aws.String("arn:aws:cloudfront::123456789012:distribution/E1PLAIN")
	tag := func(key, value string) error {
		_, err := c.TagResource(ctx, &cloudfront.TagResourceInput{Resource: arn, Tags: &types.Tags{Items: []types.Tag{{Key: &key, Value: &value}}}})
		return err
	}
	before, err := c.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: aws.String("E1PLAIN")})
	if err := errors.Join(err, tag("b", "1"), tag("a", "2"), tag("b", "3")); err != nil {
		t.Fatal(err)
	}
	refusedAs(t, "empty key", "InvalidTagging", tag("", "x"))
	if _, err := c.UntagResource(ctx, &cloudfront.UntagResourceInput{Resource: arn, TagKeys: &types.TagKeys{Items: []string{"a", "none"}}}); err != nil {
		t.Fatal(err)
	}
	got, err := c.ListTagsForResource(ctx, &cloudfront.ListTagsForResourceInput{Resource: arn})
	if err != nil || len(got.Tags.Items) != 1 || *got.Tags.Items[0].Key != "b" || *got.Tags.Items[0].Value != "3" {
		t.Errorf("tags %+v, %v", got, err)
	}
	after, err := c.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: aws.String("E1PLAIN")})
	if err != nil || *after.ETag != *before.ETag {
		t.Errorf("tags changed the version: %v", err)
	}
	_, err = c.ListTagsForResource(ctx, &cloudfront.ListTagsForResourceInput{Resource: aws.String("arn:aws:cloudfront::123456789012:distribution/ENONE")})
	refusedAs(t, "unknown", "NoSuchResource", err)
}

func TestStatusIsInProgressForAWhile(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cat := catalog(t, func(c *api.CatalogConfig) {
		c.Now = func() time.Time { return now }
		c.Deploy = time.Minute
	})
	s := serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat })
	c := goClient(s.URL, secret)
	now = now.Add(time.Second)
	made, err := c.CreateDistribution(t.Context(), &cloudfront.CreateDistributionInput{DistributionConfig: sdkConfig("r")})
	if err != nil {
		t.Fatal(err)
	}
	status := func() string {
		got, err := c.GetDistribution(t.Context(), &cloudfront.GetDistributionInput{Id: made.Distribution.Id})
		if err != nil {
			t.Fatal(err)
		}
		return *got.Distribution.Status
	}
	was := []string{*made.Distribution.Status, status()}
	now = now.Add(time.Minute)
	if got := append(was, status()); !slices.Equal(got, []string{"InProgress", "InProgress", "Deployed"}) {
		t.Errorf("the status was %v", got)
	}
	waiter := cloudfront.NewDistributionDeployedWaiter(c)
	if err := waiter.Wait(t.Context(), &cloudfront.GetDistributionInput{Id: made.Distribution.Id}, time.Minute); err != nil {
		t.Error(err)
	}

	// One that was just disabled is enabled somewhere still.
	config := made.Distribution.DistributionConfig
	config.Enabled = aws.Bool(false)
	disabled, err := c.UpdateDistribution(t.Context(), &cloudfront.UpdateDistributionInput{Id: made.Distribution.Id, IfMatch: made.ETag, DistributionConfig: config})
	if err != nil {
		t.Fatal(err)
	}
	remove := &cloudfront.DeleteDistributionInput{Id: made.Distribution.Id, IfMatch: disabled.ETag}
	_, err = c.DeleteDistribution(t.Context(), remove)
	refusedAs(t, "delete at once", "DistributionNotDisabled", err)
	now = now.Add(time.Minute)
	if _, err := c.DeleteDistribution(t.Context(), remove); err != nil {
		t.Error(err)
	}
}

// Of many who change the same version one does, and the others are told.
func TestUpdatesAtOnce(t *testing.T) {
	var applying atomic.Int32
	cat := catalog(t, func(c *api.CatalogConfig) {
		c.Apply = func([]distribution.Distribution) error {
			if applying.Add(1) != 1 {
				t.Error("applied twice at once")
			}
			defer applying.Add(-1)
			return nil
		}
	})
	c := goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret)
	was, err := c.GetDistributionConfig(t.Context(), &cloudfront.GetDistributionConfigInput{Id: aws.String("E1PLAIN")})
	if err != nil {
		t.Fatal(err)
	}
	var won, stale atomic.Int32
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			next := *was.DistributionConfig
			next.Comment = aws.String(strconv.Itoa(n))
			_, err := c.UpdateDistribution(t.Context(), &cloudfront.UpdateDistributionInput{Id: aws.String("E1PLAIN"), IfMatch: was.ETag, DistributionConfig: &next})
			switch codeOf(err) {
			case "none":
				won.Add(1)
			case "PreconditionFailed":
				stale.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || stale.Load() != 15 {
		t.Errorf("%d won, %d were stale", won.Load(), stale.Load())
	}
}
