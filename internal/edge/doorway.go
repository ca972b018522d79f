package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/edge/loop"
)

// Door returns a listener for Server on which everything that viewers are told
// is told in CloudFront's manner, also what net/http itself has to say of what
// it does not take for a request. With c not nil viewers must speak TLS.
// Closing it ends the handshakes that are under way.
func (e *Edge) Door(l net.Listener, c *tls.Config) net.Listener {
	if c == nil {
		return e.plainDoor(l)
	}
	c = c.Clone() // which a server of net/http changes when it begins to serve
	d := &secureDoor{Listener: l, edge: e, config: c, ready: make(chan accepted), quick: &quick{e}, viewers: make(map[leaver]struct{}), shakers: make(map[*bundle]time.Time), desks: sync.Pool{New: newDesk}}
	d.ctx, d.stop = context.WithCancel(context.Background())
	e.connections.Hold(d.press)
	d.full = newFull(e, l)
	d.running.Go(d.accept)
	e.start(d.watch)
	return d
}

// plainDoor has hits answered by event loops, where there are any.
func (e *Edge) plainDoor(l net.Listener) net.Listener {
	made := &plainDoor{Listener: l, edge: e}
	d := loop.Listen(l, &quick{e}, loop.Options{
		Loops: runtime.GOMAXPROCS(0), First: headerPatience, Idle: idlePatience, Stall: viewerPatience, Room: e.connections, Late: made.late,
	})
	if d == nil {
		return made
	}
	made.Listener = d
	e.start(func() { d.Run(e.ctx.Done()) })
	return made
}

type plainDoor struct {
	net.Listener

	edge *Edge
	idle atomic.Int64 // connections that net/http has, without a request
}

func (d *plainDoor) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return d.edge.newViewerConn(c, &d.idle), nil
}

// newViewerConn is for a connection that net/http is about to have.
func (e *Edge) newViewerConn(c net.Conn, idle *atomic.Int64) *viewerConn {
	v := &viewerConn{Conn: c, edge: e, idle: idle, guest: &guest{end: func() { _ = c.Close() }}}
	v.guest.await(loop.Overstayed)
	e.guests.enter(v.guest)
	return v
}

// secureDoor does the handshakes itself, and answers itself what it can. The rest
// is net/http's, which would put nothing between TLS and its own words.
type secureDoor struct {
	net.Listener

	edge   *Edge
	config *tls.Config
	ready  chan accepted
	quick  loop.Handler
	desks  sync.Pool // of *desk
	trays  sync.Pool // of *tray
	large  atomic.Int64
	full   *full // for HTTP/2

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	shaking sync.WaitGroup
	idle    atomic.Int64 // connections that net/http has, without a request

	mu      sync.Mutex
	viewers map[leaver]struct{}   // those that are lent included
	shakers map[*bundle]time.Time // who have not shaken hands yet, and since when they are here
	pressed bool                  // to make room
	gone    chan struct{}         // closed when there are none any more; nil while nobody asks
}

// leaver is a viewer's connection.
type leaver interface {
	leave() // as soon as its answers are out
	cut()   // at once

	// part has the viewer leave if it is idle.
	part()

	// idle is since when nothing, or not all of a request, has come; zero if there
	// is something to do for the viewer.
	idle() time.Time
}

// enter counts a viewer in, and reports whether the door is open.
func (d *secureDoor) enter(v leaver) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return false
	}
	d.viewers[v] = struct{}{}
	return true
}

// forget counts a viewer out.
func (d *secureDoor) forget(v leaver) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.viewers, v)
	if len(d.viewers) == 0 && d.gone != nil {
		close(d.gone)
		d.gone = nil
	}
}

// all are those who are there.
func (d *secureDoor) all() []leaver {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.viewers))
}

// Wait returns when all viewers have their answers, after the door was closed, or
// when ctx is done.
func (d *secureDoor) Wait(ctx context.Context) {
	d.mu.Lock()
	if len(d.viewers) == 0 {
		d.mu.Unlock()
		return
	}
	if d.gone == nil {
		d.gone = make(chan struct{})
	}
	gone := d.gone
	d.mu.Unlock()
	select {
	case <-gone:
	case <-ctx.Done():
	}
}

// watch has viewers leave once the door is closed, and cuts them off with the
// edge.
func (d *secureDoor) watch() {
	defer d.full.run()()
	select {
	case <-d.ctx.Done():
		for _, v := range d.all() {
			v.leave()
		}
		d.Wait(d.edge.ctx)
	case <-d.edge.ctx.Done():
		d.stop()
	}
	for _, v := range d.all() {
		v.cut()
	}
}

type accepted struct {
	conn net.Conn
	err  error
}

// accept does not tell net/http of what goes wrong, such as too many open files:
// it would accept nothing for a while, be it lent or new.
func (d *secureDoor) accept() {
	for {
		c, err := d.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			d.shaking.Wait()
			<-d.ctx.Done() // nobody would accept after an error
			return
		case err != nil:
			pause(d.ctx, 10*time.Millisecond)
			if d.ctx.Err() != nil {
				return
			}
		case !d.edge.connections.Enter():
			_ = c.Close() // an answer would take a handshake
		default:
			d.shaking.Go(func() { d.shake(&bundle{Conn: c, left: d.edge.connections.Leave}) })
		}
	}
}

// press has some viewers leave soon from whom nothing has come for the longest.
func (d *secureDoor) press() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.pressed {
		d.pressed = true
		d.edge.start(d.shed)
	}
}

func (d *secureDoor) shed() {
	type late struct {
		since time.Time
		end   func()
	}
	var over []late
	now := time.Now()
	d.mu.Lock()
	d.pressed = false
	for v := range d.viewers {
		if since := v.idle(); !since.IsZero() && now.Sub(since) >= loop.Overstayed {
			over = append(over, late{since, v.part})
		}
	}
	for b, since := range d.shakers {
		if now.Sub(since) >= loop.Overstayed {
			over = append(over, late{since, func() { _ = b.Close() }})
		}
	}
	most := loop.Share(len(d.viewers) + len(d.shakers))
	d.mu.Unlock()
	slices.SortFunc(over, func(a, b late) int { return a.since.Compare(b.since) })
	for _, l := range over[:min(len(over), most)] {
		l.end()
	}
}

// deliver blocks until somebody accepts, or nobody will.
func (d *secureDoor) deliver(a accepted) {
	select {
	case d.ready <- a:
	case <-d.ctx.Done():
		if a.conn != nil {
			a.conn.Close()
		}
	}
}

// shake delivers a connection once it is secure.
func (d *secureDoor) shake(below *bundle) {
	ctx, cancel := context.WithTimeout(d.ctx, headerPatience)
	defer cancel()
	defer d.shaken(below)()
	secure := tls.Server(below, d.config)
	if err := secure.HandshakeContext(ctx); err != nil {
		d.edge.log.Debug("TLS handshake", slog.String("viewer", below.RemoteAddr().String()), slog.Any("error", err))
		var strange tls.RecordHeaderError
		if errors.As(err, &strange) && strange.Conn != nil && speaksHTTP(strange.RecordHeader) {
			v := &viewerConn{Conn: below, edge: d.edge}
			_ = v.refuse(http.StatusBadRequest, "The plain HTTP request was sent to the port for HTTPS.") // the viewer is gone, or not
			_ = v.Close()
		}
		_ = below.Close()
		return
	}
	state := secure.ConnectionState()
	switch {
	case state.NegotiatedProtocol == "h2" && !fitForHTTP2(&state):
		d.deliver(accepted{conn: secure}) // net/http will refuse it
		return
	case state.NegotiatedProtocol == "h2":
		d.multiplex(secure, below, &state)
		return
	}
	v := &secureViewer{door: d, tls: secure, below: below, state: state, over: assuranceOf(&state, below.RemoteAddr(), "HTTP/1.1")}
	if !d.enter(v) {
		_ = secure.Close()
		return
	}
	d.edge.start(func() { v.serve(nil) })
}

// shaken counts a viewer in who is shaking hands, and returns what counts him out.
func (d *secureDoor) shaken(below *bundle) (over func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shakers[below] = time.Now()
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.shakers, below)
	}
}

// speaksHTTP reports whether a connection begins like a request in place of a
// TLS record.
func speaksHTTP(record [5]byte) bool {
	begin := string(record[:])
	return begin == "GET /" || begin == "HEAD " || begin == "POST " || begin == "PUT /" || begin == "OPTIO" || begin == "PATCH" || begin == "DELET"
}

// finish has nobody connect any more, and returns when all have shaken hands who
// did, or when ctx is done.
func (d *secureDoor) finish(ctx context.Context) {
	for _, c := range loop.Waiting(d.Listener) {
		if d.edge.connections.Enter() {
			d.shaking.Go(func() { d.shake(&bundle{Conn: c, left: d.edge.connections.Leave}) })
		} else {
			_ = c.Close()
		}
	}
	_ = d.Listener.Close()
	done := make(chan struct{})
	go func() { defer close(done); d.shaking.Wait() }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// busy is how many viewers may have a request that is not answered.
func (d *secureDoor) busy() int {
	n := 0
	for _, v := range d.all() {
		if v, ok := v.(*secureViewer); ok && !v.isWaiting() {
			n++
		}
	}
	return n - int(d.idle.Load())
}

func (d *secureDoor) Accept() (net.Conn, error) {
	select {
	case a := <-d.ready:
		return a.conn, a.err
	case <-d.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close may be called twice.
func (d *secureDoor) Close() error {
	again := d.ctx.Err() != nil
	d.stop()
	err := d.Listener.Close()
	d.running.Wait()
	d.shaking.Wait()
	if again || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// viewerConn is a connection on which HTTP/1.1 is spoken.
type viewerConn struct {
	net.Conn

	edge      *Edge
	guest     *guest
	answering atomic.Bool // from when a request is with the edge until its answer is out
	refused   atomic.Bool

	idle   *atomic.Int64 // of the door; nil where nobody counts
	isIdle atomic.Bool
}

// rest says whether the connection is without a request.
func (c *viewerConn) rest(is bool) {
	if c.idle == nil || c.isIdle.Swap(is) == is {
		return
	}
	if is {
		c.idle.Add(1)
	} else {
		c.idle.Add(-1)
	}
}

// secureConn tells net/http of the TLS below it.
type secureConn struct {
	*viewerConn

	state tls.ConnectionState
}

func (c *secureConn) ConnectionState() tls.ConnectionState { return c.state }

// inConn is where the context of a request has its connection.
type inConn struct{}

// attend lets h answer, and the connection know while it does.
func attend(h http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch c := r.Context().Value(inConn{}).(type) {
		case *viewerConn:
			c.answering.Store(true)
			c.guest.came()
		case *multiplexed:
			r.TLS = c.state
			e := c.door.edge
			if !e.connections.Lend() {
				e.refuseRequest(w)
				return
			}
			defer e.connections.Return()
			s := newStreamed(c, w)
			e.guests.enter(&s.guest)
			defer e.guests.leave(&s.guest)
			defer s.finish()
			r = r.WithContext(context.WithValue(r.Context(), inConn{}, s))
		}
		h.ServeHTTP(w, r)
	}
}

func viewerOf(c net.Conn) *viewerConn {
	switch c := c.(type) {
	case *viewerConn:
		return c
	case *secureConn:
		return c.viewerConn
	}
	return nil
}

func connContext(ctx context.Context, c net.Conn) context.Context {
	if b, ok := c.(*behind); ok {
		return context.WithValue(ctx, inConn{}, b.viewer)
	}
	if v := viewerOf(c); v != nil {
		return context.WithValue(ctx, inConn{}, v)
	}
	return ctx
}

func connState(c net.Conn, state http.ConnState) {
	v := viewerOf(c)
	if v == nil {
		return
	}
	v.rest(state == http.StateIdle || state == http.StateHijacked) // whom nobody waits for
	if state == http.StateIdle {
		v.answering.Store(false)
		v.guest.await(loop.Overstayed)
		if lent, ok := v.Conn.(interface{ Rest() }); ok {
			lent.Rest()
		}
	}
}

// Write puts a page in the place of what net/http says before anybody has seen
// the request, which it does in a single piece and then closes the connection.
func (c *viewerConn) Write(p []byte) (int, error) {
	if c.answering.Load() || !bytes.HasPrefix(p, []byte("HTTP/1.")) || len(p) < len("HTTP/1.1 400") {
		return c.Conn.Write(p)
	}
	status, err := strconv.Atoi(string(p[len("HTTP/1.1 "):len("HTTP/1.1 400")]))
	if err != nil || status < http.StatusBadRequest {
		return c.Conn.Write(p)
	}
	reason := "The request is malformed."
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		status, reason = http.StatusRequestEntityTooLarge, tooLargeReason
	case http.StatusNotImplemented:
		reason = "The transfer coding of the request is not known."
	case http.StatusHTTPVersionNotSupported:
		reason = "The version of HTTP is not known."
	case http.StatusExpectationFailed:
		reason = "The expectation of the request cannot be met."
	}
	if err := c.refuse(status, reason); err != nil {
		return 0, err
	}
	return len(p), nil
}

// refuse sends an answer to what was no request.
func (c *viewerConn) refuse(status int, reason string) error {
	c.refused.Store(true)
	h, page := errorPage(status, reason)
	c.edge.sign(h, status, failed)
	text := wholeAnswer(status, h, page)
	_ = c.SetWriteDeadline(time.Now().Add(viewerPatience)) // net/http will set its own
	_, err := c.Conn.Write(text)
	return err
}

// wholeAnswer is the last answer on a connection, with a page.
func wholeAnswer(status int, h http.Header, page []byte) []byte {
	h.Set("Connection", "close")
	h.Set("Content-Length", strconv.Itoa(len(page)))
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = h.Write(&b) // which never fails
	b.WriteString("\r\n")
	b.Write(page)
	return b.Bytes()
}

// CloseWrite tells the viewer that there is no more to come.
func (c *viewerConn) CloseWrite() error { return closeWrite(c.Conn) }

// What a viewer who was refused is still sending is taken for so long, and so
// much of it: bytes that nobody reads would end the connection before the viewer
// has seen why.
const (
	lastWords     = 500 * time.Millisecond
	lastWordsSize = 1 << 20
)

func (c *viewerConn) Close() error {
	defer c.rest(false)
	if c.guest != nil {
		c.edge.guests.leave(c.guest)
	}
	if c.refused.Swap(false) && closeWrite(c.Conn) == nil {
		_ = c.SetReadDeadline(time.Now().Add(lastWords))
		_, _ = io.CopyN(io.Discard, c.Conn, lastWordsSize)
	}
	return c.Conn.Close()
}
