//go:build unix

package wire

import "golang.org/x/sys/unix"

// canPeek says that readable can tell.
const canPeek = true

// readable reports whether a read of a descriptor would not wait.
func readable(fd uintptr) bool {
	look := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(look[:], 0)
	return n != 0 || err != nil
}
