package e2e_test

import (
	"bytes"
	"context"
	"crypto/md5" // S3's ETag
	"encoding/hex"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// numbered is version n of an object: ten digits, a filling that makes some
// versions take longer than others, and the digits again.
func numbered(n int) []byte {
	size := 20
	if n%25 == 0 {
		size = 300 << 10
	}
	return fmt.Appendf(nil, "%010d%s%010d", n, bytes.Repeat([]byte("."), size), n)
}

// numberOf reads the number back. Torn bodies are an error.
func numberOf(body []byte) (int, error) {
	if len(body) < 20 || !bytes.Equal(body[:10], body[len(body)-10:]) {
		return 0, fmt.Errorf("a torn body of %d bytes: %.30q", len(body), body)
	}
	return strconv.Atoi(string(body[:10]))
}

// sighting is one answer of the edge.
type sighting struct {
	began  time.Time
	floor  int // what was known to be completed when the request began
	number int
	how    string
}

// watchers fetch one object all the time.
type watchers struct {
	floor atomic.Int64 // the greatest number whose invalidation was completed

	mu   sync.Mutex
	seen []sighting
}

// raise notes that number n is completed.
func (w *watchers) raise(n int) {
	for {
		now := w.floor.Load()
		if int64(n) <= now || w.floor.CompareAndSwap(now, int64(n)) {
			return
		}
	}
}

// watch calls fetch until ctx is done, and complains of every answer older than
// what was completed when the request began.
func (w *watchers) watch(ctx context.Context, t *testing.T, how string, fetch func(turn int) (int, error)) {
	for turn := 0; ctx.Err() == nil && !t.Failed(); turn++ {
		s := sighting{floor: int(w.floor.Load()), began: time.Now(), how: how}
		n, err := fetch(turn)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Errorf("%s: %v", how, err)
			return
		}
		s.number = n
		w.mu.Lock()
		w.seen = append(w.seen, s)
		w.mu.Unlock()
		if n < s.floor {
			t.Errorf("%s: saw number %d although %d was completed before the request", how, n, s.floor)
		}
	}
}

// keepAlive fetches over one connection under all spellings, with and without
// query strings and ranges.
func keepAlive(v *viewer, paths []string) func(int) (int, error) {
	return func(turn int) (int, error) {
		path := paths[turn%len(paths)]
		switch turn % 5 {
		case 3:
			seen, err := v.get(path, "Range: bytes=0-9")
			if err == nil && (seen.status != http.StatusPartialContent || len(seen.body) != 10) {
				err = fmt.Errorf("a range was answered with %d and %d bytes", seen.status, len(seen.body))
			}
			if err != nil {
				return 0, err
			}
			return strconv.Atoi(string(seen.body))
		case 4:
			path += "?turn=" + strconv.Itoa(turn%3)
		}
		seen, err := v.get(path)
		if err == nil && seen.status != http.StatusOK {
			err = fmt.Errorf("status %d", seen.status)
		}
		if err != nil {
			return 0, err
		}
		return numberOf(seen.body)
	}
}

// curl fetches with a new process each time.
func curl(ctx context.Context, path, url string) func(int) (int, error) {
	return func(int) (int, error) {
		body, err := exec.CommandContext(ctx, path, "--silent", "--show-error", "--fail", "--noproxy", "*", url).Output()
		if err != nil {
			return 0, fmt.Errorf("curl: %w", err)
		}
		return numberOf(body)
	}
}

// A request that begins after the invalidation of a change was Completed never
// sees what was there before the change. Completed is known here in three ways:
// from the records, from GetInvalidation on the invalidations that they name,
// and from wildcard invalidations made by hand.
func TestPromiseCompletedMeansComplete(t *testing.T) {
	changes := 1000
	if long() {
		changes = 5000
	} else if testing.Short() {
		changes = 100
	}
	const key = "now/a page.html"
	paths := []string{"/now/a%20page.html", "/now/a+page.html"}
	f := start(t, options{})
	s3, cf := f.s3(t), f.cloudfront(t)
	numbers := make(map[string]int) // by ETag
	for n := range changes + 1 {
		sum := md5.Sum(numbered(n))
		numbers[hex.EncodeToString(sum[:])] = n
	}
	f.putVerified(t, s3, key, string(numbered(0)))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var w watchers
	var last atomic.Int64 // put and answered
	var running sync.WaitGroup
	for i := range 3 {
		v := f.viewer(t)
		running.Go(func() { w.watch(ctx, t, fmt.Sprintf("keep-alive client %d", i), keepAlive(v, paths)) })
	}
	if path, err := exec.LookPath("curl"); err == nil {
		running.Go(func() { w.watch(ctx, t, "curl", curl(ctx, path, f.Edge+paths[0])) })
	}
	running.Go(func() { w.believeRecords(ctx, f.log, numbers) })
	running.Go(func() { w.askGetInvalidation(ctx, t, f, cf, numbers) })
	running.Go(func() { w.invalidateByHand(ctx, t, f, cf, &last) })

	for n := 1; n <= changes && !t.Failed(); n++ {
		if _, err := f.put(ctx, s3, key, numbered(n)); err != nil {
			t.Fatal(err)
		}
		last.Store(int64(n))
	}
	if t.Failed() {
		stop()
		running.Wait()
		return
	}
	f.log.await(t, "the last change is verified", func(r record) bool { return r.State == verified && numbers[r.ETag] == changes })
	stop()
	running.Wait()
	all, _ := f.log.since(0)
	w.judge(t, all, numbers)
	for _, path := range paths {
		f.viewer(t).wantBody(t, path, string(numbered(changes)))
	}
	sound(t, f.history(t))
}

// believeRecords takes the word of the records.
func (w *watchers) believeRecords(ctx context.Context, log *records, numbers map[string]int) {
	for n := 0; ; {
		more, grown := log.since(n)
		n += len(more)
		for _, r := range more {
			if r.State == completed || r.State == verified {
				w.raise(numbers[r.ETag])
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return
		}
	}
}

// askGetInvalidation asks the API about every invalidation that was sent.
func (w *watchers) askGetInvalidation(ctx context.Context, t *testing.T, f *running, cf *cloudfront.Client, numbers map[string]int) {
	for n := 0; ; {
		more, grown := f.log.since(n)
		n += len(more)
		for _, r := range more {
			if r.State == sent && r.Reason == "" && awaitCompleted(ctx, t, f, cf, r.Invalidation) {
				w.raise(numbers[r.ETag])
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return
		}
	}
}

// invalidateByHand makes wildcard invalidations one after the other. What was
// put before one began must be seen when it is completed.
func (w *watchers) invalidateByHand(ctx context.Context, t *testing.T, f *running, cf *cloudfront.Client, last *atomic.Int64) {
	for i := 0; ctx.Err() == nil; i++ {
		n := int(last.Load())
		pattern := []string{"/*", "/now/*", "/now/a%20*"}[i%3]
		ref := fmt.Sprintf("by hand %d", i)
		out, err := cf.CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: &f.Distribution, InvalidationBatch: &types.InvalidationBatch{
			CallerReference: &ref, Paths: &types.Paths{Quantity: aws.Int32(1), Items: []string{pattern}}}})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Errorf("invalidate %s: %v", pattern, err)
			return
		}
		if awaitCompleted(ctx, t, f, cf, *out.Invalidation.Id) && pattern != "/now/a%20*" { // which leaves out the + spelling
			w.raise(n)
		}
	}
}

func awaitCompleted(ctx context.Context, t *testing.T, f *running, cf *cloudfront.Client, id string) bool {
	for deadline := time.Now().Add(patience); ctx.Err() == nil; {
		out, err := cf.GetInvalidation(ctx, &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: &id})
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			t.Errorf("get invalidation %s: %v", id, err)
			return false
		case *out.Invalidation.Status == "Completed":
			return true
		case time.Now().After(deadline):
			t.Errorf("invalidation %s is still %s", id, *out.Invalidation.Status)
			return false
		}
	}
	return false
}

// judge compares all sightings with the times at which the records say that the
// changes were completed. Both clocks are this machine's.
func (w *watchers) judge(t *testing.T, all []record, numbers map[string]int) {
	t.Helper()
	type completion struct {
		at     time.Time
		number int
	}
	var done []completion
	for _, r := range all {
		if r.State == completed {
			done = append(done, completion{*r.CompletedAt, numbers[r.ETag]})
		}
	}
	slices.SortFunc(done, func(a, b completion) int { return a.at.Compare(b.at) })
	slices.SortFunc(w.seen, func(a, b sighting) int { return a.began.Compare(b.began) })
	next, floor, wrong := 0, 0, 0
	distinct := make(map[int]bool)
	hows := make(map[string]int)
	for _, s := range w.seen {
		for ; next < len(done) && done[next].at.Before(s.began); next++ {
			floor = max(floor, done[next].number)
		}
		if s.number < floor && wrong < 10 {
			wrong++
			t.Errorf("%s: a request begun at %v saw number %d, but %d had been completed", s.how, s.began, s.number, floor)
		}
		distinct[s.number] = true
		hows[s.how]++
	}
	t.Logf("%d fetches %v saw %d of %d numbers; %d completions", len(w.seen), hows, len(distinct), len(numbers), len(done))
	if len(done) == 0 || len(distinct) < 2 {
		t.Error("nothing was put to the test")
	}
}
