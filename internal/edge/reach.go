package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// maxOriginHeader is the largest header of an origin's response, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const maxOriginHeader = 32768

// reach tells how an origin is reached that no Resolver knows better: at the
// server that Config.Origins puts in its place, or else at its own address. The
// Host header is its domain name either way.
func (c *Config) reach(o distribution.Origin) (Origin, error) {
	name := strings.ToLower(o.DomainName)
	if instead := c.Origins[name]; instead != "" {
		return Origin{URL: instead, Host: o.DomainName}, nil
	}
	if name == "" || strings.ContainsAny(name, "/?#@ ") {
		return Origin{}, fmt.Errorf("origin %q has no domain name that can be asked: %q", o.ID, o.DomainName)
	}
	policy, httpPort, httpsPort := protocolOf(o)
	plain := (&url.URL{Scheme: "http", Host: withPort(name, httpPort, 80)}).String()
	secure := (&url.URL{Scheme: "https", Host: withPort(name, httpsPort, 443)}).String()
	switch policy {
	case "http-only":
		return Origin{URL: plain, Host: o.DomainName}, nil
	case "https-only":
		return Origin{URL: secure, Host: o.DomainName}, nil
	case "match-viewer":
		return Origin{URL: plain, SecureURL: secure, Host: o.DomainName}, nil
	}
	return Origin{}, fmt.Errorf("origin %q has the protocol policy %q, which is not http-only, match-viewer or https-only", o.ID, policy)
}

// protocolOf returns how an origin wants to be spoken to. With a bucket that is
// no website CloudFront uses the viewer's protocol.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
func protocolOf(o distribution.Origin) (policy string, httpPort, httpsPort int) {
	if c := o.CustomOriginConfig; c != nil {
		return cmp.Or(c.OriginProtocolPolicy, "match-viewer"), cmp.Or(c.HTTPPort, 80), cmp.Or(c.HTTPSPort, 443)
	}
	if o.VPCOriginConfig != nil {
		return "http-only", 80, 443 // the VPC origin itself, which is not read, would say
	}
	return "match-viewer", 80, 443
}

func withPort(name string, port, usual int) string {
	if port == usual {
		return name
	}
	return net.JoinHostPort(name, strconv.Itoa(port))
}

// newTransport connects as the configuration of an origin says, over HTTP/1.1
// only, which is what CloudFront speaks to origins. Redirects and proxies of the
// environment play no part. Certificates are checked against cas, nil for those
// of the system.
func newTransport(o distribution.Origin, cas *x509.CertPool) *http.Transport {
	connect := connectTimeout(o)
	only := new(http.Protocols)
	only.SetHTTP1(true)
	return &http.Transport{
		DialContext:            (&dialer{net.Dialer{Timeout: connect}}).dial,
		TLSClientConfig:        &tls.Config{RootCAs: cas, MinVersion: oldestTLS(o)},
		TLSHandshakeTimeout:    connect,
		DisableCompression:     true, // stored as sent
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        keepAlive(o),
		MaxResponseHeaderBytes: maxOriginHeader,
		Protocols:              only,
	}
}

// connectTimeout is how long a connection may take to come about.
func connectTimeout(o distribution.Origin) time.Duration {
	return cmp.Or(seconds64(o.ConnectionTimeout), 10*time.Second)
}

// keepAlive is how long a connection waits for the next request.
func keepAlive(o distribution.Origin) time.Duration {
	n := 0
	if c := o.CustomOriginConfig; c != nil {
		n = c.OriginKeepaliveTimeout
	} else if c := o.VPCOriginConfig; c != nil {
		n = c.OriginKeepaliveTimeout
	}
	return cmp.Or(seconds64(n), 5*time.Second)
}

// oldestTLS is the oldest version among the protocols of the configuration. What
// is older than TLS 1.0 nobody speaks any more.
func oldestTLS(o distribution.Origin) uint16 {
	if o.CustomOriginConfig == nil || len(o.CustomOriginConfig.OriginSSLProtocols) == 0 {
		return tls.VersionTLS12
	}
	oldest := uint16(tls.VersionTLS12)
	for _, p := range o.CustomOriginConfig.OriginSSLProtocols {
		switch p {
		case "SSLv3", "TLSv1":
			oldest = min(oldest, tls.VersionTLS10)
		case "TLSv1.1":
			oldest = min(oldest, tls.VersionTLS11)
		}
	}
	return oldest
}

// dialer finds this machine under every name below localhost, as browsers do and
// not every resolver does.
// https://www.rfc-editor.org/rfc/rfc6761#section-6.3
type dialer struct{ net.Dialer }

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.find(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &heard{Conn: conn}, nil
}

func (d *dialer) find(ctx context.Context, network, addr string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(addr); err == nil && isLocalhost(host) {
		conn, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return conn, nil
		}
		if conn, v6 := d.DialContext(ctx, network, net.JoinHostPort("::1", port)); v6 == nil {
			return conn, nil
		}
		return nil, err
	}
	return d.DialContext(ctx, network, addr)
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
