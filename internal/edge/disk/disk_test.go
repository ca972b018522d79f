package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openAt(t *testing.T, o Options) *Store {
	t.Helper()
	if o.FS == nil {
		o.FS = unsynced{}
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if l, _, _ := s.Ledger(); l.Rewrite(func() [][]byte { return nil }) != nil {
		t.Fatal("the ledger cannot be written")
	}
	<-s.Loaded()
	return s
}

func label(n int) []byte { return fmt.Appendf(nil, "label %d", n) }
func head(n int) []byte  { return bytes.Repeat(fmt.Appendf(nil, "head %d ", n), 10) }

// bodyOf is a body of so many bytes, which no other has.
func bodyOf(n, size int) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(uint64(n), uint64(size)))
	for i := 0; i+8 <= size; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b
}

func written(n, size int) Written {
	return Written{Hash: hashOf(n), Label: label(n), Head: head(n), Body: bodyOf(n, size)}
}

func hashOf(n int) uint64 { return uint64(n+1) * 0x9E3779B97F4A7C15 }

func put(t *testing.T, s *Store, n, size int) {
	t.Helper()
	if _, err := s.Put(written(n, size)); err != nil {
		t.Fatalf("put %d of %d bytes: %v", n, size, err)
	}
}

// look reports whether record n is there, and that it is wrong if it is not what was
// put.
func look(t *testing.T, s *Store, n, size int) bool {
	t.Helper()
	r := s.Get(hashOf(n))
	if r == nil {
		return false
	}
	body, err := r.Body.Bytes()
	if err != nil {
		return false
	}
	if !bytes.Equal(r.Label, label(n)) || !bytes.Equal(r.Head, head(n)) || !bytes.Equal(body, bodyOf(n, size)) {
		t.Errorf("record %d of %d bytes is another: %q", n, size, r.Label)
		return false
	}
	return true
}

// sizes are those of bodies around everything that changes with the size.
var sizes = []int{0, 1, 100, 4000, 5000, blockSize - 1, blockSize, blockSize + 1, 3*blockSize + 17, 900_000}

func TestRecordsOutliveTheProcess(t *testing.T) {
	o := Options{Dir: t.TempDir() + "/cache", Limit: 16 << 20}
	for _, ended := range []string{"closed", "killed"} {
		t.Run(ended, func(t *testing.T) {
			s := openAt(t, o)
			for n, size := range sizes {
				put(t, s, n, size)
				if !look(t, s, n, size) {
					t.Fatalf("%d bytes are not there", size)
				}
			}
			end(t, s, ended == "killed")
			s = openAt(t, o)
			for n, size := range sizes {
				if !look(t, s, n, size) {
					t.Errorf("%d bytes are not there after it was %s", size, ended)
				}
			}
			if got := s.Stats(); got.Records != int64(len(sizes)) || got.Damaged != 0 || got.Errors != 0 {
				t.Errorf("%+v", got)
			}
			_ = s.Close()
		})
	}
}

// end closes a store, or leaves its files as a killed process does.
func end(t *testing.T, s *Store, killed bool) {
	t.Helper()
	if !killed {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	s.closed.Store(true)
	s.loading.Wait()
	if err := s.unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestTheLatestCounts(t *testing.T) {
	o := Options{Dir: t.TempDir(), Limit: 4 << 20}
	s := openAt(t, o)
	for _, size := range []int{10, 200_000, 3000} {
		put(t, s, 1, size)
	}
	for n := 2; n < 40; n++ {
		put(t, s, n, 5000)
	}
	s.Remove(hashOf(7))
	for _, killed := range []bool{true, false} {
		if !look(t, s, 1, 3000) || look(t, s, 7, 5000) || !look(t, s, 8, 5000) {
			t.Error("another record is there than was put last")
		}
		end(t, s, killed)
		s = openAt(t, o)
	}
}

// used is what files take of the disk.
func used(t *testing.T, dir string) (sum int64) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := System{}.Open(path, os.O_RDONLY)
		if err != nil {
			return nil // removed since
		}
		defer f.Close()
		_, taken, err := f.Size()
		sum += taken
		return err
	})
	return sum
}

// However much is written, no more of the disk is taken than the limit says, and
// what is used stays.
func TestLimit(t *testing.T) {
	const limit = 2 << 20
	o := Options{Dir: t.TempDir(), Limit: limit}
	s := openAt(t, o)
	size := func(n int) int { return n * 7919 % 40_000 }
	for n := range 700 {
		put(t, s, n, size(n))
		for hot := range 3 {
			look(t, s, hot, size(hot))
		}
		if n%50 == 0 {
			if got := used(t, o.Dir); got > limit {
				t.Fatalf("%d bytes are taken, %d are allowed", got, limit)
			}
			if got := s.Stats().Bytes; got > limit {
				t.Fatalf("%d bytes are said to be taken, %d are allowed", got, limit)
			}
		}
	}
	for hot := range 3 {
		if !look(t, s, hot, size(hot)) {
			t.Errorf("record %d is gone, although it is used all the time", hot)
		}
	}
	recent := 0
	for n := 690; n < 700; n++ {
		if look(t, s, n, size(n)) {
			recent++
		}
	}
	if recent < 10 {
		t.Errorf("of the ten latest records %d are there", recent)
	}
	if got := s.Stats(); got.Reclaimed == 0 || got.Records < 20 || got.Bytes < limit/2 {
		t.Errorf("%+v", got)
	}
	if _, err := s.Put(written(1, limit)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("what is larger than everything: %v", err)
	}
	if look(t, s, 1, size(1)) {
		t.Error("what was refused has left behind what it was to replace")
	}
}

func TestDirectoryIsNotShared(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, Options{Dir: dir, Limit: LeastLimit})
	if _, err := Open(Options{Dir: dir, Limit: LeastLimit}); !errors.Is(err, ErrInUse) {
		t.Errorf("the second time: %v", err)
	}
	_ = s.Close()
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: foreign, Limit: LeastLimit}); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), foreign) {
		t.Errorf("a directory with something else: %v", err)
	}
	if names, _ := (System{}).List(foreign); len(names) != 1 {
		t.Errorf("it holds %q now", names)
	}
	if err := os.WriteFile(filepath.Join(dir, formatFile), []byte("freshet's cache on disk, format 9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir, Limit: LeastLimit}); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("another format: %v", err)
	}
}

func TestOnlyTheOwnerReads(t *testing.T) {
	dir := t.TempDir() + "/made"
	s := openAt(t, Options{Dir: dir, Limit: LeastLimit})
	put(t, s, 1, 10)
	put(t, s, 2, 100_000)
	_ = s.Close()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		stat, err := d.Info()
		if err != nil || stat.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, stat.Mode(), err)
		}
		return nil
	})
}

// What a sweep finds invalid is gone from the disk, too, and stays gone.
func TestSweep(t *testing.T) {
	gone := map[string]bool{}
	o := Options{Dir: t.TempDir(), Limit: 8 << 20, Valid: func(l []byte) bool { return !gone[string(l)] }}
	s := openAt(t, o)
	size := func(n int) int { return []int{100, 3000, 20_000}[n%3] }
	const all = 300
	for n := range all {
		put(t, s, n, size(n))
	}
	before := used(t, o.Dir)
	odd := func(n int) bool { return n%2 == 1 }
	for n := range all {
		if odd(n) {
			gone[string(label(n))] = true
		}
	}
	if !s.Sweep(0, nil) {
		t.Fatal("the sweep was not complete")
	}
	clear(gone) // so that only the disk knows
	for _, killed := range []bool{true, false} {
		for n := range all {
			if look(t, s, n, size(n)) == odd(n) {
				t.Fatalf("record %d: %v", n, !odd(n))
			}
		}
		end(t, s, killed)
		s = openAt(t, o)
	}
	if after := used(t, o.Dir); after > before*3/4 {
		t.Errorf("of %d bytes %d are still taken", before, after)
	}
	for n := range all {
		gone[string(label(n))] = true
	}
	if !s.Sweep(0, nil) {
		t.Fatal("the sweep was not complete")
	}
	if got := s.Stats().Records; got != 0 {
		t.Errorf("%d records are left", got)
	}
	if after := used(t, o.Dir); after > before/10 {
		t.Errorf("of %d bytes %d are still taken, and nothing is there", before, after)
	}
	if _, err := s.Put(written(1, 10)); !errors.Is(err, ErrInvalid) {
		t.Errorf("what is not valid was kept: %v", err)
	}
}
