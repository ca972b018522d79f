//go:build linux && !race

package arena

import (
	"testing"
	"unsafe"
)

// What could be huge pages begins where one can begin, may be written to from the
// first byte to the last, and can be given back alone.
func TestReservedIsAligned(t *testing.T) {
	var all [][]byte
	for _, size := range []int{4 << 10, hugePage, 3 * hugePage, 64 << 10, hugePage} {
		b := reserve(size)
		if len(b) != size || cap(b) != size {
			t.Fatalf("%d of %d bytes, %d wanted", len(b), cap(b), size)
		}
		if at := uintptr(unsafe.Pointer(&b[0])); size%hugePage == 0 && at%hugePage != 0 {
			t.Errorf("%d bytes begin at %x", size, at)
		}
		for i := range b {
			if b[i] != 0 {
				t.Fatalf("%d bytes: byte %d is %d", size, i, b[i])
			}
			b[i] = byte(size>>12 + len(all))
		}
		all = append(all, b)
	}
	release(all[1])
	for n, b := range all {
		for i := 0; n != 1 && i < len(b); i++ {
			if b[i] != byte(len(b)>>12+n) {
				t.Fatalf("byte %d of %d bytes was changed", i, len(b))
			}
		}
	}
	for n, b := range all {
		if n != 1 {
			release(b)
		}
	}
}
