package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func fine() grain { return grain{fileSize: 4 << 10, ahead: 1 << 10} }

func open(t interface{ Fatal(...any) }, cfg Config) *Log {
	l, err := openWith(cfg, fine())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func entries(t interface{ Fatal(...any) }, l *Log) (all []string) {
	if err := l.Replay(context.Background(), func(e []byte) error { all = append(all, string(e)); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// Whatever is killed, torn or fails: what was acknowledged is there, in its order,
// and beside it at most what was not refused for certain.
func TestWhatWasAcknowledgedIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "wal")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		m := &model{Log: open(t, Config{Dir: dir}), dir: dir, maybe: make(map[string]bool)}
		for range rapid.IntRange(1, 12).Draw(t, "actions") {
			rapid.SampledFrom([]func(*model, *rapid.T){(*model).append, (*model).fail, (*model).restart, (*model).die, (*model).tear}).Draw(t, "action")(m, t)
		}
		got := slices.DeleteFunc(entries(t, m.Log), func(e string) bool { return m.maybe[e] })
		if !slices.Equal(got, m.acknowledged) {
			t.Fatalf("%d entries are there, %d were acknowledged", len(got), len(m.acknowledged))
		}
		_ = m.Close()
	})
}

// model is a log and what it must hold.
type model struct {
	*Log
	dir          string
	n            int
	acknowledged []string
	maybe        map[string]bool // of appends that failed, or never returned
}

func (m *model) append(t *rapid.T) {
	var some []string
	var texts [][]byte
	for range rapid.IntRange(1, 4).Draw(t, "entries") {
		m.n++
		e := fmt.Sprintf("%d %s", m.n, strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 300, 1 << 10, 5 << 10}).Draw(t, "size")))
		some, texts = append(some, e), append(texts, []byte(e))
	}
	if err := m.Append(context.Background(), texts...); err == nil {
		m.acknowledged = append(m.acknowledged, some...)
		return
	}
	for _, e := range some {
		m.maybe[e] = true
	}
}

// fail has the next write fail.
func (m *model) fail(*rapid.T) { kill(m.Log) }

func (m *model) restart(t *rapid.T) {
	_ = m.Close()
	m.Log = open(t, Config{Dir: m.dir})
}

func (m *model) die(t *rapid.T) {
	kill(m.Log)
	m.Log = open(t, Config{Dir: m.dir})
}

// tear ends the process in the midst of a write.
func (m *model) tear(t *rapid.T) {
	m.n++
	e := fmt.Sprintf("%d torn", m.n)
	frame := appendFrame(nil, m.next, [][]byte{[]byte(e)})
	if m.file != nil {
		_, _ = m.file.WriteAt(frame[:rapid.IntRange(0, len(frame)).Draw(t, "written")], m.end)
	}
	m.maybe[e] = true
	m.die(t)
}

// kill ends a log as the end of its process does.
func kill(l *Log) {
	if l.file != nil {
		_ = l.file.Close()
	}
}

func TestManyAppendAtOnce(t *testing.T) {
	l := open(t, Config{Dir: t.TempDir()})
	defer func() { _ = l.Close() }()
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for i := range 50 {
				if err := l.Append(t.Context(), []byte(fmt.Sprint(c, " ", i)), []byte(fmt.Sprint(c, " ", i, " too"))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	got := entries(t, l)
	if len(got) != 8*50*2 {
		t.Fatalf("%d entries", len(got))
	}
	for i := 0; i < len(got); i += 2 {
		if got[i]+" too" != got[i+1] {
			t.Fatalf("%q and %q were appended apart", got[i], got[i+1])
		}
	}
}

func TestDamageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, Config{Dir: dir})
	for range 3 {
		if err := l.Append(t.Context(), []byte("some entry")); err != nil {
			t.Fatal(err)
		}
	}
	_ = l.Close()
	path := filepath.Join(dir, fileName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frame := len(whole) / 3
	for at := 0; at < 2*frame; at += 3 {
		text := slices.Clone(whole)
		text[at] ^= 0x20
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(Config{Dir: dir}); !errors.Is(err, ErrDamaged) {
			_ = l.Close()
			t.Fatalf("with byte %d changed it opens: %v", at, err)
		}
	}
	// A file that ends too early for the next one.
	if err := os.WriteFile(path, whole[:frame], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileName(4)), appendFrame(nil, 4, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, Config{Dir: dir})
	defer func() { _ = l.Close() }()
	if err := l.Replay(t.Context(), func([]byte) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Fatalf("missing entries are answered with %v", err)
	}
}

func TestTheOldestGo(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	cfg := Config{Dir: dir, Room: 3 * 4 << 10, Keep: time.Hour, Now: func() time.Time { return now }}
	l := open(t, cfg)
	big := make([]byte, 4<<10)
	for i := range 6 {
		if err := l.Append(t.Context(), append([]byte{byte('0' + i)}, big...)); err != nil {
			t.Fatal(err)
		}
	}
	got := entries(t, l)
	if len(got) > 3 || len(got) == 0 || got[len(got)-1][0] != '5' {
		t.Fatalf("%d files are left", len(got))
	}
	_ = l.Close()
	now = now.Add(2 * time.Hour)
	l = open(t, cfg)
	defer func() { _ = l.Close() }()
	if got := entries(t, l); len(got) > 1 {
		t.Fatalf("%d files are left of what is old", len(got))
	}
}

func TestAppendAfterTheEnd(t *testing.T) {
	l := open(t, Config{Dir: t.TempDir()})
	if err := l.Append(t.Context(), make([]byte, MaxAppend)); err == nil {
		t.Error("more was appended than may be")
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if err := l.Append(t.Context(), []byte("e")); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestReplayStops(t *testing.T) {
	l := open(t, Config{Dir: t.TempDir()})
	defer func() { _ = l.Close() }()
	if err := l.Append(t.Context(), []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	calls := 0
	if err := l.Replay(t.Context(), func([]byte) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Replay(ctx, func([]byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, 1, [][]byte{[]byte("a")}), 2, [][]byte{nil, []byte("b")}))
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := scan(text, 1, func(uint64, []byte) error { return nil })
		if r.end > int64(len(text)) || r.clean && r.damaged {
			t.Fatalf("%+v", r)
		}
	})
}
