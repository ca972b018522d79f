package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// tunnelIdle is how long a WebSocket connection may be silent.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-working-with.websockets.html
const tunnelIdle = 10 * time.Minute

// upgradeOf returns the protocol that a viewer wants to go on with; empty for
// none. CloudFront knows WebSocket only, over HTTP/1.1.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/distribution-working-with.websockets.html
func upgradeOf(r *http.Request) string {
	if r.Method != http.MethodGet || r.ProtoMajor != 1 || r.ProtoMinor < 1 || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return ""
	}
	for _, line := range r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(trimSpace(name), "Upgrade") {
				return "websocket"
			}
		}
	}
	return ""
}

// setUpgrade asks the origin to go on with protocol, if that is not empty.
func (a *asking) setUpgrade(protocol string) {
	if protocol != "" {
		a.header["Connection"], a.header["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	}
}

// isHandshake reports whether a header belongs to the opening of a WebSocket
// connection.
func isHandshake(name string) bool { return strings.HasPrefix(name, "Sec-Websocket-") }

// tunnel carries bytes both ways, once the origin has switched protocols, until
// both sides have ended, one breaks off, or both are silent.
func (e *Edge) tunnel(w http.ResponseWriter, resp *response, protocol string) {
	origin, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(resp.Header.Get("Upgrade"), protocol) {
		e.log.Warn("the origin switched to another protocol", slog.String("protocol", resp.Header.Get("Upgrade")))
		panic(http.ErrAbortHandler)
	}
	h := endToEnd(resp.Header, notFromOrigin)
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{protocol}
	e.sign(w.Header(), http.StatusSwitchingProtocols, miss)
	for name, values := range w.Header() {
		h[name] = values
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
	viewer, buffered, err := control.Hijack()
	if err != nil {
		e.log.Warn("WebSocket connection", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	}
	defer viewer.Close()
	head := http.Response{StatusCode: http.StatusSwitchingProtocols, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h}
	if errors.Join(head.Write(buffered), buffered.Flush()) != nil {
		return
	}
	if x, ok := w.(*exchange); ok {
		x.status = http.StatusSwitchingProtocols
	}
	end := func() { viewer.Close(); origin.Close() }
	defer context.AfterFunc(e.ctx, end)()
	idle := time.AfterFunc(tunnelIdle, end)
	defer idle.Stop()
	var both sync.WaitGroup
	both.Go(func() { pipe(origin, buffered.Reader, idle, end) })
	both.Go(func() { pipe(viewer, origin, idle, end) })
	both.Wait()
	end()
}

// pipe carries bytes one way until there are no more, and says so to where they
// went: the other way may go on. Where that cannot be said or anything else comes
// in between, all is over.
func pipe(to io.Writer, from io.Reader, idle *time.Timer, end func()) {
	half, ok := to.(interface{ CloseWrite() error })
	if err := carry(to, from, idle); err != io.EOF || !ok || half.CloseWrite() != nil { //nolint:errorlint // the end is io.EOF itself
		end()
	}
}

// carry copies until the end, and puts off the end of the silence.
func carry(to io.Writer, from io.Reader, idle *time.Timer) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			idle.Reset(tunnelIdle)
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}
