package h2

import (
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// calm is the account of frames that cost more than they are worth: pings, settings,
// resets, windows and whatever else may be sent without asking for anything, or may
// be sent again and again. Each has a price. What is paid comes back with time, with
// answers and with what was sent, so that only who floods runs out of it.
type calm struct {
	spent  int          // of the goroutine that reads
	since  time.Time    // when spent was last made less
	earned atomic.Int64 // that are not yet taken from spent
}

// What a viewer may spend at once, and what comes back.
const (
	allowance    = 2000
	backInSecond = 100
	backByAnswer = 4       // that is out: its window may be opened, its priority said
	backByFrame  = 2       // of a body: its stream's window and the connection's
	backPerSize  = 1 << 10 // bytes of a body, for those who open windows a little at a time
	worthOpening = 64      // bytes of a body in a frame, for which a window may be opened
)

// What frames cost.
const (
	priceOfNothing  = 1  // that asks for nothing, and has hardly anything done
	priceOfReset    = 5  // more than comes back by the answer of what was asked for before
	priceOfSettings = 10 // nobody changes his mind so often
	priceOfWrong    = 2
)

// price is what a frame costs. Those of which there cannot be too many cost nothing:
// requests, bodies, and the pieces of headers, which are counted for themselves.
func price(f http2.Frame) int {
	switch f := f.(type) {
	case *http2.HeadersFrame, *http2.ContinuationFrame:
		return 0
	case *http2.DataFrame:
		if f.StreamEnded() || len(f.Data()) > 0 {
			return 0
		}
	case *http2.RSTStreamFrame:
		return priceOfReset
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return priceOfSettings
		}
	}
	return priceOfNothing
}

// spend takes the price of a frame, or reports that the viewer cannot pay it, which
// ends the connection. Only the goroutine that reads may call it.
func (c *calm) spend(price int) error {
	if c.spent += price; c.spent <= allowance {
		return nil
	}
	now := time.Now()
	back := c.earned.Swap(0) + int64(now.Sub(c.since)/(time.Second/backInSecond))
	c.spent, c.since = int(max(int64(c.spent-price)-back, 0))+price, now
	if c.spent > allowance {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// answered gives back for an answer that is out.
func (c *calm) answered() { c.earned.Add(backByAnswer) }

// sent gives back for a part of a body.
func (c *calm) sent(n int64) {
	if n >= worthOpening {
		c.earned.Add(backByFrame + n/backPerSize)
	}
}
