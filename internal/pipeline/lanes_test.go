package pipeline_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/journal"
)

// gated lets no request pass until it is opened.
type gated struct {
	*network
	asked chan struct{} // one for each request
	open  chan struct{}
}

func (g gated) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	g.asked <- struct{}{}
	select {
	case <-g.open:
		return g.network.Invalidate(ctx, inv)
	case <-ctx.Done():
		return freshet.Receipt{}, ctx.Err()
	}
}

// While a plan of hundreds of paths waits for room, one change of a page is
// planned, sent and verified.
func TestAnUrgentChangeOvertakesBulk(t *testing.T) {
	l := newLine(t)
	l.stop()
	gate := gated{l.network, make(chan struct{}, 100), make(chan struct{})}
	l.bulk = gate
	var many []freshet.Change
	for i := range 400 {
		many = append(many, put(fmt.Sprintf("%d/%d.css", i%7, i), i+1))
	}
	l.start()
	l.take("bulk", time.Hour) // so that it is one plan, however slowly they come
	l.put(many...)
	l.held(len(many))
	l.release("bulk")
	<-gate.asked
	for _, c := range many {
		l.last(c, journal.Planned)
	}
	urgent := put("index.html", 1000)
	l.put(urgent)
	l.last(urgent, journal.Verified)
	select {
	case <-gate.open:
	default:
		close(gate.open)
	}
	for _, c := range many {
		l.last(c, journal.Verified)
	}
	l.settled()
}
