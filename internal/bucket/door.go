package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
)

// Limits of the door. Requests beyond them are told to slow down.
const (
	maxConnections = 4096
	maxRequests    = 1024
	maxParts       = 10000 // https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
)

// validName reports whether S3 would take name for a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func validName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{1,61})[a-z0-9]$`).MatchString(name) && net.ParseIP(name) == nil
}

// door is the S3 front: versitygw's server on one address.
type door struct {
	addr   string
	server *s3api.S3ApiServer
	served chan error // gets one value when the server has ended

	mu    sync.Mutex
	conns map[net.Conn]struct{} // those that sent a request; closed ones are swept out now and then
	sweep int                   // how many conns are worth a sweep
}

// openDoor returns once the server answers.
func openDoor(c Config, s *store) (*door, error) {
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", c.Addr, err)
	}
	if port != "0" {
		return openDoorOn(c.Addr, c, s)
	}
	// versitygw cannot tell which port it got, so a free one is looked for
	// first. Somebody may be faster at taking it.
	for range 10 {
		var addr string
		if addr, err = freeAddress(c.Addr); err != nil {
			return nil, err
		}
		var d *door
		if d, err = openDoorOn(addr, c, s); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return d, err
		}
	}
	return nil, err
}

func freeAddress(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func openDoorOn(addr string, c Config, s *store) (*door, error) {
	d := &door{addr: addr, served: make(chan error, 1), conns: make(map[net.Conn]struct{}), sweep: 64}
	ready := make(chan struct{})
	account := auth.Account{Access: c.AccessKey, Secret: c.Secret, Role: auth.RoleAdmin}
	server, err := s3api.New(s,
		middlewares.RootUserConfig{Access: c.AccessKey, Secret: c.Secret}, c.Region,
		auth.NewIAMServiceSingle(account), nil, nil, nil, nil,
		s3api.WithQuiet(),
		s3api.WithKeepAlive(),
		s3api.WithConcurrencyLimiter(maxConnections, maxRequests),
		s3api.WithMpMaxParts(maxParts),
		s3api.WithMiddleware("/", d.admit),
		s3api.WithOnListen(func() { close(ready) }))
	if err != nil {
		return nil, fmt.Errorf("set up the S3 server: %w", err)
	}
	d.server = server
	go func() { d.served <- server.ServeMultiPort([]string{addr}) }()
	select {
	case <-ready:
		return d, nil
	case err := <-d.served:
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
}

// admit remembers the connection, so that close can cut it, and refuses paths
// that versitygw would refuse without a word about why.
func (d *door) admit(c fiber.Ctx) error {
	if err := pathError(string(c.Request().URI().PathOriginal())); err != nil {
		c.Response().Header.SetContentType(fiber.MIMEApplicationXML)
		return c.Status(err.StatusCode()).Send(err.XMLBody("", ""))
	}
	d.remember(c.RequestCtx().Conn())
	return c.Next()
}

func pathError(path string) s3err.S3Error {
	path, err := url.PathUnescape(path)
	if err != nil {
		return s3err.GetAPIError(s3err.ErrInvalidURI)
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if key != "" && !utils.IsObjectNameValid(key) {
		return s3err.APIError{HTTPStatusCode: 400, Code: "InvalidURI", Description: "the object key consists of slashes and dots, or leads out of the bucket by way of .., which this store does not take"}
	}
	return nil
}

// remember keeps conn until a sweep finds it closed: nobody tells when that
// happens, and an answer is still being sent when its handler has returned.
func (d *door) remember(conn net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns[conn] = struct{}{}
	if len(d.conns) < d.sweep {
		return
	}
	for conn := range d.conns {
		if isClosed(conn) {
			delete(d.conns, conn)
		}
	}
	d.sweep = 2*len(d.conns) + 64
}

func isClosed(conn net.Conn) bool {
	raw, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	rawConn, err := raw.SyscallConn()
	return err != nil || rawConn.Control(func(uintptr) {}) != nil
}

// close stops listening and waits for the running requests. Those that are
// still there after closePatience lose their connection, and giveUp is called,
// so that nothing that they wait for can hold them.
func (d *door) close(giveUp context.CancelFunc) error {
	done := make(chan error, 1)
	go func() { done <- d.server.ShutDown() }()
	select {
	case err := <-done:
		return err
	case <-time.After(closePatience):
	}
	giveUp()
	d.cut()
	select {
	case err := <-done:
		return err
	case <-time.After(closeLimit):
		return errors.New("a request does not end")
	}
}

func (d *door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		_ = conn.SetDeadline(time.Now())
		_ = conn.Close()
	}
}
