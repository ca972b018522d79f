package mirror

import (
	"fmt"
	"path/filepath"
	"testing"
)

// heldFor is a session of a mirror whose bucket holds some files of the directory,
// of which there is none.
func heldFor(t *testing.T, resumed bool, files int) (*session, *memory) {
	t.Helper()
	dir, objects := t.TempDir(), make(map[string]kept)
	for i := range files {
		objects[fmt.Sprint("f", i)] = kept{body: "1"}
	}
	store := newMemory(objects)
	m, err := newMirror(Config{Dir: dir, Manifest: filepath.Join(t.TempDir(), "m"), Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.manifest.close)
	for key, object := range objects {
		if err := m.manifest.put(record{Key: key, MD5: object.etag(), Sent: true}); err != nil {
			t.Fatal(err)
		}
	}
	identity, err := statDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.resumed = resumed
	s := m.newSession(identity)
	t.Cleanup(s.watch.close)
	s.happened.Add(1)
	s.begin(nil)
	return s, store
}

// isRemoved looks once more at what is missing, and reports whether it was removed.
func (s *session) isRemoved(t *testing.T, missing *task) bool {
	t.Helper()
	wait, err := s.settle(t.Context(), missing)
	if err != nil {
		t.Fatal(err)
	}
	return wait == 0
}

// A directory that was away and is back may be filled slowly: what is not there
// yet is not removed because of a pause, nor because it takes long.
func TestSlowReturnRemovesNothing(t *testing.T) {
	s, store := heldFor(t, true, 2)
	a, _ := s.queue.next()
	b, _ := s.queue.next()
	for range 3 * mostLooks / quietLooks {
		s.happened.Add(1) // another file comes, after a pause
		for range 2 * quietLooks {
			if s.isRemoved(t, a) || s.isRemoved(t, b) {
				t.Fatal("removed while others come")
			}
		}
	}
	write(t, s.root, map[string]string{filepath.Base(a.path): "1"})
	if _, err := s.settle(t.Context(), a); err != nil || len(store.holds()) != 2 {
		t.Errorf("the bucket holds %q, %v", store.holds(), err)
	}
	for looks := 0; !s.isRemoved(t, b); looks++ {
		if looks > longQuiet {
			t.Fatal("what does not come back is never removed")
		}
	}
	if len(store.holds()) != 1 || s.missing.Load() != 0 {
		t.Errorf("the bucket holds %q in the end, %d are waited for", store.holds(), s.missing.Load())
	}
}

// A directory that is being removed may take long for that, with pauses.
func TestSlowRemovalRemovesNothing(t *testing.T) {
	const before, after = 20, 40
	s, store := heldFor(t, false, before+after)
	var missing []*task
	for range before + after {
		next, _ := s.queue.next()
		missing = append(missing, next)
	}
	for n := range after {
		s.happened.Add(1)
		for range 2 * quietLooks {
			for _, m := range missing[:before+n] {
				if s.isRemoved(t, m) {
					t.Fatalf("removed while others are, after %d of them", n)
				}
			}
		}
	}
	for range longQuiet {
		for _, m := range missing {
			s.isRemoved(t, m)
		}
	}
	if len(store.holds()) != 0 || s.missing.Load() != 0 {
		t.Errorf("the bucket holds %q in the end, %d are waited for", store.holds(), s.missing.Load())
	}
}
