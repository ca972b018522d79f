package cli

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/freshet/freshet/internal/journal"
)

// stuck is standard output that nobody reads until freed.
type stuck struct{ freed chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.freed
	return len(p), nil
}

func TestTickerEndsThoughNobodyReads(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		out := stuck{freed: make(chan struct{})}
		show := newTicker(out, true)
		show.records([]journal.Record{{Key: "index.html"}})
		synctest.Wait()
		show.close() // a deadlock, if it waits for the reader
		close(out.freed)
	})
}

func TestUpStoppedWhileStarting(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	args := []string{"up", "--ephemeral", "--s3", "127.0.0.1:0", "--edge", "127.0.0.1:0", "--api", "127.0.0.1:0"}
	if code := Main(ctx, args, nil, io.Discard, t.Output()); code != exitDone {
		t.Errorf("exit code %d, want %d: Ctrl-C is no failure", code, exitDone)
	}
}
