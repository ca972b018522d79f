package loop

import (
	"testing"
	"testing/synctest"
	"time"
)

// The process never needs more files than it may open, and there is room for
// somebody however few they are.
func TestRoomByFiles(t *testing.T) {
	for _, tt := range []struct{ files, connections, lent int }{
		{1 << 20, 933_719, 10_000}, {20_000, 13_000, 5_000}, {1024, 666, 256}, {10, 7, 2}, {1, 1, 1},
	} {
		r := newRoom(0, 0, tt.files)
		if r.Connections() != tt.connections || r.Requests() != tt.lent {
			t.Errorf("%d files: %d connections, %d requests", tt.files, r.Connections(), r.Requests())
		}
	}
	if r := NewRoom(7, 8); r.Connections() != 7 || r.Requests() != 8 || !r.Fits() {
		t.Errorf("%d connections, %d requests", r.Connections(), r.Requests())
	}
	if NewRoom(1<<30, 8).Fits() {
		t.Error("a thousand million connections fit")
	}
}

// Who comes when the room is full is not counted, and holders are asked before, but
// not by each.
func TestRoomIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(32, 16, 100)
		var connections, requests int
		r.Hold(func() { connections++ })
		r.HoldLent(func() { requests++ })
		for i := range 40 {
			if r.Enter() != (i < 32) {
				t.Fatalf("the %d. connection", i)
			}
			if asked := i >= 30; asked != (connections > 0) {
				t.Fatalf("asked %d times by the %d. connection", connections, i)
			}
		}
		for i := range 20 {
			if r.Lend() != (i < 16) {
				t.Fatalf("the %d. request", i)
			}
		}
		refusedConnections, refusedRequests := r.Refused()
		if connections != 1 || requests != 1 || r.Open() != 32 || r.Lent() != 16 || refusedConnections+refusedRequests != 12 {
			t.Errorf("asked %d and %d times, %d open, %d lent, %d refused", connections, requests, r.Open(), r.Lent(), refusedConnections+refusedRequests)
		}
		time.Sleep(pressing)
		r.Leave()
		r.Return()
		if !r.Enter() || !r.Lend() || connections != 2 || requests != 2 {
			t.Errorf("asked %d and %d times", connections, requests)
		}
	})
}
