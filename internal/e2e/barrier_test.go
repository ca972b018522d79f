package e2e_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
)

// A distribution that stays InProgress keeps back what waits for it, and lets it
// go when it is deployed.
func TestPromiseNothingIsInvalidatedWhileADistributionIsInProgress(t *testing.T) {
	deploy := 5 * time.Second
	for !keptBack(t, deploy) {
		if deploy *= 4; deploy > patience {
			t.Fatal("it is deployed before anybody has looked")
		}
	}
}

// keptBack is false if the machine took longer to look than a distribution to be
// deployed, or than a look may take.
func keptBack(t *testing.T, deploy time.Duration) bool {
	f := start(t, options{config: fmt.Sprintf("deploy: %v\n", deploy)})
	c, ctx := f.cloudfront(t), t.Context()
	f.putVerified(t, f.s3(t), "a.txt", "first")
	got, err := c.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: &f.Distribution})
	if err != nil {
		t.Fatal(err)
	}
	got.DistributionConfig.Comment = aws.String("another")
	updated := time.Now()
	if _, err := c.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: &f.Distribution, IfMatch: got.ETag, DistributionConfig: got.DistributionConfig}); err != nil {
		t.Fatal(err)
	}
	sent := func() int {
		list, err := c.ListInvalidations(ctx, &cloudfront.ListInvalidationsInput{DistributionId: &f.Distribution})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.InvalidationList.Items)
	}
	before := sent()
	invalidate := func(fact string) (string, error) {
		out, err := exec.CommandContext(ctx, program, "invalidate", "--data", f.data, "--wait-for", fact, "/a.txt").CombinedOutput()
		return string(out), err
	}
	fact := "distribution " + f.Distribution + " deployed"
	within := deploy / 4
	out, err := invalidate(fmt.Sprintf("%s within %v", fact, within))
	if time.Since(updated) > deploy || strings.Contains(out, "no answer within") {
		return false
	}
	if err == nil || !strings.Contains(out, fmt.Sprintf("%s: not true within %v; last seen: Status InProgress", fact, within)) || sent() != before {
		t.Errorf("%v, %d invalidations more: %s", err, sent()-before, out)
	}
	out, err = invalidate(fact + " within 5m")
	if err != nil || sent() != before+1 {
		t.Errorf("%v, %d invalidations more: %s", err, sent()-before, out)
	}
	now, err := c.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: &f.Distribution})
	if err != nil || aws.ToString(now.Distribution.Status) != "Deployed" {
		t.Errorf("it is %+v, %v", now, err)
	}
	return true
}
