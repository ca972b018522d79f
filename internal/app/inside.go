package app

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge"
)

// insideHost is the name by which verification goes to the edge from inside.
const insideHost = "edge.inside"

// inside is a way to the edge that no address leads to. What comes by it counts
// as having come over TLS, so that distributions that send viewers to HTTPS can
// be verified although the edge may have no address for that.
type inside struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newInside() *inside { return &inside{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Accept waits for the next connection.
func (l *inside) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close may be called twice.
func (l *inside) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is no address.
func (l *inside) Addr() net.Addr { return &net.UnixAddr{Name: insideHost} }

func (l *inside) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// server serves the edge to what comes from inside.
func (l *inside) server(e *edge.Edge) *http.Server {
	s := edge.Server(e)
	outside := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
		r.RemoteAddr = "127.0.0.1:0"
		outside.ServeHTTP(w, r)
	})
	return s
}

// transport goes inside for insideHost, and to other addresses as usual.
func (l *inside) transport() *http.Transport {
	var outside net.Dialer
	return &http.Transport{
		MaxIdleConnsPerHost: 64, DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if host, _, err := net.SplitHostPort(addr); err == nil && host == insideHost {
				return l.dial(ctx)
			}
			return outside.DialContext(ctx, network, addr)
		},
	}
}

// wantsTLS reports whether a behavior of d does not answer over plain HTTP.
func wantsTLS(d distribution.Distribution) bool {
	return slices.ContainsFunc(append([]distribution.CacheBehavior{d.Config.DefaultCacheBehavior}, d.Config.CacheBehaviors...), func(b distribution.CacheBehavior) bool {
		return b.ViewerProtocolPolicy == "redirect-to-https" || b.ViewerProtocolPolicy == "https-only"
	})
}
