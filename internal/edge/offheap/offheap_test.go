//go:build linux

package offheap

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i >> 8 * i)
	}
	if n > 8 {
		binary.LittleEndian.PutUint64(b, rand.Uint64())
	}
	return b
}

func TestPiece(t *testing.T) {
	s := New(1 << 30)
	for _, n := range []int{1, 4095, 4096, 4097, 70_000, 1 << 20} {
		want := randomBytes(n)
		p := s.Put(want)
		if p.Size() != int64(n) {
			t.Errorf("%d bytes in place of %d", p.Size(), n)
		}
		got, err := io.ReadAll(io.NewSectionReader(p, 0, p.Size()))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: others, %v", n, err)
		}
		if k, err := p.ReadAt(make([]byte, 10), p.Size()-1); k != 1 || err != io.EOF { //nolint:errorlint // as io.ReaderAt says
			t.Errorf("at the end: %d, %v", k, err)
		}
		if k, err := p.ReadAt(make([]byte, 10), p.Size()); k != 0 || err != io.EOF { //nolint:errorlint // likewise
			t.Errorf("behind the end: %d, %v", k, err)
		}
		runtime.KeepAlive(p)
	}
	if s.Put(nil) != nil || (*Space)(nil).Put([]byte("a")) != nil || (*Space)(nil).Held() != 0 {
		t.Error("there is a piece of nothing, or nowhere")
	}
}

// blocks is how much memory the file takes.
func blocks(t *testing.T, s *Space) int64 {
	var st syscall.Stat_t
	if err := syscall.Fstat(s.file.fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// What nobody refers to any more is given back to the system, without anybody
// asking, and what somebody holds stays as it is.
func TestMemoryComesBack(t *testing.T) {
	s := New(8 << 20)
	want := randomBytes(1 << 20)
	held := s.Put(want)
	for range 200 {
		p := s.Put(want)
		p.Keep()
		p.Keep()
		p.Drop()
		p.Drop()
	}
	end := time.Now().Add(2 * time.Minute)
	for s.Held() > 32<<20 || blocks(t, s) > 32<<20 {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are held, %d of memory", s.Held(), blocks(t, s))
		}
		<-time.After(time.Millisecond)
	}
	got, err := io.ReadAll(io.NewSectionReader(held, 0, held.Size()))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes, %v", err)
	}
}
