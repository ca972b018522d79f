package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet/internal/edge/api"
)

const functionText = "function handler(event) { return event.request; } // <&> é"

func sdkFunction(comment string) *types.FunctionConfig {
	return &types.FunctionConfig{Comment: &comment, Runtime: types.FunctionRuntimeCloudfrontJs20}
}

func TestFunctionLifecycle(t *testing.T) {
	shelf := &api.MemoryShelf{}
	start := func() (*api.Catalog, *cloudfront.Client) {
		cat := catalog(t, func(c *api.CatalogConfig) { c.Shelf = shelf })
		return cat, goClient(serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) { c.Catalog = cat }).URL, secret)
	}
	cat, c := start()
	ctx, name := t.Context(), aws.String("rewrite_1-a")
	made, err := c.CreateFunction(ctx, &cloudfront.CreateFunctionInput{Name: name, FunctionConfig: sdkFunction("first"), FunctionCode: []byte(functionText),
		Tags: &types.Tags{Items: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}})
	if err != nil {
		t.Fatal(err)
	}
	arn := made.FunctionSummary.FunctionMetadata.FunctionARN
	if *arn != "arn:aws:cloudfront::123456789012:function/rewrite_1-a" || *made.FunctionSummary.Status != "UNPUBLISHED" || made.FunctionSummary.FunctionMetadata.Stage != types.FunctionStageDevelopment {
		t.Errorf("made %+v", made.FunctionSummary)
	}
	if tags, err := c.ListTagsForResource(ctx, &cloudfront.ListTagsForResourceInput{Resource: arn}); err != nil || len(tags.Tags.Items) != 1 {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	_, err = c.CreateFunction(ctx, &cloudfront.CreateFunctionInput{Name: name, FunctionConfig: sdkFunction(""), FunctionCode: []byte("x")})
	refusedAs(t, "the same name", "FunctionAlreadyExists", err)
	got, err := c.GetFunction(ctx, &cloudfront.GetFunctionInput{Name: name})
	if err != nil || string(got.FunctionCode) != functionText || *got.ETag != *made.ETag || *got.ContentType != "application/octet-stream" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = c.DescribeFunction(ctx, &cloudfront.DescribeFunctionInput{Name: name, Stage: types.FunctionStageLive})
	refusedAs(t, "LIVE before it is published", "NoSuchFunctionExists", err)
	with := func(reference string) *types.DistributionConfig {
		config := sdkConfig(reference)
		config.DefaultCacheBehavior.FunctionAssociations = &types.FunctionAssociations{Quantity: aws.Int32(1), Items: []types.FunctionAssociation{{EventType: types.EventTypeViewerRequest, FunctionARN: arn}}}
		return config
	}
	_, err = c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: with("r")})
	refusedAs(t, "associate before it is published", "InvalidFunctionAssociation", err)
	if _, ok := cat.Function(*arn); ok {
		t.Error("the edge has code that was not published")
	}

	_, err = c.PublishFunction(ctx, &cloudfront.PublishFunctionInput{Name: name, IfMatch: aws.String("ESTALE")})
	refusedAs(t, "publish a stale one", "PreconditionFailed", err)
	live, err := c.PublishFunction(ctx, &cloudfront.PublishFunctionInput{Name: name, IfMatch: made.ETag})
	if err != nil || *live.FunctionSummary.Status != "UNASSOCIATED" || live.FunctionSummary.FunctionMetadata.Stage != types.FunctionStageLive {
		t.Fatalf("published %+v, %v", live, err)
	}
	d, err := c.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: with("r")})
	if err != nil {
		t.Fatal(err)
	}
	updated, err := c.UpdateFunction(ctx, &cloudfront.UpdateFunctionInput{Name: name, IfMatch: made.ETag, FunctionConfig: sdkFunction("second"), FunctionCode: []byte("// second\n" + functionText)})
	if err != nil || *updated.ETag == *made.ETag {
		t.Fatalf("updated %+v, %v", updated, err)
	}
	if now, ok := cat.Function(*arn); !ok || string(now.Code) != functionText || now.Runtime != "cloudfront-js-2.0" {
		t.Errorf("the edge runs %+v", now)
	}
	status := func(stage types.FunctionStage) string {
		got, err := c.DescribeFunction(ctx, &cloudfront.DescribeFunctionInput{Name: name, Stage: stage})
		if err != nil {
			t.Fatal(err)
		}
		return *got.FunctionSummary.Status + " " + *got.FunctionSummary.FunctionConfig.Comment
	}
	if dev, live := status("DEVELOPMENT"), status("LIVE"); dev != "UNPUBLISHED second" || live != "DEPLOYED first" {
		t.Errorf("development %s, live %s", dev, live)
	}
	_, err = c.DeleteFunction(ctx, &cloudfront.DeleteFunctionInput{Name: name, IfMatch: updated.ETag})
	refusedAs(t, "delete while in use", "FunctionInUse", err)

	cat, c = start()
	if now, ok := cat.Function(*arn); !ok || string(now.Code) != functionText {
		t.Errorf("after a restart the edge runs %+v", now)
	}
	if dev := status("DEVELOPMENT"); dev != "UNPUBLISHED second" {
		t.Errorf("after a restart: %s", dev)
	}
	list, err := c.ListFunctions(ctx, &cloudfront.ListFunctionsInput{Stage: types.FunctionStageLive})
	if err != nil || len(list.FunctionList.Items) != 1 || *list.FunctionList.Items[0].Name != *name {
		t.Errorf("listed %+v, %v", list, err)
	}
	off := sdkConfig("r")
	if _, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: d.Distribution.Id, IfMatch: d.ETag, DistributionConfig: off}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.DeleteFunction(ctx, &cloudfront.DeleteFunctionInput{Name: name, IfMatch: updated.ETag}); err != nil {
		t.Error(err)
	}
	_, err = c.GetFunction(ctx, &cloudfront.GetFunctionInput{Name: name})
	refusedAs(t, "get what is gone", "NoSuchFunctionExists", err)
}

func TestFunctionsThatAreRefused(t *testing.T) {
	c := goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret)
	for what, tt := range map[string]struct {
		name   string
		config *types.FunctionConfig
		code   string
		want   string
	}{
		"name":          {"a b", sdkFunction(""), "x", "InvalidArgument"},
		"long name":     {strings.Repeat("n", 65), sdkFunction(""), "x", "InvalidArgument"},
		"runtime":       {"n", &types.FunctionConfig{Comment: aws.String(""), Runtime: "python"}, "x", "InvalidArgument"},
		"no code":       {"n", sdkFunction(""), "", "InvalidArgument"},
		"too much code": {"n", sdkFunction(""), strings.Repeat("x", api.MaxFunctionCode+1), "FunctionSizeLimitExceeded"},
	} {
		_, err := c.CreateFunction(t.Context(), &cloudfront.CreateFunctionInput{Name: &tt.name, FunctionConfig: tt.config, FunctionCode: []byte(tt.code)})
		refusedAs(t, what, tt.want, err)
	}
	if _, err := c.CreateFunction(t.Context(), &cloudfront.CreateFunctionInput{Name: aws.String("n"), FunctionConfig: sdkFunction(""), FunctionCode: []byte(strings.Repeat("x", api.MaxFunctionCode))}); err != nil {
		t.Errorf("as much code as there may be: %v", err)
	}
}

func TestTestFunction(t *testing.T) {
	var ran []api.FunctionTest
	s := serve(t, open(t, &edge{}, nil), func(c *api.HandlerConfig) {
		c.TestFunction = func(_ context.Context, f api.FunctionTest) (api.FunctionOutcome, error) {
			ran = append(ran, f)
			switch string(f.Event) {
			case "no event":
				return api.FunctionOutcome{}, fmt.Errorf("%w: it is none", api.ErrEvent)
			case "broken":
				return api.FunctionOutcome{}, errors.New("a secret of the machine")
			}
			return api.FunctionOutcome{Utilization: 23, Logs: []string{"one", "<two>"}, Error: "no", Output: `{"request":{}}`}, nil
		}
	})
	c, ctx, name := goClient(s.URL, secret), t.Context(), aws.String("f")
	made, err := c.CreateFunction(ctx, &cloudfront.CreateFunctionInput{Name: name, FunctionConfig: sdkFunction(""), FunctionCode: []byte(functionText)})
	if err != nil {
		t.Fatal(err)
	}
	test := func(stage types.FunctionStage, event string) (*cloudfront.TestFunctionOutput, error) {
		return c.TestFunction(ctx, &cloudfront.TestFunctionInput{Name: name, IfMatch: made.ETag, Stage: stage, EventObject: []byte(event)})
	}
	got, err := test("DEVELOPMENT", `{"version":"1.0"}`)
	if err != nil {
		t.Fatal(err)
	}
	if r := got.TestResult; *r.ComputeUtilization != "23" || len(r.FunctionExecutionLogs) != 2 || r.FunctionExecutionLogs[1] != "<two>" || *r.FunctionErrorMessage != "no" || *r.FunctionOutput != `{"request":{}}` || *r.FunctionSummary.Name != "f" {
		t.Errorf("got %+v", r)
	}
	if string(ran[0].Code) != functionText || string(ran[0].Event) != `{"version":"1.0"}` || ran[0].Runtime != "cloudfront-js-2.0" {
		t.Errorf("ran %+v", ran[0])
	}
	_, err = test("", "no event")
	refusedAs(t, "no event", "InvalidArgument", err)
	_, err = test("", "broken")
	refusedAs(t, "broken", "TestFunctionFailed", err)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the cause is shown: %v", err)
	}
	_, err = test("LIVE", "{}")
	refusedAs(t, "LIVE before it is published", "NoSuchFunctionExists", err)
	_, err = c.TestFunction(ctx, &cloudfront.TestFunctionInput{Name: name, IfMatch: aws.String("ESTALE"), EventObject: []byte("{}")})
	refusedAs(t, "stale", "PreconditionFailed", err)
	_, err = goClient(serve(t, open(t, &edge{}, nil), nil).URL, secret).TestFunction(ctx, &cloudfront.TestFunctionInput{Name: name, IfMatch: made.ETag, EventObject: []byte("{}")})
	refusedAs(t, "without a runtime", "UnsupportedOperation", err)
}
