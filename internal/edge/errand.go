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
}

// errandPatience is for how long an origin must at least be waited for, since loops
// look at their errands once a second.
const errandPatience = 5 * time.Second

// errandSize is how much of an answer arrives at once at most.
const errandSize = 64 << 10

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
	n, err := on.line.Read(on.of.room())
	if errors.Is(err, loop.ErrNothing) {
		return
	}
	got, body, whole := on.client.Whole(on.of.in[:n])
	if !whole || err != nil {
		on.leave(on.of.in[:n])
		return
	}
	e, f, q, own := on.edge, on.fill, on.query, on.own
	resp := &response{Response: got, received: time.Now(), arrived: bytes.NewReader(body), body: body}
	got.Body = http.NoBody
	e.fetched(q, on.began, resp, nil)
	on.rest(resp.received)
	if q.encoding(resp) == compress.None && q.site.tier == nil {
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
		on.leave(nil)
	}
}

// Ending is of loop.Listening.
func (on *errand) Ending() {
	if on.fill == nil {
		on.dismiss()
		return
	}
	on.leave(nil)
}

// leave has a goroutine go on with what was asked, of whose answer begun has
// arrived.
func (on *errand) leave(begun []byte) {
	e, f, q, own := on.edge, on.fill, on.query, on.own
	sent := &sent{client: on.client, begun: bytes.Clone(begun), began: on.began, until: on.until}
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
	client *wire.Client
	conn   net.Conn
	begun  []byte // of the answer
	began  time.Time
	until  time.Time // when the header of the answer must be there
}
