//go:build linux && !race

package arena

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the larger page of systems that have pages of 4 KiB.
const hugePage = 2 << 20

// reserve returns memory of the system's, which is all zero; nil if there is none.
// Where it is a whole number of huge pages it consists of those, if the system has
// some: an entry among a million is found sooner then, since the processor need not
// ask first in which page it is.
func reserve(size int) []byte {
	most := size
	if size%hugePage == 0 {
		most += hugePage
	}
	from, err := unix.MmapPtr(-1, 0, nil, uintptr(most), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	if most == size {
		return unsafe.Slice((*byte)(from), size)
	}
	before := -uintptr(from) % hugePage
	b := unsafe.Slice((*byte)(unsafe.Add(from, before)), size)
	if before > 0 {
		_ = unix.MunmapPtr(from, before) // if what is not needed stays it takes no memory
	}
	_ = unix.MunmapPtr(unsafe.Add(from, int(before)+size), hugePage-before)
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // the others do as well
	return b
}

// release can only fail for what is not mapped.
func release(b []byte) {
	_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}
