package loop

import (
	"io"
	"testing"
	"time"
)

// Where there is little room those leave on which nothing has come for the longest,
// and whose requests do not come to their ends; who has an answer on its way stays.
func TestIdleMakeRoom(t *testing.T) {
	d := open(t, Options{Room: NewRoom(3, 0), Stall: time.Hour}, nobody)
	silent, begun, slow := d.dial(t), d.dial(t), d.dial(t)
	begun.ask(t, "ech", "")
	slow.ask(t, "big 30000000\n", "big\n")
	for _, leaving := range []*viewerSide{silent, begun} {
		var next *viewerSide
		until(t, "room", func() bool {
			next = d.dial(t)
			_, _ = next.Write([]byte("echo a\n"))
			line, err := next.in.ReadString('\n')
			if err == nil && line == "a\n" {
				return true
			}
			_ = next.Close()
			return false
		})
		leaving.ends(t)
	}
	body := make([]byte, 30_000_000)
	if _, err := io.ReadFull(slow.in, body); err != nil {
		t.Errorf("who had an answer on its way: %v", err)
	}
}
