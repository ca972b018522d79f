package disk

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that takes nothing more is read as before; the log says once that it is so,
// and once that it is over, also if it takes something now and then.
func TestDiskThatIsFull(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT} {
		synctest.Test(t, func(t *testing.T) {
			var told bytes.Buffer
			f := new(failing)
			s := openAt(t, Options{Dir: t.TempDir(), Limit: 2 << 20, FS: f, Log: slog.New(slog.NewTextHandler(&told, nil))})
			defer s.Close()
			const all = 20
			for n := range all {
				put(t, s, n, n*300)
			}
			f.fail(err, false, true)
			for n := range 150 {
				if f.rest.Store(n%50 != 20); n%50 == 20 {
					_, _ = s.Put(written(2000+n, 100)) // which it takes, perhaps
					f.rest.Store(true)
				}
				_, _ = s.Put(written(1000+n, 3000))
				if !look(t, s, n%all, n%all*300) {
					t.Fatalf("%v: record %d is not there while nothing can be written", err, n%all)
				}
				time.Sleep(time.Second)
			}
			f.mend()
			for n := range 100 {
				_, _ = s.Put(written(5000+n, 10))
				time.Sleep(2 * time.Second)
			}
			if !look(t, s, 5099, 10) || s.Stats().Failing {
				t.Errorf("%v: it is not used again: %+v", err, s.Stats())
			}
			if errs, infos := strings.Count(told.String(), "level=ERROR"), strings.Count(told.String(), "level=INFO"); errs != 1 || infos != 1 {
				t.Errorf("%v: the log has %d errors and says %d times that it works:\n%s", err, errs, infos, told.String())
			}
		})
	}
}

// A disk that has become read-only while there was no room takes nothing away of what
// is on it, and its room is had again afterwards.
func TestNoRoomOnAReadOnlyDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, size = 2 << 20, 9000
		f := new(failing)
		o := Options{Dir: t.TempDir(), Limit: limit, FS: f}
		s := openAt(t, o)
		defer s.Close()
		for n := range 300 { // so that it has gone round
			put(t, s, n, size)
		}
		before := s.Stats().Records
		f.fail(syscall.EROFS, false, true)
		for n := range 40 {
			_, _ = s.Put(written(1000+n, size))
			_, _ = s.Put(written(2000+n, 100_000))
			time.Sleep(time.Second)
		}
		if got := s.Stats().Records; got < before*8/10 {
			t.Errorf("of %d records %d are there after the disk was read-only", before, got)
		}
		f.mend()
		time.Sleep(2 * longestRest)
		for n := range 300 {
			put(t, s, 3000+n, size)
		}
		if got, really := s.Stats().Bytes, used(t, o.Dir); got > limit || really > limit {
			t.Errorf("%d bytes are said to be taken, %d are; %d are allowed", got, really, limit)
		}
		if got := s.Stats().Records; got < before*8/10 {
			t.Errorf("there is room for %d records only, of %d", got, before)
		}
		if left := len(s.left); left > 0 {
			t.Errorf("%d files are left behind", left)
		}
	})
}

// slowStart is a file system of which nothing can be read in the beginning.
type slowStart struct {
	unsynced

	fails atomic.Int64
}

func (f *slowStart) Open(name string, flag int) (File, error) {
	if _, _, ok := segmentOf(filepath.Base(name)); ok && flag == change && f.fails.Add(-1) >= 0 {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	return f.unsynced.Open(name, flag)
}

// What cannot be read for a moment when the store is opened is there afterwards.
func TestSegmentThatCannotBeReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Dir: t.TempDir(), Limit: LeastLimit}
		s := openAt(t, o)
		put(t, s, 1, 100)
		end(t, s, false)
		slow := new(slowStart)
		slow.fails.Store(2)
		o.FS = slow
		s = openAt(t, o)
		defer s.Close()
		time.Sleep(longestRest)
		if !look(t, s, 1, 100) {
			t.Error("it was given up")
		}
	})
}

// A directory in whose place another is: one with something else in it is left alone,
// and so is another process's; any other is used, and by nobody else.
func TestDirectoryInTheStoresPlace(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), "cache"), Limit: LeastLimit}
	s := openAt(t, o)
	put(t, s, 1, 100)
	away := func() {
		t.Helper()
		if err := os.Rename(o.Dir, filepath.Join(t.TempDir(), fmt.Sprint("away", time.Now().UnixNano()))); err != nil {
			t.Fatal(err)
		}
	}
	if s.Missing() {
		t.Error("it is said to be missing")
	}
	away()
	if !s.Missing() {
		t.Error("it is not said to be missing")
	}
	thesis := filepath.Join(o.Dir, "thesis.tex")
	if err := errors.Join(os.Mkdir(o.Dir, 0o700), os.WriteFile(thesis, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Renew(); !errors.Is(err, ErrForeign) {
		t.Errorf("a directory with something else in it: %v", err)
	}
	if names, err := (System{}).List(o.Dir); err != nil || len(names) != 1 {
		t.Errorf("it holds %q now, %v", names, err)
	}
	away()
	other := openAt(t, o)
	put(t, other, 1, 100)
	if err := s.Renew(); !errors.Is(err, ErrInUse) {
		t.Errorf("another process's: %v", err)
	}
	if !look(t, other, 1, 100) {
		t.Error("what the other process had in it is gone")
	}
	end(t, other, false)
	if err := s.Renew(); err != nil {
		t.Fatal(err)
	}
	put(t, s, 2, 100)
	if !look(t, s, 2, 100) || look(t, s, 1, 100) {
		t.Error("it is not used, or not as one that is empty")
	}
	if _, err := Open(o); !errors.Is(err, ErrInUse) {
		t.Errorf("opened by somebody else: %v", err)
	}
	end(t, s, false)
	if !look(t, openAt(t, o), 2, 100) {
		t.Error("it holds nothing after a restart")
	}
}

// What was removed is not damaged, whoever looks for it.
func TestRemovedIsNotDamaged(t *testing.T) {
	o := Options{Dir: t.TempDir(), Limit: LeastLimit}
	s := openAt(t, o)
	put(t, s, 1, 100)
	put(t, s, 2, 100)
	s.Remove(hashOf(1))
	end(t, s, false)
	s = openAt(t, o)
	if look(t, s, 1, 100) || !look(t, s, 2, 100) {
		t.Error("another record was removed")
	}
	if got := s.Stats(); got.Damaged != 0 || got.Errors != 0 {
		t.Errorf("%+v", got)
	}
}

// A large record in whose place another was put takes no room after a restart, also if
// the process was killed in between.
func TestSupersededIsRemovedAtTheStart(t *testing.T) {
	o := Options{Dir: t.TempDir(), Limit: 8 << 20}
	s := openAt(t, o)
	put(t, s, 1, 500_000)
	kept, err := os.ReadFile(filepath.Join(o.Dir, segmentName(1, true)))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, 1, 400_000)
	end(t, s, false)
	if err := os.WriteFile(filepath.Join(o.Dir, segmentName(1, true)), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o)
	if !look(t, s, 1, 400_000) {
		t.Error("the later one is not there")
	}
	if got := used(t, o.Dir); got > 450_000 {
		t.Errorf("%d bytes are taken", got)
	}
}

// What its writer knows not to be valid is not kept, nor written.
func TestWhatTheWriterKnows(t *testing.T) {
	o := Options{Dir: t.TempDir(), Limit: 8 << 20}
	s := openAt(t, o)
	for n, size := range []int{100, 500_000} {
		w := written(n, size)
		w.Valid = func() bool { return false }
		if _, err := s.Put(w); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	end(t, s, true)
	s = openAt(t, o)
	if look(t, s, 0, 100) || look(t, s, 1, 500_000) || s.Stats().Records != 0 {
		t.Error("it is there after the process was killed")
	}
}
