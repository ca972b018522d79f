//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// screen is the size of a terminal in columns and lines, or the usual one where
// it does not say.
func screen(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && s.Col > 0 && s.Row > 0 {
			return int(s.Col), int(s.Row)
		}
	}
	return 80, 24
}
