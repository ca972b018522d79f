//go:build linux && !race

package arena

import "golang.org/x/sys/unix"

// reserve returns memory of the system's, which is all zero; nil if there is none.
func reserve(size int) []byte {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return b
}

func release(b []byte) { _ = unix.Munmap(b) } // which can only fail for what is not mapped
