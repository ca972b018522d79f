package e2e_test

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// durations are measurements of one kind.
type durations []time.Duration

// quantile returns the smallest measurement that a share q of all do not exceed.
func (d durations) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// report prints median and 99th percentile.
func (d durations) report(b *testing.B, name string) {
	for _, q := range []struct {
		name  string
		share float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		b.ReportMetric(float64(d.quantile(q.share).Microseconds())/1000, name+"-"+q.name+"-ms")
	}
}

// beyond prints by how much the quantiles of d are greater than those of base.
func (d durations) beyond(b *testing.B, base durations, name string) {
	for _, q := range []struct {
		name  string
		share float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		b.ReportMetric(float64((d.quantile(q.share)-base.quantile(q.share)).Microseconds())/1000, name+"-"+q.name+"-ms")
	}
}

// BenchmarkChange makes single changes of cached objects, each when the one
// before is verified, and prints
//
//	bare: a PUT to the same store without freshet, answered
//	put: a PUT to freshet, answered, when the change is queued on disk
//	fresh: from the beginning of that PUT to the first answer of the edge with
//	the new bytes, asked every half millisecond
//	beyond: how much longer that is than bare
//	verified: from the change to its verification, by freshet's own records
func BenchmarkChange(b *testing.B) {
	const changes, keys = 1000, 20
	bare, bareBucket := bareStore(b)
	f := start(b, options{})
	c, v := f.s3(b), f.viewer(b)
	peer := &running{endpoints: endpoints{Bucket: bareBucket}}
	var barePut, put, fresh, verification durations
	var settled []record
	// Polling without a pause would keep a core busy that freshet may need.
	poll := time.NewTicker(500 * time.Microsecond)
	defer poll.Stop()
	filling := strings.Repeat("x", 1000)
	for b.Loop() {
		for i := range changes {
			key := fmt.Sprintf("page%d.html", i%keys)
			body := fmt.Appendf(nil, "change %d at %v %s", i, time.Now(), filling)
			began := time.Now()
			if _, err := peer.put(b.Context(), bare, key, body); err != nil {
				b.Fatal(err)
			}
			barePut = append(barePut, time.Since(began))

			n := f.log.len()
			began = time.Now()
			etag, err := f.put(b.Context(), c, key, body)
			if err != nil {
				b.Fatal(err)
			}
			answered := time.Since(began)
			for {
				seen := v.mustGet(b, "/"+key)
				if bytes.Equal(seen.body, body) && seen.status == http.StatusOK {
					break
				}
				<-poll.C
			}
			total := time.Since(began)
			r := f.log.awaitFrom(b, n, "verified", func(r record) bool { return r.Key == key && r.ETag == etag && r.State == verified })
			if i < keys {
				continue // the edge had nothing in its cache
			}
			put, fresh = append(put, answered), append(fresh, total)
			verification = append(verification, r.VerifiedAt.Sub(r.ChangedAt))
			settled = append(settled, r)
		}
	}
	barePut.report(b, "bare")
	put.report(b, "put")
	fresh.report(b, "fresh")
	fresh.beyond(b, barePut, "beyond")
	verification.report(b, "verified")
	logSteps(b, settled)
	b.ReportMetric(0, "ns/op") // says nothing here
}

// logSteps shows where the time of a change goes: for all changes, and for the
// slowest of a hundred.
func logSteps(b *testing.B, all []record) {
	slices.SortFunc(all, func(x, y record) int {
		return cmp.Compare(x.VerifiedAt.Sub(x.ChangedAt), y.VerifiedAt.Sub(y.ChangedAt))
	})
	for name, some := range map[string][]record{"all": all, "slowest": all[len(all)*99/100:]} {
		var steps [5]durations
		for _, r := range some {
			last := r.ChangedAt
			for i, at := range []*time.Time{r.ReceivedAt, r.PlannedAt, r.SentAt, r.CompletedAt, r.VerifiedAt} {
				steps[i] = append(steps[i], at.Sub(last))
				last = *at
			}
		}
		b.Logf("%s %d changes, medians: received after %v, planned %v, sent %v, completed %v, verified %v", name, len(some),
			steps[0].quantile(0.5), steps[1].quantile(0.5), steps[2].quantile(0.5), steps[3].quantile(0.5), steps[4].quantile(0.5))
	}
}

// BenchmarkSyncOfAThousand changes a thousand cached objects by ten clients at
// once, and prints how long the PUTs take, how long until all changes are
// verified, and by how many invalidations.
func BenchmarkSyncOfAThousand(b *testing.B) {
	f := start(b, options{})
	clients := f.tenClients(b)
	f.log.verifiedETags(b, 0, f.putAll(b, clients, "first"))
	var put, all durations
	invalidations := 0
	for b.Loop() {
		n, began := f.log.len(), time.Now()
		etags := f.putAll(b, clients, began.String())
		put = append(put, time.Since(began))
		f.log.verifiedETags(b, n, etags)
		all = append(all, time.Since(began))
		records, _ := f.log.since(n)
		invalidations += len(invalidationsOf(records))
	}
	b.ReportMetric(float64(put.quantile(0.5).Milliseconds()), "put-ms")
	b.ReportMetric(float64(all.quantile(0.5).Milliseconds()), "verified-ms")
	b.ReportMetric(float64(invalidations)/float64(b.N), "invalidations")
	b.ReportMetric(0, "ns/op")
}
