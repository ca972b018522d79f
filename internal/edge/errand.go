package edge

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/edge/compress"
	"github.com/freshet/freshet/internal/edge/loop"
	"github.com/freshet/freshet/internal/edge/wire"
)

// errands are what one loop asks of origins for viewers who wait with it. It is for
// that loop's goroutine.
type errands struct {
	idle map[*wire.Client][]*errand // the one that was used last at the end
	in   []byte                     // what arrives
	out  []byte                     // what is sent
	held int                        // bytes of answers that have begun to arrive

	fields []field // of what is answered, used again
}

// errand is a connection to an origin, and what is asked on it: plain requests
// whose answers are expected to arrive as a whole. Whatever else becomes of one is
// left to a goroutine that goes on from where things are.
type errand struct {
	of     *errands
	client *wire.Client
	hung   uint64 // when the connection was made ours
	line   loop.Line
	since  time.Time // nothing is asked, if fill is nil

	edge  *Edge
	fill  *fill // nil while nothing is asked
	query *query
	own   http.Header
	began time.Time
	until time.Time

	answer *http.Response // whose header is there; nil before
	body   []byte         // of the answer, at the end of whole
	whole  []byte         // the answer
	have   int            // of whole
}

// errandPatience is for how long an origin must at least be waited for, since loops
// look at their errands once a second.
const errandPatience = 5 * time.Second

// errandSize is how much of an answer arrives at once at most.
const errandSize = 64 << 10

// errandBody is the longest body that a loop waits for, errandBodies how many bytes
// of answers a loop has when it waits for no more, and errandDelay for how long it
// waits: slow bodies are for those who pass them on as they come.
const (
	errandBody   = 128 << 10
	errandBodies = 4 << 20
	errandDelay  = time.Second
)

// begin starts a fill whose viewer waits with a loop, and reports false if a
// goroutine has to.
func (es *errands) begin(e *Edge, f *fill, q *query, own http.Header, t loop.Turn) bool {
	o := q.to.primary
	a := asking{method: q.method, header: own, host: q.host, secure: q.secure}
	client := o.at(&a).wire
	if client == nil || f.old != nil || q.asked != "" || q.method != http.MethodGet || q.to.secondary != nil || o.patience < errandPatience || o.completion > 0 {
		return false
	}
	now := time.Now()
	r := o.wireRequest(q, &a, now)
	text, ok := r.Append(es.out[:0])
	es.out = text
	if !ok {
		return false
	}
	on := es.take(client, t)
	if on == nil {
		return false
	}
	if n, err := on.line.Write(text); err != nil || n < len(text) {
		on.line.Close()
		es.tidy(client)
		return false
	}
	on.edge, on.fill, on.query, on.own, on.began, on.until = e, f, q, own, now, r.Deadline
	return true
}

// take returns a connection on which nothing is asked; nil if there is none.
func (es *errands) take(c *wire.Client, t loop.Turn) *errand {
	hung := c.Hung()
	for all := es.idle[c]; len(all) > 0; all = es.idle[c] {
		on := all[len(all)-1]
		es.idle[c] = all[:len(all)-1]
		if on.hung == hung && on.isSilent() {
			return on
		}
		on.line.Close()
	}
	made := c.Idle()
	if made == nil {
		return nil
	}
	on := &errand{of: es, client: c, hung: hung}
	var err error
	if on.line, err = t.Hold(made, on); err != nil {
		return nil
	}
	return on
}

// isSilent reports whether nothing has arrived, nor the end, that nobody has asked
// for.
func (on *errand) isSilent() bool {
	_, err := on.line.Read(on.of.room()[:1])
	return errors.Is(err, loop.ErrNothing)
}

func (es *errands) room() []byte {
	if es.in == nil {
		es.in = make([]byte, errandSize)
	}
	return es.in
}

// Arrived is of loop.Listening.
func (on *errand) Arrived() {
	if on.fill == nil {
		on.dismiss()
		return
	}
	if on.answer != nil {
		on.more()
		return
	}
	n, err := on.line.Read(on.of.room())
	if errors.Is(err, loop.ErrNothing) {
		return
	}
	b := on.of.in[:n]
	got, body, ok := on.client.Head(b) //nolint:bodyclose // whose body is in b, or still to come
	switch {
	case err != nil || !ok || int64(len(body)) > got.ContentLength:
		on.leave(b)
	case int64(len(body)) == got.ContentLength:
		on.complete(got, bytes.Clone(body))
	case !on.waitsFor(got):
		on.leave(b)
	default:
		size := n + int(got.ContentLength) - len(body)
		on.answer, on.whole, on.have = got, make([]byte, size), n
		on.body = on.whole[size-int(got.ContentLength):]
		copy(on.whole, b)
		on.of.held += size
		on.until = time.Now().Add(errandDelay)
		on.more() // which may be there
	}
}

// waitsFor reports whether the loop reads the body of an answer that has begun.
func (on *errand) waitsFor(got *http.Response) bool {
	room := &on.edge.room
	return got.ContentLength <= errandBody && on.of.held < errandBodies && !room.isTight() && room.admits(got.ContentLength)
}

// more reads more of the body.
func (on *errand) more() {
	n, err := on.line.Read(on.whole[on.have:])
	on.have += n
	switch {
	case errors.Is(err, loop.ErrNothing):
	case err != nil:
		on.leave(on.whole[:on.have])
	case on.have == len(on.whole):
		got, body := on.answer, on.body
		on.complete(got, body)
	}
}

// complete gives those who wait the answer.
func (on *errand) complete(got *http.Response, body []byte) {
	e, f, q, own := on.edge, on.fill, on.query, on.own
	resp := &response{Response: got, received: time.Now(), arrived: bytes.NewReader(body), body: body}
	got.Body = http.NoBody
	e.fetched(q, on.began, resp, nil)
	on.rest(resp.received)
	if q.encoding(resp) == compress.None && q.site.tier == nil && len(body) < largeBody {
		e.finish(f, q, own, resp)
		return
	}
	e.start(func() { e.finish(f, q, own, resp) }) // which may take a while
}

// rest keeps the connection for the next request.
func (on *errand) rest(now time.Time) {
	on.forget(now)
	all := on.of.idle[on.client]
	if len(all) >= on.client.MaxIdle || on.hung != on.client.Hung() {
		on.line.Close()
		on.of.tidy(on.client)
		return
	}
	if on.of.idle == nil {
		on.of.idle = make(map[*wire.Client][]*errand)
	}
	on.of.idle[on.client] = append(all, on)
}

func (on *errand) forget(now time.Time) {
	on.since = now
	on.edge, on.fill, on.query, on.own = nil, nil, nil, nil
	on.of.held -= len(on.whole)
	on.answer, on.body, on.whole, on.have = nil, nil, nil, 0
}

// tidy forgets a client of which there is no idle connection.
func (es *errands) tidy(c *wire.Client) {
	if all, there := es.idle[c]; there && len(all) == 0 {
		delete(es.idle, c)
	}
}

// dismiss closes a connection on which nothing is asked.
func (on *errand) dismiss() {
	on.line.Close()
	all := on.of.idle[on.client]
	for i := range all {
		if all[i] == on {
			all = append(all[:i], all[i+1:]...)
			break
		}
	}
	on.of.idle[on.client] = all
	on.of.tidy(on.client)
}

// Tick is of loop.Listening.
func (on *errand) Tick(now time.Time) {
	switch {
	case on.fill == nil && (now.Sub(on.since) >= on.client.IdleFor || on.hung != on.client.Hung()):
		on.dismiss()
	case on.fill != nil && (now.After(on.until) || on.fill.ctx.Err() != nil):
		on.leave(on.whole[:on.have])
	}
}

// Ending is of loop.Listening.
func (on *errand) Ending() {
	if on.fill == nil {
		on.dismiss()
		return
	}
	on.leave(on.whole[:on.have])
}

// leave has a goroutine go on with what was asked, of whose answer begun has
// arrived.
func (on *errand) leave(begun []byte) {
	e, f, q, own := on.edge, on.fill, on.query, on.own
	sent := &sent{begun: begun, began: on.began, until: on.until}
	if on.whole == nil {
		sent.begun = bytes.Clone(begun)
	}
	on.forget(time.Time{})
	on.of.tidy(on.client)
	var err error
	if sent.conn, err = on.line.Leave(); err == nil {
		q.sent = sent
	}
	e.start(func() { e.run(f, q, own) })
}

// sent is a request that was sent already.
type sent struct {
	conn  net.Conn
	begun []byte // of the answer
	began time.Time
	until time.Time // when the header of the answer must be there
}
