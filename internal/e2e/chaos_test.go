package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// With a CloudFront API that throttles, fails and loses answers, every change
// becomes fresh all the same, and nothing is asked for twice.
func TestPromiseChaosDelaysAndLosesNothing(t *testing.T) {
	f := start(t, options{args: []string{"--chaos", "throttle=3,unavailable=5,lose=4,complete=30ms@2,only=CreateInvalidation+GetInvalidation,seed=3"}})
	objects := f.s3(t)
	for n := range 12 {
		key := string(rune('a' + n))
		f.putVerified(t, objects, key, "first "+key)
		f.viewer(t).wantBody(t, "/"+key, "first "+key)
	}
	for n := range 12 {
		key := string(rune('a' + n))
		f.putVerified(t, objects, key, "second "+key)
		f.viewer(t).wantBody(t, "/"+key, "second "+key)
	}
	shown := f.control(t, http.MethodGet, "")
	for _, trouble := range []string{"throttle", "unavailable", "lose", "complete"} {
		if shown.Counts[trouble] == 0 {
			t.Errorf("nothing was hit by %s: %+v", trouble, shown)
		}
	}
	// Over the control API: stuck until it is let go.
	f.control(t, http.MethodPut, `{"spec":"stuck"}`)
	c := f.cloudfront(t)
	made, err := c.CreateInvalidation(t.Context(), &cloudfront.CreateInvalidationInput{DistributionId: &f.Distribution, InvalidationBatch: &types.InvalidationBatch{
		CallerReference: aws.String("stuck"), Paths: &types.Paths{Quantity: aws.Int32(1), Items: []string{"/x"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if shown = f.control(t, http.MethodDelete, ""); shown.Spec != "" {
		t.Errorf("ended: %+v", shown)
	}
	waiter := cloudfront.NewInvalidationCompletedWaiter(c, func(o *cloudfront.InvalidationCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 5*time.Millisecond, time.Second
	})
	if err := waiter.Wait(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: made.Invalidation.Id}, patience); err != nil {
		t.Error(err)
	}
}

// An API that holds its clients to both quotas, and of whose calls every other
// fails or loses its answer: a thousand changes become fresh by requests that
// are made once each, and what pushes back is the chaos, never the quota.
func TestPromiseWithinTheQuotaOfAFailingAPI(t *testing.T) {
	f := start(t, options{args: []string{"--quota", "both", "--chaos", "unavailable=50%,lose=3,complete=300ms,only=CreateInvalidation,seed=11"}})
	n := f.log.len()
	etags := f.putAll(t, f.tenClients(t), "first")
	f.log.verifiedETags(t, n, etags)
	f.wantAllOnce(t, n)
	shown := f.control(t, http.MethodGet, "")
	if shown.Counts["unavailable"] == 0 || shown.Counts["lose"] == 0 {
		t.Errorf("the chaos did nothing: %+v", shown)
	}
	for line := range strings.Lines(f.metrics(t)) {
		if strings.HasPrefix(line, "freshet_cdn_pushed_back_total") && !strings.Contains(line, `class="unavailable"`) {
			t.Errorf("it was sent more than the quota allows: %s", line)
		}
	}
}

// metrics returns what Prometheus would get.
func (f *running) metrics(t *testing.T) string {
	t.Helper()
	status, body := f.ask(t, http.MethodGet, "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("metrics: %d, %s", status, body)
	}
	return string(body)
}

type chaos struct {
	Spec   string
	Counts map[string]int
}

// control asks for the chaos, or changes it.
func (f *running) control(t *testing.T, method, body string) (now chaos) {
	t.Helper()
	status, text := f.ask(t, method, "/_freshet/v1/chaos", body)
	if err := json.Unmarshal(text, &now); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d, %v", method, status, err)
	}
	return now
}

// ask calls the control API.
func (f *running) ask(t *testing.T, method, path, body string) (status int, answer []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.data, "running.json"))
	if err != nil {
		t.Fatal(err)
	}
	var secrets struct{ Token string }
	if err := json.Unmarshal(text, &secrets); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, f.API+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secrets.Token)
	got, err := (&http.Client{Transport: newTransport(t)}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if answer, err = io.ReadAll(got.Body); err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, answer
}
