package e2e_test

import (
	"strings"
	"sync"
	"testing"
)

// Many changes by many clients, and one in their midst that somebody waits for:
// all are verified, and the API, which holds its clients to both quotas, never
// pushes back. With FRESHET_SOAK there are ten thousand.
func TestPromiseManyChangesWithinBothQuotas(t *testing.T) {
	rounds := 1
	if long() {
		rounds = 10
	}
	f := start(t, options{args: []string{"--quota", "both"}})
	clients := f.tenClients(t)
	n := f.log.len()
	var etags map[string]string
	var many sync.WaitGroup
	many.Go(func() {
		for i := range rounds {
			etags = f.putAll(t, clients, strings.Repeat("again ", i))
		}
	})
	f.log.await(t, "some of many", func(r record) bool { return r.State == verified })
	one, err := f.put(t.Context(), f.s3(t), "urgent/now.html", []byte("now"))
	if err != nil {
		t.Fatal(err)
	}
	f.log.verifiedETags(t, n, map[string]string{"urgent/now.html": one})
	many.Wait()
	f.log.verifiedETags(t, n, etags)
	// Those that were overwritten may be overtaken by those that did so.
	ended := make(map[string]bool)
	f.log.awaitFrom(t, n, "every change has ended", func(r record) bool {
		if r.State == verified {
			ended[r.ID] = true
		}
		return len(ended) == rounds*aThousand+1
	})
	for line := range strings.Lines(f.metrics(t)) {
		if strings.HasPrefix(line, "freshet_cdn_pushed_back_total") {
			t.Errorf("it was sent more than the quota allows: %s", line)
		}
	}
	if !strings.Contains(f.metrics(t), "\nfreshet_quota_waiting 0") {
		t.Error("requests wait though all is verified")
	}
	all, _ := f.log.since(n)
	sound(t, all)
}
