package edge

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"

	"github.com/freshet/freshet/internal/edge/certificate"
)

// TLS returns how viewers are answered over TLS: with the certificate of own
// that fits the name they ask for, or else with one that self makes, where it is
// not nil and a distribution has the name. Who asks for no name, or one that
// nobody has, gets the certificate of the address that answers or that of
// CloudFront's own names. HTTP/2 is spoken unless the distribution does not want
// it.
//
// Distributions that come later are known as well.
func (e *Edge) TLS(own []tls.Certificate, self *certificate.Authority) *tls.Config {
	base := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			for i := range own {
				if hello.SupportsCertificate(&own[i]) == nil {
					return &own[i], nil
				}
			}
			if self == nil {
				return nil, nil //nolint:nilnil // the first of Certificates is meant
			}
			return self.For(e.certified(hello))
		},
		Certificates: own,
	}
	old := base.Clone()
	old.NextProtos = []string{"http/1.1"}
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if s := e.serving().hosts.named(hello.ServerName); s != nil && strings.EqualFold(s.config.Config.HTTPVersion, "http1.1") {
			return old, nil
		}
		return nil, nil //nolint:nilnil // the configuration at hand is meant
	}
	return base
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
