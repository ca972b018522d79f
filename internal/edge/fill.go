package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/edge/loop"
)

// fill is one request to an origin whose answer may be stored and may serve
// everybody who asks while it is under way. It runs on its own: the viewer that
// caused it may leave.
type fill struct {
	stamp
	begun  uint64   // counts the fills of the site
	key    key      // by which it is found while it runs
	kept   key      // under which the response is stored
	part   *part    // of the body that the origin sent; nil for the whole
	ranged bool     // the origin answered with the range it was asked for
	names  []string // of the response, with its tags once they are known; changed with site.mu held
	tagged bool     // they are known, or there are none; changed with site.mu held
	spool  *spool   // where a body goes that is too large for memory; nil for nowhere
	old    *entry   // the expired copy, if there is one; it was not invalidated when the fetch began

	ctx    context.Context
	cancel context.CancelCauseFunc

	at       *underway
	viewers  int      // who wait for it or read it; at.mu is held
	orphaned *orphans // that it is among; nil for none; at.mu is held

	ready chan struct{} // closed once the following are set

	result  *entry  // complete, or a head without body if stream is set
	stream  *stream // what is still arriving; nil for a complete result
	outcome outcome // for the viewer that began it
	shared  bool    // result may serve others than the viewer that began it

	mu    sync.Mutex
	turns []loop.Turn // of viewers who wait with a loop
	first *reader     // of the viewer that began it
	alone bool        // that viewer has left
}

// outcome is what X-Cache says.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/AccessLogs.html
type outcome string

const (
	hit        outcome = "Hit"
	miss       outcome = "Miss"
	refreshHit outcome = "RefreshHit"
	failed     outcome = "Error"
	redirected outcome = "Redirect"

	functionGenerated outcome = "FunctionGeneratedResponse"
)

// lead gives the viewer that began the fill its place in the stream, before
// anything can be dropped from it.
func (f *fill) lead(s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.alone {
		f.first = s.reader()
	}
}

// abandon says that the viewer that began the fill has left.
func (f *fill) abandon() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alone = true
	f.first.close()
}

// settle publishes the result.
func (f *fill) settle(result *entry, s *stream, o outcome, shared bool) {
	f.result, f.stream, f.outcome, f.shared = result, s, o, shared
	close(f.ready)
	f.mu.Lock()
	turns := f.turns
	f.turns = nil
	f.mu.Unlock()
	for _, t := range turns {
		t.Ready()
	}
}

// tell has a viewer's turn come once the fill is settled.
func (f *fill) tell(t loop.Turn) {
	if f.waits(t) {
		return
	}
	t.Ready()
}

func (f *fill) waits(t loop.Turn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.settled() {
		return false
	}
	f.turns = append(f.turns, t)
	return true
}

// settled reports whether there is a result.
func (f *fill) settled() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// run carries out a fill. own are the headers to send.
func (e *Edge) run(f *fill, q *query, own http.Header) {
	defer f.cancel(nil)
	defer q.site.end(f)
	if q.asked != "" {
		own.Set("Range", q.asked)
	}
	resp, err := e.ask(f.ctx, q, q.method, conditional(own, f.old))
	if err == nil && resp.StatusCode == http.StatusNotModified && f.old != nil && sameVersion(f.old.header, resp.Header) {
		resp.close()
		e.refresh(f, q, resp)
		return
	}
	if err != nil {
		e.failWhole(f, q, err)
		return
	}
	e.take(f, q, own, resp)
}

// finish is the rest of run for a fill whose answer is there.
func (e *Edge) finish(f *fill, q *query, own http.Header, resp *response) {
	defer f.cancel(nil)
	defer q.site.end(f)
	e.take(f, q, own, resp)
}

// failWhole is fail, whatever part was asked for.
func (e *Edge) failWhole(f *fill, q *query, err error) {
	f.kept.variant = q.whole().key.variant
	e.fail(f, q, err)
}

// take settles the fill with what the origin answers, unless that confirms the
// expired copy.
func (e *Edge) take(f *fill, q *query, own http.Header, resp *response) {
	resp, err := e.usable(f, q, own, resp)
	if err != nil {
		e.failWhole(f, q, err)
		return
	}
	defer resp.close()
	if resp.StatusCode >= 500 && e.standIn(f, q, resp.StatusCode) {
		return
	}
	e.receive(f, q, resp)
}

// usable returns resp, or what the origin answers when it is asked more plainly:
// without conditions, since a 304 speaks of a copy that is not ours, or without
// a range, since it sent something else.
func (e *Edge) usable(f *fill, q *query, own http.Header, resp *response) (*response, error) {
	var err error
	if resp.StatusCode == http.StatusNotModified {
		resp.close()
		if resp, err = e.ask(f.ctx, q, q.method, own); err != nil {
			return nil, err
		}
	}
	if resp.StatusCode == http.StatusNotModified {
		resp.close()
		return nil, errors.New("the origin answered 304 to a request without conditions")
	}
	if q.asked == "" {
		return resp, nil
	}
	if resp.StatusCode == http.StatusPartialContent {
		if f.part, f.ranged = q.take(resp); !f.ranged {
			resp.close()
			own.Del("Range")
			resp, err = e.ask(f.ctx, q, q.method, own)
		}
	}
	if f.part == nil {
		f.kept.variant = q.whole().key.variant
	}
	return resp, err
}

// sameVersion reports whether a 304 confirms the stored response: its
// validators, where it has them, are the stored ones.
// https://www.rfc-editor.org/rfc/rfc9111#section-4.3.4
func sameVersion(stored, unchanged http.Header) bool {
	if etag := unchanged.Get("Etag"); etag != "" && stored.Get("Etag") != "" {
		return weakMatch(etag, stored.Get("Etag"))
	}
	modified := unchanged.Get("Last-Modified")
	return modified == "" || modified == stored.Get("Last-Modified")
}

// refresh stores the expired copy anew, as young as the answer that confirmed
// it. It is as valid as the fetch that asked, so an invalidation that arrived
// since then leaves it out; also one of a tag that the copy had and the answer
// has not, since the body is still the copy's.
func (e *Edge) refresh(f *fill, q *query, resp *response) {
	merged := q.behavior.keying.refreshed(f.old.header, resp.Header)
	revived := !q.site.epochs.admits(&f.stamp, f.old.names)
	if revived {
		q.site.leave(f)
	}
	q.site.tag(f, q.site.tags(merged))
	entry := f.entry(f.old.status, merged, resp)
	entry.key, entry.body, entry.piece, entry.remote, entry.claim, entry.part = f.key, f.old.body, f.old.piece, f.old.remote, f.old.claim, f.old.part
	judged := entry.header.Clone()
	judged["Age"] = resp.Header["Age"]
	entry.life = q.lifetime(entry.status, judged, resp.received)
	if revived || !entry.life.store || !q.site.keep(entry) {
		q.site.store.drop(f.old)
		q.site.forgetOnDisk(&f.key)
	} else {
		q.site.keepRefreshed(entry)
	}
	f.settle(entry, nil, refreshHit, entry.life.fresh > 0)
}

// lifetime is for how long an answer to q may be used.
func (q *query) lifetime(status int, h http.Header, received time.Time) lifetime {
	return lifetimeOf(&q.behavior.caching, arrival{status: status, header: h, at: received, errorTTL: q.site.errorTTL(status), authorized: q.authorized})
}

// entry makes the head of a response that the fill received. Its header, which
// is the entry's from now on, says when that was unless the origin did.
// https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
func (f *fill) entry(status int, h http.Header, resp *response) *entry {
	e := &entry{begun: f.begun, key: f.kept, names: f.names, status: status, header: h, part: f.part, received: resp.received}
	e.age, e.aged = ageOf(resp.Header, resp.received), resp.Header.Get("Age") != ""
	if _, dated := resp.Header["Date"]; !dated {
		h.Set("Date", resp.received.UTC().Format(http.TimeFormat))
	}
	e.birth = f.birth
	e.checked.Store(f.checked.Load())
	return e
}

// copy returns an entry with what is known of a head, and as valid as the fill
// is known to be by now.
func (f *fill) copy(head *entry) *entry {
	e := &entry{
		begun: f.begun, key: head.key, names: head.names, status: head.status, header: head.header, part: head.part, life: head.life,
		received: head.received, age: head.age, aged: head.aged,
	}
	e.birth = f.birth
	e.checked.Store(f.checked.Load())
	return e
}

// standIn settles the fill with the expired copy, since the origin failed. A
// copy that was invalidated in the meantime does not stand in. The origin is
// asked again when the error would have expired.
func (e *Edge) standIn(f *fill, q *query, status int) bool {
	now := time.Now()
	if f.old == nil || !f.old.standsIn(now) || !q.site.epochs.valid(&f.old.stamp, f.old.names) {
		return false
	}
	q.site.store.rest(f.old, now.Add(q.site.errorTTL(status)))
	f.settle(f.old, nil, refreshHit, true)
	return true
}

// fail settles the fill when the origin gave no answer, with the expired copy
// or else with an error page, which is cached as an error of the origin would
// be.
func (e *Edge) fail(f *fill, q *query, err error) {
	e.log.Warn("origin gave no answer", slog.String("distribution", q.site.config.ID), slog.String("path", q.path), slog.Any("error", err))
	status := failureStatus(err)
	if f.ctx.Err() == nil && e.standIn(f, q, status) {
		return
	}
	h, body := errorPage(status, "The origin gave no usable answer.")
	entry := f.entry(status, h, &response{Response: &http.Response{}, received: time.Now()})
	entry.body = body
	entry.life = q.lifetime(status, h, entry.received)
	if f.ctx.Err() != nil {
		entry.life = lifetime{} // it is us who stopped
	}
	if entry.life.store {
		q.site.keep(entry)
	}
	f.settle(entry, nil, failed, entry.life.fresh > 0)
}

// receive settles the fill with a response and then takes in its body.
func (e *Edge) receive(f *fill, q *query, resp *response) {
	q.site.tag(f, q.site.tags(resp.Header))
	head := f.entry(resp.StatusCode, q.behavior.keying.fromOrigin(resp.Header), resp)
	if f.part == nil {
		e.compress(q, head.header, resp)
	}
	head.life = q.lifetime(head.status, resp.Header, head.received)
	kept := head.life.store && resp.ContentLength <= e.largest && e.room.admits(resp.ContentLength)
	if body, here := resp.whole(); here {
		head.body = body
		e.settleWhole(f, q, head, kept)
		return
	}
	s := newStream(resp.ContentLength, !kept)
	s.claim = &claim{room: &e.room, users: 1}
	defer s.claim.leave()
	s.unread = func() { resp.abort(errNoReaders) }
	if !kept {
		q.supersede(f, head)
		f.spool = q.site.spool(head, resp.ContentLength)
	}
	defer func() { f.spool.giveUp() }() // unless it was kept
	f.lead(s)
	f.settle(head, s, miss, kept && head.life.fresh > 0)
	err := e.takeIn(f, q, resp, s)
	if err == nil && kept && q.site.tier == nil { // a disk may take its time, for which no viewer waits
		e.keepStreamed(f, q, f.copy(head), s)
		s.finish(nil)
		return
	}
	s.finish(err)
	switch {
	case err != nil && !errors.Is(err, errNoReaders):
		e.log.Warn("response of the origin broke off", slog.String("distribution", q.site.config.ID), slog.String("path", q.path), slog.Any("error", err))
	case err == nil && f.spool.keep(f.copy(head)):
	case err == nil && kept:
		e.keepStreamed(f, q, f.copy(head), s)
	}
}

// keepStreamed is keepWhole for a body that has arrived in s, unless that is a
// window.
func (e *Edge) keepStreamed(f *fill, q *query, whole *entry, s *stream) {
	if s.isWindow() {
		q.supersede(f, whole)
		return
	}
	e.keepWhole(f, q, whole, s.whole(), s.claim)
}

// keepWhole stores a response whose body has arrived, in memory, on disk, or both.
// The claim is that of the body as it has arrived.
func (e *Edge) keepWhole(f *fill, q *query, whole *entry, body []byte, c *claim) {
	remote := q.site.putOnDisk(whole, body)
	if !remote {
		e.embody(whole, body, c)
	}
	switch {
	case !q.site.keep(whole):
		q.supersede(f, whole)
	case !remote:
		q.site.keepOnDisk(whole, body)
	}
}

// settleWhole settles the fill with a response that has arrived as a whole.
func (e *Edge) settleWhole(f *fill, q *query, whole *entry, kept bool) {
	if len(whole.body) > looped {
		whole.claim = &claim{room: &e.room, users: 1}
		whole.claim.resize(int64(len(whole.body)))
		defer whole.claim.leave()
	}
	if kept && len(whole.body) >= largeBody {
		stored := f.copy(whole)
		f.settle(whole, nil, miss, whole.life.fresh > 0)
		e.keepWhole(f, q, stored, whole.body, whole.claim)
		return
	}
	stored := kept && q.site.keep(whole)
	if !stored {
		q.supersede(f, whole)
	}
	f.settle(whole, nil, miss, kept && whole.life.fresh > 0)
	if stored {
		q.site.keepOnDisk(whole, whole.body)
	}
}

// embody gives an entry the body that has arrived. A large one goes off the heap,
// beside which those who are still reading what arrived have their own.
func (e *Edge) embody(whole *entry, body []byte, c *claim) {
	if len(body) >= largeBody {
		whole.piece = e.bodies.Put(body)
	}
	if whole.piece != nil {
		whole.claim = &claim{room: &e.room, size: whole.piece.Size()}
		return
	}
	whole.body = body
	if int64(cap(body)) > e.room.over {
		whole.claim = c
	}
}

// largeBody is from how many bytes on a stored body is off the heap, and sent by
// the system itself where it can.
const largeBody = 32 << 10

// supersede ends the expired copy, which is of no more use even though the new
// response is not stored. One that is for its viewer only leaves a mark, so that
// nobody waits for what is another's.
func (q *query) supersede(f *fill, head *entry) {
	q.site.forgetOnDisk(&f.kept)
	if head.life.each && q.cached {
		mark := f.copy(&entry{key: f.kept, names: f.names, life: lifetime{each: true}})
		if q.site.keep(mark) {
			return
		}
	}
	if f.old != nil {
		q.site.store.drop(f.old)
	}
}

// pieceSize is how much of a body is read at once.
const pieceSize = 32 << 10

// takeIn reads the body to its end. A body that turns out larger than what is
// stored, or than there is room for, goes on to those who are reading it, but
// nobody else may join.
func (e *Edge) takeIn(f *fill, q *query, resp *response, s *stream) error {
	held, ok := e.pieces.Get().(*[pieceSize]byte)
	if !ok {
		held = new([pieceSize]byte)
	}
	defer e.pieces.Put(held)
	buf := held[:]
	for left := s.length; ; {
		n, err := resp.read(buf)
		if n > 0 {
			if !s.reserve(n, e.largest) {
				q.site.leave(f)
				f.spool = q.site.spool(f.result, s.length).startingWith(s)
				s.openWindow()
			}
			f.spool.add(buf[:n])
			if err := s.append(f.ctx, buf[:n]); err != nil {
				return err
			}
		}
		left -= int64(n)
		switch {
		case err == io.EOF: //nolint:errorlint // the end of a body is io.EOF itself; wrapped, it is a failure
			return nil
		case errors.Is(err, errNoReaders) && left == 0:
			return nil // who has had all has left before the end was seen, and it is all
		case err != nil:
			return err
		}
	}
}

// serveFill answers a request that no stored copy answered.
func (e *Edge) serveFill(w http.ResponseWriter, r *http.Request, q *query) {
	stored, f, mine := q.site.join(q, time.Now(), false)
	if stored != nil && !stored.holds(r) {
		e.serveFill(w, r, q.whole())
		return
	}
	if stored != nil {
		if !e.respondStored(w, r, answer{entry: stored, content: stored, outcome: hit, site: q.site, instead: q.instead}) {
			e.serveFill(w, r, q)
		}
		return
	}
	var heard <-chan interim
	if mine {
		heard = q.hear()
		e.begin(f, r, q)
	}
	e.serveJoined(w, r, q, seat{f, mine, heard})
}

// seat is a viewer's place in a fill, which must be left.
type seat struct {
	*fill

	mine  bool           // this viewer began it
	heard <-chan interim // for that viewer
}

func (j *seat) leave(q *query, o *orphans) {
	if j.mine {
		j.abandon()
	}
	q.site.part(j.fill, o)
}

// serveJoined answers with what a fill brings.
func (e *Edge) serveJoined(w http.ResponseWriter, r *http.Request, q *query, j seat) {
	defer j.leave(q, &e.orphans)
	f, mine, heard := j.fill, j.mine, j.heard
	f.await(w, r, q, heard)
	if mine {
		e.serveResult(w, r, q, f, f.first, f.outcome)
		return
	}
	if !f.shared {
		e.pass(w, r, q)
		return
	}
	var place *reader
	if f.stream != nil {
		if place = f.stream.reader(); place == nil {
			e.pass(w, r, q)
			return
		}
		defer place.close()
	}
	e.serveResult(w, r, q, f, place, hit)
}

// begin starts a fill.
func (e *Edge) begin(f *fill, r *http.Request, q *query) {
	own := e.prepare(f, r, q)
	e.start(func() { e.run(f, q, own) })
}

// prepare readies a fill, and returns the headers to send.
func (e *Edge) prepare(f *fill, r *http.Request, q *query) http.Header {
	own := e.toOriginForAll(r, q)
	q.accepts = q.behavior.keying.encodings(acceptEncoding(r))
	q.authorized = q.behavior.authorizes(own)
	f.ctx, f.cancel = context.WithCancelCause(e.ctx)
	return own
}

// authorizes reports whether an origin that gets these headers sees an
// Authorization that is not in the key.
func (b *behavior) authorizes(own http.Header) bool {
	return own.Get("Authorization") != "" && !slices.Contains(b.keying.headers, "Authorization")
}

// revalidateBehind asks the origin for a newer copy, unless somebody does that
// already or the origin failed just now. Nobody waits for it.
func (e *Edge) revalidateBehind(r *http.Request, q *query) {
	_, f, mine := q.site.join(q, time.Now(), true)
	if mine {
		f.alone = true
		e.begin(f, r, q)
	}
}

// serveResult answers from a settled fill; place is the viewer's in its stream.
func (e *Edge) serveResult(w http.ResponseWriter, r *http.Request, q *query, f *fill, place *reader, o outcome) {
	if !f.result.holds(r) {
		place.close()
		e.serveFill(w, r, q.whole())
		return
	}
	if q.asked != "" && o == miss && !f.ranged {
		// An origin that knows no ranges sent the whole, and that is passed on.
		r = r.WithContext(r.Context())
		r.Header = r.Header.Clone()
		delete(r.Header, "Range")
	}
	a := answer{entry: f.result, content: f.result, outcome: o, site: q.site, instead: q.instead}
	if f.stream != nil {
		a.content = place
		if f.result.part == nil && f.stream.isWindow() && f.result.status == http.StatusOK && asksForPart(r, f.result, place.size()) {
			// Too large to keep, or not to be kept: only the part is fetched.
			place.close()
			e.pass(w, r, q)
			return
		}
	}
	if !e.respondStored(w, r, a) {
		e.serveFill(w, r, q)
	}
}
