package lambda

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/freshet/freshet/internal/barrier"
)

// underWay is a distribution that is InProgress until a time.
type underWay struct{ until time.Time }

func (d underWay) GetDistribution(context.Context, *sdk.GetDistributionInput, ...func(*sdk.Options)) (*sdk.GetDistributionOutput, error) {
	status := "InProgress"
	if !time.Now().Before(d.until) {
		status = "Deployed"
	}
	return &sdk.GetDistributionOutput{Distribution: &types.Distribution{Status: &status}}, nil
}

// While what is waited for is not true, nothing is invalidated, whatever asked
// for it; it comes again, and goes when it is true.
func TestPromiseNothingIsInvalidatedBeforeTheBarrierHolds(t *testing.T) {
	order := map[string]any{"freshet": map[string]any{"distribution": "E1", "invalidate": []string{"/a"}}}
	for name, c := range map[string]struct {
		event  any
		answer string // while it is not true
		fails  bool
	}{
		"SQS":    {letter("m", records(put("a", 1))), `{"batchItemFailures":[{"itemIdentifier":"m"}]}`, false},
		"direct": {records(put("a", 1)), "", true},
		"order":  {order, "", true},
		"job":    {jobOf("j", "E1 /a", ""), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until, pipeline := time.Now().Add(2*time.Minute), new(told)
				f := newFunction(t, newCDN(), "distributions: [E1]\nwait_for: [distribution E2EXAMPLE1234 deployed within 10m]\n", func(w *World) {
					w.Jobs = pipeline
					w.Asked = barrier.Clients{CloudFront: func(string) barrier.Distributions { return underWay{until} }}
				})
				event := c.event
				if name == "SQS" {
					event = map[string]any{"Records": []any{c.event}}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				answer, err := f.invoke(ctx, event)
				if (err != nil) != c.fails || c.answer != "" && answer != c.answer || len(f.cdn.patterns()) > 0 {
					t.Errorf("%q, %v; %v", answer, err, f.cdn.patterns())
				}
				if name == "job" && (pipeline.failed > 0 || pipeline.token == "") {
					t.Errorf("%+v", pipeline)
				}
				if name != "job" && !strings.Contains(f.log.String(), "wait for distribution E2EXAMPLE1234 deployed: the function's timeout is near") {
					t.Errorf("%v\n%s", err, f.log)
				}
				time.Sleep(time.Minute)
				answer, err = f.invoke(t.Context(), event)
				if err != nil || strings.Join(f.cdn.patterns(), " ") != "/a" {
					t.Errorf("%q, %v; %v", answer, err, f.cdn.patterns())
				}
			})
		})
	}
}

func TestWaitForIsChecked(t *testing.T) {
	for document, want := range map[string]string{
		"wait_for: [pigeon arrived]": `wait_for[0]: fact "pigeon arrived"`,
		"wait_for: [command true]":   "no programs in a function",
	} {
		if _, err := ReadConfig([]byte(document), func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", document, err)
		}
	}
}
