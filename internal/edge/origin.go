package edge

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/s3origin"
	"github.com/freshet/freshet/internal/edge/wire"
)

// Origin is how the edge reaches one origin of a distribution. The zero value
// stands for the way that the distribution itself describes.
type Origin struct {
	URL       string            // scheme, host, and a path that goes before the origin path, if any
	SecureURL string            // in place of URL for viewers who come over TLS; empty for URL
	Host      string            // for the Host header; empty for that of URL
	Transport http.RoundTripper // nil for plain HTTP and HTTPS
}

// BucketOrigin reaches a bucket through an S3 API, with signed requests.
func BucketOrigin(c s3origin.Config) (Origin, error) {
	t, err := s3origin.New(c)
	if err != nil {
		return Origin{}, err
	}
	return Origin{URL: c.Endpoint, Transport: t}, nil
}

// origin is an Origin in the form requests need.
type origin struct {
	config        distribution.Origin
	plain, secure endpoint    // by how the viewer came
	host          string      // empty for that of the endpoint
	forced        string      // for the Host header, whatever the policies say; empty for what they say
	custom        http.Header // added to every request, in place of what the viewer sent
	transport     http.RoundTripper
	attempts      int
	patience      time.Duration // for the first byte of a response and between any two
	completion    time.Duration // for all of a response; 0 for as long as it takes
}

// hangUp closes the connections that nobody uses.
func (o *origin) hangUp() {
	if t, ok := o.transport.(*http.Transport); ok {
		(&dialing{t, []*wire.Client{o.plain.wire, o.secure.wire}}).hangUp()
	}
}

// dialing is by what an origin is connected to that no Resolver knows better.
type dialing struct {
	transport *http.Transport
	wires     []*wire.Client // some may be nil
}

// hangUp closes the connections that nobody uses.
func (d *dialing) hangUp() {
	d.transport.CloseIdleConnections()
	for _, w := range d.wires {
		if w != nil {
			w.CloseIdle()
		}
	}
}

// dial has an origin connected to as its configuration says.
func (o *origin) dial(cas *x509.CertPool) *dialing {
	made := newTransport(o.config, cas)
	o.transport = made
	o.plain.wire, o.secure.wire = o.newWire(&o.plain, made), o.newWire(&o.secure, made)
	if o.secure.address == o.plain.address {
		o.secure.wire = o.plain.wire
	}
	return &dialing{made, []*wire.Client{o.plain.wire, o.secure.wire}}
}

// newWire returns nil for an endpoint that wants TLS.
func (o *origin) newWire(at *endpoint, like *http.Transport) *wire.Client {
	if at.scheme != "http" {
		return nil
	}
	address := at.address
	if u := (&url.URL{Host: address}); u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "80")
	}
	to := &dialer{net.Dialer{Timeout: connectTimeout(o.config)}}
	return &wire.Client{Address: address, Dial: to.find, MaxIdle: like.MaxIdleConnsPerHost, IdleFor: like.IdleConnTimeout, MaxHeader: like.MaxResponseHeaderBytes}
}

// apart is a transport to the same origin that shares no connection with anyone.
func (o *origin) apart() http.RoundTripper {
	t, ok := o.transport.(*http.Transport)
	if !ok {
		return o.transport
	}
	alone := t.Clone()
	alone.DisableKeepAlives = true
	return alone
}

// endpoint is where an origin listens.
type endpoint struct {
	scheme, address string
	prefix          string // escaped path in front of that of the viewer, without a slash at the end

	wire *wire.Client // nil where there is TLS or another's transport
}

// newOrigin puts together how o is reached and what its configuration says;
// usual is the patience with an origin that says nothing of it.
func newOrigin(reached Origin, o distribution.Origin, usual time.Duration) (*origin, error) {
	made := &origin{config: o, host: reached.Host, transport: reached.Transport, attempts: cmp.Or(max(o.ConnectionAttempts, 0), defaultAttempts)}
	made.completion = seconds64(o.ResponseCompletionTimeout)
	made.patience = cmp.Or(seconds64(readTimeout(o)), usual)
	var err error
	if made.plain, err = newEndpoint(reached.URL, o.OriginPath); err != nil {
		return nil, err
	}
	if made.secure, err = newEndpoint(cmp.Or(reached.SecureURL, reached.URL), o.OriginPath); err != nil {
		return nil, err
	}
	made.custom, err = customHeaders(o.CustomHeaders)
	return made, err
}

func newEndpoint(raw, path string) (endpoint, error) {
	base, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, fmt.Errorf("read URL of origin: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" {
		return endpoint{}, fmt.Errorf("origin URL %q must be http or https, name a host and have no query string", raw)
	}
	prefix := strings.TrimSuffix(base.EscapedPath(), "/") + escapePath(strings.TrimSuffix(path, "/"))
	return endpoint{scheme: base.Scheme, address: base.Host, prefix: prefix}, nil
}

// customHeaders are those of an origin's configuration. One that could break a
// request apart is refused.
func customHeaders(list []distribution.OriginHeader) (http.Header, error) {
	h := make(http.Header, len(list))
	for _, c := range list {
		if !isToken(c.HeaderName) || strings.ContainsAny(c.HeaderValue, "\r\n\x00") {
			return nil, fmt.Errorf("custom header %q: %q cannot be sent", c.HeaderName, c.HeaderValue)
		}
		h.Set(c.HeaderName, c.HeaderValue)
	}
	return h, nil
}

// isToken reports whether s may be the name of a header.
// https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func seconds64(n int) time.Duration { return time.Duration(max(n, 0)) * time.Second }

// readTimeout is the origin response timeout in seconds, 0 where nothing is said.
func readTimeout(o distribution.Origin) int {
	switch {
	case o.CustomOriginConfig != nil:
		return o.CustomOriginConfig.OriginReadTimeout
	case o.S3OriginConfig != nil:
		return o.S3OriginConfig.OriginReadTimeout
	case o.VPCOriginConfig != nil:
		return o.VPCOriginConfig.OriginReadTimeout
	}
	return 0
}

// escapePath makes a path, as a viewer may spell it, one that may stand in a
// URL: what must be escaped is, and everything else, escapes included, stays as
// it was.
func escapePath(raw string) string {
	const plain = "-_.~!$&'()*+,;=:@/[]"
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		case c == '%' && isEscape(raw[i:]):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// escapeQuery makes a query string one that may stand in a request line, which
// ends at a space. All else stays as it was.
func escapeQuery(raw string) string {
	breaks := func(c rune) bool { return c <= ' ' || c == 0x7F || c == '#' }
	if !strings.ContainsFunc(raw, breaks) {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if c := raw[i]; breaks(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isEscape reports whether s begins with a percent sign and two hexadecimal
// digits.
func isEscape(s string) bool {
	return len(s) >= 3 && s[0] == '%' && isHexDigit(s[1]) && isHexDigit(s[2])
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// conditional returns h with the conditions under which the origin may answer
// that old is still right. There are none if old is nil, as it is for a copy
// that was invalidated: whoever invalidates says that the copy is wrong, so only
// an origin that is mistaken would confirm it.
func conditional(h http.Header, old *entry) http.Header {
	if old == nil || old.life.unconfirmed {
		return h
	}
	h = h.Clone()
	if etag := old.header.Get("Etag"); etag != "" {
		h.Set("If-None-Match", etag)
	}
	if modified := old.header.Get("Last-Modified"); modified != "" {
		h.Set("If-Modified-Since", modified)
	}
	return h
}

// addOwn adds what CloudFront adds to every request, but for the request's ID.
func (e *Edge) addOwn(h http.Header, r *http.Request) {
	setDefault(h, "User-Agent", "Amazon CloudFront")
	setDefault(h, "Accept-Encoding", "identity")
	appendTo(h, "Via", r.Header["Via"], e.via)
	if viewer, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		appendTo(h, "X-Forwarded-For", r.Header["X-Forwarded-For"], viewer)
	}
}

// setDefault leaves alone what is there because the cache key holds it.
func setDefault(h http.Header, name, value string) {
	if _, set := h[name]; !set {
		h[name] = []string{value}
	}
}

func appendTo(h http.Header, name string, before []string, value string) {
	h.Set(name, strings.Join(append(append([]string(nil), before...), value), ", "))
}

// Resolver tells how to reach an origin of a distribution. It may return the
// zero Origin for those that are reached as the distribution says.
type Resolver func(distribution.Distribution, distribution.Origin) (Origin, error)
