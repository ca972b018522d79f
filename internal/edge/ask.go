package edge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/edge/wire"
)

// asking is a request to an origin, whichever that will be.
type asking struct {
	method string
	header http.Header   // not modified
	host   string        // empty for the origin's own name
	body   io.ReadCloser // nil for none; not closed
	length int64         // of the body; -1 if unknown
	secure bool          // the viewer came over TLS
	told   func(interim) // of what comes before the final response; nil for nobody
}

// at is where a request goes.
func (o *origin) at(a *asking) *endpoint {
	if a.secure {
		return &o.secure
	}
	return &o.plain
}

// hostFor is the Host header of a request.
func (o *origin) hostFor(a *asking) string {
	return cmp.Or(o.forced, a.host, o.host, o.at(a).address)
}

// headerFor is the rest of its headers.
func (o *origin) headerFor(a *asking) http.Header {
	h := a.header.Clone()
	for name, values := range o.custom {
		h[name] = values
	}
	return h
}

// request makes a request for the path and query string as the viewer spelled
// them, or a function wrote them, who may have left out an escape.
func (o *origin) request(ctx context.Context, a asking, path, query string) (*http.Request, error) {
	at := o.at(&a)
	raw := at.prefix + escapePath(path)
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return nil, fmt.Errorf("read path %q: %w", raw, err)
	}
	r := &http.Request{
		Method: a.method, Host: o.hostFor(&a), Header: o.headerFor(&a), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: at.scheme, Host: at.address, Path: decoded, RawPath: raw, RawQuery: escapeQuery(query)},
	}
	if a.body != nil && a.length != 0 {
		r.Body, r.ContentLength = a.body, a.length
	}
	return r.WithContext(ctx), nil
}

// errOriginSlow is the cause with which a request to an origin is given up.
var errOriginSlow = errors.New("the origin did not answer in time")

// response is an origin's answer whose body must be read with read and then
// closed.
type response struct {
	*http.Response
	received time.Time
	wired    *wire.Answer // the response itself, where it came so; then only encoded counts of the following
	timer    *time.Timer
	patience time.Duration
	ctx      context.Context
	cancel   context.CancelCauseFunc
	deadline *time.Timer // for all of it; nil for none
	encoded  io.Reader   // in place of the body; nil where that is not compressed

	arrived *bytes.Reader // of all of the body, where that has arrived with the header; then only encoded counts of what is above
	body    []byte        // the same
}

// read returns more of what viewers get of the body.
func (r *response) read(p []byte) (int, error) {
	if r.encoded != nil {
		return r.encoded.Read(p)
	}
	return r.Read(p)
}

// abort has what is read from now on fail with a cause.
func (r *response) abort(cause error) {
	if r.arrived != nil {
		return
	}
	if r.wired != nil {
		r.wired.Abort(cause)
		return
	}
	r.cancel(cause)
}

// whole returns the body if all of it has arrived already.
func (r *response) whole() (body []byte, here bool) {
	switch {
	case r.encoded != nil:
		return nil, false
	case r.arrived != nil:
		return r.body, true
	case r.wired == nil:
		return nil, false
	}
	return r.wired.Whole()
}

// Read is Body.Read with a limit on how long the origin may say nothing.
func (r *response) Read(p []byte) (int, error) {
	if r.arrived != nil {
		return r.arrived.Read(p)
	}
	if r.wired != nil {
		n, err := r.wired.Read(p)
		return n, ofWire(err)
	}
	r.timer.Reset(r.patience)
	n, err := r.Body.Read(p)
	r.timer.Stop()
	if cause := context.Cause(r.ctx); err != nil && (errors.Is(cause, errOriginSlow) || errors.Is(cause, errNoReaders)) {
		err = cause
	}
	return n, err
}

// close may be called at any time and more than once.
func (r *response) close() {
	if r.arrived != nil {
		return
	}
	if r.wired != nil {
		_ = r.wired.Close() // which never fails
		return
	}
	r.timer.Stop()
	if r.deadline != nil {
		r.deadline.Stop()
	}
	r.cancel(nil)
	r.Body.Close()
}

// defaultAttempts is how often CloudFront tries to reach an origin.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
const defaultAttempts = 3

// ask sends a request without a body to the origin that answers q, or to the
// second of its group.
func (e *Edge) ask(ctx context.Context, q *query, method string, h http.Header) (*response, error) {
	return e.send(ctx, q, asking{method: method, header: h, host: q.host, secure: q.secure, told: q.told})
}

// send asks the origin that answers q. In a group, every request goes to the
// primary first, whatever became of the one before; the secondary's answer
// counts, good or bad, if the primary's is among those that the group fails
// over.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/high_availability_origin_failover.html
func (e *Edge) send(ctx context.Context, q *query, a asking) (*response, error) {
	to := q.to
	resp, err := e.askOrigin(ctx, to.primary, q, a)
	if to.secondary == nil || ctx.Err() != nil || !failsOver(a.method) || !to.failover[outcomeOf(resp, err)] {
		return resp, err
	}
	if resp != nil {
		resp.close()
	}
	return e.askOrigin(ctx, to.secondary, q, a)
}

// failsOver reports whether requests of a method go to the secondary origin.
func failsOver(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// outcomeOf is the status by which a group's configuration means what came
// back: no connection is a 503 and no answer in time a 504.
func outcomeOf(resp *response, err error) int {
	switch {
	case err == nil:
		return resp.StatusCode
	case notConnected(err):
		return http.StatusServiceUnavailable
	case timedOut(err):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}

// askOrigin asks one origin, again if no connection came about, or if nothing
// came back in time and the method is GET or HEAD; and once more on a connection
// of its own if an earlier answer was in the way and the method changes nothing.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehaviorCustomOrigin.html
func (e *Edge) askOrigin(ctx context.Context, o *origin, q *query, a asking) (*response, error) {
	cleared := false
	for attempt := 1; ; attempt++ {
		began := time.Now()
		if q.sent != nil {
			began = q.sent.began
		}
		resp, err := o.askOnce(ctx, cleared, q, a)
		e.fetched(q, began, resp, err)
		if errors.Is(err, errLeftover) && !cleared && failsOver(a.method) && ctx.Err() == nil {
			o.hangUp() // on the others, which may be no better
			cleared = true
			attempt--
			continue
		}
		if err == nil || attempt >= o.attempts || ctx.Err() != nil || !worthAnotherTry(a.method, err) {
			return resp, err
		}
	}
}

// askOnce asks on a connection that nobody else uses, before or afterwards, if
// apart says so.
func (o *origin) askOnce(parent context.Context, apart bool, q *query, a asking) (*response, error) {
	if w := o.at(&a).wire; w != nil && a.body == nil {
		resp, err := o.askWire(parent, w, apart, q, &a)
		if !errors.Is(err, wire.ErrOdd) {
			return resp, ofWire(err)
		}
	}
	over := o.transport
	if apart {
		over = o.apart()
	}
	began := time.Now()
	ctx, cancel := context.WithCancelCause(parent)
	waiting := &patience{lasts: o.patience, timer: time.AfterFunc(o.patience, func() { cancel(errOriginSlow) })}
	if a.body != nil {
		a.body = &uploading{ReadCloser: a.body, waiting: waiting}
	}
	r, err := o.request(ctx, a, q.path, q.forwarded)
	if err != nil {
		waiting.end()
		cancel(nil)
		return nil, err
	}
	var left leftovers
	resp, err := left.judge(over.RoundTrip(r.WithContext(left.watch(hearing(ctx, a.told)))))
	waiting.end()
	if err == nil {
		err = sound(resp)
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), errOriginSlow) {
			err = errOriginSlow
		}
		cancel(nil)
		return nil, err
	}
	made := &response{Response: resp, received: time.Now(), timer: waiting.timer, patience: o.patience, ctx: ctx, cancel: cancel}
	if o.completion > 0 {
		made.deadline = time.AfterFunc(o.completion-time.Since(began), func() { cancel(errOriginSlow) })
	}
	return made, nil
}

// askWire is askOnce for what needs no http.Transport.
func (o *origin) askWire(ctx context.Context, w *wire.Client, apart bool, q *query, a *asking) (*response, error) {
	r := o.wireRequest(q, a, time.Now())
	r.Apart = apart
	got, err := askOrGoOn(ctx, w, q, &r)
	if err != nil {
		return nil, err
	}
	if err := sound(&got.Response); err != nil {
		return nil, err
	}
	return &response{Response: &got.Response, received: time.Now(), wired: got}, nil
}

// wireRequest is what a wire is asked for q.
func (o *origin) wireRequest(q *query, a *asking, now time.Time) wire.Request {
	target := cmp.Or(o.at(a).prefix+escapePath(q.path), "/")
	if text := escapeQuery(q.forwarded); text != "" {
		target += "?" + text
	}
	r := wire.Request{
		Method: a.method, Target: target, Host: o.hostFor(a), Header: a.header,
		Deadline: now.Add(o.patience), Patience: o.patience, Told: ofConcern(a.told),
	}
	if len(o.custom) > 0 {
		r.Header = o.headerFor(a)
	}
	if o.completion > 0 {
		r.Until = now.Add(o.completion)
	}
	return r
}

// askOrGoOn asks, or waits for the answer if a loop has asked already.
func askOrGoOn(ctx context.Context, w *wire.Client, q *query, r *wire.Request) (*wire.Answer, error) {
	s := q.sent
	if s == nil {
		return w.Do(ctx, r)
	}
	q.sent, r.Deadline = nil, s.until
	return w.Resume(ctx, r, s.conn, s.begun)
}

// ofWire calls a slow origin what it is called here.
func ofWire(err error) error {
	if errors.Is(err, wire.ErrSlow) {
		return errOriginSlow
	}
	return err
}

// patience is how long an origin may take until its answer begins.
type patience struct {
	lasts time.Duration

	mu    sync.Mutex
	timer *time.Timer
	ended bool // the answer began, or never will
}

// restart gives the origin all of its time again.
func (p *patience) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.timer.Reset(p.lasts)
	}
}

func (p *patience) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.timer.Stop()
	}
}

func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.timer.Stop()
}

// uploading is a viewer's body on its way to the origin, which has its time to
// answer from when it got the last of it. It is not closed, so that another try
// can send what a refused connection did not take.
type uploading struct {
	io.ReadCloser

	waiting *patience
}

func (u *uploading) Read(p []byte) (int, error) {
	u.waiting.pause() // while the viewer has the word
	n, err := u.ReadCloser.Read(p)
	u.waiting.restart()
	return n, err
}

func (u *uploading) Close() error { return nil }

func worthAnotherTry(method string, err error) bool {
	return notConnected(err) || timedOut(err) && (method == http.MethodGet || method == http.MethodHead)
}

// notConnected reports whether nothing of the request can have reached the
// origin.
func notConnected(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, errOriginSlow) || errors.As(err, &ne) && ne.Timeout()
}

// failureStatus is what a viewer is told when there is no answer.
func failureStatus(err error) int {
	if timedOut(err) {
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway
}
