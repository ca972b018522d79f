package e2e_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	aThousand = 1000
	// fewInvalidations is how many requests a thousand changes at once may
	// take: each batch up to two, exact paths and a wildcard. As many as one each
	// would be a failure of batching.
	fewInvalidations = 60
)

// pauses is how many requests more there may be since the changes did not come
// at once: a batch goes where nothing comes for a tenth of a second, and what
// comes after three of them is taken for lone changes, until more come together.
func pauses(changes map[string][]record) (allowed int) {
	var received []time.Time
	for _, steps := range changes {
		received = append(received, *steps[0].ReceivedAt)
	}
	slices.SortFunc(received, time.Time.Compare)
	for i := 1; i < len(received); i++ {
		switch gap := received[i].Sub(received[i-1]); {
		case gap > 250*time.Millisecond:
			allowed += 12
		case gap > 80*time.Millisecond:
			allowed += 2
		}
	}
	return allowed
}

func fileName(i int) string { return fmt.Sprintf("assets/%02d/file %04d.css", i%20, i) }

// putAll puts all files by as many clients at once as the AWS CLI uses, and
// returns the ETags by key.
func (f *running) putAll(t testing.TB, clients []*s3.Client, version string) map[string]string {
	t.Helper()
	var mu sync.Mutex
	etags := make(map[string]string, aThousand)
	var putting sync.WaitGroup
	for i, c := range clients {
		putting.Go(func() {
			for n := i; n < aThousand; n += len(clients) {
				etag, err := f.put(t.Context(), c, fileName(n), []byte(version+" of "+fileName(n)))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				etags[fileName(n)] = etag
				mu.Unlock()
			}
		})
	}
	putting.Wait()
	return etags
}

func (f *running) tenClients(t testing.TB) (clients []*s3.Client) {
	for range 10 {
		clients = append(clients, f.s3(t))
	}
	return clients
}

// wantAllOnce checks what came of a thousand changes: one each, verified once,
// by few invalidations.
func (f *running) wantAllOnce(t *testing.T, n int) {
	t.Helper()
	all, _ := f.log.since(n)
	changes := make(map[string]int) // by key
	byID := byChange(all)
	for id, steps := range byID {
		changes[steps[0].Key]++
		times := 0
		for _, r := range steps {
			if r.State == verified {
				times++
			}
		}
		if times != 1 {
			t.Errorf("change %s of %q was verified %d times", id, steps[0].Key, times)
		}
	}
	for key, times := range changes {
		if times != 1 {
			t.Errorf("%q changed %d times", key, times)
		}
	}
	sound(t, all)
	invalidations, more := len(invalidationsOf(all)), pauses(byID)
	t.Logf("%d changes, %d invalidations, %d more allowed for pauses", len(changes), invalidations, more)
	if len(changes) != aThousand || invalidations > fewInvalidations+more {
		t.Errorf("%d changes were settled by %d invalidations", len(changes), invalidations)
	}
}

func TestSyncOfAThousand(t *testing.T) {
	f := start(t, options{})
	clients := f.tenClients(t)
	v := f.viewer(t)
	for _, version := range []string{"one", "two"} {
		n, began := f.log.len(), time.Now()
		etags := f.putAll(t, clients, version)
		put := time.Since(began)
		f.log.verifiedETags(t, n, etags)
		t.Logf("put in %v, all verified in %v", put, time.Since(began))
		f.wantAllOnce(t, n)
		for i := range aThousand {
			v.wantBody(t, fmt.Sprintf("/assets/%02d/file%%20%04d.css", i%20, i), version+" of "+fileName(i))
		}
	}
}

func TestSyncOfAThousandByAWSCLI(t *testing.T) {
	path := awsCLI(t)
	if testing.Short() {
		t.Skip("it takes the AWS CLI several seconds")
	}
	f := start(t, options{})
	s := shell{f, path, f.viewer(t)}
	dir := t.TempDir()
	for _, version := range []string{"one", "second"} { // of another size, which is what the CLI looks at
		files := make(map[string]string, aThousand)
		for i := range aThousand {
			files[fileName(i)] = version + " of " + fileName(i)
		}
		write(t, dir, files)
		n := f.log.len()
		s.aws(t, f.S3, "s3", "sync", "--quiet", dir, "s3://"+f.Bucket)
		seen := make(map[string]bool)
		f.log.awaitFrom(t, n, "all are verified", func(r record) bool {
			if r.State == verified {
				seen[r.Key] = true
			}
			return len(seen) == aThousand
		})
		f.wantAllOnce(t, n)
		for i := range aThousand {
			s.view.wantBody(t, fmt.Sprintf("/assets/%02d/file%%20%04d.css", i%20, i), files[fileName(i)])
		}
	}
}
