package edge

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/edge/certificate"
)

// TLS returns how viewers are answered over TLS: with the first certificate of
// own that fits the name they ask for, or else with one that self makes, where it
// is not nil and a distribution has the name. Who asks for no name, or one that
// nobody has, gets the certificate of the address that answers or that of
// CloudFront's own names. own is asked at each handshake; nil stands for none.
// HTTP/2 is spoken unless the distribution does not want it, and what is older or
// weaker than its security policy allows is not spoken at all. A server may change
// what is returned: handshakes are not by it, but by what it was made from.
func (e *Edge) TLS(own func() []tls.Certificate, self *certificate.Authority) *tls.Config {
	if own == nil {
		own = func() []tls.Certificate { return nil }
	}
	base := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return e.certificateFor(hello, own(), self)
		},
	}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return e.secure(hello, base), nil
	}
	return base.Clone()
}

var errNoCertificate = errors.New("there is no certificate for the name")

func (e *Edge) certificateFor(hello *tls.ClientHelloInfo, own []tls.Certificate, self *certificate.Authority) (*tls.Certificate, error) {
	for i := range own {
		if hello.SupportsCertificate(&own[i]) == nil {
			return &own[i], nil
		}
	}
	switch {
	case self != nil:
		return self.For(e.certified(hello))
	case len(own) > 0:
		return &own[0], nil
	}
	return nil, errNoCertificate
}

// secure returns how the distribution is spoken to that a viewer names; nil for
// as base says.
func (e *Edge) secure(hello *tls.ClientHelloInfo, base *tls.Config) *tls.Config {
	s := e.serving().hosts.named(hello.ServerName)
	if s == nil {
		return nil
	}
	// HTTP/2 is not spoken over what is older.
	// https://www.rfc-editor.org/rfc/rfc9113#section-9.2
	modern := slices.ContainsFunc(hello.SupportedVersions, func(v uint16) bool { return v >= tls.VersionTLS12 })
	plain := !modern || strings.EqualFold(s.config.Config.HTTPVersion, "http1.1") || strings.EqualFold(s.config.Config.HTTPVersion, "http3")
	if !plain && s.security.suites == nil && s.security.oldest == base.MinVersion {
		return nil
	}
	c := base.Clone()
	c.MinVersion, c.CipherSuites = s.security.oldest, s.security.suites
	if plain {
		c.NextProtos = []string{"http/1.1"}
	}
	return c
}

// certified is the name in the certificate for a viewer.
func (e *Edge) certified(hello *tls.ClientHelloInfo) string {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name != "" && (isLocalhost(name) || e.serving().hosts.named(name) != nil) {
		return name
	}
	if name == "" && hello.Conn != nil {
		if host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String()); err == nil {
			return host
		}
	}
	return "*.cloudfront.localhost"
}

// misdirected reports whether the name in the request belongs to another
// distribution than the one in the TLS handshake, which is a 421.
// https://www.rfc-editor.org/rfc/rfc9110#section-15.5.20
func (h hosts) misdirected(r *http.Request) bool {
	if r.TLS == nil || r.TLS.ServerName == "" {
		return false
	}
	promised := h.named(r.TLS.ServerName)
	return promised != nil && promised != h.find(r.Host)
}
