package e2e_test

import (
	"bytes"
	"context"
	"crypto/md5" // S3's ETag
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// soakFor is how long the soak goes on: FRESHET_SOAK_FOR, such as 1h, or two
// minutes with FRESHET_SOAK, or as long as shows that the test works.
func soakFor(t *testing.T) time.Duration {
	if text := os.Getenv("FRESHET_SOAK_FOR"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	switch {
	case long():
		return 2 * time.Minute
	case testing.Short():
		return 3 * time.Second
	}
	return 10 * time.Second
}

// soakConfig makes a copy of each query string, so that there is more to keep
// than there is memory, and has what says nothing expire soon.
const soakConfig = `memory: 256MiB
distribution:
  QueryString: true
  DefaultTTL: 2
`

// soakMemory is what soakConfig has of it.
const soakMemory = 256 << 20

var scraped = []string{"--metrics", "127.0.0.1:0"}

// soakSizes are those of the objects: in one piece, in several, over the border
// of a part, and large enough for evictions.
var soakSizes = [...]int{0, 100, 40 << 10, 400 << 10, 1<<20 + 10, 3 << 20}

// soakControls are what objects say of their lifetime, one version after the
// other.
var soakControls = [...]string{"max-age=60", "", "max-age=1", "max-age=1, stale-while-revalidate=30", "max-age=0", "no-cache", "max-age=1, stale-if-error=60"}

// soaked is one object: what was put and what viewers have to expect.
type soaked struct {
	path string
	size int

	mu   sync.Mutex   // one put at a time
	sent atomic.Int64 // the newest version that may be there
	put  atomic.Int64 // the newest that the bucket has acknowledged
	must atomic.Int64 // the newest that was put before an invalidation that is completed
	tags sync.Map     // versions by ETag
}

// body is one version: what stands at a place says which it is.
func (o *soaked) body(version int64) []byte {
	line := fmt.Appendf(nil, "%s %010d\n", o.path, version)
	return bytes.Repeat(line, o.size/len(line)+1)
}

// soak is one run.
type soak struct {
	t       *testing.T
	objects []*soaked
	ctx     context.Context
	random  func() *rand.Rand
	longest int // milliseconds between kills, nearly
	args    []string
	empty   int64        // bytes of memory that the process takes before anything is asked
	most    atomic.Int64 // that it takes in the steady state

	// life counts starts and ends of the process: it is up when it is even.
	life atomic.Int64
	now  atomic.Pointer[running]

	mu        sync.Mutex
	counts    map[string]int
	completed []string // invalidations
}

func (s *soak) count(what string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what] += n
}

// excused reports whether something may have failed because the process was
// killed since life.
func (s *soak) excused(life int64) bool {
	return s.ctx.Err() != nil || life%2 == 1 || s.life.Load() != life
}

// lives returns when the process is up, or the soak over.
func (s *soak) lives() (f *running, life int64, ok bool) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.ctx.Err() == nil {
		if life := s.life.Load(); life%2 == 0 {
			return s.now.Load(), life, true
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
		}
	}
	return nil, 0, false
}

// TestSoakEdge runs the whole program for long: puts and invalidations through
// its doors without a pause, more variants than fit into the cache, and kills.
// Every byte that viewers get is compared with the version that the answer says
// it is, and that with what an invalidation had completed when they asked.
func TestSoakEdge(t *testing.T) {
	t.Run("in memory", func(t *testing.T) { soakEdge(t) })
	t.Run("with a disk", func(t *testing.T) {
		if !long() && os.Getenv("FRESHET_SOAK_FOR") == "" {
			t.Skip("with FRESHET_SOAK=1")
		}
		soakEdge(t, "--disk", filepath.Join(t.TempDir(), "cache")+",192MiB")
	})
}

// soakEdge is for half of the time.
func soakEdge(t *testing.T, args ...string) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var streams atomic.Uint64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	longest := 5000
	if soakFor(t) > time.Minute {
		longest = 40000 // it takes a while until the cache is full
	}
	s := &soak{t: t, ctx: ctx, longest: longest, counts: make(map[string]int), random: func() *rand.Rand { return rand.New(rand.NewPCG(seed, streams.Add(1))) }}
	data := t.TempDir()
	s.args = slices.Concat(scraped, []string{"--tls", free()}, args)
	f := start(t, options{data: data, config: soakConfig, args: s.args})
	s.empty = memoryOf(f)
	s.now.Store(f)
	for i := range 2 * len(soakSizes) {
		o := &soaked{path: fmt.Sprintf("/s/%%C3%%A9/%d/o", i), size: soakSizes[i%len(soakSizes)]}
		s.objects = append(s.objects, o)
		if err := s.putOne(f, f.s3(t), o); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(s.putting)
	}
	for range 2 {
		all.Go(s.invalidating)
	}
	for i := range 9 {
		all.Go(func() { s.viewing(i) })
	}
	all.Go(s.weighing)
	filler := &soaked{path: "/filler", size: 24 << 20}
	if err := s.putOne(f, f.s3(t), filler); err != nil {
		t.Fatal(err)
	}
	all.Go(func() { s.filling(filler) })
	all.Go(func() { s.ending(stop) })
	s.killing(data)
	all.Wait()
	s.afterwards()
}

// wanted is what there must be some of.
var wanted = [...]string{"puts", "invalidations", "Hit", "Miss"}

// ending ends the soak after its time, or later on a machine so busy that not
// everything has come to pass by then.
func (s *soak) ending(stop func()) {
	defer stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	whole := soakFor(s.t) / 2
	for began := time.Now(); !s.t.Failed() && time.Since(began) < whole+patience; <-tick.C {
		s.mu.Lock()
		lacks := slices.ContainsFunc(wanted[:], func(what string) bool { return s.counts[what] == 0 })
		s.mu.Unlock()
		if time.Since(began) > whole && !lacks {
			return
		}
	}
}

// killing kills the process now and then and starts it again on the same ports.
func (s *soak) killing(data string) {
	random := s.random()
	for {
		select {
		case <-time.After(time.Duration(1000+random.IntN(s.longest)) * time.Millisecond):
		case <-s.ctx.Done():
			return
		}
		f := s.now.Load()
		s.evicted(f)
		s.life.Add(1)
		f.kill()
		s.now.Store(start(s.t, options{data: data, like: f, config: soakConfig, args: s.args}))
		s.life.Add(1)
		s.count("kills", 1)
	}
}

// weighing looks how much memory the process takes: no more than 1.3 times what
// the edge may, beside what it took when it was empty, but for seconds.
func (s *soak) weighing() {
	const bound, moment = soakMemory * 13 / 10, 20 * time.Second
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	within, life := time.Now(), int64(-1)
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		f, now, ok := s.lives()
		if !ok {
			return
		}
		taken := memoryOf(f) - s.empty
		if now != life || taken <= bound || s.excused(now) {
			within, life = time.Now(), now
			s.most.Store(max(s.most.Load(), min(taken, bound)))
		}
		s.count("MiB weighed", int(taken>>20))
		s.count("weighings", 1)
		if time.Since(within) > moment && !long() {
			s.most.Store(max(s.most.Load(), taken))
			s.t.Errorf("for %v it has taken %d MiB more than when it was empty, and may take %d", moment, taken>>20, bound>>20)
			return
		}
	}
}

// evicted adds up what the process says of evictions before it dies.
func (s *soak) evicted(f *running) {
	for line := range strings.Lines(s.metrics(f)) {
		if rest, ok := strings.CutPrefix(line, "freshet_edge_evictions_total "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			s.count("evictions", int(n))
		}
	}
}

func (s *soak) putting() {
	random := s.random()
	for {
		f, life, ok := s.lives()
		if !ok {
			return
		}
		c := f.s3(s.t)
		for s.ctx.Err() == nil {
			if err := s.putOne(f, c, s.objects[random.IntN(len(s.objects))]); err != nil {
				if !s.excused(life) {
					s.t.Errorf("put: %v", err)
				}
				break
			}
			s.count("puts", 1)
			s.rest(random)
		}
	}
}

// putOne puts the next version of an object, which says in its metadata which
// it is.
func (s *soak) putOne(f *running, c *s3.Client, o *soaked) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	version := o.sent.Add(1)
	body := o.body(version)
	sum := md5.Sum(body)
	o.tags.Store(`"`+hex.EncodeToString(sum[:])+`"`, version)
	in := &s3.PutObjectInput{Bucket: &f.Bucket, Key: aws.String(strings.ReplaceAll(o.path[1:], "%C3%A9", "é")), Body: bytes.NewReader(body), Metadata: map[string]string{"version": strconv.FormatInt(version, 10)}}
	if control := soakControls[version%int64(len(soakControls))]; control != "" {
		in.CacheControl = &control
	}
	if _, err := c.PutObject(s.ctx, in); err != nil {
		return err
	}
	o.put.Store(version)
	return nil
}

// invalidating removes one object, some, or all, and waits for that; over the
// death of the process, too.
func (s *soak) invalidating() {
	random := s.random()
	for s.ctx.Err() == nil {
		covered, patterns := s.choose(random)
		before := make([]int64, len(covered))
		for i, o := range covered {
			before[i] = o.put.Load()
		}
		if !s.complete(fmt.Sprintf("soak %x", random.Uint64()), patterns) {
			return
		}
		for i, o := range covered {
			for now := o.must.Load(); before[i] > now && !o.must.CompareAndSwap(now, before[i]); now = o.must.Load() {
			}
		}
		s.count("invalidations", 1)
		s.rest(random)
	}
}

// rest lets viewers have some hits.
func (s *soak) rest(random *rand.Rand) {
	select {
	case <-time.After(time.Duration(random.IntN(40)) * time.Millisecond):
	case <-s.ctx.Done():
	}
}

// choose returns patterns and the objects that they cover in all variants.
func (s *soak) choose(random *rand.Rand) ([]*soaked, []string) {
	o := s.objects[random.IntN(len(s.objects))]
	switch n := random.IntN(256); {
	case n == 0:
		return s.objects, []string{"/*"}
	case n < 8:
		return s.objects, []string{"/nothing", "/s/%c3%a9/*"}
	case n < 32:
		return []*soaked{o}, []string{o.path[:len(o.path)-1] + "*"}
	case n < 64:
		return []*soaked{o}, []string{o.path + "*"}
	}
	path := spelled(o.path, random)
	return []*soaked{o}, append([]string{path}, each(soakQueries, func(q string) string { return path + q })...)
}

// spelled returns a path in one of the spellings that mean the same.
func spelled(path string, random *rand.Rand) string {
	if random.IntN(2) == 0 {
		return strings.ReplaceAll(path, "%C3%A9", "%c3%a9")
	}
	return path
}

// soakQueries are those of the viewers, which are compared as they are written.
var soakQueries = []string{"?a", "?a=1&b=%20", "?%61=%c3"}

func each[T, U any](all []T, f func(T) U) (made []U) {
	for _, one := range all {
		made = append(made, f(one))
	}
	return made
}

// complete makes an invalidation, as often as it takes with one caller
// reference, and returns when it is Completed.
func (s *soak) complete(reference string, patterns []string) bool {
	for {
		f, life, ok := s.lives()
		if !ok {
			return false
		}
		cf := f.cloudfront(s.t)
		out, err := cf.CreateInvalidation(s.ctx, &cloudfront.CreateInvalidationInput{DistributionId: &f.Distribution, InvalidationBatch: &types.InvalidationBatch{
			CallerReference: &reference, Paths: &types.Paths{Quantity: aws.Int32(int32(len(patterns))), Items: patterns}}})
		if err == nil {
			var status string
			if status, err = s.status(f, cf, *out.Invalidation.Id); status == "Completed" {
				s.mu.Lock()
				s.completed = append(s.completed, *out.Invalidation.Id)
				s.mu.Unlock()
				return true
			}
		}
		if err != nil && codeOf(err) != "TooManyInvalidationsInProgress" && !s.excused(life) {
			s.t.Errorf("invalidate %q: %v", patterns, err)
			return false
		}
	}
}

// status asks until the answer is Completed or an error.
func (s *soak) status(f *running, cf *cloudfront.Client, id string) (string, error) {
	for deadline := time.Now().Add(patience); ; {
		out, err := cf.GetInvalidation(s.ctx, &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: &id})
		if err != nil {
			return "", err
		}
		if *out.Invalidation.Status == "Completed" || time.Now().After(deadline) {
			return *out.Invalidation.Status, nil
		}
	}
}

// viewing fetches in all the ways there are.
func (s *soak) viewing(kind int) {
	random := s.random()
	tags := make(map[*soaked]string)
	queries := append([]string{"", ""}, soakQueries...)
	for {
		f, life, ok := s.lives()
		if !ok {
			return
		}
		v := f.viewer(s.t)
		if kind%3 > 0 {
			v = f.overTLS(s.t, kind%3 == 2)
		}
		for s.life.Load() == life && s.ctx.Err() == nil && !s.t.Failed() {
			o := s.objects[random.IntN(len(s.objects))]
			s.look(v, random, o, queries[random.IntN(len(queries))], tags, life)
		}
		v.close()
		if s.t.Failed() {
			return
		}
	}
}

// look makes one request and judges its answer.
func (s *soak) look(v *viewer, random *rand.Rand, o *soaked, query string, tags map[*soaked]string, life int64) {
	must := o.must.Load()
	var headers []string
	var span [2]int // first byte and the one after the last; 0, 0 for all
	size := len(o.body(0))
	switch random.IntN(4) {
	case 0:
		span[0] = random.IntN(size)
		span[1] = span[0] + 1 + random.IntN(min(size-span[0], 300<<10))
		headers = append(headers, fmt.Sprintf("Range: bytes=%d-%d", span[0], span[1]-1))
	case 1:
		if tags[o] != "" {
			headers = append(headers, "If-None-Match: "+tags[o])
		}
	}
	path := spelled(o.path, random) + query
	seen, err := v.get(path, headers...)
	if err != nil {
		if !s.excused(life) {
			s.t.Errorf("GET %s %v: %v", path, headers, err)
		}
		return
	}
	if seen.status == http.StatusNotModified && seen.header.Get("Etag") == "" {
		seen.header.Set("Etag", tags[o]) // the bucket's own does not say
	}
	tags[o] = seen.header.Get("Etag")
	s.count("requests", 1)
	s.count("bytes", len(seen.body))
	s.count(strconv.Itoa(seen.status), 1)
	s.count(seen.cache(), 1)
	if err := o.judge(seen, span, must); err != nil {
		s.t.Errorf("GET %s %v: %s: %v", path, headers, seen.header.Get("X-Cache"), err)
	}
}

// judge compares an answer with the version that it says it is, and that with
// what there must be.
func (o *soaked) judge(seen view, span [2]int, must int64) error {
	of, known := o.tags.Load(seen.header.Get("Etag"))
	if !known {
		return fmt.Errorf("status %d, unknown ETag %q", seen.status, seen.header.Get("Etag"))
	}
	version := of.(int64)
	if version < must || version > o.sent.Load() {
		return fmt.Errorf("version %d, but %d was put before an invalidation that was completed", version, must)
	}
	if seen.status == http.StatusNotModified {
		return nil
	}
	if said := seen.header.Get("X-Amz-Meta-Version"); said != strconv.FormatInt(version, 10) {
		return fmt.Errorf("headers of version %q with the ETag of %d", said, version)
	}
	if got, want := seen.header.Get("Cache-Control"), soakControls[version%int64(len(soakControls))]; got != want {
		return fmt.Errorf("Cache-Control %q with version %d, which has %q", got, version, want)
	}
	body, status := o.body(version), http.StatusOK
	if span[1] > 0 {
		body, status = body[span[0]:span[1]], http.StatusPartialContent
	}
	if seen.status != status || !bytes.Equal(seen.body, body) {
		return fmt.Errorf("status %d and %d bytes that are not those of version %d", seen.status, len(seen.body), version)
	}
	return nil
}

// filling asks for more variants of an object than there is room for. It is never
// put again.
func (s *soak) filling(o *soaked) {
	random := s.random()
	for {
		f, life, ok := s.lives()
		if !ok {
			return
		}
		v := f.viewer(s.t)
		for s.life.Load() == life && s.ctx.Err() == nil && !s.t.Failed() {
			seen, err := v.get(o.path + "?fill=" + strconv.Itoa(random.IntN(40)))
			if err == nil {
				s.count("filling bytes", len(seen.body))
				err = o.judge(seen, [2]int{}, 0)
			}
			if err != nil && !s.excused(life) {
				s.t.Errorf("fill: %v", err)
			}
		}
		v.close()
		if s.t.Failed() {
			return
		}
	}
}

// afterwards wants what was Completed to be so still, and prints the totals.
func (s *soak) afterwards() {
	f := s.now.Load()
	s.evicted(f)
	cf := f.cloudfront(s.t)
	for _, id := range s.completed[max(0, len(s.completed)-500):] {
		out, err := cf.GetInvalidation(s.t.Context(), &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: &id})
		if err != nil || *out.Invalidation.Status != "Completed" {
			s.t.Errorf("invalidation %s was Completed and is not any more: %v", id, err)
			break
		}
	}
	for _, what := range slices.Sorted(maps.Keys(s.counts)) {
		s.t.Logf("%12d %s", s.counts[what], what)
	}
	for _, what := range wanted {
		if s.counts[what] == 0 {
			s.t.Errorf("there were no %s: nothing was put to the test", what)
		}
	}
	s.t.Logf("%12d MiB at most, where it may take %d", s.most.Load()>>20, soakMemory*13/10>>20)
}

// metrics is what Prometheus would read.
func (s *soak) metrics(f *running) string {
	resp, err := http.Get(f.Metrics)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Errorf("metrics: %d, %v", resp.StatusCode, err)
	}
	return string(text)
}
