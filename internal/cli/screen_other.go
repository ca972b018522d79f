//go:build !unix

package cli

import "io"

// screen is the usual size of a terminal in columns and lines.
func screen(io.Writer) (width, height int) { return 80, 24 }
