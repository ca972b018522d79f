package arena

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// memory is what an arena has of the system, which is given back when nobody
// refers to the arena any more. Where the system gives none it is the Go heap's,
// in which there are no pointers either.
type memory struct {
	mapped *mapped
	size   atomic.Int64 // bytes that are mapped
}

// mapped is what must be released, by where it begins.
type mapped struct{ all map[*byte][]byte }

func newMemory() *memory {
	m := &memory{mapped: &mapped{make(map[*byte][]byte)}}
	runtime.AddCleanup(m, func(left *mapped) {
		for _, b := range left.all {
			release(b)
		}
	}, m.mapped)
	return m
}

func (m *memory) take(size int) []byte {
	b := reserve(size)
	if b == nil {
		return make([]byte, size)
	}
	m.mapped.all[unsafe.SliceData(b)] = b
	m.size.Add(int64(size))
	return b
}

func (m *memory) give(b []byte) {
	at := unsafe.SliceData(b)
	if _, is := m.mapped.all[at]; !is {
		return
	}
	delete(m.mapped.all, at)
	m.size.Add(-int64(len(b)))
	release(b)
}
