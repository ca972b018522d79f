package accesslog_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/freshet/freshet/internal/edge/accesslog"
)

// volume is a file that takes so many bytes more; below 0 any number.
type volume struct {
	mu     sync.Mutex
	bytes  bytes.Buffer
	room   int
	closed int
}

func (v *volume) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.room < 0 || len(p) <= v.room {
		if v.room -= len(p); v.room < 0 {
			v.room = -1
		}
		return v.bytes.Write(p)
	}
	n, _ := v.bytes.Write(p[:v.room])
	v.room = 0
	return n, errors.New("disk full")
}

func (v *volume) Close() error { v.closed++; return nil }

// Lines are whole whoever writes them, and the header comes once.
func TestWriter(t *testing.T) {
	out := &volume{room: -1}
	w := accesslog.NewWriter(out, nil)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			r := record()
			for range 500 {
				if !w.Log(&r) {
					t.Error("a line was refused")
				}
			}
		})
	}
	running.Go(func() {
		for range 20 {
			if err := w.Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	running.Wait()
	if err := w.Close(); err != nil || out.closed != 1 {
		t.Fatalf("%v, closed %d times", err, out.closed)
	}
	r := record()
	if w.Log(&r) {
		t.Error("a line was taken after the end")
	}
	want := strings.TrimSuffix(string(accesslog.Append(nil, &r)), "\n")
	lines := strings.Split(strings.TrimSuffix(out.bytes.String(), "\n"), "\n")
	if len(lines) != 2002 || strings.Join(lines[:2], "\n")+"\n" != accesslog.Header {
		t.Fatalf("%d lines, of which the first are %q", len(lines), lines[:2])
	}
	if i := slices.IndexFunc(lines[2:], func(l string) bool { return l != want }); i >= 0 {
		t.Errorf("line %d is %q", i+2, lines[i+2])
	}
}

// A full disk is told of and tears no line: once there is room again, the file
// goes on where it ended.
func TestWriterOnFullDisk(t *testing.T) {
	out := &volume{room: len(accesslog.Header) + 100}
	w := accesslog.NewWriter(out, nil)
	r := record()
	var want []byte
	want = append(want, accesslog.Header...)
	for i := range 5 {
		r.SentBytes = int64(i)
		w.Log(&r)
		want = accesslog.Append(want, &r)
		if err := w.Flush(); err == nil {
			t.Error("a disk that is full was not noticed")
		}
	}
	out.room = -1
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	if got := out.bytes.Bytes(); !bytes.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if err := w.Flush(); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
}

// What cannot be written is kept up to a bound, and what is lost is counted.
func TestWriterIsBounded(t *testing.T) {
	out := &volume{}
	rings := 0
	w := accesslog.NewWriter(out, func() { rings++ })
	r := record()
	r.UserAgent = strings.Repeat("x", 1<<20)
	for range 20 {
		if !w.Log(&r) {
			t.Error("a line was refused")
		}
	}
	if rings != 1 {
		t.Errorf("%d times it was told that much is due", rings)
	}
	err := w.Flush()
	if err == nil || !strings.Contains(err.Error(), "13 lines are lost") || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("%v", err)
	}
	out.room = -1
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.bytes.String(), "\n"); n != 9 {
		t.Errorf("%d lines", n)
	}
	w.Log(&r)
	if err := w.Close(); err != nil || strings.Count(out.bytes.String(), "\n") != 10 {
		t.Errorf("%v, %d lines", err, strings.Count(out.bytes.String(), "\n"))
	}
}

// What a busy edge gathers, be it written soon or late, has its room already.
func TestWriterUsesItsRoomAgain(t *testing.T) {
	var rings int
	w := accesslog.NewWriter(discard{}, func() { rings++ })
	r := record()
	busy := func() {
		for rings = 0; rings == 0; {
			w.Log(&r)
		}
		for range 2000 { // before somebody comes to write
			w.Log(&r)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		busy()
	}
	if n := testing.AllocsPerRun(20, busy); n > 0 {
		t.Errorf("%v allocations each time that a log is written", n)
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }
