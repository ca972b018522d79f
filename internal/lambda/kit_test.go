package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/cdn/memcdn"
)

// account has the distribution E1, which the bucket "site" feeds.
type account struct{}

func (account) GetDistribution(_ context.Context, in *sdk.GetDistributionInput, _ ...func(*sdk.Options)) (*sdk.GetDistributionOutput, error) {
	if *in.Id != "E1" {
		return nil, errors.New("NoSuchDistribution")
	}
	return &sdk.GetDistributionOutput{Distribution: &types.Distribution{
		Id: in.Id, ARN: aws.String("arn:aws:cloudfront::1:distribution/E1"), DomainName: aws.String("d1.cloudfront.net"), Status: aws.String("Deployed"),
		DistributionConfig: &types.DistributionConfig{
			CallerReference: aws.String("r"), Comment: aws.String(""), Enabled: aws.Bool(true),
			Aliases: &types.Aliases{Quantity: aws.Int32(0)}, Origins: origins(),
			DefaultCacheBehavior: &types.DefaultCacheBehavior{
				TargetOriginId: aws.String("o"), ViewerProtocolPolicy: types.ViewerProtocolPolicyRedirectToHttps,
				CachePolicyId:  aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6"),
				AllowedMethods: &types.AllowedMethods{Quantity: aws.Int32(2), Items: []types.Method{"GET", "HEAD"}, CachedMethods: &types.CachedMethods{Quantity: aws.Int32(2), Items: []types.Method{"GET", "HEAD"}}},
				Compress:       aws.Bool(true),
			},
			CustomErrorResponses: &types.CustomErrorResponses{Quantity: aws.Int32(0)}, HttpVersion: types.HttpVersionHttp2,
			PriceClass:        types.PriceClassPriceClassAll,
			ViewerCertificate: &types.ViewerCertificate{CloudFrontDefaultCertificate: aws.Bool(true), MinimumProtocolVersion: types.MinimumProtocolVersionTLSv1},
		},
	}}, nil
}

func origins() *types.Origins {
	return &types.Origins{Quantity: aws.Int32(1), Items: []types.Origin{{
		Id: aws.String("o"), DomainName: aws.String("site.s3.eu-west-1.amazonaws.com"), OriginPath: aws.String(""),
		S3OriginConfig: &types.S3OriginConfig{OriginAccessIdentity: aws.String("")}, CustomHeaders: &types.CustomHeaders{Quantity: aws.Int32(0)},
	}}}
}

// GetDistributionTenant knows dt_1, a tenant of E1.
func (account) GetDistributionTenant(_ context.Context, in *sdk.GetDistributionTenantInput, _ ...func(*sdk.Options)) (*sdk.GetDistributionTenantOutput, error) {
	if *in.Identifier != "dt_1" {
		return nil, errors.New("EntityNotFound")
	}
	return &sdk.GetDistributionTenantOutput{DistributionTenant: &types.DistributionTenant{
		Id: in.Identifier, DistributionId: aws.String("E1"), Enabled: aws.Bool(true), Domains: []types.DomainResult{{Domain: aws.String("one.example.org")}},
	}}, nil
}

func (account) GetCachePolicy(context.Context, *sdk.GetCachePolicyInput, ...func(*sdk.Options)) (*sdk.GetCachePolicyOutput, error) {
	return nil, errors.New("NoSuchCachePolicy")
}

func (account) ListDistributions(context.Context, *sdk.ListDistributionsInput, ...func(*sdk.Options)) (*sdk.ListDistributionsOutput, error) {
	return &sdk.ListDistributionsOutput{DistributionList: &types.DistributionList{Items: []types.DistributionSummary{{Id: aws.String("E1"), Enabled: aws.Bool(true), Origins: origins()}}}}, nil
}

// dated is a CDN that knows when it took what, and on whose word.
type dated struct {
	*memcdn.CDN
	mu     sync.Mutex
	at     map[string]time.Time // by caller reference
	looks  int
	denied error // what Since fails with
}

func (d *dated) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	receipt, err := d.CDN.Invalidate(ctx, inv)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.Accepted() {
		if _, ok := d.at[a.CallerReference]; !ok {
			d.at[a.CallerReference] = time.Now()
		}
	}
	return receipt, err
}

func (d *dated) Patterns(_ context.Context, distribution, id string) ([]freshet.Pattern, error) {
	for _, a := range d.Accepted() {
		if a.Distribution == distribution && a.CallerReference == id {
			return a.Patterns, nil
		}
	}
	return nil, errors.New("NoSuchInvalidation")
}

func (d *dated) Listed(_ context.Context, distribution string, from time.Time, most int) (sent []cloudfront.Sent, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	if d.denied != nil {
		return nil, d.denied
	}
	for _, a := range slices.Backward(d.Accepted()) {
		if at := d.at[a.CallerReference]; a.Distribution == distribution && !at.Before(from) && len(sent) < most {
			sent = append(sent, cloudfront.Sent{ID: a.CallerReference, At: at})
		}
	}
	return sent, nil
}

// patterns are all that were accepted, sorted, as often as they were.
func (d *dated) patterns() (all []string) {
	for _, inv := range d.Accepted() {
		for _, p := range inv.Patterns {
			all = append(all, string(p))
		}
	}
	slices.Sort(all)
	return all
}

// function is a handler and its world.
type function struct {
	*Handler
	cdn *dated
	out *bytes.Buffer // of the metrics
	log *bytes.Buffer
}

// newFunction makes an instance; several on one CDN are what Lambda starts when
// one has ended.
func newFunction(t testing.TB, on *dated, document string, change func(*World)) *function {
	t.Helper()
	cfg, err := ReadConfig([]byte(document), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	f := &function{cdn: on, out: new(bytes.Buffer), log: new(bytes.Buffer)}
	world := World{CDN: on, Account: account{}, Log: slog.New(slog.NewJSONHandler(f.log, nil)), Metrics: Metrics{Out: f.out, Function: "freshet"}}
	if change != nil {
		change(&world)
	}
	f.Handler = New(cfg, world)
	return f
}

func newCDN() *dated {
	p := memcdn.Profile("E1")
	p.MaxWildcards = 1
	return &dated{CDN: memcdn.New(p), at: make(map[string]time.Time)}
}

// invoke gives an event to the function, as the request r-1 unless another is
// named.
func (f *function) invoke(ctx context.Context, event any, request ...string) (string, error) {
	text, ok := event.(string)
	if !ok {
		b, err := json.Marshal(event)
		if err != nil {
			panic(err)
		}
		text = string(b)
	}
	id := "r-1"
	if len(request) > 0 {
		id = request[0]
	}
	answer, err := f.Invoke(lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: id}), []byte(text))
	return string(answer), err
}

// counts are the metrics of the last invocation.
func (f *function) counts(t *testing.T) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(f.out.String()), "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

// put is a record of S3.
func put(key string, n int) map[string]any { return putAt(key, n, time.Now()) }

func putAt(key string, n int, at time.Time) map[string]any {
	return map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "eventTime": at.UTC().Format(time.RFC3339Nano),
		"s3": map[string]any{"bucket": map[string]any{"name": "site"}, "object": map[string]any{"key": key, "size": 1, "eTag": "e", "sequencer": fmt.Sprintf("%016X", n)}},
	}
}

func records(all ...map[string]any) map[string]any { return map[string]any{"Records": all} }

func textFrom(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// letter is a message of SQS.
func letter(id string, body any, more ...map[string]any) map[string]any {
	m := map[string]any{"messageId": id, "eventSource": "aws:sqs", "body": textFrom(body), "attributes": map[string]any{"ApproximateReceiveCount": "1"}}
	for _, extra := range more {
		maps.Copy(m, extra)
	}
	return m
}

func again(n int) map[string]any {
	return map[string]any{"attributes": map[string]any{"ApproximateReceiveCount": fmt.Sprint(n)}}
}

func inSNS(v any) map[string]any {
	return map[string]any{"Type": "Notification", "MessageId": "s", "Message": textFrom(v)}
}

func failures(ids ...string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = fmt.Sprintf(`{"itemIdentifier":%q}`, id)
	}
	return `{"batchItemFailures":[` + strings.Join(parts, ",") + `]}`
}
