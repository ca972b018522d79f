package bucket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"reflect"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"
)

// Limits of the door. Requests beyond the first two are told to slow down.
const (
	maxConnections = 4096
	maxRequests    = 1024
	maxParts       = 10000 // https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
	idleTimeout    = 2 * time.Minute

	// headerTimeout is for a request without its body, so that clients that
	// never end one do not keep all connections. bodyTimeout is for the body.
	headerTimeout = 10 * time.Second
	bodyTimeout   = 24 * time.Hour
)

// How long Close waits: first for running requests to end by themselves, then
// for those that it cuts off.
const (
	closePatience = 500 * time.Millisecond
	closeLimit    = 950 * time.Millisecond // both together
)

// door is the S3 front: versitygw's server on one listener of ours.
type door struct {
	addr     string
	app      *fiber.App
	log      *slog.Logger
	listener net.Listener
	served   chan struct{} // closed when the server has ended

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// openDoor listens and begins to serve.
func openDoor(c Config, s *store) (*door, error) {
	d := &door{log: c.Logger, served: make(chan struct{}), conns: make(map[*conn]struct{})}
	app, err := d.newApp(c, s)
	if err != nil {
		return nil, fmt.Errorf("set up the S3 server: %w", err)
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, err // says the address and what was wrong with it
	}
	d.app, d.addr, d.listener = app, listener.Addr().String(), listener
	go d.serve(tracking{listener, d})
	return d, nil
}

func (d *door) newApp(c Config, s *store) (*fiber.App, error) {
	account := auth.Account{Access: c.AccessKey, Secret: c.Secret, Role: auth.RoleAdmin}
	server, err := s3api.New(s,
		middlewares.RootUserConfig{Access: c.AccessKey, Secret: c.Secret}, c.Region,
		onlyUser{auth.NewIAMServiceSingle(account)}, nil, nil, nil, nil,
		s3api.WithQuiet(),
		s3api.WithKeepAlive(),
		s3api.WithConcurrencyLimiter(maxConnections, maxRequests),
		s3api.WithMpMaxParts(maxParts),
		s3api.WithMiddleware("/", d.admit))
	if err != nil {
		return nil, err
	}
	app, err := appOf(server)
	if err != nil {
		return nil, err
	}
	app.Server().ErrorHandler = d.malformed
	app.Server().IdleTimeout = idleTimeout
	app.Server().ReadTimeout = cmp.Or(c.headWithin, headerTimeout)
	app.Server().HeaderReceived = func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
		return fasthttp.RequestConfig{ReadTimeout: bodyTimeout}
	}
	return app, nil
}

// onlyUser is versitygw's service for a single user with S3's answer to unknown
// keys, 403 InvalidAccessKeyId, instead of one of the administrators' API.
type onlyUser struct{ auth.IAMService }

func (u onlyUser) GetUserAccount(access string) (auth.Account, error) {
	account, err := u.IAMService.GetUserAccount(access)
	if err != nil {
		err = auth.ErrNoSuchUser
	}
	return account, err
}

// appOf gets at the application inside versitygw's server. The server itself
// only takes addresses to listen on: it could not say which free port it got,
// nor be closed in less than ten seconds, and it prints what clients send wrong.
func appOf(server *s3api.S3ApiServer) (*fiber.App, error) {
	field := reflect.ValueOf(server).Elem().FieldByName("app")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*fiber.App]() {
		return nil, errors.New("this version of versitygw keeps its application elsewhere")
	}
	return (*fiber.App)(field.UnsafePointer()), nil
}

func (d *door) serve(l net.Listener) {
	defer close(d.served)
	if err := d.app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}); err != nil && !errors.Is(err, net.ErrClosed) {
		d.log.Error("the S3 server ended", "err", err)
	}
}

// admit refuses paths that versitygw would refuse without a word about why, and
// keeps a panic from being printed.
func (d *door) admit(c fiber.Ctx) error {
	defer func() {
		if cause := recover(); cause != nil {
			d.log.Error("a request panicked", "cause", cause, "stack", string(debug.Stack()))
			respond(c.RequestCtx(), s3err.GetAPIError(s3err.ErrInternalError))
		}
	}()
	if err := pathError(string(c.Request().URI().PathOriginal())); err != nil {
		respond(c.RequestCtx(), err)
		return nil
	}
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

// malformed answers what is no HTTP request. A connection on which nothing was
// ever sent is closed without a word: clients keep some in reserve, and would
// take an answer for that to the request that they are about to send.
func (d *door) malformed(ctx *fasthttp.RequestCtx, err error) {
	if c, ok := ctx.Conn().(*conn); ok && !c.heard {
		_ = c.Close()
		return
	}
	if errors.As(err, new(*fasthttp.ErrSmallBuffer)) {
		respond(ctx, s3err.GetRequestHeaderSectionTooLargeErr(d.app.Server().ReadBufferSize))
		return
	}
	d.log.Debug("a client sent no valid request", "err", err)
	respond(ctx, s3err.GetAPIError(s3err.ErrCannotParseHTTPRequest))
}

func respond(ctx *fasthttp.RequestCtx, err s3err.S3Error) {
	ctx.Response.Reset()
	ctx.SetStatusCode(err.StatusCode())
	ctx.SetContentType(fiber.MIMEApplicationXML)
	ctx.SetBody(err.XMLBody("", ""))
	ctx.SetConnectionClose() // what is left of the request is not worth reading
}

// close stops listening and waits for the running requests. After closePatience
// those that are still there lose their connection, and giveUp is called, so
// that nothing they wait for can hold them.
func (d *door) close(giveUp context.CancelFunc) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	cutting := time.AfterFunc(closePatience, func() {
		giveUp()
		d.cut()
	})
	defer cutting.Stop()
	if err := d.app.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("a request did not end: %w", err)
	}
	// A server that had not begun yet knows of no listener to close, and would go
	// on to serve.
	_ = d.listener.Close()
	<-d.served
	return nil
}

func (d *door) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		_ = c.TCPConn.Close()
	}
}

// tracking is a listener that knows which of its connections are open.
type tracking struct {
	net.Listener
	door *door
}

func (l tracking) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := accepted.(*net.TCPConn)
	if !ok {
		return accepted, nil
	}
	c := &conn{TCPConn: tcp, door: l.door}
	l.door.mu.Lock()
	defer l.door.mu.Unlock()
	l.door.conns[c] = struct{}{}
	return c, nil
}

// conn embeds the concrete type, so that files still go out by sendfile.
type conn struct {
	*net.TCPConn
	door  *door
	heard bool // something was read; of the goroutine that serves it
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.heard = c.heard || n > 0
	return n, err
}

func (c *conn) Close() error {
	c.door.mu.Lock()
	delete(c.door.conns, c)
	c.door.mu.Unlock()
	return c.TCPConn.Close()
}
