package edge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

func TestTagsOfAResponse(t *testing.T) {
	var many []string
	for i := range 60 {
		many = append(many, "t"+strconv.Itoa(i))
	}
	hashed := make([]string, 50)
	for i := range hashed {
		hashed[i] = "#" + many[i]
	}
	longest := strings.Repeat("x", 256)
	for _, tt := range []struct {
		rule  string
		lines []string
		want  []string
	}{
		{"comma-separated and trimmed", []string{" a,b ,\tc"}, []string{"#a", "#b", "#c"}},
		{"on several lines", []string{"a", "b,c"}, []string{"#a", "#b", "#c"}},
		{"letter case does not count", []string{"News, NEWS, news"}, []string{"#news"}},
		{"visible ASCII only", []string{"a b, \x7f, é, a#*~%41"}, []string{"#a#*~%41"}},
		{"no empty ones", []string{", ,,"}, nil},
		{"at most 256 characters", []string{longest + "," + longest + "x"}, []string{"#" + longest}},
		{"at most 50, the rest dropped", []string{strings.Join(many[:30], ","), strings.Join(many[30:], ",")}, hashed},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			if got := tagsOf(tt.lines); !slices.Equal(got, tt.want) {
				t.Errorf("%q → %q, want %q", tt.lines, got, tt.want)
			}
		})
	}
}

// tagging is dist with cache tags.
func tagging() distribution.Distribution {
	d := behaving(func(b *distribution.CacheBehavior) {
		b.ForwardedValues = &distribution.ForwardedValues{QueryString: true, Headers: []string{"X-Lang"}}
	})
	d.Config.CacheTagConfig = &distribution.CacheTagConfig{HeaderName: "x-amz-meta-cache-tag"}
	return d
}

// All variants of all objects that have the tag go, and nothing else; several
// patterns are one or the other.
func TestInvalidationByTag(t *testing.T) {
	targets := []string{"/news", "/News,Sport", "/sport?x=1", "/", "/newspaper"}
	for patterns, gone := range map[string][]string{
		"#news":           {"/news", "/News,Sport"},
		"#NEWS":           {"/news", "/News,Sport"},
		"#news #newsp*":   {"/news", "/News,Sport"},
		"#sport /":        {"/News,Sport", "/sport?x=1", "/"},
		"/news*":          {"/news", "/newspaper"},
		"#paper":          {},
		"#~ #%7e #a~b":    {},
		"#sport #news /*": targets,
	} {
		t.Run(patterns, func(t *testing.T) {
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				return reply(200, "x", "X-Amz-Meta-Cache-Tag", r.URL.Path[1:]), nil
			}}
			e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
			for _, target := range targets {
				get(e, target)
				get(e, target, "X-Lang", "de")
			}
			settle(t, e)
			var all []freshet.Pattern
			for p := range strings.FieldsSeq(patterns) {
				all = append(all, freshet.Pattern(p))
			}
			if err := e.Invalidate("E1", all); err != nil {
				t.Fatal(err)
			}
			for _, target := range targets {
				expected := "Hit"
				if slices.Contains(gone, target) {
					expected = "Miss"
				}
				want(t, get(e, target), 200, expected, "x")
				want(t, get(e, target, "X-Lang", "de"), 200, expected, "x")
			}
		})
	}
}

// A ~ is what no path pattern can name, but a tag can hold it.
func TestTagWithATilde(t *testing.T) {
	e := open(t, fixed(200, "x", "X-Amz-Meta-Cache-Tag", "a%7Eb, c~d"), Config{Distributions: []distribution.Distribution{tagging()}})
	for _, tag := range []freshet.Pattern{"#a%7eb", "#c~D"} {
		get(e, "/a")
		settle(t, e)
		if err := e.Invalidate("E1", []freshet.Pattern{tag}); err != nil {
			t.Fatal(err)
		}
		want(t, get(e, "/a"), 200, "Miss", "x")
	}
}

func TestTagsNeedAHeader(t *testing.T) {
	e := open(t, fixed(200, "x", "Cache-Tag", "a"), Config{})
	get(e, "/a")
	settle(t, e)
	if err := e.Invalidate("E1", []freshet.Pattern{"/a", "#a"}); !errors.Is(err, ErrPattern) {
		t.Errorf("%v, want ErrPattern", err)
	}
	want(t, get(e, "/a"), 200, "Hit", "x")
}

// What is fetched may turn out to have a tag that was invalidated on its way:
// those who ask later do not join it, and it is not stored; not even if the
// tag's record would have been forgotten in the meantime.
func TestFetchWhoseTagIsInvalidated(t *testing.T) {
	for name, between := range map[string]func(e *Edge){
		"at once":        func(*Edge) {},
		"swept":          func(e *Edge) { e.sweep() },
		"looked at":      func(e *Edge) { e.serving().sites[0].checkFills(0) },
		"many tags":      func(e *Edge) { e.serving().sites[0].epochs.limit = 4; invalidateTags(e, 20); e.sweep() },
		"tags and paths": func(e *Edge) { invalidateTags(e, 3); e.sweep(); invalidateTags(e, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newNumbered("max-age=100")
				tagged := roundTripper(func(r *http.Request) (*http.Response, error) {
					resp, err := o.RoundTrip(r)
					if err == nil {
						resp.Header.Set("X-Amz-Meta-Cache-Tag", "news")
					}
					return resp, err
				})
				e := open(t, tagged, Config{Distributions: []distribution.Distribution{tagging()}})
				gate := make(chan struct{})
				o.gate = gate
				first := make(chan *httptest.ResponseRecorder)
				go func() { first <- get(e, "/a") }()
				synctest.Wait()
				if err := e.Invalidate("E1", []freshet.Pattern{"#news"}); err != nil {
					t.Fatal(err)
				}
				between(e)
				o.gate = nil
				want(t, get(e, "/a"), 200, "Miss", "2")
				synctest.Wait()
				close(gate)
				want(t, <-first, 200, "Miss", "1")
				synctest.Wait()
				want(t, get(e, "/a"), 200, "Hit", "2")
				if n := len(e.serving().sites[0].running); n != 0 {
					t.Errorf("%d fetches are still known", n)
				}
			})
		})
	}
}

func invalidateTags(e *Edge, n int) {
	for i := range n {
		if err := e.Invalidate("E1", []freshet.Pattern{freshet.Pattern("#other" + strconv.Itoa(i))}); err != nil {
			panic(err)
		}
	}
}

// Once the header is there, what the response is tagged with decides.
func TestJoiningABodyOnItsWay(t *testing.T) {
	for pattern, joined := range map[freshet.Pattern]bool{"#other": true, "#news": false} {
		t.Run(string(pattern), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pieces := make(chan string)
				o := slow(pieces, 6, "X-Amz-Meta-Cache-Tag", "news")
				e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
				answers := make(chan *httptest.ResponseRecorder, 2)
				go func() { answers <- get(e, "/a") }()
				pieces <- "abc"
				synctest.Wait()
				if err := e.Invalidate("E1", []freshet.Pattern{pattern}); err != nil {
					t.Fatal(err)
				}
				go func() { answers <- get(e, "/a") }()
				synctest.Wait()
				if got := o.count() == 1; got != joined {
					t.Errorf("joined: %v, want %v", got, joined)
				}
				if !joined {
					pieces <- "abc"
					pieces <- "def"
				}
				pieces <- "def"
				close(pieces)
				<-answers
				<-answers
			})
		})
	}
}

// A confirmation may change the tags, and one that says nothing leaves them.
func TestTagsAfterAConfirmation(t *testing.T) {
	for sent, names := range map[string]string{"": "old", "new": "new"} {
		synctest.Test(t, func(t *testing.T) {
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("If-None-Match") == "" {
					return reply(200, "x", "Etag", `"v"`, "Cache-Control", "max-age=5", "X-Amz-Meta-Cache-Tag", "old"), nil
				}
				resp := reply(304, "", "Etag", `"v"`, "Cache-Control", "max-age=500")
				if sent != "" {
					resp.Header.Set("X-Amz-Meta-Cache-Tag", sent)
				}
				return resp, nil
			}}
			e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
			get(e, "/a")
			time.Sleep(6 * time.Second)
			want(t, get(e, "/a"), 200, "RefreshHit", "x")
			synctest.Wait()
			for _, tag := range []string{"old", "new"} {
				if err := e.Invalidate("E1", []freshet.Pattern{freshet.Pattern("#" + tag)}); err != nil {
					t.Fatal(err)
				}
				expected := "Hit"
				if tag == names {
					expected = "Miss"
				}
				want(t, get(e, "/a"), 200, expected, "x")
				synctest.Wait()
				if tag == names {
					return // it has its old tags again
				}
			}
		})
	}
}

// A copy that was invalidated by its tag while the origin was asked about it is
// not brought back by an answer that has another tag: neither for those who ask
// later nor for those who ask while the answer is on its way.
func TestConfirmationRevivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") == "" {
				return reply(200, "x", "Etag", `"v"`, "Cache-Control", "max-age=5", "X-Amz-Meta-Cache-Tag", "old"), nil
			}
			<-gate
			return reply(304, "", "Etag", `"v"`, "Cache-Control", "max-age=500", "X-Amz-Meta-Cache-Tag", "new"), nil
		}}
		e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
		get(e, "/a")
		time.Sleep(6 * time.Second)
		before, after := make(chan *httptest.ResponseRecorder), make(chan *httptest.ResponseRecorder)
		go func() { before <- get(e, "/a") }()
		synctest.Wait()
		if err := e.Invalidate("E1", []freshet.Pattern{"#old"}); err != nil {
			t.Fatal(err)
		}
		go func() { after <- get(e, "/a") }()
		synctest.Wait()
		close(gate)
		want(t, <-before, 200, "RefreshHit", "x")
		want(t, <-after, 200, "Miss", "x")
		synctest.Wait()
		if n := o.count(); n != 3 {
			t.Errorf("the origin was asked %d times, not 3", n)
		}
		want(t, get(e, "/a"), 200, "Hit", "x")
	})
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("If-None-Match") == "" {
				return reply(200, "x", "Etag", `"v"`, "Cache-Control", "max-age=5", "X-Amz-Meta-Cache-Tag", "old"), nil
			}
			<-gate
			return reply(304, "", "Etag", `"v"`, "Cache-Control", "max-age=500", "X-Amz-Meta-Cache-Tag", "new"), nil
		}}
		e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
		get(e, "/a")
		time.Sleep(6 * time.Second)
		go get(e, "/a")
		synctest.Wait()
		if err := e.Invalidate("E1", []freshet.Pattern{"#old"}); err != nil {
			t.Fatal(err)
		}
		close(gate)
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Miss", "x")
	})
}

// A response is held against its tags before it is stored, although a sweep has
// looked at the fetch while they were unknown.
func TestSweptFetchWhoseTagIsInvalidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		o := &recorded{answer: func(*http.Request) (*http.Response, error) {
			<-gate
			return reply(200, "x", "Cache-Control", "max-age=500", "X-Amz-Meta-Cache-Tag", "news"), nil
		}}
		e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
		go get(e, "/a")
		synctest.Wait()
		if err := e.Invalidate("E1", []freshet.Pattern{"#news"}); err != nil {
			t.Fatal(err)
		}
		e.sweep()
		close(gate)
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Miss", "x")
		synctest.Wait()
		want(t, get(e, "/a"), 200, "Hit", "x")
	})
}

// Forgetting the paths keeps the tags of later epochs and only those.
func TestForgettingTags(t *testing.T) {
	e := newEpochs(maxRecords)
	for _, p := range []freshet.Pattern{"/a", "#a", "/b", "#ab", "/c", "#b"} {
		e.invalidate([]freshet.Pattern{p})
	}
	e.forget(5, 2)
	root := e.records.Load().root
	got := map[string]uint64{}
	for _, name := range []string{"/a", "#a", "/b", "#ab", "/c", "#b"} {
		got[name] = root.invalidated(name)
	}
	if want := map[string]uint64{"/a": 0, "#a": 0, "/b": 0, "#ab": 4, "/c": 0, "#b": 6}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	e.forget(6, 6)
	if e.live() != 0 || e.newestTag() != 0 {
		t.Errorf("%d records are left", e.live())
	}
}

// The same when the sweeper looked at the fetch before its tags were known.
func TestJoiningABodyAfterASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pieces, header := make(chan string), make(chan struct{})
		body := slow(pieces, 3, "X-Amz-Meta-Cache-Tag", "news")
		o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
			<-header
			return body.answer(r)
		}}
		e := open(t, o, Config{Distributions: []distribution.Distribution{tagging()}})
		answers := make(chan *httptest.ResponseRecorder, 2)
		go func() { answers <- get(e, "/a") }()
		synctest.Wait()
		if err := e.Invalidate("E1", []freshet.Pattern{"#news"}); err != nil {
			t.Fatal(err)
		}
		e.sweep()
		close(header)
		synctest.Wait()
		go func() { answers <- get(e, "/a") }()
		synctest.Wait()
		if o.count() != 2 {
			t.Error("a request joined a fetch that began before its tag was invalidated")
		}
		pieces <- "abc"
		pieces <- "abc"
		close(pieces)
		<-answers
		<-answers
	})
}
