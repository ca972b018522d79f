package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// Limits that hold where Config does not say otherwise.
const (
	DefaultTimeout = 30 * time.Second
	DefaultMaxBody = 64 << 20
	// MaxHeader is how many bytes the headers of a response may have.
	MaxHeader = 64 << 10
	// slowest is how many bytes a second a body must have beyond the time limit.
	slowest = 64 << 10
	// MaxRedirects is how many redirects are followed one after the other at most.
	MaxRedirects = 10
)

// Config is what a Client needs. Only Guard has no default.
type Config struct {
	Guard     *Guard
	Rules     Rules          // where hosts are asked that Ask.At says nothing about, after redirects
	Roots     *x509.CertPool // that TLS certificates must lead to; nil: the system's
	Timeout   time.Duration  // of one fetch; a large body has a second more for each 64 KiB
	MaxBody   int64          // bytes that are read of a body at most, and that decoding it may make
	UserAgent string         // empty: freshet
	Resolver  *net.Resolver  // of names; nil: the system's
}

// Client fetches what its Guard allows. It keeps connections, each for the place
// it was made to; Close ends those that nobody uses. It takes no proxy from the
// environment, since a proxy would look names up by itself.
type Client struct {
	cfg Config

	mu         sync.Mutex
	transports map[Place]*http.Transport
}

// New returns a client. A Guard is needed.
func New(cfg Config) *Client {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "freshet"
	}
	if cfg.Guard == nil {
		cfg.Guard = NewGuard()
	}
	return &Client{cfg: cfg, transports: make(map[Place]*http.Transport)}
}

// Close closes idle connections. It may be called twice.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}

// Ask is a GET as a viewer sends it.
type Ask struct {
	URL    *url.URL
	Header http.Header // Accept-Encoding is sent as it stands here, or as identity; Host is not taken from here
	At     Place
	Follow Follow
	Sums   bool      // hash the body
	Into   io.Writer // also gets the body, as it is sent; may be nil
}

// Follow says which redirects are followed, among those to URLs that the Guard
// allows.
type Follow int

// What is followed. FollowNone is the zero value.
const (
	FollowNone    Follow = iota
	FollowUpgrade        // from http to https, if nothing else changes
	FollowAll
)

// Fetch asks and reads the whole body, up to the limit. An answer of whatever
// status is no error. What the Guard does not allow is a *Refused; a redirect to
// there is an answer that says so in Stopped.
func (c *Client) Fetch(ctx context.Context, ask Ask) (Answer, error) {
	to, err := c.cfg.Guard.Allow(ask.URL)
	if err != nil {
		return Answer{}, err
	}
	var via []string
	at := ask.At
	for {
		a, err := c.once(ctx, ask, to, at)
		a.Via = via
		if err != nil || a.Location == "" || ask.Follow == FollowNone {
			return a, err
		}
		next, stop := c.next(ask, to, a.Location, len(via))
		if stop != "" {
			a.Stopped = stop
			return a, nil
		}
		via = append(via, to.URL.String())
		if next.Host != to.Host || next.Port != to.Port {
			at = c.placeAfter(ask.At, to, next)
		}
		to = next
	}
}

// placeAfter is where a redirect to another host or port is followed to. A place
// without a port of its own stays where the host does.
func (c *Client) placeAfter(at Place, from, to Destination) Place {
	if rule := c.cfg.Rules.Places(to.URL)[0]; rule != (Place{}) {
		return rule
	}
	if from.Host == to.Host && at.Port == 0 {
		return at
	}
	return Place{}
}

// next is where a redirect leads, or why it is not followed.
func (c *Client) next(ask Ask, from Destination, location string, before int) (Destination, string) {
	u, err := from.URL.Parse(location)
	if err != nil {
		return Destination{}, "its Location is no URL"
	}
	to, err := c.cfg.Guard.Allow(u)
	switch {
	case err != nil:
		return Destination{}, err.Error()
	case ask.Follow == FollowUpgrade && !upgrade(from, to):
		return Destination{}, "it leads elsewhere"
	case before+1 >= MaxRedirects:
		return Destination{}, fmt.Sprintf("there were %d redirects before it", before)
	case from.URL.Scheme == "https" && to.URL.Scheme == "http":
		return Destination{}, "it leads from https to http"
	}
	return to, ""
}

func upgrade(from, to Destination) bool {
	return from.URL.Scheme == "http" && to.URL.Scheme == "https" && from.Host == to.Host && from.URL.RequestURI() == to.URL.RequestURI()
}

// once sends one request.
func (c *Client) once(ctx context.Context, ask Ask, to Destination, at Place) (Answer, error) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pace := &pace{began: began, patience: c.cfg.Timeout}
	pace.timer = time.AfterFunc(c.cfg.Timeout, func() { cancel(errSlow{c.cfg.Timeout}) })
	defer pace.timer.Stop()
	var remote netip.AddrPort
	req, err := c.request(context.WithValue(ctx, dialing{}, &dialed{to: to, pinned: at.Addr.IsValid()}), ask, to)
	if err != nil {
		return Answer{}, err
	}
	req = req.WithContext(traceRemote(req.Context(), &remote))
	resp, err := c.transport(at).RoundTrip(req)
	if err != nil {
		return Answer{Remote: remote}, why(ctx, to.URL, err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := Answer{URL: to.URL.String(), Status: resp.StatusCode, Header: resp.Header, Proto: resp.Proto, Length: resp.ContentLength, Remote: remote, At: time.Now()}
	if resp.StatusCode/100 == 3 && resp.StatusCode != http.StatusNotModified {
		a.Location = resp.Header.Get("Location")
	}
	if err := c.read(&a, ask, pace.reader(resp.Body)); err != nil {
		return a, why(ctx, to.URL, err)
	}
	a.Took = time.Since(began)
	return a, nil
}

func (c *Client) request(ctx context.Context, ask Ask, to Destination) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "", http.NoBody)
	if err != nil {
		return nil, err
	}
	req.URL, req.Host = to.URL, to.URL.Host
	for name, values := range ask.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	req.Header.Del("Host")
	if req.Header.Get("Accept-Encoding") == "" {
		req.Header.Set("Accept-Encoding", "identity")
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", c.cfg.UserAgent)
	}
	return req, nil
}

// errSlow is why a fetch was ended.
type errSlow struct{ limit time.Duration }

func (e errSlow) Error() string {
	return fmt.Sprintf("not answered within %v, or more slowly than %d KiB/s", e.limit, slowest>>10)
}

// Timeout makes it a net.Error's kind of timeout.
func (errSlow) Timeout() bool { return true }

// why names what ended a fetch. A refusal is returned as it is.
func why(ctx context.Context, u *url.URL, err error) error {
	if r, ok := errors.AsType[*Refused](err); ok {
		return r
	}
	if slow, ok := errors.AsType[errSlow](context.Cause(ctx)); ok {
		err = slow
	}
	return fmt.Errorf("fetch %s: %w", u.Redacted(), err)
}

// dialing is the key under which a context has what its connection is for. It is
// the destination that decides what may be dialed, and a transport tells its
// dialer nothing else.
type dialing struct{}

type dialed struct {
	to     Destination
	pinned bool
}

// transport returns the one for a place. Connections are not shared between
// places, since a transport knows its connections by host and port alone.
func (c *Client) transport(at Place) *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.transports[at]
	if t == nil {
		t = &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return c.dial(ctx, network, addr, at)
			},
			TLSClientConfig:        &tls.Config{RootCAs: c.cfg.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        time.Minute,
			TLSHandshakeTimeout:    c.cfg.Timeout,
			MaxResponseHeaderBytes: MaxHeader,
		}
		c.transports[at] = t
	}
	return t
}

// dial connects to the place, or to where the host's name leads. The address is
// judged when it is connected to, so that no name can lead elsewhere between a
// look and the connection.
func (c *Client) dial(ctx context.Context, network, addr string, at Place) (net.Conn, error) {
	d, ok := ctx.Value(dialing{}).(*dialed)
	if !ok {
		return nil, &Refused{addr, "nobody asked for it"}
	}
	if at.Addr.IsValid() {
		port := at.Port
		if port == 0 {
			port = d.to.Port
		}
		addr = netip.AddrPortFrom(at.Addr, port).String()
	}
	dialer := net.Dialer{Resolver: c.cfg.Resolver, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return &Refused{address, "it is no address"}
		}
		return d.to.dialable(ap.Addr(), d.pinned)
	}}
	return dialer.DialContext(ctx, network, addr)
}

// pace allows a fetch more time for each byte of its body.
type pace struct {
	began    time.Time
	patience time.Duration
	timer    *time.Timer
	in       io.Reader
	n        int64
}

func (p *pace) reader(in io.Reader) io.Reader { p.in = in; return p }

func (p *pace) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	p.n += int64(n)
	if extra := time.Duration(p.n/slowest) * time.Second; extra > 0 {
		p.timer.Reset(time.Until(p.began.Add(p.patience + extra)))
	}
	return n, err
}

// Transport is the client as what an http.Client sends requests with: it has the
// same Guard and dialer, and asks wherever the Rules say first. It bounds headers
// but neither time nor body, and a request without Accept-Encoding has none.
func (c *Client) Transport() http.RoundTripper { return guarded{c} }

type guarded struct{ c *Client }

func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := g.c.cfg.Guard.Allow(r.URL)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	at := g.c.cfg.Rules.Places(to.URL)[0]
	clone := r.Clone(context.WithValue(r.Context(), dialing{}, &dialed{to: to, pinned: at.Addr.IsValid()}))
	clone.URL = to.URL
	return g.c.transport(at).RoundTrip(clone)
}

// ParseURL reads a URL that a Guard can judge.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL: %w", text, errors.Unwrap(err))
	}
	d, err := destination(u)
	if err != nil {
		return nil, err
	}
	return d.URL, nil
}
