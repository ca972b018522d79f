package loop

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// ReadFile fills p with the bytes of a file from one on, as of Answer.File.
func ReadFile(fd int, p []byte, at int64) error {
	for len(p) > 0 {
		n, err := unix.Pread(fd, p, at)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read a body: %w", err)
		case n == 0:
			return fmt.Errorf("read a body: %w", io.ErrUnexpectedEOF)
		}
		p, at = p[n:], at+int64(n)
	}
	return nil
}
