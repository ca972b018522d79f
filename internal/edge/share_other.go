//go:build !linux

package edge

import "time"

// threadClock takes all time that passes for the thread's.
func threadClock() func() time.Duration { return wallClock() }
