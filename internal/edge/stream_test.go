package edge

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// slowly takes so much, and then nothing for a while.
type slowly struct {
	pause time.Duration
	taken int
}

func (s *slowly) Write(p []byte) (int, error) {
	time.Sleep(s.pause * time.Duration(len(p)) / (64 << 10))
	s.taken += len(p)
	return len(p), nil
}

// Those who share what is not kept wait for the slowest among them, but not for
// one who hardly moves; who is alone may take its time.
func TestSlowReadersDoNotHoldUpOthers(t *testing.T) {
	const size = 8 << 20
	for _, tt := range []struct {
		name         string
		pause        time.Duration // for each 64 KiB
		alone, whole bool
	}{
		{"stuck", time.Hour, false, false}, {"hardly moving", 5 * time.Second, false, false}, {"slow", 500 * time.Millisecond, false, true},
		{"hardly moving, alone", 5 * time.Second, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStream(-1, true)
				slow, fast := s.reader(), s.reader()
				ended := make(chan time.Duration, 1)
				began := time.Now()
				if tt.alone {
					fast.close()
					ended <- 0
				} else {
					go func() {
						defer fast.close()
						if err := fast.copyPart(t.Context(), io.Discard, span{0, -1}); err != nil {
							t.Errorf("the fast one: %v", err)
						}
						ended <- time.Since(began)
					}()
				}
				lagged := make(chan error, 1)
				takes := &slowly{pause: tt.pause}
				go func() {
					defer slow.close()
					lagged <- slow.copyPart(t.Context(), takes, span{0, -1})
				}()
				buf := make([]byte, 32<<10)
				for range size / len(buf) {
					if err := s.append(t.Context(), buf); err != nil {
						t.Fatal(err)
					}
				}
				s.finish(nil)
				if took := <-ended; took > 2*time.Minute {
					t.Errorf("the others had it after %v", took)
				}
				err := <-lagged
				if whole := err == nil && takes.taken == size; whole != tt.whole || !whole && !errors.Is(err, errLeftBehind) {
					t.Errorf("the slow one has %d bytes, %v", takes.taken, err)
				}
			})
		})
	}
}

// However a steady reader's bytes are divided, it is waited for if it takes a
// window in time, and left if it does not.
func TestPatienceGoesByTheByte(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window time.Duration // that it takes for as much as a window holds
		left   bool
	}{{"in time", 9 * time.Second, false}, {"late", 12 * time.Second, true}} {
		for _, piece := range []int64{1, 4 << 10, 64 << 10, windowSize/2 + 1, windowSize - 1, windowSize} {
			waited, most := time.Duration(0), time.Duration(0)
			for taken := int64(0); taken < 64*windowSize; taken += max(piece, 4<<10) {
				waited += time.Duration(float64(tt.window) * float64(max(piece, 4<<10)) / windowSize)
				most = max(most, waited)
				waited = waitedFor(waited, max(piece, 4<<10))
			}
			if left := most > othersPatience; left != tt.left {
				t.Errorf("%s, in pieces of %d bytes: the others wait for %v", tt.name, piece, most)
			}
		}
	}
}
