package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet"
)

// What freshet plan prints for the event of a change is what freshet up has sent
// for that change, caller references included.
func TestPromiseDryRunIsTheTruth(t *testing.T) {
	f := start(t, options{data: t.TempDir()})
	client, api := f.s3(t), f.cloudfront(t)
	for _, key := range []string{"plain.css", "index.html", "docs/index.html", "a b/c++ é.html", "v~1/main.js"} {
		etag := f.mustPut(t, client, key, "content of "+key)
		done := f.log.await(t, key+" verified", func(r record) bool { return r.Key == key && r.State == verified })
		var planned freshet.Plan
		if err := json.Unmarshal([]byte(f.run(t, "plan", "--json", eventFile(t, f.Bucket, etag, done))), &planned); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, inv := range planned.Invalidations {
			want = append(want, fmt.Sprint(inv.Distribution, inv.CallerReference, inv.Patterns))
		}
		for _, id := range strings.Split(done.Invalidation, ",") {
			out, err := api.GetInvalidation(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: aws.String(f.Distribution), Id: &id})
			if err != nil {
				t.Fatal(err)
			}
			batch := out.Invalidation.InvalidationBatch
			got = append(got, fmt.Sprint(f.Distribution, *batch.CallerReference, batch.Paths.Items))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: planned %q, sent %q", key, want, got)
		}
	}
}

// eventFile is the notification that S3 would have sent of a change.
func eventFile(t *testing.T, bucket, etag string, r record) string {
	t.Helper()
	text := fmt.Sprintf(`{"Records":[{"eventVersion":"2.5","eventSource":"aws:s3","eventTime":%q,"eventName":"ObjectCreated:Put",
		"s3":{"bucket":{"name":%q},"object":{"key":%q,"eTag":%q,"sequencer":%q}}}]}`,
		r.ChangedAt.Format(time.RFC3339Nano), bucket, strings.ReplaceAll(url.QueryEscape(r.Key), "%2F", "/"), etag, r.Sequencer)
	file := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
