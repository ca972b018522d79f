package function

import (
	"sync"
	"time"

	"github.com/dop251/goja"
)

// ticks is into how many parts the time of a run is divided.
const ticks = 50

// watch interrupts a run after its time. The time is counted in ticks, each of
// which waits for its turn as the run does: where the machine is so busy that
// the run hardly gets any, the ticks do not either, and a run is not ended for
// what others do.
type watch struct {
	vm    *goja.Runtime
	tick  time.Duration
	timer *time.Timer

	mu    sync.Mutex
	count int
	ended bool
	fired bool
}

func newWatch(vm *goja.Runtime, limit time.Duration) *watch {
	w := &watch{vm: vm, tick: max(1, limit/ticks)}
	w.mu.Lock() // until the timer is known
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(w.tick, w.next)
	return w
}

func (w *watch) next() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	if w.count++; w.count < ticks {
		w.timer.Reset(w.tick)
		return
	}
	w.fired = true
	w.vm.Interrupt(errTime)
}

// end stops the watch, and reports whether the run was in time. There is no
// interruption after it.
func (w *watch) end() bool {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	return !w.fired
}
