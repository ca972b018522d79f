//go:build linux && !race

package arena

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// onHeap reports whether segments are on the Go heap.
const onHeap = false

// reserve returns memory of the system's, which is all zero.
func reserve(size int) []byte {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Sprintf("arena: out of memory: map %d bytes: %v", size, err)) // as the runtime does
	}
	return b
}

func release(b []byte) { _ = unix.Munmap(b) } // which can only fail for what is not mapped
