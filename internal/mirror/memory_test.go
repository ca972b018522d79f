package mirror

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The bucket's server leaves a clock, and a worker pool for ten seconds.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// memory is a bucket in memory that counts what is done to it.
type memory struct {
	mu      sync.Mutex
	objects map[string]kept
	puts    []string // key and body
	deletes []string
	fail    error

	beforePut func(key string)
}

type kept struct{ body, kind string }

func (k kept) etag() string {
	sum := md5.Sum([]byte(k.body))
	return hex.EncodeToString(sum[:])
}

func newMemory(objects map[string]kept) *memory {
	m := &memory{objects: make(map[string]kept)}
	maps.Copy(m.objects, objects)
	return m
}

func (m *memory) List(context.Context) iter.Seq2[Stored, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	objects, fail := maps.Clone(m.objects), m.fail
	return func(yield func(Stored, error) bool) {
		if fail != nil {
			yield(Stored{}, fail)
			return
		}
		for key, o := range objects {
			stored := Stored{Key: key, ETag: o.etag(), Size: int64(len(o.body)), Type: func(context.Context) (string, error) { return o.kind, nil }}
			if !yield(stored, nil) {
				return
			}
		}
	}
}

func (m *memory) Put(_ context.Context, u Upload) error {
	body, err := io.ReadAll(u.Body)
	if err != nil {
		return err
	}
	if m.beforePut != nil {
		m.beforePut(u.Key)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if md5.Sum(body) != u.MD5 || int64(len(body)) != u.Size {
		return errors.New("BadDigest")
	}
	m.objects[u.Key] = kept{string(body), u.Type}
	m.puts = append(m.puts, u.Key+"="+string(body))
	return nil
}

func (m *memory) Delete(_ context.Context, key, etag string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	o, ok := m.objects[key]
	if ok && o.etag() != etag {
		return ErrNotOurs
	}
	delete(m.objects, key)
	m.deletes = append(m.deletes, key)
	return nil
}

func (m *memory) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// holds are the bodies by key.
func (m *memory) holds() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	bodies := make(map[string]string)
	for key, o := range m.objects {
		bodies[key] = o.body
	}
	return bodies
}

// done returns the puts and deletes since the last call, sorted.
func (m *memory) done() (puts, deletes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	puts, deletes = m.puts, m.deletes
	m.puts, m.deletes = nil, nil
	slices.Sort(puts)
	slices.Sort(deletes)
	return puts, deletes
}

// running is a mirror under test.
type running struct {
	t        *testing.T
	dir      string
	manifest string
	store    *memory
	summary  Summary
	stop     func()

	mu       sync.Mutex
	problems []string
}

// mirrorDir runs a mirror until the test ends or stop is called, and waits until
// it is ready.
func mirrorDir(t *testing.T, dir, manifest string, store *memory) *running {
	t.Helper()
	r := begin(t, dir, manifest, store)
	<-r.ready
	return r.running
}

type beginning struct {
	*running
	ready chan struct{}
}

func begin(t *testing.T, dir, manifest string, store *memory) beginning {
	t.Helper()
	r := &running{t: t, dir: dir, manifest: manifest, store: store}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		err := Run(ctx, Config{
			Dir: dir, Manifest: manifest, Store: store,
			OnReady: func(s Summary) {
				r.summary = s
				close(ready)
			},
			OnProblem: func(err error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.problems = append(r.problems, err.Error())
			},
		})
		if err != nil {
			t.Error(err)
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(r.stop)
	return beginning{r, ready}
}

func (r *running) problem(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.problems, func(p string) bool { return strings.Contains(p, part) })
}

func (r *running) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// becomes waits until the bucket holds exactly that.
func (r *running) becomes(want map[string]string) {
	r.t.Helper()
	eventually(r.t, func() string {
		if got := r.store.holds(); !maps.Equal(got, want) {
			return fmt.Sprintf("the bucket holds %q, want %q", got, want)
		}
		return ""
	})
}

// eventually polls until wrong returns nothing.
func eventually(t *testing.T, wrong func() string) {
	t.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		text := wrong()
		if text == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatal(text)
		case <-tick.C:
		}
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		(&running{t: t, dir: dir}).write(name, text)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}
