package journal_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/stream"
)

func TestShelfKeepsTheLastValueOfEachKey(t *testing.T) {
	dir := t.TempDir()
	start := func() (*journal.Shelf, func()) {
		e, err := stream.Open(stream.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		s, err := journal.OpenShelf(t.Context(), e.JetStream(), "THINGS")
		if err != nil {
			t.Fatal(err)
		}
		return s, e.Close
	}
	all := func(s *journal.Shelf) map[string]int {
		t.Helper()
		got := make(map[string]int)
		if err := s.All(t.Context(), func(v []byte) error { got[string(v)]++; return nil }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	s, stop := start()
	if got := all(s); len(got) != 0 {
		t.Errorf("a new shelf holds %v", got)
	}
	for _, put := range [][2]string{{"a.1", `"first"`}, {"b.2", `{"x":1}`}, {"a.1", `"second"`}, {"c", `3`}} {
		if err := s.Put(t.Context(), put[0], []byte(put[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Delete(t.Context(), "c"), s.Delete(t.Context(), "never")); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{`"second"`: 1, `{"x":1}`: 1}
	if got := all(s); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	stop()
	s, _ = start()
	if got := all(s); !maps.Equal(got, want) {
		t.Errorf("after a restart: got %v, want %v", got, want)
	}
	broken := errors.New("enough")
	if err := s.All(t.Context(), func([]byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := s.Put(t.Context(), "d", []byte("{")); err == nil {
		t.Error("took what is no JSON")
	}
}

// What was deleted stays so when the process is killed at once: the files are
// then what the operating system has of them.
func TestShelfForgetsForGood(t *testing.T) {
	dir := t.TempDir()
	open := func(dir string) (*journal.Shelf, *stream.Engine) {
		e, err := stream.Open(stream.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		s, err := journal.OpenShelf(t.Context(), e.JetStream(), "THINGS")
		if err != nil {
			t.Fatal(err)
		}
		return s, e
	}
	alive, _ := open(dir)
	for n := range 20 {
		key := fmt.Sprintf("k.%d", n)
		if err := errors.Join(alive.Put(t.Context(), key, []byte(`"first"`)), alive.Put(t.Context(), key, []byte(`"second"`))); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			if err := alive.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		killed := t.TempDir()
		if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		found := 0
		again, e := open(killed)
		if err := again.All(t.Context(), func([]byte) error { found++; return nil }); err != nil {
			t.Fatal(err)
		}
		e.Close()
		if want := (n + 1) / 2; found != want {
			t.Errorf("after %d: %d values, want %d", n, found, want)
		}
	}
}
