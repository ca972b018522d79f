package edge

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/narrow"
)

// assurance is what is known of a viewer's connection over TLS.
type assurance struct {
	loop.Viewer

	name            string // that the viewer asked for in the handshake
	protocol, suite string // as the access log has them
	version         string // of HTTP
}

func assuranceOf(state *tls.ConnectionState, at net.Addr, version string) *assurance {
	a := &assurance{name: state.ServerName, version: version}
	a.protocol, a.suite = loggedTLS(state)
	from := new(farEnd)
	from.ip, from.port, _ = net.SplitHostPort(at.String())
	a.Viewer = from
	return a
}

// loggedTLS is how the access log calls a version of TLS and a suite.
func loggedTLS(state *tls.ConnectionState) (protocol, suite string) {
	return strings.ReplaceAll(tls.VersionName(state.Version), "TLS 1", "TLSv1"), tls.CipherSuiteName(state.CipherSuite)
}

// misdirects reports whether the connection was made for another distribution
// than s. It is misdirected for what net/http has not read.
func (a *assurance) misdirects(h hosts, s *site) bool {
	if a.name == "" {
		return false
	}
	promised := h.named(a.name)
	return promised != nil && promised != s
}

// record completes what the access log is told of a request.
func (a *assurance) record(r *accesslog.Record) {
	r.Protocol, r.ProtocolVersion, r.TLSProtocol, r.TLSSuite = "https", a.version, a.protocol, a.suite
}

// farEnd is of loop.Viewer.
type farEnd struct{ ip, port string }

func (f *farEnd) IP() string   { return f.ip }
func (f *farEnd) Port() string { return f.port }

// secureViewer is a connection over TLS on which HTTP/1.1 is spoken. What quick
// can answer is answered here, by a goroutine of the connection; the rest is
// lent to net/http, as loop lends it.
type secureViewer struct {
	door  *secureDoor
	tls   *tls.Conn
	below *bundle
	state tls.ConnectionState
	over  *assurance
	known bool // it has sent a request before
	first [1 << 10]byte

	readBy, writeBy time.Time // the deadlines that are set

	mu      sync.Mutex
	waiting bool // for a request
	leaving bool // it is the last
}

// desk is what a connection needs while it has a request.
type desk struct {
	query  plainQuery
	answer loop.Answer
	in     [2 * narrow.MaxSize]byte
	body   []byte
	wire   []byte
}

const (
	deskHead = 32 << 10 // bytes of answers that are gathered before they are sent
	deskBody = 64 << 10 // bytes of a large body that are sent at once
)

func newDesk() any {
	return &desk{body: make([]byte, deskBody), wire: make([]byte, 0, deskBody+deskBody/64)}
}

// coarse is how much sooner than it should a deadline may end: setting one costs
// more than reading a request.
const coarse = time.Second

func (v *secureViewer) readUntil(t time.Time) {
	if v.readBy.IsZero() || v.readBy.After(t) || t.Sub(v.readBy) > coarse {
		v.readBy = t
		_ = v.tls.SetReadDeadline(t) // a broken connection is found out by reading
	}
}

func (v *secureViewer) writeUntil(t time.Time) {
	if t.Sub(v.writeBy) > coarse {
		v.writeBy = t
		_ = v.tls.SetWriteDeadline(t)
	}
}

// serve answers what comes, of which in has come already, until the connection
// ends or is lent.
func (v *secureViewer) serve(in []byte) {
	for v.await(&in) {
		b := v.door.desks.Get().(*desk) //nolint:forcetypeassert // nothing else is put there
		n := copy(b.in[:], in)
		lend, whole := v.answer(b, &n)
		if lend > 0 {
			in = append([]byte(nil), b.in[:n]...)
		}
		v.door.desks.Put(b)
		switch {
		case lend > 0:
			v.door.lend(v, in[:lend], in[lend:], whole)
			return
		case lend < 0:
			v.end()
			return
		}
		in, v.known = nil, true
	}
	v.end()
}

// await returns when there are bytes of a request, or reports that there will be
// none.
func (v *secureViewer) await(in *[]byte) bool {
	if len(*in) > 0 {
		return true
	}
	patience := idlePatience
	if !v.known {
		patience = headerPatience
	}
	v.readUntil(time.Now().Add(patience))
	if !v.wait(true) {
		return false
	}
	n, _ := v.tls.Read(v.first[:]) // what else there is to say will be said again
	*in = v.first[:n]
	v.wait(false)
	return n > 0
}

// wait says whether the connection is idle from now on, and reports whether it
// may be.
func (v *secureViewer) wait(is bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = is
	return !v.leaving
}

// isWaiting reports whether the connection is idle.
func (v *secureViewer) isWaiting() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.waiting
}

// leave ends the connection as soon as it is idle.
func (v *secureViewer) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.leaving = true
	if v.waiting {
		_ = v.tls.SetReadDeadline(time.Unix(1, 0))
	}
}

func (v *secureViewer) cut() { _ = v.below.Close() }

func (v *secureViewer) end() {
	_ = v.tls.SetWriteDeadline(time.Now().Add(time.Second)) // of the goodbye
	_ = v.tls.Close()
	v.door.forget(v)
}

// answer answers the requests with which b.in[:n] begins, and reads on where one
// is not complete. lend is how many of the bytes are others' to answer, and
// whether they are one request; below 0 the connection is over.
func (v *secureViewer) answer(b *desk, n *int) (lend int, whole bool) {
	a := &b.answer
	a.Viewer, a.Own, a.Head, a.Now = v.over, &b.query, a.Head[:0], time.Now()
	b.query.over = v.over
	at, tries := 0, 0
	for at < *n {
		a.Used, a.Body, a.Length, a.Sent = 0, nil, 0, nil
		verdict := v.door.quick.Answer(b.in[at:*n], a)
		if verdict == loop.Answered {
			tries = 0
			at += a.Used
			if (at == *n || len(a.Body) > 0 || a.Length > 0 || a.Sent != nil || len(a.Head) >= deskHead) && v.send(b) != nil {
				return -1, false
			}
			continue
		}
		if len(a.Head) > 0 && v.send(b) != nil {
			return -1, false
		}
		*n, at = copy(b.in[:], b.in[at:*n]), 0
		if tries++; verdict == loop.More && tries < 4 && *n < len(b.in) && v.readOn(b, n, tries == 1) {
			a.Now = time.Now()
			continue
		}
		if verdict == loop.Lend {
			return a.Used, true
		}
		return *n, false
	}
	return 0, false
}

// readOn reads more of a request that is not complete. All of it must come in the
// time that there is for it, whatever it comes in.
func (v *secureViewer) readOn(b *desk, n *int, first bool) bool {
	if first {
		v.readUntil(time.Now().Add(headerPatience))
	}
	k, err := v.tls.Read(b.in[*n:])
	*n += k
	return k > 0 && (err == nil || errors.Is(err, io.EOF))
}

// send sends what is in the answer, and empties it.
func (v *secureViewer) send(b *desk) error {
	a := &b.answer
	now := time.Now()
	v.writeUntil(now.Add(viewerPatience))
	var err error
	if len(a.Body) == 0 && a.Length == 0 {
		_, err = v.tls.Write(a.Head)
		a.Head = a.Head[:0]
	} else {
		err = v.sendLarge(b)
	}
	return err
}

// sendLarge sends the head and the body that follows it in large pieces, which
// the viewer has to take one after another.
func (v *secureViewer) sendLarge(b *desk) error {
	a := &b.answer
	size := int64(len(a.Body)) + a.Length
	piece := append(b.body[:0], a.Head...)
	a.Head = a.Head[:0]
	for sent := int64(0); ; {
		head := len(piece)
		piece = piece[:head+int(min(size-sent, int64(cap(piece)-head)))]
		err := bodyAt(a, piece[head:], sent)
		if err == nil {
			v.writeUntil(time.Now().Add(viewerPatience))
			b.wire, err = v.below.together(b.wire, func() error { _, err := v.tls.Write(piece); return err })
		}
		if err == nil {
			sent += int64(len(piece) - head)
		}
		if err != nil || sent == size {
			if a.Sent != nil {
				a.Sent.Sent(sent, err == nil)
			}
			a.Body, a.Length, a.Sent = nil, 0, nil
			return err
		}
		piece = piece[:0]
	}
}

// bodyAt fills p with the body of an answer from a byte on.
func bodyAt(a *loop.Answer, p []byte, from int64) error {
	if len(a.Body) > 0 {
		copy(p, a.Body[from:])
		return nil
	}
	return loop.ReadFile(a.File, p, a.At+from)
}
