package api_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	kvs "github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore"
	kvstypes "github.com/aws/aws-sdk-go-v2/service/cloudfrontkeyvaluestore/types"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

// pairsClient is the SDK's client for the pairs. It puts the account in front of
// the host, so every name below localhost is dialed as the loopback address.
func pairsClient(t *testing.T, server, secret string) *kvs.Client {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, u.Host)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return kvs.New(kvs.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String("http://localhost:" + u.Port()), Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	})
}

func TestKeyValueStoreLifecycle(t *testing.T) {
	shelf := &api.MemoryShelf{}
	applied := 0
	start := func() (*api.Catalog, *cloudfront.Client, *kvs.Client) {
		cat := catalog(t, func(c *api.CatalogConfig) {
			c.Shelf = shelf
			c.Apply = func([]distribution.Distribution) error { applied++; return nil }
		})
		s := serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) {
			c.Catalog = cat
			c.Import = func(_ context.Context, source string) (map[string]string, error) {
				switch source {
				case "arn:aws:s3:::b/pairs.json":
					return map[string]string{"a": "1", "ü/ x": "<&>\x01"}, nil
				case "arn:aws:s3:::b/large.json":
					large := make(map[string]string)
					for i := range 6 << 10 {
						large[fmt.Sprint(i)] = strings.Repeat("x", 1024)
					}
					return large, nil
				case "arn:aws:s3:::b/broken.json":
					return nil, errors.New("a secret of the machine")
				}
				return nil, fmt.Errorf("%w: no such object", api.ErrImport)
			}
		})
		return cat, goClient(s.URL, secret), pairsClient(t, s.URL, secret)
	}
	cat, c, p := start()
	ctx, name := t.Context(), aws.String("red-irects_1")
	source := func(object string) *types.ImportSource {
		return &types.ImportSource{SourceType: types.ImportSourceTypeS3, SourceARN: aws.String("arn:aws:s3:::b/" + object)}
	}
	made, err := c.CreateKeyValueStore(ctx, &cloudfront.CreateKeyValueStoreInput{Name: name, Comment: aws.String("first <&>"), ImportSource: source("pairs.json")})
	if err != nil {
		t.Fatal(err)
	}
	arn := made.KeyValueStore.ARN
	if *arn != "arn:aws:cloudfront::123456789012:key-value-store/"+*made.KeyValueStore.Id || *made.KeyValueStore.Status != "READY" || !strings.HasSuffix(*made.Location, "/key-value-store/red-irects_1") {
		t.Errorf("made %+v at %s", made.KeyValueStore, *made.Location)
	}
	for what, in := range map[string]struct {
		name string
		from *types.ImportSource
		code string
	}{
		"the same name":  {*name, nil, "EntityAlreadyExists"},
		"no name":        {"a b", nil, "InvalidArgument"},
		"no object":      {"x", source("none.json"), "InvalidArgument"},
		"too large":      {"x", source("large.json"), "EntitySizeLimitExceeded"},
		"broken":         {"x", source("broken.json"), "ServiceUnavailable"},
		"another source": {"x", &types.ImportSource{SourceType: "FTP", SourceARN: aws.String("x")}, "InvalidArgument"},
	} {
		_, err := c.CreateKeyValueStore(ctx, &cloudfront.CreateKeyValueStoreInput{Name: &in.name, ImportSource: in.from})
		refusedAs(t, what, in.code, err)
	}

	described, err := p.DescribeKeyValueStore(ctx, &kvs.DescribeKeyValueStoreInput{KvsARN: arn})
	if err != nil || *described.ItemCount != 2 || *described.TotalSizeInBytes != int64(len("a1ü/ x<&>\x01")) || described.Created.IsZero() || *described.Status != "READY" {
		t.Fatalf("described %+v, %v", described, err)
	}
	if *described.ETag == *made.ETag {
		t.Error("the pairs have the ETag of the description")
	}
	got, err := p.GetKey(ctx, &kvs.GetKeyInput{KvsARN: arn, Key: aws.String("ü/ x")})
	if err != nil || *got.Value != "<&>\x01" || *got.Key != "ü/ x" {
		t.Errorf("got %+v, %v", got, err)
	}
	put, err := p.PutKey(ctx, &kvs.PutKeyInput{KvsARN: arn, Key: aws.String("b//.."), Value: aws.String("2"), IfMatch: described.ETag})
	if err != nil || *put.ItemCount != 3 || *put.ETag == *described.ETag {
		t.Fatalf("put %+v, %v", put, err)
	}
	_, err = p.PutKey(ctx, &kvs.PutKeyInput{KvsARN: arn, Key: aws.String("c"), Value: aws.String("2"), IfMatch: described.ETag})
	refusedAs(t, "a stale ETag", "ConflictException", err)
	_, err = p.PutKey(ctx, &kvs.PutKeyInput{KvsARN: arn, Key: aws.String("c"), Value: aws.String("2"), IfMatch: made.ETag})
	refusedAs(t, "the ETag of the description", "ConflictException", err)
	many := make([]kvstypes.PutKeyRequestListItem, 51)
	for i := range many {
		many[i] = kvstypes.PutKeyRequestListItem{Key: aws.String(fmt.Sprintf("m%02d", i)), Value: aws.String("v")}
	}
	for what, in := range map[string]struct {
		puts    []kvstypes.PutKeyRequestListItem
		deletes []string
	}{
		"too many":           {many, nil},
		"none":               {nil, nil},
		"twice":              {[]kvstypes.PutKeyRequestListItem{many[0], many[0]}, nil},
		"put and deleted":    {many[:1], []string{"m00"}},
		"a long key":         {[]kvstypes.PutKeyRequestListItem{{Key: aws.String(strings.Repeat("k", 513)), Value: aws.String("v")}}, nil},
		"a long value":       {[]kvstypes.PutKeyRequestListItem{{Key: aws.String("k"), Value: aws.String(strings.Repeat("v", 1025))}}, nil},
		"one bad among good": {append(slices.Clone(many[:3]), kvstypes.PutKeyRequestListItem{Key: aws.String(""), Value: aws.String("v")}), nil},
	} {
		batch := &kvs.UpdateKeysInput{KvsARN: arn, IfMatch: put.ETag, Puts: in.puts}
		for _, key := range in.deletes {
			batch.Deletes = append(batch.Deletes, kvstypes.DeleteKeyRequestListItem{Key: &key})
		}
		_, err := p.UpdateKeys(ctx, batch)
		refusedAs(t, what, "ValidationException", err)
	}
	updated, err := p.UpdateKeys(ctx, &kvs.UpdateKeysInput{KvsARN: arn, IfMatch: put.ETag, Puts: many[:49], Deletes: []kvstypes.DeleteKeyRequestListItem{{Key: aws.String("a")}}})
	if err != nil || *updated.ItemCount != 51 {
		t.Fatalf("updated %+v, %v", updated, err)
	}
	seen := make(map[string]string)
	pages := kvs.NewListKeysPaginator(p, &kvs.ListKeysInput{KvsARN: arn, MaxResults: aws.Int32(20)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil || len(page.Items) > 20 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, i := range page.Items {
			seen[*i.Key] = *i.Value
		}
	}
	if now, ok := cat.Store(*arn); !ok || !maps.Equal(seen, now.Pairs) || len(seen) != 51 {
		t.Errorf("listed %d, the edge has %d", len(seen), len(now.Pairs))
	}
	deleted, err := p.DeleteKey(ctx, &kvs.DeleteKeyInput{KvsARN: arn, Key: aws.String("m00"), IfMatch: updated.ETag})
	if err != nil || *deleted.ItemCount != 50 {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	_, err = p.GetKey(ctx, &kvs.GetKeyInput{KvsARN: arn, Key: aws.String("m00")})
	refusedAs(t, "a key that is gone", "ResourceNotFoundException", err)
	_, err = p.GetKey(ctx, &kvs.GetKeyInput{KvsARN: aws.String(*arn + "0"), Key: aws.String("a")})
	refusedAs(t, "another store", "ResourceNotFoundException", err)

	// The description has a version of its own, which edits leave alone.
	_, err = c.UpdateKeyValueStore(ctx, &cloudfront.UpdateKeyValueStoreInput{Name: name, Comment: aws.String("second"), IfMatch: deleted.ETag})
	refusedAs(t, "the ETag of the pairs", "PreconditionFailed", err)
	renewed, err := c.UpdateKeyValueStore(ctx, &cloudfront.UpdateKeyValueStoreInput{Name: name, Comment: aws.String("second"), IfMatch: made.ETag})
	if err != nil || *renewed.KeyValueStore.Comment != "second" || *renewed.ETag == *made.ETag {
		t.Fatalf("renewed %+v, %v", renewed, err)
	}

	cat, c, p = start()
	again, err := p.DescribeKeyValueStore(ctx, &kvs.DescribeKeyValueStoreInput{KvsARN: arn})
	if err != nil || *again.ETag != *deleted.ETag || *again.ItemCount != 50 {
		t.Errorf("after a restart: %+v, %v", again, err)
	}
	config := sdkFunction("")
	config.KeyValueStoreAssociations = &types.KeyValueStoreAssociations{Quantity: aws.Int32(1), Items: []types.KeyValueStoreAssociation{{KeyValueStoreARN: aws.String(*arn + "0")}}}
	fn := &cloudfront.CreateFunctionInput{Name: aws.String("f"), FunctionConfig: config, FunctionCode: []byte(functionText)}
	_, err = c.CreateFunction(ctx, fn)
	refusedAs(t, "a function of a store that is not there", "InvalidArgument", err)
	config.KeyValueStoreAssociations.Items[0].KeyValueStoreARN = arn
	function, err := c.CreateFunction(ctx, fn)
	if err != nil || *function.FunctionSummary.FunctionConfig.KeyValueStoreAssociations.Items[0].KeyValueStoreARN != *arn {
		t.Fatalf("%+v, %v", function, err)
	}
	_, err = c.DeleteKeyValueStore(ctx, &cloudfront.DeleteKeyValueStoreInput{Name: name, IfMatch: renewed.ETag})
	refusedAs(t, "delete what a function uses", "CannotDeleteEntityWhileInUse", err)
	if _, err := c.DeleteFunction(ctx, &cloudfront.DeleteFunctionInput{Name: aws.String("f"), IfMatch: function.ETag}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListKeyValueStores(ctx, &cloudfront.ListKeyValueStoresInput{Status: aws.String("READY")})
	if err != nil || len(list.KeyValueStoreList.Items) != 1 || *list.KeyValueStoreList.Items[0].Comment != "second" {
		t.Errorf("listed %+v, %v", list, err)
	}
	if tags, err := c.ListTagsForResource(ctx, &cloudfront.ListTagsForResourceInput{Resource: arn}); err != nil || len(tags.Tags.Items) != 0 {
		t.Errorf("%+v, %v", tags, err)
	}
	_, err = c.DeleteKeyValueStore(ctx, &cloudfront.DeleteKeyValueStoreInput{Name: name, IfMatch: made.ETag})
	refusedAs(t, "delete with a stale ETag", "PreconditionFailed", err)
	if _, err := c.DeleteKeyValueStore(ctx, &cloudfront.DeleteKeyValueStoreInput{Name: name, IfMatch: renewed.ETag}); err != nil {
		t.Error(err)
	}
	_, err = c.DescribeKeyValueStore(ctx, &cloudfront.DescribeKeyValueStoreInput{Name: name})
	refusedAs(t, "what is gone", "EntityNotFound", err)
	if _, ok := cat.Store(*arn); ok {
		t.Error("the edge still has the store")
	}
	if applied > 0 {
		t.Errorf("the edge was configured %d times for nothing", applied)
	}
}

// Of those who edit the same version one wins, and nothing gets lost.
func TestKeyValueStoreEditedByMany(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	made, err := goClient(s.URL, secret).CreateKeyValueStore(t.Context(), &cloudfront.CreateKeyValueStoreInput{Name: aws.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 4 {
		p := pairsClient(t, s.URL, secret)
		group.Go(func() {
			for j := 0; j < 5; {
				now, err := p.DescribeKeyValueStore(t.Context(), &kvs.DescribeKeyValueStoreInput{KvsARN: made.KeyValueStore.ARN})
				if err != nil {
					t.Error(err)
					return
				}
				_, err = p.PutKey(t.Context(), &kvs.PutKeyInput{KvsARN: made.KeyValueStore.ARN, Key: aws.String(fmt.Sprint(i, j)), Value: aws.String("v"), IfMatch: now.ETag})
				var stale *kvstypes.ConflictException
				switch {
				case err == nil:
					j++
				case !errors.As(err, &stale):
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	now, err := pairsClient(t, s.URL, secret).DescribeKeyValueStore(t.Context(), &kvs.DescribeKeyValueStoreInput{KvsARN: made.KeyValueStore.ARN})
	if err != nil || *now.ItemCount != 20 {
		t.Errorf("%+v, %v", now, err)
	}
}

func TestKeyValueStoreIsSigned(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	made, err := goClient(s.URL, secret).CreateKeyValueStore(t.Context(), &cloudfront.CreateKeyValueStoreInput{Name: aws.String("s")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pairsClient(t, s.URL, "another").DescribeKeyValueStore(t.Context(), &kvs.DescribeKeyValueStoreInput{KvsARN: made.KeyValueStore.ARN})
	refusedAs(t, "another secret", "SignatureDoesNotMatch", err)
	r, err := http.Get(s.URL + "/key-value-stores/" + url.PathEscape(*made.KeyValueStore.ARN))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("without a signature: %d", r.StatusCode)
	}
}
