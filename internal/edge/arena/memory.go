package arena

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// memory is what an arena has of the system. It is given back when nobody refers
// to the arena any more.
type memory struct {
	held *holding
	size atomic.Int64
}

type holding struct{ all map[*byte][]byte }

func newMemory() *memory {
	m := &memory{held: &holding{make(map[*byte][]byte)}}
	runtime.AddCleanup(m, func(h *holding) {
		for _, b := range h.all {
			release(b)
		}
	}, m.held)
	return m
}

func (m *memory) take(size int) []byte {
	b := reserve(size)
	m.held.all[unsafe.SliceData(b)] = b
	m.size.Add(int64(len(b)))
	return b
}

func (m *memory) give(b []byte) {
	delete(m.held.all, unsafe.SliceData(b))
	m.size.Add(-int64(len(b)))
	release(b)
}
