package loop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// line is a Line.
type line struct {
	fd        int
	epoch     int32 // tells it from others of the same descriptor
	home      *loop
	listening Listening
}

// Hold is of Turn.
func (t *ticket) Hold(c net.Conn, to Listening) (Line, error) {
	fd, err := ownFile(c)
	_ = c.Close() // the connection stays open if it has another descriptor
	if err != nil {
		return nil, fmt.Errorf("hold a connection: %w", err)
	}
	l := t.home
	l.epoch++
	made := &line{fd: fd, epoch: l.epoch, home: l, listening: to}
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd), Pad: made.epoch}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("hold a connection: %w", err)
	}
	l.lines[int32(fd)] = made
	return made, nil
}

// ownFile returns another descriptor of a connection.
func ownFile(c net.Conn) (fd int, err error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return -1, errors.New("it has no descriptor")
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return -1, err
	}
	if outer := raw.Control(func(now uintptr) { fd, err = unix.FcntlInt(now, unix.F_DUPFD_CLOEXEC, 0) }); outer != nil {
		return -1, outer
	}
	return fd, err
}

// Write is of Line.
func (l *line) Write(p []byte) (int, error) {
	n, err := rawWrite(l.fd, p)
	if fatal(err) {
		return n, err
	}
	return n, nil
}

// Read is of Line.
func (l *line) Read(p []byte) (int, error) {
	n, err := rawRead(l.fd, p)
	switch {
	case fatal(err):
		return 0, err
	case err != nil:
		return 0, ErrNothing
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Close is of Line.
func (l *line) Close() {
	delete(l.home.lines, int32(l.fd))
	_ = unix.Close(l.fd)
}

// Leave is of Line.
func (l *line) Leave() (net.Conn, error) {
	delete(l.home.lines, int32(l.fd))
	_ = unix.EpollCtl(l.home.epoll, unix.EPOLL_CTL_DEL, l.fd, nil) // of a descriptor that is there
	return tcpConn(l.fd)
}

// tick and leaveLines tell those who listen.
func (l *loop) tick() {
	for _, on := range l.lines {
		on.listening.Tick(l.now)
	}
}

func (l *loop) leaveLines() {
	for _, on := range l.lines {
		on.listening.Ending()
	}
}
