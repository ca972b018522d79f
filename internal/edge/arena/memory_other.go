//go:build !linux || race

package arena

// onHeap reports whether segments are on the Go heap.
const onHeap = true

// Without the system's own memory it is the Go heap's, in which there are no
// pointers either. The race detector, too, sees that only.

func reserve(size int) []byte { return make([]byte, size) }

func release([]byte) {}
