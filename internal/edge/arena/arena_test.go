package arena

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/edge/packed"
)

// thing is the body of an entry outside of the arena.
type thing struct {
	text    string
	removed int
}

// bodyOf is what an entry must hold, so that a byte of another's would be seen.
func bodyOf(n, version uint64, size int) []byte {
	b := make([]byte, max(size, 24))
	binary.LittleEndian.PutUint64(b, n)
	binary.LittleEndian.PutUint64(b[8:], version)
	for i := 24; i < len(b); i++ {
		b[i] = byte(uint64(i)*(n+1) + version)
	}
	binary.LittleEndian.PutUint32(b[16:], crc32.ChecksumIEEE(b[24:]))
	return b
}

func keyOf(n uint64) packed.Key { return packed.Key{Site: 1, URL: fmt.Sprint("/objects/", n)} }

func entryOf(n, version uint64, size int) *packed.Entry {
	return &packed.Entry{Key: keyOf(n), Status: 200, Birth: version, Header: map[string][]string{"Etag": {fmt.Sprint(n, ".", version)}}, Body: bodyOf(n, version, size)}
}

func put(t testing.TB, a *Arena[thing], e *packed.Entry, b *thing, bytes int64) {
	if _, err := a.Put(e, b, bytes); err != nil {
		t.Error(err)
	}
}

// intact reports what is wrong with an entry.
func intact(v packed.View, n uint64) error {
	k := keyOf(n)
	b := v.Body()
	var room []byte
	lines := v.Lines(&room)
	switch {
	case !v.Is(&k):
		return fmt.Errorf("%s for %s", v.URL(), k.URL)
	case len(b) < 24 || binary.LittleEndian.Uint64(b) != n || binary.LittleEndian.Uint64(b[8:]) != v.Birth() || binary.LittleEndian.Uint32(b[16:]) != crc32.ChecksumIEEE(b[24:]):
		return fmt.Errorf("%s has another's body", k.URL)
	case string(lines.Get("Etag")) != fmt.Sprint(n, ".", v.Birth()):
		return fmt.Errorf("%s has another's header", k.URL)
	}
	return nil
}

// Whatever is done: what is found is what was stored last, bodies are let go of
// exactly once, and what is counted adds up.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var things []*thing
		a := New(rapid.Int64Range(20<<10, 3<<20).Draw(t, "limit"), func(b *thing) { b.removed++ })
		type stored struct {
			version, serial uint64
			body            *thing
		}
		latest := make(map[uint64]*stored)
		version := uint64(0)
		number := rapid.Uint64Range(0, 30)
		peek := func(n uint64) (packed.View, *thing, func()) {
			r := a.EnterAnywhere()
			k := keyOf(n)
			v := r.Peek(&k)
			if v.IsNone() {
				return v, nil, r.Leave
			}
			return v, r.Body(v), r.Leave
		}
		store := func(t *rapid.T, store func(*packed.Entry, *thing, int64) error) {
			n := number.Draw(t, "n")
			version++
			e := entryOf(n, version, rapid.SampledFrom([]int{0, 50, 3000, 20_000, 70_000}).Draw(t, "size"))
			var b *thing
			var size int64
			if rapid.IntRange(0, 3).Draw(t, "outside") == 0 {
				size = rapid.Int64Range(1, 300<<10).Draw(t, "bytes")
				b = &thing{text: fmt.Sprint(n, ".", version)}
				things = append(things, b)
				e.Body, e.Size = nil, size
			}
			if store(e, b, size) != nil {
				if b != nil {
					b.removed++ // never taken
				}
				return
			}
			v, _, leave := peek(n)
			defer leave()
			if v.IsNone() {
				delete(latest, n)
				return
			}
			latest[n] = &stored{version, v.Serial(), b}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				store(t, func(e *packed.Entry, b *thing, size int64) error {
					_, err := a.Put(e, b, size)
					if err != nil {
						delete(latest, entryNumber(e))
					}
					return err
				})
			},
			"replace": func(t *rapid.T) {
				serial := rapid.Uint64Range(0, version+1).Draw(t, "serial")
				store(t, func(e *packed.Entry, b *thing, size int64) error {
					was := latest[entryNumber(e)]
					_, err := a.Replace(serial, e, b, size)
					if err == nil && (was == nil || was.serial != serial) {
						t.Fatal("replaced what is not there")
					}
					return err
				})
			},
			"drop": func(t *rapid.T) {
				n := number.Draw(t, "n")
				k := keyOf(n)
				if s := latest[n]; s != nil {
					a.Drop(&k, func(v packed.View) bool { return v.Serial() != s.serial })
					a.Drop(&k, func(v packed.View) bool { return v.Serial() == s.serial })
				}
				if v, _, leave := peek(n); !v.IsNone() {
					leave()
					t.Fatal("dropped, and there")
				} else {
					leave()
				}
				delete(latest, n)
			},
			"get": func(t *rapid.T) {
				r := a.Enter(3)
				k := keyOf(number.Draw(t, "n"))
				r.Get(&k)
				r.Leave()
			},
			"each": func(t *rapid.T) {
				which := rapid.Uint64Range(2, 5).Draw(t, "which")
				seen := make(map[string]bool)
				a.Each(func(v packed.View) bool {
					if seen[v.URL()] {
						t.Fatalf("%s twice", v.URL())
					}
					seen[string(bytes.Clone([]byte(v.URL())))] = true
					return v.Birth()%which != 0
				}, func() {})
				for n, s := range latest {
					v, _, leave := peek(n)
					leave()
					if !v.IsNone() && s.version%which == 0 {
						t.Fatal("there after it was removed")
					}
					if v.IsNone() {
						delete(latest, n)
					}
				}
			},
			"tidy":     func(*rapid.T) { a.Tidy(func() {}) },
			"tidy all": func(*rapid.T) { a.TidyAll(func() {}) },
			"": func(t *rapid.T) {
				there := 0
				for n := range uint64(31) {
					v, b, leave := peek(n)
					s := latest[n]
					switch {
					case v.IsNone():
					case s == nil:
						t.Fatalf("%d is there", n)
					case v.Birth() != s.version || b != s.body:
						t.Fatalf("%d: version %d, want %d", n, v.Birth(), s.version)
					case b == nil && intact(v, n) != nil:
						t.Fatal(intact(v, n))
					}
					if !v.IsNone() {
						there++
					} else if s != nil && s.body != nil && s.body.removed != 1 {
						t.Fatal("an entry has left its body behind")
					}
					leave()
				}
				if there != a.Objects() {
					t.Fatalf("%d objects, counted %d", there, a.Objects())
				}
				kept := 0
				for _, b := range things {
					if b.removed > 1 {
						t.Fatal("removed twice")
					}
					kept += 1 - b.removed
				}
				checkSums(t, a, kept)
			},
		})
	})
}

func entryNumber(e *packed.Entry) (n uint64) {
	_, _ = fmt.Sscanf(e.Key.URL, "/objects/%d", &n)
	return n
}

// checkSums adds everything up anew.
func checkSums(t *rapid.T, a *Arena[thing], bodies int) {
	var bytes int64
	for i := range a.queues {
		var queued int64
		seq := uint64(0)
		for s := a.queues[i].first; s != nil; s = s.after {
			live := 0
			for at := 0; at < s.used; {
				v := s.view(at)
				if v.Uses().Load()&dead == 0 {
					live += padded(len(v.Bytes()))
					if v.Away() {
						bodies--
						queued += a.outside(v).bytes
						bytes += a.outside(v).bytes
					}
				}
				at += padded(len(v.Bytes()))
			}
			if live != s.live || s.seq <= seq || s.after != nil && s.after.before != s || live == 0 && s != a.queues[i].last {
				t.Fatalf("a segment with %d live bytes says %d; seq %d after %d", live, s.live, s.seq, seq)
			}
			seq = s.seq
			bytes += int64(len(s.data))
			queued += int64(s.used)
		}
		if queued != a.queues[i].bytes {
			t.Fatalf("queue %d: %d bytes, counted %d", i, queued, a.queues[i].bytes)
		}
	}
	for i := range a.index.tables {
		if p := a.index.tables[i].slots.Load(); p != nil {
			bytes += int64(len(*p)) * 8
		}
	}
	bytes += int64(len(a.ghosts.slots)) * 8
	if bytes != a.Bytes() || bytes > a.limit || bodies != 0 {
		t.Fatalf("%d bytes, counted %d, of %d; %d bodies too many", bytes, a.Bytes(), a.limit, bodies)
	}
}

// However fast segments are used again, and moved together, nobody who reads sees
// a byte of anything but what was asked for. With -race segments are on the Go
// heap, where the detector sees whatever is not ordered.
func TestReadersUnderEviction(t *testing.T) {
	const readers, keys = 4, 3000
	a := New(1<<20, func(b *thing) { b.removed++ })
	var stop atomic.Bool
	var hits atomic.Int64
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			source := rand.New(rand.NewPCG(uint64(i), 1))
			for !stop.Load() {
				n := uint64(source.ExpFloat64()*100) % keys
				r := a.Enter(uint32(i))
				k := keyOf(n)
				if v := r.Get(&k); !v.IsNone() {
					if source.IntN(8) == 0 {
						runtime.Gosched() // while it is pinned
					}
					if b := r.Body(v); b != nil {
						if b.text != fmt.Sprint(n, ".", v.Birth()) {
							t.Errorf("%d has the body %s", n, b.text)
						}
					} else if err := intact(v, n); err != nil && !v.Away() {
						t.Error(err)
					}
					hits.Add(1)
				}
				r.Leave()
			}
		})
	}
	source := rand.New(rand.NewPCG(9, 9))
	for version := uint64(1); version < 6_000 || hits.Load() < 1_000; version++ {
		n := uint64(source.ExpFloat64()*100) % keys
		e := entryOf(n, version, source.IntN(8000))
		switch k := keyOf(n); source.IntN(20) {
		case 0:
			e.Body, e.Size = nil, 5000
			put(t, a, e, &thing{text: fmt.Sprint(n, ".", version)}, 5000)
		case 1:
			a.Drop(&k, func(packed.View) bool { return true })
		default:
			put(t, a, e, nil, 0)
		}
		if version%500 == 0 {
			a.Each(func(v packed.View) bool { return v.Birth()%3 != 0 }, runtime.Gosched)
			a.Tidy(runtime.Gosched)
			if version%1000 == 0 {
				a.TidyAll(runtime.Gosched)
			}
		}
	}
	stop.Store(true)
	all.Wait()
	t.Logf("%d hits, %d evictions", hits.Load(), a.Evicted())
	if a.Evicted() == 0 {
		t.Error("nothing was evicted")
	}
}

// While somebody reads, memory is not used for something else, but neither does
// more of it wait than a part.
func TestSegmentsWaitForReaders(t *testing.T) {
	a := New(16<<20, func(*thing) {})
	put(t, a, entryOf(1, 1, 1000), nil, 0)
	r := a.EnterAnywhere()
	k := keyOf(1)
	v := r.Get(&k)
	a.Drop(&k, func(packed.View) bool { return true })
	for n := range uint64(200) { // less than a segment
		put(t, a, entryOf(n+2, 1, 100), nil, 0)
	}
	a.Each(func(packed.View) bool { return false }, func() {})
	a.Tidy(func() {})
	if err := intact(v, 1); err != nil {
		t.Error(err)
	}
	r.Leave()
	if r := a.EnterAnywhere(); !r.Get(&k).IsNone() {
		t.Error("it is still found")
	} else {
		r.Leave()
	}
}

// Even where one of ten was removed everywhere the memory comes back, if all is
// moved together.
func TestScatteredMemoryComesBack(t *testing.T) {
	a := New(64<<20, func(*thing) {})
	const n = 20_000
	for i := range uint64(n) {
		put(t, a, entryOf(i, i, 1024), nil, 0)
	}
	full := a.Bytes()
	a.Each(func(v packed.View) bool { return v.Birth()%10 != 3 }, func() {})
	a.TidyAll(func() {})
	if want := full/10*9 + 4*int64(a.size); a.Bytes() > want {
		t.Errorf("%d bytes of %d", a.Bytes(), full)
	}
	r := a.EnterAnywhere()
	defer r.Leave()
	for i := range uint64(n) {
		k := keyOf(i)
		v := r.Get(&k)
		if v.IsNone() != (i%10 == 3) {
			t.Fatalf("%d is there: %v", i, !v.IsNone())
		}
		if !v.IsNone() {
			if err := intact(v, i); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What is removed comes back at once, however it lies among what stays.
func TestMemoryComesBack(t *testing.T) {
	a := New(64<<20, func(*thing) {})
	const n = 20_000
	for i := range uint64(n) {
		put(t, a, entryOf(i, i, 1024), nil, 0)
	}
	full := a.Bytes()
	for _, left := range []uint64{2, 10, 1 << 60} {
		a.Each(func(v packed.View) bool { return v.Birth()%left == 1 }, func() {})
		a.Tidy(func() {})
		want := full/int64(min(left, n))*4/3 + 4*int64(a.size) + 600<<10
		if a.Bytes() > want {
			t.Errorf("one of %d is left: %d bytes of %d", left, a.Bytes(), full)
		}
		if held := a.memory.size.Load(); held > want {
			t.Errorf("one of %d is left: %d bytes are held", left, held)
		}
	}
	r := a.EnterAnywhere()
	defer r.Leave()
	for i := range uint64(n) {
		k := keyOf(i)
		if v := r.Get(&k); v.IsNone() != (i != 1) {
			t.Fatalf("%d is there: %v", i, !v.IsNone())
		}
	}
}

func TestSegmentSize(t *testing.T) {
	for limit, want := range map[int64]int{
		0: 4 << 10, 64 << 10: 4 << 10, 200 << 10: 8 << 10, 1 << 20: 64 << 10, 16 << 20: 64 << 10, 96 << 20: 256 << 10, 256 << 20: 1 << 20, 512 << 20: 1 << 20, 1 << 30: 2 << 20, 1 << 40: 2 << 20,
	} {
		if got := segmentSize(limit); got != want {
			t.Errorf("%d: %d, want %d", limit, got, want)
		}
	}
}

// Where there is little, something is cached all the same.
func TestSmallLimits(t *testing.T) {
	for _, limit := range []int64{32 << 10, 100 << 10, 300 << 10} {
		a := New(limit, func(*thing) {})
		for n := range uint64(500) {
			put(t, a, entryOf(n, 1, 1000), nil, 0)
		}
		if got, least := a.Objects(), int(limit/1200)/3; got < least || a.Bytes() > limit {
			t.Errorf("%d bytes of %d with %d objects, at least %d wanted", a.Bytes(), limit, got, least)
		}
	}
}

// A hit allocates nothing.
func TestHitsAllocateNothing(t *testing.T) {
	a := New(1<<20, func(*thing) {})
	put(t, a, entryOf(1, 1, 1000), nil, 0)
	k := keyOf(1)
	if n := testing.AllocsPerRun(100, func() {
		r := a.Enter(1)
		if r.Get(&k).IsNone() {
			t.Fatal("not there")
		}
		r.Leave()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkGet finds one entry again and again, or any of many, and copies its
// header and body as an answer does. The difference is what the caches of the
// processor do not hold.
func BenchmarkGet(b *testing.B) {
	header := map[string][]string{
		"Cache-Control": {"max-age=3600"}, "Content-Type": {"application/octet-stream"}, "Date": {"Sat, 21 Nov 2026 10:00:00 GMT"},
		"Etag": {`"0123456789abcdef0123456789abcdef"`}, "Last-Modified": {"Sat, 01 Aug 2026 00:00:00 GMT"},
	}
	for _, n := range []uint64{1, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := New(4<<30, func(*thing) {})
			body := make([]byte, 1024)
			for i := range n {
				e := packed.Entry{Key: keyOf(i), Status: 200, Header: header, Body: body}
				e.Names = []string{e.Key.URL}
				put(b, a, &e, nil, 0)
			}
			b.ReportAllocs()
			b.ResetTimer()
			source := rand.New(rand.NewPCG(1, 1))
			url, out, room := make([]byte, 0, 64), make([]byte, 0, 4096), []byte(nil)
			for b.Loop() {
				url = strconv.AppendUint(append(url[:0], "/objects/"...), source.Uint64N(n), 10)
				k := packed.Key{Site: 1, URL: unsafe.String(&url[0], len(url))}
				r := a.Enter(1)
				v := r.Get(&k)
				if v.IsNone() {
					b.Fatal("not there")
				}
				out = append(append(out[:0], v.Lines(&room).Text...), v.Body()...)
				r.Leave()
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	a := New(64<<20, func(*thing) {})
	e := entryOf(1, 1, 1024)
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		e.Key = keyOf(n)
		put(b, a, e, nil, 0)
	}
}
