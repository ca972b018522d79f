package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	cf "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// cached is an object as it is changed, invalidated and looked at while freshet is
// killed again and again.
type cached struct {
	key   string
	size  int
	put   int // the last version that somebody tried to put
	least int // the version that was there when the last answered invalidation was asked for
}

// edition is one version of the object. Every byte is looked at.
func (c *cached) edition(version int) []byte {
	line := fmt.Appendf(nil, "%s version %d\n", c.key, version)
	return bytes.Repeat(line, c.size/len(line)+1)
}

// judge fails if what a viewer got is no version, or one that was invalidated.
func (c *cached) judge(t *testing.T, v view) {
	t.Helper()
	if v.status == 404 && c.least == 0 {
		return
	}
	version := -1
	_, _ = fmt.Sscanf(string(v.body[:min(len(v.body), 100)]), c.key+" version %d", &version)
	if v.status != 200 || version < c.least || version > c.put || !bytes.Equal(v.body, c.edition(version)) {
		t.Fatalf("%s: %d %s, version %d of at least %d and at most %d, %d bytes", c.key, v.status, v.cache(), version, c.least, c.put, len(v.body))
	}
}

// diskLife is one process with a cache on disk, and who uses it.
type diskLife struct {
	f       *running
	s3      *s3.Client
	cdn     *cloudfront.Client
	viewer  *viewer
	random  *rand.Rand
	objects []*cached
}

// change puts a new version and has it invalidated, by itself or with others, and
// reports whether both were answered.
func (l *diskLife) change(t *testing.T, c *cached) bool {
	c.put++
	version := c.put
	if _, err := l.f.put(t.Context(), l.s3, c.key, c.edition(version)); err != nil {
		return false
	}
	path := []string{"/" + c.key, "/*"}[l.random.IntN(2)]
	before := make([]int, len(l.objects))
	for i, o := range l.objects {
		before[i] = o.put
	}
	_, err := l.cdn.CreateInvalidation(t.Context(), &cloudfront.CreateInvalidationInput{DistributionId: &l.f.Distribution, InvalidationBatch: &cf.InvalidationBatch{
		CallerReference: aws.String(fmt.Sprint("of ", c.key, version, l.random.Uint64())), Paths: &cf.Paths{Quantity: aws.Int32(1), Items: []string{path}},
	}})
	if err != nil {
		return false
	}
	// Its own last version was stored, since that was answered.
	c.least = version
	return true
}

// use goes on until something is not answered, since the process was killed.
func (l *diskLife) use(t *testing.T) {
	for !t.Failed() {
		c := l.objects[l.random.IntN(len(l.objects))]
		if l.random.IntN(12) == 0 {
			if !l.change(t, c) {
				return
			}
		}
		v, err := l.viewer.get("/" + c.key)
		if err != nil {
			return
		}
		c.judge(t, v)
	}
}

// However often freshet is killed, what is cached on disk is right to the byte, and
// nothing of it that was invalidated before is served; and what was cached is served
// without the origin.
func TestPromiseCacheOnDisk(t *testing.T) {
	rounds := 3
	if long() {
		rounds = 200
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	data, dir := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	o := options{data: data, args: []string{"--disk", dir + ",16MiB", "--memory", "4MiB"}}
	var objects []*cached
	for i, size := range []int{10, 500, 3000, 20_000, 40_000, 100_000, 700_000, 1_500_000, 2_000_000, 60, 70, 80} {
		objects = append(objects, &cached{key: fmt.Sprintf("d%d/%d.bin", i%3, i), size: size})
	}
	for range rounds {
		f := start(t, o)
		l := &diskLife{f: f, s3: f.s3(t), cdn: f.cloudfront(t), viewer: f.viewer(t), random: random, objects: objects}
		dying := time.AfterFunc(time.Duration(random.IntN(1500))*time.Millisecond, func() { _ = f.command.Process.Kill() })
		l.use(t)
		dying.Stop()
		f.kill()
		if t.Failed() {
			return
		}
	}
	f := start(t, o)
	l := &diskLife{f: f, s3: f.s3(t), cdn: f.cloudfront(t), viewer: f.viewer(t), random: random, objects: objects}
	for _, c := range objects {
		if !l.change(t, c) {
			t.Fatal("a change was refused")
		}
	}
	f.putVerified(t, l.s3, "the last one", "after which nothing is invalidated any more")
	for _, c := range objects {
		c.judge(t, l.viewer.mustGet(t, "/"+c.key))
	}
	wantHits(t, l.viewer, objects) // so that all is stored
	f.kill()
	f = start(t, o)
	wantHits(t, f.viewer(t), objects)
	f.stop(t)
}

// wantHits waits until all is answered from the cache, as it is soon after it was
// fetched.
func wantHits(t *testing.T, v *viewer, objects []*cached) {
	t.Helper()
	for _, c := range objects {
		end := time.Now().Add(patience)
		for {
			seen := v.mustGet(t, "/"+c.key)
			if c.judge(t, seen); seen.cache() == "Hit" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s is never cached: %s", c.key, seen.cache())
			}
		}
	}
}
