package h2

import (
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// Small answers that viewers do not take are kept up to a limit, over all
// connections; beyond, who takes none is refused, and who takes them is answered.
func TestSmallAnswersAreKeptUpToALimit(t *testing.T) {
	shared := new(Shared)
	dial := func() *viewer {
		return connected(t, tcp(t), echo, func(o *Options) { o.Shared = shared })
	}
	keeps := func(n int64) {
		t.Helper()
		for end := time.Now().Add(2 * time.Minute); shared.kept.Load() != n; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d bytes are kept instead of %d", shared.kept.Load(), n)
			}
		}
	}
	shared.kept.Store(mostKept + 1)
	v := dial().greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	id := v.open(true, "GET", "/hit/1")
	if got := v.until(heard{}, id); got[id] != " REFUSED_STREAM" {
		t.Errorf("who takes nothing: %v", got)
	}
	v = dial().greet()
	id = v.open(true, "GET", "/hit/1")
	if got := v.until(heard{}, id); got[id] != "200 1 end" {
		t.Errorf("who takes something: %v", got)
	}
	shared.kept.Store(0)
	v = dial().greet(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	id = v.open(true, "GET", "/hit/100")
	keeps(90)
	v.must(v.WriteWindowUpdate(id, 1000))
	if got := v.until(heard{}, id); got[id] != "200 100 end" {
		t.Errorf("who takes it later: %v", got)
	}
	keeps(0)
	v.open(true, "GET", "/hit/100")
	keeps(90)
	_ = v.conn.Close()
	<-v.over
	keeps(0)
}
