//go:build !linux

package loop

import "errors"

// ReadFile fills p with the bytes of a file from one on, as of Answer.File. Bodies
// are in a file on Linux only.
func ReadFile(int, []byte, int64) error { return errors.ErrUnsupported }
