package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
)

// edition is what an origin has at one path for some time. Content and headers
// change together or apart: two editions may have one body and ETag.
type edition struct {
	number  int
	path    string
	gone    bool // there is nothing
	content int  // of which body and ETag are made
	control string
	tags    string

	from, until int // moments at which it came and went
}

func (s *edition) etag() string { return fmt.Sprintf(`"%d"`, s.content) }

// body says on every line what it is.
func (s *edition) body() string {
	if s.gone {
		return "nothing at " + s.path
	}
	line := fmt.Sprintf("%s %06d\n", s.path, s.content)
	return strings.Repeat(line, (1200+500*(s.content%3))/len(line)+1)
}

// trouble is how an origin fails.
type trouble int

const (
	noTrouble  trouble = iota
	unplugged          // there is no connection
	overloaded         // 503
	breaking           // bodies end too early
)

// chronicle is an origin that remembers what it had at which moment. It decides
// what to answer when a request arrives, and holds back the answer and pieces of
// its body until the test lets them through in any order.
type chronicle struct {
	mu       sync.Mutex
	moment   int // counts everything that happens
	now      map[string]*edition
	all      []*edition
	trouble  trouble
	troubled int // the last moment at which something failed
	broke    int // the last moment at which a body may have broken off
	hold     bool
	held     []chan struct{}
	asked    int
}

func newChronicle(paths ...string) *chronicle {
	o := &chronicle{now: make(map[string]*edition), troubled: -1, broke: -1}
	for _, path := range paths {
		o.change(path, func(s *edition) { s.control = "max-age=10" })
	}
	return o
}

// next begins a moment.
func (o *chronicle) next() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tick()
}

func (o *chronicle) tick() int {
	o.moment++
	if o.trouble != noTrouble {
		o.fails()
	}
	return o.moment
}

func (o *chronicle) fails() {
	o.troubled = o.moment
	if o.trouble == breaking {
		o.broke = o.moment
	}
}

// change replaces what is at path.
func (o *chronicle) change(path string, how func(*edition)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.tick()
	s := &edition{path: path}
	if before := o.now[path]; before != nil {
		*s = *before
		before.until = at
	}
	s.number, s.from, s.until, s.gone = len(o.all)+1, at, math.MaxInt, false
	how(s)
	o.now[path] = s
	o.all = append(o.all, s)
}

func (o *chronicle) fail(how trouble) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tick()
	o.trouble = how
	if how != noTrouble {
		o.fails()
	}
}

// find returns an edition by the header that carries its number.
func (o *chronicle) find(number string) *edition {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(o.all) {
		return nil
	}
	return o.all[n-1]
}

func (o *chronicle) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.asked++
	path := freshet.CanonicalPath(r.URL.EscapedPath())
	s, how := o.now[path], o.trouble
	o.mu.Unlock()
	if err := o.pause(r.Context()); err != nil {
		return nil, err
	}
	switch {
	case how == unplugged:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	case how == overloaded:
		return reply(503, "overloaded"), nil
	case s == nil:
		return nil, errors.New("a path that nobody knows: " + path)
	}
	resp := s.answer(r)
	if r.Method == http.MethodHead {
		resp.Body = http.NoBody
		return resp, nil
	}
	if resp.ContentLength > 0 {
		text, _ := io.ReadAll(resp.Body)
		resp.Body = &slowBody{text: string(text), o: o, ctx: r.Context(), breaks: how == breaking}
	}
	return resp, nil
}

// answer is what an honest server says.
func (s *edition) answer(r *http.Request) *http.Response {
	headers := []string{
		"Etag", s.etag(), "Cache-Control", s.control, "Cache-Tag", s.tags, "Content-Type", "text/plain",
		"X-Edition", strconv.Itoa(s.number), "X-Variant", variantOf(r.URL.RawQuery, r.Header.Get("X-Lang"), r.Header.Get("Cookie")),
	}
	body := s.body()
	switch {
	case s.gone:
		return reply(404, body, headers[2:]...)
	case strings.TrimPrefix(r.Header.Get("If-None-Match"), "W/") == s.etag():
		return reply(304, "", headers...)
	}
	applies := r.Header.Get("If-Range") == "" || r.Header.Get("If-Range") == s.etag()
	first, last, ok := bounds(r.Header.Get("Range"), len(body))
	switch {
	case !ok || !applies:
		return reply(200, body, headers...)
	case first >= len(body):
		return reply(416, "", append(headers, "Content-Range", fmt.Sprintf("bytes */%d", len(body)))...)
	}
	return reply(206, body[first:last+1], append(headers, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(body)))...)
}

// variantOf is by what answers to one URL are told apart.
func variantOf(query, lang, cookie string) string { return query + "|" + lang + "|" + cookie }

// bounds reads a range of one part.
func bounds(header string, size int) (first, last int, ok bool) {
	if n, err := fmt.Sscanf(header, "bytes=%d-%d", &first, &last); n == 2 && err == nil {
		return first, min(last, size-1), true
	}
	if n, _ := fmt.Sscanf(header, "bytes=%d-", &first); n == 1 && first >= 0 {
		return first, size - 1, true
	}
	if suffix, found := strings.CutPrefix(header, "bytes=-"); found {
		n, err := strconv.Atoi(suffix)
		return max(0, size-n), size - 1, err == nil
	}
	return 0, 0, false
}

// pause waits for the test if it holds answers back.
func (o *chronicle) pause(ctx context.Context) error {
	o.mu.Lock()
	if !o.hold {
		o.mu.Unlock()
		return ctx.Err()
	}
	gate := make(chan struct{})
	o.held = append(o.held, gate)
	o.mu.Unlock()
	began := time.Now()
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(began) >= 30*time.Second {
		o.troubled, o.broke = o.moment, o.moment
	}
	return ctx.Err()
}

func (o *chronicle) letOne(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) > 0 {
		i := n % len(o.held)
		close(o.held[i])
		o.held = append(o.held[:i], o.held[i+1:]...)
	}
}

// letAll lets everything through, and holds nothing back any more.
func (o *chronicle) letAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold = false
	for _, gate := range o.held {
		close(gate)
	}
	o.held = nil
}

func (o *chronicle) holdBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hold = true
}

func (o *chronicle) requests() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

// slowBody comes in two pieces, of which the second may be held back or missing.
type slowBody struct {
	text   string
	read   int
	o      *chronicle
	ctx    context.Context
	breaks bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	half := len(b.text) / 2
	end := half
	if b.read >= half {
		end = len(b.text)
	}
	if b.read == half {
		if err := b.o.pause(b.ctx); err != nil {
			return 0, err
		}
		if b.breaks {
			return 0, io.ErrUnexpectedEOF
		}
	}
	if b.read == len(b.text) {
		return 0, io.EOF
	}
	n := copy(p, b.text[b.read:end])
	b.read += n
	return n, nil
}

func (*slowBody) Close() error { return nil }
