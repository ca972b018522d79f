package shelf_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/deploy/shelf"
)

func TestDir(t *testing.T) {
	d := shelf.Dir(filepath.Join(t.TempDir(), "state"))
	if _, err := d.Get(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	v1, err := d.Put(t.Context(), "a", []byte("one"), shelf.None)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{shelf.None, "other"} {
		if _, err := d.Put(t.Context(), "a", []byte("two"), version); !errors.Is(err, shelf.ErrChanged) {
			t.Errorf("version %q: %v", version, err)
		}
	}
	if _, err := d.Put(t.Context(), "b", []byte("x"), "none such"); !errors.Is(err, shelf.ErrChanged) {
		t.Errorf("a document that is not there: %v", err)
	}
	v2, err := d.Put(t.Context(), "a", []byte("two"), v1)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := d.Get(t.Context(), "a")
	if err != nil || string(doc.Text) != "two" || doc.Version != v2 || doc.Age < 0 || doc.Age > time.Minute {
		t.Errorf("%+v, %v", doc, err)
	}
	if _, err := d.Put(t.Context(), "a", []byte("three"), shelf.Any); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(string(d), "a.*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// Many write at the same time: of those that read the same version one gets
// through.
func TestDirAtOnce(t *testing.T) {
	d := shelf.Dir(t.TempDir())
	var through, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			_, err := d.Put(t.Context(), "a", fmt.Append(nil, i), shelf.None)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				through++
			case errors.Is(err, shelf.ErrChanged):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if through != 1 || refused != 19 {
		t.Errorf("%d got through, %d did not", through, refused)
	}
}

// memory is a shelf with a clock, which may be cut off.
type memory struct {
	mu       sync.Mutex
	text     []byte
	version  int
	at       time.Time
	off      error
	careless bool // heeds no conditions
}

func (m *memory) String() string { return "memory" }

func (m *memory) Get(context.Context, string) (shelf.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off != nil {
		return shelf.Document{}, m.off
	}
	if m.text == nil {
		return shelf.Document{}, fs.ErrNotExist
	}
	return shelf.Document{Text: m.text, Version: fmt.Sprint(m.version), Age: time.Since(m.at)}, nil
}

func (m *memory) Put(_ context.Context, _ string, text []byte, version string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off != nil {
		return "", m.off
	}
	if fits := version == shelf.None && m.text == nil || version == fmt.Sprint(m.version) && m.text != nil; !fits && !m.careless {
		return "", shelf.ErrChanged
	}
	m.text, m.version, m.at = text, m.version+1, time.Now()
	return fmt.Sprint(m.version), nil
}

func acquire(t *testing.T, s shelf.Shelf, name string) *shelf.Lock {
	t.Helper()
	l, err := shelf.Acquire(t.Context(), s, shelf.Who{Name: name}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		first := acquire(t, m, "first")
		ctx, stop := context.WithCancel(t.Context())
		kept := make(chan error, 1)
		go func() { kept <- first.Keep(ctx) }()
		for range 5 { // renewed for longer than the lease
			time.Sleep(time.Minute)
			_, err := shelf.Acquire(t.Context(), m, shelf.Who{Name: "second"}, time.Minute)
			var held *shelf.Held
			if !errors.As(err, &held) || held.Holder != "first" || held.Left <= 0 || !strings.Contains(err.Error(), "first holds the lock at memory/lock") {
				t.Fatalf("%v", err)
			}
		}
		stop()
		if err := <-kept; err != nil {
			t.Fatal(err)
		}
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := acquire(t, m, "second")
		if from := second.TakenFrom(); from != "" {
			t.Errorf("a lock that was given back was taken from %q", from)
		}
		// The second falls silent.
		time.Sleep(time.Minute + time.Second)
		third := acquire(t, m, "third")
		if from := third.TakenFrom(); from != "second" {
			t.Errorf("taken from %q", from)
		}
		if err := second.Keep(t.Context()); !errors.Is(err, shelf.ErrLost) {
			t.Errorf("the second holds on: %v", err)
		}
		if err := second.Release(t.Context()); err != nil {
			t.Errorf("the second lets go of what it has lost: %v", err)
		}
		if _, err := shelf.Acquire(t.Context(), m, shelf.Who{Name: "fourth"}, time.Minute); err == nil {
			t.Error("by that the third has lost it")
		}
	})
}

// A lock that cannot be renewed is given up before others may take it.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		l := acquire(t, m, "first")
		begun := time.Now()
		m.off = errors.New("no network")
		if err := l.Keep(t.Context()); !errors.Is(err, shelf.ErrLost) {
			t.Errorf("%v", err)
		}
		if after := time.Since(begun); after >= time.Minute {
			t.Errorf("given up after %v", after)
		}
	})
}

func TestUnconditional(t *testing.T) {
	if _, err := shelf.Acquire(t.Context(), &memory{careless: true}, shelf.Who{}, time.Minute); !errors.Is(err, shelf.ErrUnconditional) {
		t.Errorf("%v", err)
	}
}

// A process of this machine that is no more need not be waited for.
func TestDeadHolder(t *testing.T) {
	me := shelf.Me()
	if me.Machine == "" {
		t.Skip("nothing tells processes of this machine apart")
	}
	for name, c := range map[string]struct {
		who  shelf.Who
		free bool
	}{
		"dead":      {shelf.Who{Machine: me.Machine, PID: 1 << 30}, true},
		"alive":     {shelf.Who{Machine: me.Machine, PID: os.Getppid()}, false},
		"elsewhere": {shelf.Who{Machine: "other", PID: 1 << 30}, false},
	} {
		m := new(memory)
		if _, err := shelf.Acquire(t.Context(), m, c.who, time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := shelf.Acquire(t.Context(), m, me, time.Minute); (err == nil) != c.free {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoLock(t *testing.T) {
	m := &memory{text: []byte("something else"), version: 1, at: time.Now()}
	if _, err := shelf.Acquire(t.Context(), m, shelf.Who{}, time.Minute); err == nil || !strings.Contains(err.Error(), "is no lock of a deploy") {
		t.Errorf("%v", err)
	}
}
