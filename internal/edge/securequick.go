package edge

import (
	"bytes"
	"crypto/tls"
	"net"
	"slices"
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
	known bool      // it has sent a request before
	again int       // bytes of a request that were looked at more than once
	begun time.Time // when that began to come
	first [1 << 10]byte

	readBy, writeBy time.Time // the deadlines that are set

	mu      sync.Mutex
	waiting bool      // for a request
	since   time.Time // since when nothing, or not all of a request, has come; zero where there is something to do
	leaving bool      // it is the last
}

// desk is what a connection needs while it has a request.
type desk struct {
	query  plainQuery
	answer loop.Answer
	in     [2 * narrow.MaxSize]byte
}

func newDesk() any { return new(desk) }

// deskHead is how many bytes of answers are gathered before they are sent.
const deskHead = 32 << 10

// tray is for the pieces in which a large body is sent.
type tray struct {
	body []byte
	wire []byte // the same as it goes out
}

// A large body is sent in large pieces, unless many are on their way: their viewers
// may all be slow, and each piece stays until it was taken.
const (
	largePiece = 64 << 10
	smallPiece = 8 << 10
	mostLarge  = 256 // trays for large pieces
)

func newTray(size int) *tray {
	return &tray{body: make([]byte, size), wire: make([]byte, 0, size+size/64+64)}
}

// takeTray returns a tray and what gives it back.
func (d *secureDoor) takeTray() (_ *tray, back func()) {
	if d.large.Add(1) > mostLarge {
		d.large.Add(-1)
		return newTray(smallPiece), func() {}
	}
	t, ok := d.trays.Get().(*tray)
	if !ok {
		t = newTray(largePiece)
	}
	return t, func() {
		d.trays.Put(t)
		d.large.Add(-1)
	}
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
	for {
		if len(in) == 0 && !v.await(&in) {
			v.end()
			return
		}
		verdict, used := v.answerAt(&in)
		if verdict == loop.More {
			verdict = v.awaitMore(&in)
			used = len(in)
		}
		switch verdict {
		case loop.Lend, loop.Leave:
			in = bytes.Clone(in)
			v.door.lend(v, in[:used:used], in[used:], verdict == loop.Lend)
			return
		case broken:
			v.end()
			return
		case loop.Answered:
			in, v.known = nil, true // what is idle needs nothing
		case loop.More: // has come
		}
	}
}

// broken is the verdict on a connection that is over.
const broken loop.Verdict = -1

// answerAt answers what it can of in, at a desk, and leaves the rest there.
func (v *secureViewer) answerAt(in *[]byte) (_ loop.Verdict, used int) {
	b := v.door.desks.Get().(*desk) //nolint:forcetypeassert // nothing else is put there
	defer v.door.desks.Put(b)
	n := copy(b.in[:], *in)
	verdict, used := v.answer(b, &n)
	*in = append((*in)[:0], b.in[:n]...)
	return verdict, used
}

// await returns when there are bytes of a request, or reports that there will be
// none.
func (v *secureViewer) await(in *[]byte) bool {
	patience := idlePatience
	if !v.known {
		patience = headerPatience
	}
	now := time.Now()
	v.readUntil(now.Add(patience))
	if !v.wait(true, now) {
		return false
	}
	n, _ := v.tls.Read(v.first[:]) // what else there is to say will be said again
	*in, v.again = v.first[:n], 0
	v.wait(false, time.Time{})
	return n > 0
}

// mostAgain is how many bytes of a request that comes in pieces are looked at
// while it is not complete.
const mostAgain = 1 << 20

// awaitMore returns More when there is more of a request that has begun. All of it
// must come in the time that there is for it, whatever it comes in. If there is no
// more, or it takes too long to be read anew each time, others answer it. While it
// waits there is no desk: those who are slow shall take little room.
func (v *secureViewer) awaitMore(in *[]byte) loop.Verdict {
	if v.again == 0 {
		v.begun = time.Now()
		v.readUntil(v.begun.Add(headerPatience))
	}
	if v.again += len(*in); v.again >= mostAgain || len(*in) > narrow.MaxSize {
		return loop.Leave
	}
	v.wait(false, v.begun)
	defer v.wait(false, time.Time{})
	if len(*in) == cap(*in) {
		*in = slices.Grow(*in, narrow.MaxSize/2)
	}
	n, err := v.tls.Read((*in)[len(*in):cap(*in)])
	*in = (*in)[:len(*in)+n]
	switch {
	case n > 0:
		return loop.More
	case timedOut(err):
		return broken
	}
	return loop.Leave
}

// wait says whether the connection is idle from now on, and since when it has
// kept others waiting, if it does. It reports whether it may.
func (v *secureViewer) wait(is bool, since time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting, v.since = is, since
	return !v.leaving
}

// idle is of leaver.
func (v *secureViewer) idle() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.since
}

// part ends the connection if it keeps others waiting.
func (v *secureViewer) part() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.since.IsZero() {
		v.leaving = true
		_ = v.tls.SetReadDeadline(time.Unix(1, 0))
	}
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

// answer answers the requests with which b.in[:n] begins, and leaves there what it
// does not answer. Of that so many bytes are others' to answer, unless more is
// needed to say.
func (v *secureViewer) answer(b *desk, n *int) (_ loop.Verdict, used int) {
	a := &b.answer
	a.Viewer, a.Own, a.Head, a.Now = v.over, &b.query, a.Head[:0], time.Now()
	b.query.over = v.over
	for at := 0; at < *n; {
		a.Used, a.Body, a.Length, a.Sent = 0, nil, 0, nil
		verdict := v.door.quick.Answer(b.in[at:*n], a)
		if verdict == loop.Answered {
			v.again = 0
			at += a.Used
			if (at == *n || len(a.Body) > 0 || a.Length > 0 || a.Sent != nil || len(a.Head) >= deskHead) && v.send(b) != nil {
				return broken, 0
			}
			continue
		}
		if len(a.Head) > 0 && v.send(b) != nil {
			return broken, 0
		}
		if *n = copy(b.in[:], b.in[at:*n]); verdict == loop.Lend {
			return verdict, a.Used
		}
		return verdict, *n
	}
	*n = 0
	return loop.Answered, 0
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
	t, back := v.door.takeTray()
	defer back()
	size := int64(len(a.Body)) + a.Length
	piece := append(t.body[:0], a.Head...)
	a.Head = a.Head[:0]
	for sent := int64(0); ; {
		head := len(piece)
		piece = piece[:head+int(min(size-sent, int64(cap(piece)-head)))]
		err := bodyAt(a, piece[head:], sent)
		if err == nil {
			v.writeUntil(time.Now().Add(viewerPatience))
			t.wire, err = v.below.together(t.wire, func() error { _, err := v.tls.Write(piece); return err })
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
