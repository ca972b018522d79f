package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet"
)

// willing takes every request at once and forgets it.
type willing struct{ *dated }

func (willing) Invalidate(_ context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	return freshet.Receipt{Distribution: inv.Distribution, CallerReference: inv.CallerReference, ID: "I" + inv.CallerReference, State: freshet.Completed, At: time.Now()}, nil
}

// BenchmarkInvoke is the function's own work for one message of SQS, and for a
// thousand.
func BenchmarkInvoke(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newFunction(b, newCDN(), "distributions: [E1]", func(w *World) { w.CDN = willing{newCDN()} })
			f.cfg.Quota = "window"
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				records := make([]map[string]any, size)
				for i := range records {
					n++
					body := fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":%q,"s3":{"bucket":{"name":"site"},"object":{"key":"p/%d/%d.html","size":1,"eTag":"e","sequencer":"%016X"}}}]}`,
						time.Now().UTC().Format(time.RFC3339Nano), n%37, n, n)
					records[i] = map[string]any{"messageId": fmt.Sprint(n), "receiptHandle": "h", "body": body, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
						"eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:changes", "attributes": map[string]string{"ApproximateReceiveCount": "1"}}
				}
				text, err := json.Marshal(map[string]any{"Records": records})
				if err != nil {
					b.Fatal(err)
				}
				f.broker = New(f.cfg, f.world).broker // has not sent anything lately
				f.out.Reset()
				f.log.Reset()
				b.StartTimer()
				if _, err := f.Invoke(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
