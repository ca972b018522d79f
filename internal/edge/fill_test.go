package edge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRevalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const modified = "Tue, 02 Jan 2024 00:00:00 GMT"
		unchanged := reply(304, "", "Etag", `"v"`, "X-New", "2", "Cache-Control", "max-age=50")
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") == `"v"` && r.Header.Get("If-Modified-Since") == modified {
				return unchanged, nil
			}
			return reply(200, "body", "Etag", `"v"`, "Last-Modified", modified, "X-Old", "1", "X-New", "1", "Cache-Control", "max-age=5"), nil
		}}
		e := open(t, o, Config{})
		want(t, get(e, "/a"), 200, "Miss", "body")
		time.Sleep(6 * time.Second)
		w := get(e, "/a")
		want(t, w, 200, "RefreshHit", "body")
		time.Sleep(40 * time.Second)
		w = get(e, "/a")
		want(t, w, 200, "Hit", "body") // by the lifetime the 304 gave
		if w.Header().Get("X-New") != "2" || w.Header().Get("X-Old") != "1" || w.Header().Get("Age") != "40" {
			t.Errorf("stored header was not updated: %v", w.Header())
		}
		// A 304 that speaks of another version is no confirmation.
		time.Sleep(20 * time.Second)
		unchanged = reply(304, "", "Etag", `"other"`)
		want(t, get(e, "/a"), 200, "Miss", "body")
		if o.count() != 4 {
			t.Errorf("%d requests, want a second one without conditions", o.count())
		}
	})
}

func TestUnasked304IsAnError(t *testing.T) {
	want := 502
	if w := get(open(t, fixed(304, ""), Config{}), "/a"); w.Code != want {
		t.Errorf("%d, want %d", w.Code, want)
	}
}

func TestErrorCaching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixed(404, "gone")
		e := open(t, o, Config{})
		for _, step := range []struct{ after, asked int }{{0, 1}, {9, 1}, {2, 2}} {
			time.Sleep(time.Duration(step.after) * time.Second)
			want(t, get(e, "/a"), 404, "Error", "gone")
			synctest.Wait()
			if o.count() != step.asked {
				t.Errorf("asked %d times, want %d", o.count(), step.asked)
			}
		}
		forbidden := fixed(403, "no")
		e = open(t, forbidden, Config{})
		want(t, get(e, "/a"), 403, "Error", "no")
		synctest.Wait()
		want(t, get(e, "/a"), 403, "Error", "no")
		if forbidden.count() != 2 {
			t.Error("a 403 without lifetime was cached")
		}
	})
}

func TestOriginDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		o := &recorded{answer: func(*http.Request) (*http.Response, error) { return nil, refused }}
		e := open(t, o, Config{})
		w := get(e, "/a")
		if w.Code != 502 || xcache(w) != "Error" || !strings.Contains(w.Body.String(), "502") {
			t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
		}
		synctest.Wait()
		get(e, "/a") // cached like an error of the origin
		if o.count() != 1 {
			t.Errorf("asked %d times within the error caching minimum", o.count())
		}
		time.Sleep(11 * time.Second)
		get(e, "/a")
		if o.count() != 2 {
			t.Errorf("asked %d times after it", o.count())
		}
	})
}

func TestOriginTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		e := open(t, o, Config{})
		began := time.Now()
		w := get(e, "/a")
		if w.Code != 504 || xcache(w) != "Error" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if took := time.Since(began); took != 90*time.Second || o.count() != 3 {
			t.Errorf("gave up after %v and %d attempts, want three of 30 s", took, o.count())
		}
	})
}

func TestStaleWhenOriginFails(t *testing.T) {
	failures := map[string]roundTripper{
		"503":         func(*http.Request) (*http.Response, error) { return reply(503, "sorry"), nil },
		"unreachable": func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") },
	}
	for name, fails := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				control := "max-age=5"
				works := roundTripper(func(*http.Request) (*http.Response, error) {
					return reply(200, "good", "Cache-Control", control, "Etag", `"v"`), nil
				})
				o := &recorded{answer: works}
				e := open(t, o, Config{})
				get(e, "/a")
				control = "max-age=5, stale-if-error=0"
				get(e, "/never")
				control = "max-age=5, stale-if-error=20"
				get(e, "/window")
				time.Sleep(6 * time.Second)
				o.answer = fails
				w := get(e, "/a")
				want(t, w, 200, "RefreshHit", "good")
				if w.Header().Get("Age") != "6" {
					t.Errorf("the copy that stands in has an Age of %q", w.Header().Get("Age"))
				}
				want(t, get(e, "/window"), 200, "RefreshHit", "good")
				asked := o.count()
				time.Sleep(9 * time.Second)
				want(t, get(e, "/a"), 200, "Hit", "good") // the origin rests
				if o.count() != asked {
					t.Error("the origin was asked again before the error caching minimum was over")
				}
				if w := get(e, "/never"); w.Code < 500 {
					t.Errorf("stale-if-error=0: %d", w.Code)
				}
				time.Sleep(20 * time.Second)
				if w := get(e, "/window"); w.Code < 500 {
					t.Errorf("after the window of stale-if-error: %d", w.Code)
				}
				o.answer = works
				want(t, get(e, "/a"), 200, "Miss", "good")
			})
		})
	}
}

// An error of the viewer's making goes out although an older copy is there, and
// that copy does not come back.
func TestClientErrorEndsTheOldCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixed(200, "good", "Cache-Control", "max-age=5")
		e := open(t, o, Config{})
		get(e, "/a")
		time.Sleep(6 * time.Second)
		o.answer = func(*http.Request) (*http.Response, error) { return reply(403, "no"), nil }
		want(t, get(e, "/a"), 403, "Error", "no")
		synctest.Wait()
		o.answer = func(*http.Request) (*http.Response, error) { return reply(500, "sorry"), nil }
		want(t, get(e, "/a"), 500, "Error", "sorry")
	})
}

// brokenBody ends before it should.
type brokenBody struct{ io.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
func (brokenBody) Close() error { return nil }

func TestTruncatedResponseIsNotStored(t *testing.T) {
	o := &recorded{answer: func(*http.Request) (*http.Response, error) {
		resp := reply(200, "half")
		resp.ContentLength, resp.Body = 8, brokenBody{strings.NewReader("half")}
		return resp, nil
	}}
	e := open(t, o, Config{})
	for i := 1; i <= 2; i++ {
		w := get(e, "/a")
		settle(t, e)
		if w.Header().Get("Test-Aborted") == "" {
			t.Error("the connection was not broken off")
		}
		if o.count() != i {
			t.Errorf("request %d: the origin was asked %d times", i, o.count())
		}
	}
	if e.Stats().Objects != 0 {
		t.Error("a truncated response was stored")
	}
}

// gated is a body that the test hands over piece by piece.
type gated struct {
	pieces chan string
	ctx    context.Context
	rest   string
}

func (g *gated) Read(p []byte) (int, error) {
	if g.rest == "" {
		select {
		case piece, ok := <-g.pieces:
			if !ok {
				return 0, io.EOF
			}
			g.rest = piece
		case <-g.ctx.Done():
			return 0, g.ctx.Err()
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}
func (*gated) Close() error { return nil }

// slow is an origin whose bodies come through pieces.
func slow(pieces chan string, length int64, headers ...string) *recorded {
	return &recorded{answer: func(r *http.Request) (*http.Response, error) {
		resp := reply(200, "", headers...)
		resp.Body, resp.ContentLength = &gated{pieces: pieces, ctx: r.Context()}, length
		return resp, nil
	}}
}

func TestCollapsedRequestsFollowTheFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pieces := make(chan string)
		o := slow(pieces, 6)
		e := open(t, o, Config{})
		answers := make(chan *httptest.ResponseRecorder, 4)
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() { doContext(ctx, e, "GET", "/a"); close(gone) }()
		synctest.Wait()
		go func() { answers <- get(e, "/a") }()
		pieces <- "abc"
		go func() { answers <- get(e, "/a") }()
		go func() { answers <- get(e, "/a", "Range", "bytes=2-3") }()
		go func() { answers <- do(e, "GET", "/a", "If-None-Match", "*") }()
		synctest.Wait()
		leave() // the viewer that began it all
		<-gone
		pieces <- "def"
		close(pieces)
		var bodies []string
		for range 4 {
			w := <-answers
			if xcache(w) != "Hit" {
				t.Errorf("a collapsed request says %s", xcache(w))
			}
			bodies = append(bodies, w.Body.String())
		}
		if got := strings.Join(bodies, " "); strings.Count(got, "abcdef") != 2 || !strings.Contains(got, "cd") {
			t.Errorf("bodies %q", got)
		}
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Hit", "abcdef")
		if o.count() != 1 {
			t.Errorf("%d requests", o.count())
		}
	})
}

// A viewer sees the first bytes before the last have arrived.
func TestMissStreams(t *testing.T) {
	pieces := make(chan string)
	e := open(t, slow(pieces, 6), Config{})
	srv := httptest.NewServer(e)
	defer srv.Close()
	resp, err := http.Get(srv.URL + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for _, piece := range []string{"abc", "def"} {
		pieces <- piece
		got := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
			t.Fatalf("%q %v, want %q", got, err, piece)
		}
	}
	close(pieces)
}

// Nobody is given a response that is meant for another viewer.
func TestPrivateResponsesAreNotCollapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		o := &recorded{}
		o.answer = func(*http.Request) (*http.Response, error) {
			n := o.count()
			<-answer
			return reply(200, strings.Repeat("x", n), "Cache-Control", "private"), nil
		}
		e := open(t, o, Config{})
		bodies := make(chan string, 3)
		for range 3 {
			go func() { bodies <- get(e, "/a").Body.String() }()
			synctest.Wait()
		}
		close(answer)
		a, b, c := <-bodies, <-bodies, <-bodies
		if a == b && b == c || o.count() != 3 {
			t.Errorf("%q %q %q after %d requests", a, b, c, o.count())
		}
	})
}

// What is larger than the limit passes through whole, announced or not, and is
// not stored; when its viewer leaves the origin is not read any further.
func TestLargeObjectsPassThrough(t *testing.T) {
	for name, length := range map[string]int64{"announced": 4 << 20, "not announced": -1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pieces := make(chan string)
				e := open(t, slow(pieces, length), Config{LargestObject: 1 << 20})
				feed := func(n int) {
					for range n {
						pieces <- strings.Repeat("x", 1<<20)
					}
				}
				answer := make(chan *httptest.ResponseRecorder)
				go func() { answer <- get(e, "/a") }()
				feed(4)
				close(pieces)
				if w := <-answer; w.Body.Len() != 4<<20 || w.Header().Get("Test-Aborted") != "" {
					t.Errorf("%d bytes, header %v", w.Body.Len(), w.Header())
				}
				synctest.Wait()
				if e.Stats().Objects != 0 || e.room.small.Load()+e.room.large.Load() != 0 {
					t.Errorf("stored %d objects, %d bytes filling", e.Stats().Objects, e.room.small.Load()+e.room.large.Load())
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		pieces := make(chan string)
		o := slow(pieces, 4<<20)
		e := open(t, o, Config{LargestObject: 1 << 20})
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() { doContext(ctx, e, "GET", "/a"); close(gone) }()
		pieces <- "x"
		leave()
		<-gone
		synctest.Wait()
		if o.last(t).Context().Err() == nil {
			t.Error("the origin is still being read")
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	e := open(t, fixed(200, strings.Repeat("x", 10<<10)), Config{MemoryLimit: 1 << 20})
	for i := range 500 {
		get(e, "/"+strings.Repeat("a", i))
	}
	settle(t, e)
	if st := e.Stats(); st.Bytes > 1<<20 || st.Objects > 102 || st.Objects == 0 {
		t.Errorf("stats %+v", st)
	}
}
