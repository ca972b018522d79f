package edge

import (
	"runtime"
	"time"
)

// share holds work that goes on for long to a part of a core: after each slice of
// processor time that it has taken it rests for as long as that is too much.
// Nothing but the clock decides, so it takes no more where there is more to do.
type share struct {
	part float64               // of a core, above 0 and at most 1
	cpu  func() time.Duration  // processor time of this thread so far
	rest func(d time.Duration) // waits
	mark time.Duration         // cpu when the slice began
}

// workSlice is how much processor time passes at least between two rests, and so
// what a request waits that finds the work in its way.
const workSlice = time.Millisecond

// do calls f with pause, which f has to call often while it works.
func (s *share) do(f func(pause func())) {
	s.begin()
	f(s.pause)
	used := s.cpu() - s.mark
	runtime.UnlockOSThread()
	s.pay(used) // so that what follows does not come too soon
}

// begin begins a slice. Processor time is counted by thread.
func (s *share) begin() {
	runtime.LockOSThread()
	s.mark = s.cpu()
}

// pause rests if enough was done.
func (s *share) pause() {
	used := s.cpu() - s.mark
	if used < workSlice {
		return
	}
	runtime.UnlockOSThread() // handing a thread over takes longer than a goroutine
	s.pay(used)
	s.begin()
}

func (s *share) pay(used time.Duration) {
	s.rest(time.Duration(float64(used) * (1 - s.part) / s.part))
}

// wallClock stands for processor time where that is not known; it is never less.
func wallClock() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}
