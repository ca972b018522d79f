package offheap

import (
	"io"

	"golang.org/x/sys/unix"
)

// file is a file in memory without a name.
type file struct{ fd int }

func newFile() (file, bool) {
	fd, err := unix.MemfdCreate("bodies", unix.MFD_CLOEXEC)
	return file{fd}, err == nil
}

func (f file) close() { _ = unix.Close(f.fd) }

func (f file) descriptor() int { return f.fd }

func (f file) write(b []byte, at int64) bool {
	for len(b) > 0 {
		n, err := unix.Pwrite(f.fd, b, at)
		if err != nil && err != unix.EINTR {
			return false
		}
		n = max(n, 0)
		b, at = b[n:], at+int64(n)
	}
	return true
}

func (f file) read(b []byte, p place, at int64) (int, error) {
	if at >= p.size {
		return 0, io.EOF
	}
	short := false
	if left := p.size - at; int64(len(b)) > left {
		b, short = b[:left], true
	}
	total := 0
	for total < len(b) {
		n, err := unix.Pread(f.fd, b[total:], p.at+at+int64(total))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, io.ErrUnexpectedEOF
		}
		total += n
	}
	if short {
		return total, io.EOF
	}
	return total, nil
}

// clear gives the memory of a place back. What the system is still sending from
// it stays until it is sent.
func (f file) clear(p place) {
	_ = unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, p.at, p.taken())
}
