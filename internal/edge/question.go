package edge

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// Question is a request that somebody asks about. The zero values stand for what
// curl sends.
type Question struct {
	Distribution string      `json:"distribution,omitempty"` // ID; empty for the one that answers to the host
	Method       string      `json:"method,omitempty"`       // empty for GET
	Host         string      `json:"host,omitempty"`         // empty for a name of the distribution
	Target       string      `json:"target"`                 // path and query string
	Header       http.Header `json:"header,omitempty"`       // Host counts before that above
	Secure       bool        `json:"secure,omitempty"`       // over HTTPS
	Viewer       string      `json:"viewer,omitempty"`       // address, with or without a port; empty for 127.0.0.1
	Answers      []Answer    `json:"answers,omitempty"`      // of the origin, to be judged beside the usual ones
}

// ErrQuestion is what Explain fails with for a request that no viewer can send.
var ErrQuestion = errors.New("no such request can be sent")

// Check returns ErrQuestion for a request that no viewer can send.
func (q *Question) Check() error {
	_, err := q.request("any.invalid")
	return err
}

// request makes of a question what the door would have read. What a browser
// escapes in a URL is escaped.
func (q *Question) request(host string) (*http.Request, error) {
	h := q.Header.Clone()
	host = cmp.Or(h.Get("Host"), q.Host, host)
	delete(h, "Host")
	method := cmp.Or(q.Method, http.MethodGet)
	if !isToken(method) || !strings.HasPrefix(q.Target, "/") || strings.ContainsAny(host, " /?#\r\n") {
		return nil, fmt.Errorf("%w: %s %s of host %q", ErrQuestion, method, q.Target, host)
	}
	target := sendable(q.Target)
	text := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for name, values := range h {
		for _, v := range values {
			if !isToken(name) || strings.ContainsAny(v, "\r\n\x00") {
				return nil, fmt.Errorf("%w: header %q: %q", ErrQuestion, name, v)
			}
			text += name + ": " + v + "\r\n"
		}
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + "\r\n")))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	if r.RemoteAddr, err = viewerAt(q.Viewer); err != nil {
		return nil, err
	}
	if q.Secure {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	}
	return r, nil
}

// viewerAt completes an address with a port.
func viewerAt(text string) (string, error) {
	const port = "50000"
	if text == "" {
		text = "127.0.0.1"
	}
	if at, err := netip.ParseAddr(text); err == nil {
		return net.JoinHostPort(at.String(), port), nil
	}
	if _, err := netip.ParseAddrPort(text); err != nil {
		return "", fmt.Errorf("%w: the viewer's address %q is none", ErrQuestion, text)
	}
	return text, nil
}

// sendable escapes what cannot stand in a request line.
func sendable(target string) string {
	var b strings.Builder
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7F {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// usualHost is a name by which viewers know a distribution: the first alias that
// is one name, or else its own.
func usualHost(d *distribution.Distribution) string {
	i := slices.IndexFunc(d.Config.Aliases, func(name string) bool { return !strings.Contains(name, "*") })
	if i >= 0 {
		return d.Config.Aliases[i]
	}
	return cmp.Or(d.DomainName, strings.ToLower(cmp.Or(d.ID, "distribution"))+distribution.LocalSuffix)
}
