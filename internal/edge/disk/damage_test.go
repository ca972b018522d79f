package disk

import (
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Whatever byte is flipped, and wherever a file ends, a record is what was written
// or is not there.
func TestDamage(t *testing.T) {
	from := filepath.Join(t.TempDir(), "cache")
	o := Options{Dir: from, Limit: LeastLimit, FS: unsynced{}}
	sizes := []int{0, 50, 300, 2000, 30_000}
	for _, sealed := range []bool{true, false} {
		s := openAt(t, o)
		for n, size := range sizes {
			put(t, s, n, size)
		}
		end(t, s, !sealed)
		names, err := System{}.List(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if _, _, ok := segmentOf(name); !ok {
				continue
			}
			text, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				t.Fatal(err)
			}
			step := 1 + len(text)/few()
			for i := 0; i < len(text); i += step {
				flipped := append([]byte(nil), text...)
				flipped[i] ^= 1 << (i % 8)
				for _, damaged := range [][]byte{flipped, text[:i], append(text[:i:i], make([]byte, len(text)-i)...)} {
					damagedAlike(t, o, name, damaged, sizes)
				}
			}
		}
		if err := os.RemoveAll(from); err != nil {
			t.Fatal(err)
		}
	}
}

// few is how many places of a file are damaged.
func few() int {
	if os.Getenv("FRESHET_SOAK") != "" {
		return 1 << 20
	}
	return 25
}

// unsynced is a file system that no power is lost under.
type unsynced struct{ System }

func (unsynced) SyncDir(string) error { return nil }

func (u unsynced) Open(name string, flag int) (File, error) {
	f, err := u.System.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ File }

func (unsyncedFile) Sync() error { return nil }

// damagedAlike opens a copy of a store in which a file is another.
func damagedAlike(t *testing.T, o Options, name string, text []byte, sizes []int) {
	t.Helper()
	from := o.Dir
	o.Dir = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(o.Dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, o)
	for n, size := range sizes {
		look(t, s, n, size) // fails by itself if it is another
	}
	put(t, s, 100, 10)
	if !look(t, s, 100, 10) {
		t.Error("nothing can be kept any more")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
}

// A segment of another store, or of this one before it was renewed, is none.
func TestForeignSegment(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "a"), Limit: LeastLimit}
	s := openAt(t, o)
	put(t, s, 1, 100)
	end(t, s, false)
	kept, err := os.ReadFile(filepath.Join(o.Dir, segmentName(1, false)))
	if err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o)
	before := s.ID()
	if err := s.Renew(); err != nil || s.ID() == before {
		t.Fatalf("%v, still %s", err, before)
	}
	if look(t, s, 1, 100) {
		t.Error("it is there after everything was removed")
	}
	end(t, s, false)
	if err := os.WriteFile(filepath.Join(o.Dir, segmentName(1, false)), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	if look(t, openAt(t, o), 1, 100) {
		t.Error("what was removed came back")
	}
}

// failing is a file system that fails at times.
type failing struct {
	unsynced

	err   atomic.Pointer[error] // what fails, fails with this; nil: nothing fails
	reads atomic.Bool           // fail
	rest  atomic.Bool           // all that writes fails
}

func (f *failing) fail(err error, reads, rest bool) {
	f.err.Store(&err)
	f.reads.Store(reads)
	f.rest.Store(rest)
}

func (f *failing) mend() {
	f.reads.Store(false)
	f.rest.Store(false)
}

func (f *failing) trouble(name string, reads bool) error {
	if f.reads.Load() && reads || f.rest.Load() && !reads {
		return &fs.PathError{Op: "fail", Path: name, Err: *f.err.Load()}
	}
	return nil
}

func (f *failing) Open(name string, flag int) (File, error) {
	if err := f.trouble(name, flag == os.O_RDONLY); err != nil {
		return nil, err
	}
	file, err := f.unsynced.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &failingFile{file, f, name}, nil
}

func (f *failing) Remove(name string) error {
	if err := f.trouble(name, false); err != nil && !errors.Is(err, syscall.ENOSPC) { // a full disk lets go
		return err
	}
	return f.unsynced.Remove(name)
}

func (f *failing) Rename(from, to string) error {
	if err := f.trouble(to, false); err != nil {
		return err
	}
	return f.unsynced.Rename(from, to)
}

type failingFile struct {
	File

	fs   *failing
	name string
}

func (f *failingFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.fs.trouble(f.name, true); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

func (f *failingFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fs.trouble(f.name, false); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], at)
		return n, err
	}
	return f.File.WriteAt(b, at)
}

func (f *failingFile) Sync() error {
	if err := f.fs.trouble(f.name, false); err != nil {
		return err
	}
	return f.File.Sync()
}

// rested waits until the store uses its disk again.
func rested(t *testing.T, s *Store) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); s.reads.resting() || s.writes.resting(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the disk is never used again")
		}
	}
}

// A disk that fails in any way takes away nothing but what is on it, is left alone
// for a while, and used again.
func TestFailingDisk(t *testing.T) {
	for name, how := range map[string]struct {
		err         error
		reads, rest bool
	}{"full": {syscall.ENOSPC, false, true}, "read errors": {syscall.EIO, true, false}, "write errors": {syscall.EIO, false, true}, "read-only": {syscall.EROFS, false, true}, "gone": {fs.ErrNotExist, true, true}, "forbidden": {fs.ErrPermission, true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := new(failing)
			s := openAt(t, Options{Dir: t.TempDir(), Limit: 2 << 20, FS: f})
			for n := range 60 {
				put(t, s, n, n*300)
			}
			f.fail(how.err, how.reads, how.rest)
			said := false // that it fails, as is said until it is tried again
			for end, n := time.Now().Add(2*time.Minute), 0; n < 120 || !said && time.Now().Before(end); n++ {
				look(t, s, n%120, n%120*300)
				_, _ = s.Put(written(n+60, n%120*100)) // others
				if n%7 == 0 && n < 120 {
					s.Remove(hashOf(n))
				}
				said = said || s.Stats().Failing
			}
			if st := s.Stats(); st.Errors == 0 || !said {
				t.Errorf("nothing is said to have failed: %+v", st)
			}
			f.mend()
			rested(t, s)
			for n := range 60 {
				look(t, s, n, n*300)
			}
			put(t, s, 500, 500)
			put(t, s, 501, 100_000)
			if !look(t, s, 500, 500) || !look(t, s, 501, 100_000) {
				t.Error("what was put afterwards is not there")
			}
			if s.Stats().Failing {
				t.Error("it is still said to fail")
			}
			if got := s.Stats().Bytes; got > 2<<20 {
				t.Errorf("%d bytes are taken", got)
			}
		})
	}
}

// What was acknowledged is in the ledger, whatever fails around it.
func TestLedgerOnAFailingDisk(t *testing.T) {
	for round := range 20 {
		random := rand.New(rand.NewPCG(uint64(round), 7))
		f := new(failing)
		o := Options{Dir: t.TempDir(), Limit: LeastLimit, FS: f}
		s := openAt(t, o)
		l, _, _ := s.Ledger()
		var all, acknowledged sync.Map
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 25 {
					entry := strings.Repeat(string(rune('a'+w)), 1+i) + "."
					all.Store(entry, true)
					if l.Append([]byte(entry)) == nil {
						acknowledged.Store(entry, true)
					}
				}
			})
		}
		if random.IntN(2) == 0 {
			f.fail(syscall.EIO, false, true)
		}
		writers.Wait()
		f.mend()
		end(t, s, true)
		again, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		_, entries, lost := again.Ledger()
		found := make(map[string]bool)
		for _, e := range entries {
			found[string(e)] = true
			if _, ok := all.Load(string(e)); !ok {
				t.Errorf("%q was never written", e)
			}
		}
		acknowledged.Range(func(e, _ any) bool {
			if !found[e.(string)] && lost == nil {
				t.Errorf("%q was acknowledged, and is lost", e)
			}
			return true
		})
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// meanwhile is a file system on which something happens before a file is opened to
// be read.
type meanwhile struct {
	System

	happens func()
}

func (m *meanwhile) Open(name string, flag int) (File, error) {
	if flag == read && m.happens != nil {
		m.happens()
	}
	return m.System.Open(name, flag)
}

// What had to make room between being found and being opened is not there, and the
// disk is as well as before.
func TestMadeRoomBeforeItIsOpened(t *testing.T) {
	disk := new(meanwhile)
	s := openAt(t, Options{Dir: t.TempDir(), Limit: LeastLimit, FS: disk})
	defer end(t, s, false)
	const small, large = 100, 100_000
	put(t, s, 1, small)
	put(t, s, 2, large)
	r := s.Get(hashOf(2))
	if r == nil {
		t.Fatal("the record is not there")
	}
	disk.happens = s.Empty
	if _, err := r.Body.Bytes(); !errors.Is(err, ErrGone) {
		t.Errorf("the body's error is %v, want %v", err, ErrGone)
	}
	disk.happens = nil
	put(t, s, 1, small)
	disk.happens = s.Empty
	if s.Get(hashOf(1)) != nil {
		t.Error("a record is there whose segment is not")
	}
	disk.happens = nil
	put(t, s, 1, small)
	if !look(t, s, 1, small) {
		t.Error("a record was not kept after the disk was taken for a failing one")
	}
	if got := s.Stats(); got.Errors != 0 || got.Damaged != 0 || got.Failing {
		t.Errorf("%+v", got)
	}
}

// Readers, writers, removals, sweeps and restarts at once: nobody sees another
// record's bytes.
func TestEverythingAtOnce(t *testing.T) {
	o := Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Dir: t.TempDir(), Limit: 3 << 20, Valid: func(l []byte) bool { return len(l)%5 != 0 || l[len(l)-1]%4 != 0 }}
	size := func(n int) int { return n * 997 % 50_000 }
	for range 3 {
		s := openAt(t, o)
		var all sync.WaitGroup
		stop := make(chan struct{})
		for w := range 4 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 1))
				for range 150 {
					n := random.IntN(80)
					switch random.IntN(6) {
					case 0, 1:
						_, _ = s.Put(written(n, size(n)))
					case 2:
						s.Remove(hashOf(n))
					default:
						look(t, s, n, size(n))
					}
				}
			})
		}
		swept := make(chan struct{})
		go func() {
			defer close(swept)
			for {
				select {
				case <-stop:
					return
				default:
					s.Sweep(1, stop)
				}
			}
		}()
		all.Wait()
		close(stop)
		<-swept
		if got := s.Stats(); got.Errors != 0 || got.Bytes > o.Limit {
			t.Errorf("%+v", got)
		}
		end(t, s, true)
	}
}

// A damaged name of the directory keeps nobody from using it, and what was there is
// not there any more; that of another version does.
func TestDamagedFormat(t *testing.T) {
	from := filepath.Join(t.TempDir(), "cache")
	s := openAt(t, Options{Dir: from, Limit: LeastLimit})
	put(t, s, 1, 100)
	put(t, s, 2, 50_000)
	end(t, s, false)
	text, err := os.ReadFile(filepath.Join(from, formatFile))
	if err != nil {
		t.Fatal(err)
	}
	for at := range len(text) {
		flipped := append([]byte(nil), text...)
		flipped[at] ^= 1 << (at % 8)
		for _, damaged := range [][]byte{flipped, text[:at]} {
			o := Options{Dir: filepath.Join(t.TempDir(), "copy"), Limit: LeastLimit, FS: unsynced{}}
			if err := os.CopyFS(o.Dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(o.Dir, formatFile), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(o)
			if err != nil {
				if !isOtherFormat(string(damaged)) || !errors.Is(err, errVersion) {
					t.Errorf("%q: %v", damaged, err)
				}
				continue
			}
			<-s.Loaded()
			if look(t, s, 1, 100) || look(t, s, 2, 50_000) {
				t.Errorf("%q: what was there is", damaged)
			}
			put(t, s, 3, 100)
			end(t, s, false)
			if s = openAt(t, o); !look(t, s, 3, 100) {
				t.Errorf("%q: what was put afterwards is not there", damaged)
			}
			end(t, s, false)
			if err := os.RemoveAll(o.Dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}
