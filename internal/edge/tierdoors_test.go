package edge

import (
	"net"
	"testing"

	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/packed"
)

// An edge whose memory was lost, and that answers from disk, answers alike to the
// byte as one that has everything in memory.
func TestDoorsAnswerAlikeFromDisk(t *testing.T) {
	on := newDisk(t)
	both := &twoDoors{full: newDoorUnderTest(t), quick: newDoorOnDisk(t, on.config())}
	both.full.serve(t, func(l net.Listener) net.Listener { return &plainDoor{Listener: l, edge: both.full.edge} })
	both.quick.serve(t, func(l net.Listener) net.Listener {
		e := both.quick.edge
		both.quick.seen = &seenPieces{quick: &quick{e}, looked: make(chan int, 1)}
		d := loop.Listen(l, both.quick.seen, loop.Options{Loops: 2})
		if d == nil {
			t.Skip("there is no event loop on this system")
		}
		e.start(func() { d.Run(e.ctx.Done()) })
		return &plainDoor{Listener: d, edge: e}
	})
	for _, text := range recordedRequests {
		for range 3 {
			both.ask(t, text+ending)
			settled(t, both.full.edge)
			settled(t, both.quick.edge)
			forgetWhatIsOnDisk(both.quick.edge)
		}
	}
	if st, _ := both.quick.edge.DiskStats(); st.Hits < 50 || st.Damaged > 0 || st.Errors > 0 {
		t.Errorf("%+v", st)
	}
}

// forgetWhatIsOnDisk leaves in memory what is nowhere else.
func forgetWhatIsOnDisk(e *Edge) {
	e.store.arena.Each(func(v packed.View) bool {
		k := v.Entry().Key
		s := e.serving().byNumber[k.Site]
		return !e.tier.store.May(s.lineage.hashOf(&key{k.Site, k.URL, k.Variant}))
	}, func() {})
}

func newDoorOnDisk(t testing.TB, on *Disk) *doorUnderTest {
	d := new(doorUnderTest)
	d.edge = open(t, roundTripper(varied), Config{Distributions: manySided(), First: "E1", AccessLog: d.logged, Observer: d, Disk: on})
	d.edge.via = "1.1 same.cloudfront.net (CloudFront)"
	return d
}
