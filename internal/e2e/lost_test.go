package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// attempt is one request that a writer made for a key.
type attempt struct {
	key          string
	body         string // empty: a DELETE
	began, ended time.Time
	etag         string // of an answered PUT
	answered     bool
	existed      bool // before a DELETE, as far as is known for certain
}

// writer changes keys that nobody else changes, one request after the other, so
// that it knows what there must be.
type writer struct {
	keys     []string
	attempts []attempt
	rand     *rand.Rand
	version  int
}

// last returns what was done to key, the latest first, down to and including
// the last answered attempt. One of these is what S3 must hold.
func (w *writer) last(key string) (possible []attempt) {
	for _, a := range slices.Backward(w.attempts) {
		if a.key != key {
			continue
		}
		possible = append(possible, a)
		if a.answered {
			return possible
		}
	}
	return append(possible, attempt{key: key, answered: true}) // never written
}

// write goes on until a request fails, which is when the server was killed.
func (w *writer) write(ctx context.Context, f *running, c *s3.Client) {
	for ctx.Err() == nil {
		key := w.keys[w.rand.IntN(len(w.keys))]
		a := attempt{key: key, began: time.Now()}
		var err error
		if w.rand.IntN(4) == 0 {
			known := w.last(key)
			a.existed = len(known) == 1 && known[0].body != ""
			_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &f.Bucket, Key: &key})
		} else {
			w.version++
			a.body = fmt.Sprintf("version %d of %s", w.version, key)
			a.etag, err = f.put(ctx, c, key, []byte(a.body))
		}
		a.ended, a.answered = time.Now(), err == nil
		w.attempts = append(w.attempts, a)
		if err != nil {
			return
		}
	}
}

// Whatever is killed when, every change that S3 acknowledged is verified at the
// edge in the end, nothing is invalidated twice, and the edge serves what the
// bucket holds.
func TestPromiseNothingIsLost(t *testing.T) {
	rounds, longest := 60, 500 // milliseconds
	if long() {
		rounds, longest = 300, 2000 // the race detector makes the start slow
	} else if testing.Short() {
		rounds = 10
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	data := t.TempDir()
	var writers []*writer
	for i := range 4 {
		w := &writer{rand: rand.New(rand.NewPCG(seed, uint64(i+1)))}
		for k := range 13 {
			w.keys = append(w.keys, fmt.Sprintf("w%d/key %02d.html", i, k))
		}
		writers = append(writers, w)
	}
	began := time.Now()
	before := start(t, options{data: data})
	longest = max(longest, 4*int(time.Since(began).Milliseconds())) // a busy machine takes long until it is up
	before.kill()
	ups := 0
	for n := range rounds {
		if n >= 10 && !long() && time.Since(began) > 2*time.Minute {
			rounds = n
			break
		}
		o := options{data: data}
		if random.IntN(2) == 0 {
			o.like = before
		}
		if f := oneLife(t, o, writers, time.Duration(random.IntN(random.IntN(longest)+1))*time.Millisecond); f != nil {
			before = f
			ups++
		}
		if t.Failed() {
			return
		}
	}
	f := start(t, options{data: data})
	c := f.s3(t)
	f.putVerified(t, c, "the last one", "behind everything that was queued")
	all := f.settled(t, writers)
	sound(t, all)
	counts := make(map[string]int)
	for _, steps := range byChange(all) {
		counts[steps[0].Cause]++
	}
	t.Logf("%d lives, %d of them up; changes by cause: %v", rounds, ups, counts)
	v := f.viewer(t)
	for _, w := range writers {
		for _, key := range w.keys {
			wantLast(t, f, c, v, w, key)
		}
	}
	wantReferences(t, f, invalidationsOf(all))
}

// oneLife starts a freshet, has the writers write, and kills it after a while,
// which may be before it is up; then the result is nil.
func oneLife(t *testing.T, o options, writers []*writer, life time.Duration) *running {
	t.Helper()
	f, lines := spawn(t, o)
	dying := time.AfterFunc(life, func() { _ = f.command.Process.Kill() })
	defer dying.Stop()
	if !lines.Scan() {
		<-f.exited
		if said := f.stderr.String(); said != "" {
			t.Errorf("it said before it was up: %s", said)
		}
		return nil
	}
	f.announced(t, lines)
	var writing sync.WaitGroup
	for _, w := range writers {
		c := f.s3(t)
		writing.Go(func() { w.write(t.Context(), f, c) })
	}
	writing.Wait()
	select {
	case <-f.exited:
	case <-time.After(patience):
		t.Error("the writers ended before the process did")
		f.kill()
	}
	return f
}

// settled returns the log once every acknowledged change is in it and every
// change in it is at its end, or what it is after a minute.
func (f *running) settled(t *testing.T, writers []*writer) []record {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; {
		all := f.history(t)
		missing := unverified(all, writers)
		if len(missing) == 0 {
			return all
		}
		if time.Now().After(deadline) {
			t.Errorf("%d changes are not verified, such as %s", len(missing), missing[0])
			return all
		}
		<-tick.C
	}
}

// unverified says which acknowledged changes and which changes in the log are
// not verified in the log.
func unverified(all []record, writers []*writer) (missing []string) {
	put := make(map[[2]string]bool)
	deletes := make(map[string][]time.Time)
	for _, steps := range byChange(all) {
		last := steps[len(steps)-1]
		if last.State != verified {
			missing = append(missing, fmt.Sprintf("%+v", last))
			continue
		}
		if last.Op == "delete" {
			deletes[last.Key] = append(deletes[last.Key], last.ChangedAt)
		} else {
			put[[2]string{last.Key, last.ETag}] = true
		}
	}
	for _, w := range writers {
		for _, a := range w.attempts {
			switch {
			case !a.answered:
			case a.body != "" && !put[[2]string{a.key, a.etag}]:
				missing = append(missing, fmt.Sprintf("PUT %+v", a))
			case a.body == "" && a.existed && !slices.ContainsFunc(deletes[a.key], func(at time.Time) bool { return !at.Before(a.began.Round(0)) && !at.After(a.ended.Round(0)) }):
				missing = append(missing, fmt.Sprintf("DELETE %+v", a))
			}
		}
	}
	return missing
}

// wantLast wants the edge to serve what S3 holds, and that to be the last
// version that was acknowledged or a later one that was not.
func wantLast(t *testing.T, f *running, c *s3.Client, v *viewer, w *writer, key string) {
	t.Helper()
	body, ok := f.stored(t, c, key)
	if !slices.ContainsFunc(w.last(key), func(a attempt) bool { return ok == (a.body != "") && a.body == string(body) }) {
		t.Errorf("S3 holds %q (%v) under %q; the last attempts were %+v", body, ok, key, w.last(key))
	}
	path := "/" + key[:6] + "%20" + key[7:]
	if ok {
		v.wantBody(t, path, string(body))
	} else {
		v.wantGone(t, path)
	}
}

// wantReferences wants every caller reference to stand for one invalidation,
// every invalidation to be one that the log knows, and the other way round.
func wantReferences(t *testing.T, f *running, known []string) {
	t.Helper()
	cf := f.cloudfront(t)
	byReference := make(map[string]string)
	var listed []string
	pages := cloudfront.NewListInvalidationsPaginator(cf, &cloudfront.ListInvalidationsInput{DistributionId: &f.Distribution})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.InvalidationList.Items {
			listed = append(listed, *i.Id)
			out, err := cf.GetInvalidation(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: i.Id})
			if err != nil {
				t.Fatal(err)
			}
			batch := out.Invalidation.InvalidationBatch
			if other, twice := byReference[*batch.CallerReference]; twice {
				t.Errorf("caller reference %s belongs to %s and %s", *batch.CallerReference, other, *i.Id)
			}
			byReference[*batch.CallerReference] = *i.Id
			if *out.Invalidation.Status != "Completed" {
				t.Errorf("invalidation %s is %s", *i.Id, *out.Invalidation.Status)
			}
		}
	}
	slices.Sort(listed)
	slices.Sort(known)
	if !slices.Equal(listed, known) {
		t.Errorf("the API lists the invalidations %q, the log knows %q", listed, known)
	}
	t.Logf("%d invalidations", len(listed))
}
