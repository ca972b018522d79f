package edge

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/edge/h2"
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
)

// streamLimits are what viewers are promised over HTTP/2: as many streams, and as
// much of a body, as net/http would take, and headers of 64 KiB, which HTTP/2
// counts with 32 bytes more for each.
// https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
func streamLimits() h2.Limits {
	return h2.Limits{Streams: 250, StreamWindow: 1 << 20, HeaderList: 2*maxRequestHeader + 10*32}
}

// full is a server of HTTP/2 for whatever is no hit. It is net/http's, which is
// told nothing of TLS: who speaks to it has done that.
type full struct {
	hits   *quick
	server *http.Server
	at     net.Addr
	given  chan net.Conn
	closed chan struct{}
	desks  *sync.Pool
	shared h2.Shared
	pieces sync.Pool // of *[]byte
}

func newFull(e *Edge, l net.Listener) *full {
	s := Server(e)
	s.IdleTimeout = 0 // hits keep a connection busy of which it does not know
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: int(streamLimits().Streams), MaxReceiveBufferPerStream: int(streamLimits().StreamWindow),
		MaxReceiveBufferPerConnection: 1 << 20, MaxReadFrameSize: 16 << 10,
	}
	f := &full{
		hits: &quick{e}, server: s, at: l.Addr(), given: make(chan net.Conn), closed: make(chan struct{}), desks: h2.Desks(),
		pieces: sync.Pool{New: func() any { return new([]byte) }},
	}
	f.shared.Calmed = func() {
		e.counts.floods.Add(1)
		e.sayRefused()
	}
	return f
}

// run serves until stop is called, which waits for it.
func (f *full) run() (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.server.Serve(f) // until it is closed
	}()
	return func() {
		_ = f.server.Close()
		<-done
	}
}

// Accept is of net.Listener.
func (f *full) Accept() (net.Conn, error) {
	select {
	case c := <-f.given:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close may be called once.
func (f *full) Close() error {
	close(f.closed)
	return nil
}

// Addr is of net.Listener.
func (f *full) Addr() net.Addr { return f.at }

// multiplexed is a viewer's connection on which HTTP/2 is spoken.
type multiplexed struct {
	*h2.Conn

	door  *secureDoor
	wire  *secureWire
	state *tls.ConnectionState
	over  *assurance
}

// fitForHTTP2 reports whether HTTP/2 may be spoken over a connection.
// https://www.rfc-editor.org/rfc/rfc9113#section-9.2.2
func fitForHTTP2(state *tls.ConnectionState) bool {
	switch state.CipherSuite {
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return state.Version >= tls.VersionTLS12
	}
	return state.Version >= tls.VersionTLS13
}

// multiplex serves a viewer over HTTP/2.
func (d *secureDoor) multiplex(secure *tls.Conn, below *bundle, state *tls.ConnectionState) {
	m := &multiplexed{door: d, state: state, over: assuranceOf(state, secure.RemoteAddr(), "HTTP/2.0")}
	m.wire = &secureWire{Conn: secure, below: below, pieces: &d.full.pieces}
	m.Conn = h2.New(m.wire, m, h2.Options{Limits: streamLimits(), First: headerPatience, Idle: idlePatience, Stall: viewerPatience, Shared: &d.full.shared}, d.full.desks)
	if !d.enter(m) {
		_ = secure.Close()
		return
	}
	d.edge.start(func() {
		defer d.forget(m)
		m.Serve()
	})
}

func (m *multiplexed) leave()          { m.Leave() }
func (m *multiplexed) idle() time.Time { return m.Idle() }
func (m *multiplexed) part() {
	if !m.idle().IsZero() {
		m.Leave()
	}
}
func (m *multiplexed) cut() { _ = m.wire.below.Close() }

// Request is of h2.Handler.
func (m *multiplexed) Request(a *loop.Answer) *narrow.Request {
	q := ownQuery(a)
	q.over, a.Viewer = m.over, m.over
	return q.request
}

// Answer is of h2.Handler.
func (m *multiplexed) Answer(a *loop.Answer) bool {
	return m.door.full.hits.answerRead(a.Own.(*plainQuery), a) //nolint:forcetypeassert // Request has put it there
}

// Pass is of h2.Handler.
func (m *multiplexed) Pass(c net.Conn) {
	f := m.door.full
	select {
	case f.given <- &behind{c, m}:
	case <-f.closed:
		_ = c.Close()
	}
}

// behind is how the full server sees a viewer.
type behind struct {
	net.Conn

	viewer *multiplexed
}

func (b *behind) RemoteAddr() net.Addr { return b.viewer.wire.RemoteAddr() }
func (b *behind) LocalAddr() net.Addr  { return b.viewer.wire.LocalAddr() }

// secureWire is of h2.Wire.
type secureWire struct {
	*tls.Conn

	below  *bundle
	pieces *sync.Pool
}

// WriteTogether must not be called by two at once, nor while Write is.
func (w *secureWire) WriteTogether(p []byte) (n int, err error) {
	buf := w.pieces.Get().(*[]byte) //nolint:forcetypeassert // nothing else is put there
	*buf, err = w.below.together(*buf, func() (err error) { n, err = w.Write(p); return err })
	w.pieces.Put(buf)
	return n, err
}

// CloseWrite ends TLS, and the connection below it.
func (w *secureWire) CloseWrite() error {
	err := w.Conn.CloseWrite()
	if err == nil {
		err = w.below.CloseWrite()
	}
	return err
}
