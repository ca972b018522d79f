package edge

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/freshet/freshet"
)

// workClock is a clock of processor time and one of everything, which pass only
// when something is done.
type workClock struct{ cpu, now time.Duration }

func (c *workClock) work(d time.Duration) { c.cpu += d; c.now += d }
func (c *workClock) share(part float64) *share {
	return &share{part: part, cpu: func() time.Duration { return c.cpu }, rest: func(d time.Duration) { c.now += d }}
}

// However much there is to do and however unevenly it comes, in no time does it
// take more than its part of a core and the slice that it has just done.
func TestShareIsKept(t *testing.T) {
	for _, part := range []float64{0.01, sweepShare, 0.5, 1} {
		var c workClock
		s := c.share(part)
		r := rand.New(rand.NewPCG(1, 2))
		longest := 5 * time.Millisecond
		for range 3 { // works, each of which begins at once after the other
			s.do(func(pause func()) {
				for range 20_000 {
					c.work(time.Duration(r.Int64N(int64(200 * time.Microsecond))))
					if r.IntN(1000) == 0 {
						c.work(longest)
					}
					pause()
					if most := time.Duration(float64(c.now)*part) + workSlice + longest + 200*time.Microsecond; c.cpu > most {
						t.Fatalf("%v of a core: %v of %v", part, c.cpu, c.now)
					}
				}
			})
			if got := float64(c.cpu) / float64(c.now); got > part*1.0001 {
				t.Errorf("%v of a core: %v of it, %v of %v", part, got, c.cpu, c.now)
			}
		}
		if got := float64(c.cpu) / float64(c.now); got < part*0.99 {
			t.Errorf("%v of a core: it took %v of it, which is too little", part, got)
		}
	}
}

// A million copies are swept within ten seconds, if one takes no longer than the
// benchmark says.
func TestShareIsEnoughForAMillion(t *testing.T) {
	var c workClock
	s := c.share(sweepShare)
	s.do(func(pause func()) {
		for range 1_000_000 / 128 {
			c.work(128 * 450 * time.Nanosecond)
			pause()
		}
	})
	if c.now > 10*time.Second-sweepEvery {
		t.Errorf("it takes %v", c.now)
	}
}

// A thousand wildcards a second, for as long as anybody likes, are not so many
// between two sweeps that any has to be merged, which would make cold what nobody
// has named.
func TestAThousandWildcardsASecondAreNotMerged(t *testing.T) {
	const perSecond, sweepTakes = 1000, 5 // the longest that a million copies may take it, in seconds
	e := newEpochs(maxRecords)
	var bystander stamp
	e.begin(&bystander)
	most, sweeps := 0, 0
	swept, began := -1, uint64(0) // when the sweep began that is under way, and at which epoch
	for second := range 60 {
		if due := swept >= 0 && second-swept >= sweepTakes; due {
			e.valid(&bystander, []string{"/shop/none/of/these"}) // as a sweep does
			e.forget(began, began)
			swept, sweeps = -1, sweeps+1
		}
		if swept < 0 {
			swept, began = second, e.counter.Load()
		}
		for i := range perSecond {
			e.invalidate([]freshet.Pattern{freshet.Pattern(fmt.Sprintf("/shop/%d/%d/*", i%97, second*perSecond+i))})
		}
		most = max(most, e.live())
		if !e.valid(&bystander, []string{"/shop/none/of/these"}) {
			t.Fatalf("after %d s something went that nobody has named", second)
		}
	}
	if most > maxRecords/4 || sweeps < 10 || e.crowded() {
		t.Errorf("%d patterns at most, after %d sweeps, crowded: %v", most, sweeps, e.crowded())
	}
}

func TestThreadClockPasses(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	clock := threadClock()
	before := clock()
	for end := time.Now().Add(time.Minute); clock() <= before; {
		if time.Now().After(end) {
			t.Fatal("no processor time passes while this works")
		}
	}
}
