package edge

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadClock says how much processor time the calling thread has taken.
func threadClock() func() time.Duration {
	wall := wallClock()
	return func() time.Duration {
		var t unix.Timespec
		if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
			return wall()
		}
		return time.Duration(t.Nano())
	}
}
