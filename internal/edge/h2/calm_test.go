package h2

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// floods are what a viewer may send again and again without wanting anything.
func floods() map[string]func(v *viewer) error {
	// once does something before the first time.
	once := func(v *viewer, first, then func() error) error {
		if v.next == 1 {
			if err := first(); err != nil {
				return err
			}
		}
		return then()
	}
	upload := func(v *viewer, then func() error) error {
		return once(v, func() error { return v.ask(false, "POST", "/waits") }, then)
	}
	answered := func(v *viewer, then func() error) error {
		return once(v, func() error { return v.ask(true, "HEAD", "/hit/1") }, then)
	}
	reset := func(v *viewer, end bool, path string) error {
		if err := v.ask(end, "GET", path); err != nil {
			return err
		}
		return v.WriteRSTStream(v.next-2, http2.ErrCodeCancel)
	}
	window := http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}
	return map[string]func(v *viewer) error{
		"pings":             func(v *viewer) error { return v.WritePing(false, [8]byte{}) },
		"pongs":             func(v *viewer) error { return v.WritePing(true, [8]byte{}) },
		"settings":          func(v *viewer) error { return v.WriteSettings(window) },
		"no settings":       func(v *viewer) error { return v.WriteSettings() },
		"settings heard":    func(v *viewer) error { return v.WriteSettingsAck() },
		"priorities":        func(v *viewer) error { return v.WritePriority(1, http2.PriorityParam{StreamDep: 3}) },
		"unknown frames":    func(v *viewer) error { return v.WriteRawFrame(0xbe, 0, 0, []byte("abc")) },
		"windows":           func(v *viewer) error { return v.WriteWindowUpdate(0, 1) },
		"a stream's window": func(v *viewer) error { return upload(v, func() error { return v.WriteWindowUpdate(1, 1) }) },
		"empty data":        func(v *viewer) error { return upload(v, func() error { return v.WriteData(1, false, nil) }) },
		"padding": func(v *viewer) error {
			return upload(v, func() error { return v.WriteDataPadded(1, false, nil, make([]byte, 3)) })
		},
		"data of what was answered": func(v *viewer) error { return answered(v, func() error { return v.WriteData(1, false, []byte("x")) }) },
		"resets of hits":            func(v *viewer) error { return reset(v, true, "/hit/1") },
		"resets of misses":          func(v *viewer) error { return reset(v, true, "/waits") },
		"resets of uploads":         func(v *viewer) error { return reset(v, false, "/waits") },
		"resets again": func(v *viewer) error {
			return answered(v, func() error { return v.WriteRSTStream(1, http2.ErrCodeCancel) })
		},
		"empty continuations": func(v *viewer) error {
			if v.next == 1 {
				v.next = 3
				return v.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: v.block(":method", "GET")})
			}
			return v.WriteContinuation(1, false, nil)
		},
		"tiny windows": func(v *viewer) error {
			return once(v, func() error {
				if err := v.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize}); err != nil {
					return err
				}
				return v.ask(true, "GET", "/hit/1000000")
			}, func() error { return v.WriteWindowUpdate(1, 1) })
		},
	}
}

// waits answers nothing before the viewer has gone.
func waits(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// flood sends what one does until the connection ends, and closes done then.
func (v *viewer) flood(one func(*viewer) error) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for one(v) == nil {
		}
	}()
	return done
}

// Each of them ends the connection, and says why.
func TestFloodsEndTheConnection(t *testing.T) {
	for name, one := range floods() {
		t.Run(name, func(t *testing.T) {
			v := connected(t, tcp(t), waits).greet()
			done := v.flood(one)
			got := v.until(heard{}, 1<<30)
			_ = v.conn.Close()
			<-done
			<-v.over
			if !strings.Contains(got[0], "ENHANCE_YOUR_CALM") {
				t.Errorf("%q", tail(got[0]))
			}
		})
	}
}

func tail(s string) string { return s[max(0, len(s)-100):] }

// As long as a flood is a brook, it harms nobody, however long it goes on.
func TestWhatComesSlowlyIsNoFlood(t *testing.T) {
	for name, one := range floods() {
		n, pause := 5_000, time.Second/50
		switch {
		case name == "empty continuations":
			continue // no headers come in so many pieces
		case strings.Contains(name, "settings"), strings.Contains(name, "reset"), strings.Contains(name, "streams"):
			n, pause = 1_000, time.Second/10
		}
		inBubble(t, waits, func(t *testing.T, v *viewer) {
			done := make(chan struct{})
			go func() { defer close(done); v.greet(); v.stay(one, n, pause) }()
			if got := v.until(heard{}, 9_999); got[9_999] != "200 1 end" {
				t.Errorf("%s: %s %s", name, tail(got[0]), tail(got[9_999]))
			}
			_ = v.conn.Close()
			<-done
		})
	}
}

// stay does one n times with pauses, and then asks on stream 9,999, with a window
// that is large enough.
func (v *viewer) stay(one func(*viewer) error, n int, pause time.Duration) {
	for i := range n {
		if one(v) != nil || i%100 == 99 && v.ask(true, "HEAD", "/hit/1") != nil { // who asks for nothing is sent away
			return
		}
		<-time.After(pause)
	}
	v.next = 9_999
	if v.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000}) == nil {
		_ = v.ask(true, "GET", "/hit/1") // who waits for it will see
	}
}

// Whoever takes what was asked for may send as many frames as that needs: a small
// step of a window at a time, with a ping and a priority for each request.
func TestBusyViewersAreNoFlood(t *testing.T) {
	for _, path := range []string{"/hit/2000000", "/large"} {
		v := connected(t, tcp(t), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2_000_000)) })
		v.greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4096})
		id, taken := v.open(true, "GET", path), 0
		for ended := false; !ended; {
			f, err := v.ReadFrame()
			v.must(err)
			if d, is := f.(*http2.DataFrame); is {
				taken, ended = taken+len(d.Data()), d.StreamEnded()
				if n := len(d.Data()); n > 1 && !ended {
					v.must(v.WriteWindowUpdate(id, uint32(n/2)))
					v.must(v.WriteWindowUpdate(id, uint32(n-n/2+1)))
				}
				if n := len(d.Data()); n > 0 {
					v.must(v.WriteWindowUpdate(0, uint32(n)))
				}
			}
		}
		if taken != 2_000_000 {
			t.Errorf("%s: %d bytes", path, taken)
		}
	}
	for _, path := range []string{"/hit/1", "/other"} {
		v := connected(t, tcp(t), func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }).greet()
		for range 1_500 {
			v.must(v.WritePriority(v.next, http2.PriorityParam{StreamDep: 0, Weight: 10}))
			v.must(v.WritePing(false, [8]byte{}))
			id := v.open(true, "GET", path)
			if got := v.until(heard{}, id); got[id] != "200 1 end" {
				t.Fatalf("%s, stream %d: %v", path, id, got)
			}
		}
	}
}

// Who leaves a page cancels what it has asked for.
func TestSomeResetsAreNoFlood(t *testing.T) {
	for _, path := range []string{"/hit/1", "/hit/100000", "/waits"} {
		v := connected(t, tcp(t), waits).greet()
		for range 3 {
			var ids []uint32
			for range 90 {
				ids = append(ids, v.open(true, "GET", path))
			}
			for _, id := range ids {
				v.must(v.WriteRSTStream(id, http2.ErrCodeCancel))
			}
			id := v.open(true, "HEAD", "/hit/1")
			if got := v.until(heard{}, id); got[id] != "200 end" {
				t.Fatalf("%s: %v", path, got)
			}
		}
	}
}

// What is paid comes back, and nobody can save up more than there was.
func TestCalm(t *testing.T) {
	inBubble(t, waits, func(t *testing.T, v *viewer) {
		_ = v.conn.Close()
		c := calm{since: time.Now()}
		pay := func(want int) {
			t.Helper()
			for n := 0; ; n++ {
				if err := c.spend(1); err != nil {
					if n != want {
						t.Errorf("%d frames instead of %d", n, want)
					}
					c.spent--
					return
				}
			}
		}
		pay(allowance)
		<-time.After(time.Second)
		pay(backInSecond)
		<-time.After(time.Hour)
		pay(allowance)
		c.answered()
		pay(backByAnswer)
		c.sent(worthOpening - 1)
		pay(0)
		c.sent(worthOpening)
		pay(backByFrame)
		c.sent(16 << 10)
		pay(backByFrame + 16)
		for range 10_000 {
			c.answered()
		}
		pay(allowance)
		pay(0)
	})
}
