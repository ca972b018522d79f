//go:build unix

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// hangups passes each SIGHUP on to asked until stop is called. One that comes
// because the terminal is gone ends ctx, as it would without asking for it.
func hangups(ctx context.Context) (ended context.Context, asked <-chan struct{}, stop func()) {
	ended, cancel := context.WithCancel(ctx)
	signals, passed := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGHUP)
	began, done := hasTerminal(), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ended.Done():
				return
			case <-signals:
			}
			if began && !hasTerminal() {
				cancel()
				return
			}
			select {
			case passed <- struct{}{}:
			default:
			}
		}
	}()
	return ended, passed, func() { signal.Stop(signals); cancel(); <-done }
}

// hasTerminal reports whether the process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err == nil {
		_ = f.Close()
	}
	return err == nil
}
