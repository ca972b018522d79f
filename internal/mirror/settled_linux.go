package mirror

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// unwritten asks the kernel whether anybody has the file open for writing: a
// read lease is only granted when nobody has. It is given back at once. known is
// false where there are no leases: other people's files, network file systems.
// https://man7.org/linux/man-pages/man2/F_SETLEASE.2const.html
func unwritten(f *os.File) (free, known bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, false
	}
	var lease error
	err = conn.Control(func(fd uintptr) {
		if _, lease = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK); lease == nil {
			_, lease = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK)
		}
	})
	if err != nil {
		return false, false
	}
	return lease == nil, lease == nil || errors.Is(lease, unix.EAGAIN)
}
