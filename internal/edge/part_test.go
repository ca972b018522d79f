package edge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// ranging is an origin of one object that answers ranges and conditions as
// net/http's file server does.
func ranging(body string, headers ...string) *recorded {
	return &recorded{answer: func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		for name, values := range headerWith(headers...) {
			w.Header()[name] = values
		}
		modified, _ := http.ParseTime(w.Header().Get("Last-Modified"))
		http.ServeContent(w, r, "", modified, strings.NewReader(body))
		resp := w.Result()
		resp.ContentLength = int64(w.Body.Len())
		return resp, nil
	}}
}

func TestRangeToAskFor(t *testing.T) {
	for header, wide := range map[string]string{
		"bytes=0-1":                          "bytes=0-1048575",
		"Bytes = 5-1048575":                  "bytes=0-1048575",
		"bytes=1048575-1048576":              "bytes=0-2097151",
		"bytes=3000000-3000000":              "bytes=2097152-3145727",
		"bytes=7-":                           "", // most of it
		"bytes=3000000-":                     "bytes=2097152-",
		"bytes=-7":                           "bytes=-1048576",
		"bytes=-1048577":                     "bytes=-2097152",
		"bytes=3000000-9999999999999999999":  "bytes=2097152-",
		"bytes=0-":                           "", // that is the whole
		"bytes=0-9999999999999999999999":     "",
		"bytes=-0":                           "",
		"bytes=-9999999999999999999999":      "",
		"bytes=9999999999999999999999-":      "",
		"bytes=5-4":                          "",
		"bytes=0-1,5-6":                      "",
		"bytes=-":                            "",
		"bytes=a-b":                          "",
		"bytes=1":                            "",
		"lines=1-2":                          "",
		"":                                   "",
		"bytes":                              "",
		"bytes=1-2147483647":                 "bytes=0-2147483647",
		"bytes=1152921504606846976-":         "bytes=1152921504606846976-",
		"bytes=1-1152921504606846977":        "",
		"bytes=1152921504606846977-":         "",
		"bytes= 1048576-1048576 ":            "bytes=1048576-2097151",
		"bytes=0-1048576":                    "bytes=0-2097151",
		"bytes=99999999999-1":                "",
		"bytes=1-2-3":                        "",
		"bytes=+1-2":                         "",
		"bytes=1- 2":                         "",
		"bytes=00-01":                        "bytes=0-1048575",
		"bytes=-00":                          "",
		"bytes=-1152921504606846976":         "bytes=-1152921504606846976",
		"bytes=-1152921504606846977":         "",
		"bytes=1048576-1152921504606846975 ": "bytes=1048576-1152921504606846975",
	} {
		got, ok := wideRange(header, partSize)
		if ok != (wide != "") || ok && got != wide {
			t.Errorf("%q: %q %v, want %q", header, got, ok, wide)
		}
	}
}

// A range of an object that is not cached is fetched as a range, or as a larger
// one, and cached; so is one whose bytes are all in what was fetched before.
func TestRangesOfColdObjects(t *testing.T) {
	const size = 3 << 20
	body := strings.Repeat("0123456789abcdef", size/16)
	o := ranging(body, "Etag", `"v"`, "Content-Type", "text/plain", "Cache-Control", "max-age=100")
	e := open(t, o, Config{})
	for _, step := range []struct {
		asked       string
		cache, sent string // X-Cache, and what the origin was asked for; empty for nothing
	}{
		{"bytes=5-8", "Miss", "bytes=0-1048575"},
		{"bytes=5-8", "Hit", ""},
		{"bytes=1000000-1048575", "Hit", ""},
		{"bytes=1048570-1048580", "Miss", "bytes=0-2097151"},
		{"bytes=2097152-2097153", "Miss", "bytes=2097152-3145727"},
		{"bytes=2097152-9000000", "Miss", "bytes=2097152-9437183"},
		{"bytes=3145000-", "Miss", "bytes=2097152-"},
		{"bytes=3145000-", "Hit", ""},
		{"bytes=-3", "Miss", "bytes=-1048576"},
		{"bytes=-3", "Hit", ""},
		{"bytes=0-0,2-2", "Miss", "all"},
		{"bytes=77-1999999", "Hit", ""}, // from the whole
	} {
		before := o.count()
		w := get(e, "/a", "Range", step.asked)
		settle(t, e)
		if w.Code != 206 || xcache(w) != step.cache {
			t.Errorf("%s: %d %s, want 206 %s", step.asked, w.Code, xcache(w), step.cache)
		}
		if spans, _ := selectSpans(step.asked, size); len(spans) == 1 {
			s := spans[0]
			if w.Body.String() != body[s.offset:s.offset+s.length] || w.Header().Get("Content-Range") != s.contentRange(size) {
				t.Errorf("%s: %d bytes, %v", step.asked, w.Body.Len(), w.Header())
			}
		}
		sent := ""
		if o.count() > before {
			if sent = o.last(t).Header.Get("Range"); sent == "" {
				sent = "all"
			}
		}
		if sent != step.sent {
			t.Errorf("%s: the origin was asked for %q, want %q", step.asked, sent, step.sent)
		}
	}
}

func TestAnswersToColdRanges(t *testing.T) {
	whole := func(*http.Request) (*http.Response, error) { return reply(200, "0123456789", "Etag", `"v"`), nil }
	answer := func(status int, body string, headers ...string) roundTripper {
		return func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Range") == "" {
				return whole(r)
			}
			return reply(status, body, headers...), nil
		}
	}
	large := ranging(strings.Repeat("x", 200))
	for name, tt := range map[string]struct {
		origin roundTripper
		asked  string
		status int
		body   string
		then   string // X-Cache of a request for the whole afterwards
		count  int    // requests to the origin, that one included
	}{
		"an origin that knows no ranges":     {whole, "bytes=3-4", 200, "0123456789", "Hit", 1},
		"chunked":                            {func(r *http.Request) (*http.Response, error) { resp, _ := whole(r); return unsized(resp), nil }, "bytes=3-4", 200, "0123456789", "Hit", 1},
		"all of it is within the range":      {ranging("0123456789").answer, "bytes=3-4", 206, "34", "Hit", 1},
		"a part":                             {ranging("0123456789").answer, "bytes=3-", 206, "3456789", "Miss", 2},
		"less than asked, but enough":        {answer(206, "345", "Content-Range", "bytes 3-5/10"), "bytes=3-4", 206, "34", "Miss", 2},
		"other bytes than asked":             {answer(206, "89", "Content-Range", "bytes 8-9/10"), "bytes=3-4", 206, "34", "Hit", 2},
		"no Content-Range":                   {answer(206, "34"), "bytes=3-4", 200, "0123456789", "Hit", 2},
		"of unknown size":                    {answer(206, "34", "Content-Range", "bytes 3-4/*"), "bytes=3-4", 200, "0123456789", "Hit", 2},
		"another length":                     {answer(206, "345", "Content-Range", "bytes 3-4/10"), "bytes=3-4", 200, "0123456789", "Hit", 2},
		"multipart":                          {answer(206, "--x", "Content-Type", "multipart/byteranges; boundary=x"), "bytes=3-4", 200, "0123456789", "Hit", 2},
		"no such range, which is not cached": {answer(416, "no", "Content-Range", "bytes */10"), "bytes=30-40", 416, "no", "Miss", 2},
		"beyond the end, but near":           {ranging("0123456789").answer, "bytes=30-40", 416, "", "Hit", 1},
		"an error of the URL":                {func(*http.Request) (*http.Response, error) { return reply(404, "gone"), nil }, "bytes=3-4", 404, "gone", "Error", 1},
		"too large to keep":                  {large.answer, "bytes=3-4", 206, "xx", "Miss", 3},
		"private":                            {answer(206, "34", "Content-Range", "bytes 3-4/10", "Cache-Control", "private"), "bytes=3-4", 206, "34", "Miss", 2},
	} {
		t.Run(name, func(t *testing.T) {
			o := &recorded{answer: tt.origin}
			e := open(t, o, Config{LargestObject: 100})
			if tt.asked == "bytes=3-" {
				e.multiple = 3
			}
			w := get(e, "/a", "Range", tt.asked)
			settle(t, e)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, tt.status, tt.body)
			}
			if (w.Code == 206) != (w.Header().Get("Content-Range") != "") && w.Code != 416 {
				t.Errorf("%d with %v", w.Code, w.Header())
			}
			if w := get(e, "/a"); xcache(w) != tt.then || o.count() != tt.count {
				t.Errorf("then %s after %d requests, want %s after %d", xcache(w), o.count(), tt.then, tt.count)
			}
		})
	}
}

// Conditions hold for a cold range as for any other: If-Range of another version
// brings the whole.
func TestConditionsOfColdRanges(t *testing.T) {
	for _, tt := range []struct {
		headers []string
		status  int
		body    string
	}{
		{[]string{"If-Range", `"v"`}, 206, "789"},
		{[]string{"If-Range", `"w"`}, 200, "0123456789"},
		{[]string{"If-None-Match", `"v"`}, 304, ""},
		{[]string{"If-Match", `"w"`}, 412, ""},
	} {
		e := open(t, ranging("0123456789", "Etag", `"v"`), Config{})
		e.multiple = 7
		for range 2 {
			w := get(e, "/a", append([]string{"Range", "bytes=7-"}, tt.headers...)...)
			settle(t, e)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("%q: %d %q, want %d %q", tt.headers, w.Code, w.Body, tt.status, tt.body)
			}
		}
	}
}

// A part is revalidated like a whole, goes with its URL, and never hides a whole
// copy that is fresh.
func TestLifeOfAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := ranging("0123456789", "Etag", `"v"`, "Cache-Control", "max-age=10")
		e := open(t, o, Config{})
		e.multiple = 7
		part := func(cache string) {
			t.Helper()
			want(t, get(e, "/a", "Range", "bytes=7-"), 206, cache, "789")
			synctest.Wait()
		}
		part("Miss")
		time.Sleep(11 * time.Second)
		part("RefreshHit")
		part("Hit")
		if err := e.Invalidate("E1", []freshet.Pattern{"/a"}); err != nil {
			t.Fatal(err)
		}
		part("Miss")
		fails := func(*http.Request) (*http.Response, error) { return reply(500, "sorry"), nil }
		time.Sleep(11 * time.Second)
		works := o.answer
		o.answer = fails
		part("RefreshHit") // stands in
		o.answer = works
		want(t, get(e, "/a"), 200, "Miss", "0123456789")
		synctest.Wait()
		part("Hit")
		// What a range brings that is not one does not replace a fresh whole.
		gate := make(chan struct{})
		o.answer = func(r *http.Request) (*http.Response, error) { <-gate; return reply(404, "gone"), nil }
		done := make(chan *httptest.ResponseRecorder)
		go func() { done <- get(e, "/b", "Range", "bytes=7-") }()
		synctest.Wait()
		o.answer = works
		want(t, get(e, "/b"), 200, "Miss", "0123456789")
		synctest.Wait()
		close(gate)
		want(t, <-done, 404, "Error", "gone")
		synctest.Wait()
		want(t, get(e, "/b"), 200, "Hit", "0123456789")
	})
}

// A range of what is just being fetched whole is served from that, and equal
// ranges wait for one another.
func TestRangesCollapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pieces := make(chan string)
		o := slow(pieces, 10)
		e := open(t, o, Config{})
		answers := make(chan *httptest.ResponseRecorder, 2)
		go func() { answers <- get(e, "/a") }()
		synctest.Wait()
		go func() { answers <- get(e, "/a", "Range", "bytes=3-5") }()
		synctest.Wait()
		pieces <- "0123456789"
		close(pieces)
		bodies := []string{(<-answers).Body.String(), (<-answers).Body.String()}
		slices.Sort(bodies)
		if o.count() != 1 || bodies[0] != "0123456789" || bodies[1] != "345" {
			t.Errorf("%d requests, %q", o.count(), bodies)
		}
		gate := make(chan struct{})
		held := ranging("0123456789", "Etag", `"v"`)
		o = &recorded{answer: func(r *http.Request) (*http.Response, error) { <-gate; return held.answer(r) }}
		e = open(t, o, Config{})
		e.multiple = 8
		for range 2 {
			go func() { answers <- get(e, "/a", "Range", "bytes=8-") }()
			synctest.Wait()
		}
		close(gate)
		for range 2 {
			if w := <-answers; w.Code != 206 || w.Body.String() != "89" {
				t.Errorf("%d %q", w.Code, w.Body)
			}
		}
		if o.count() != 1 {
			t.Errorf("%d requests for two equal ranges", o.count())
		}
	})
}

// The model: whatever ranges of whatever objects are asked for in whatever
// order, the bytes are those of the object.
func TestRangesAgreeWithTheObject(t *testing.T) {
	const multiple, size = 64, 64 + 50
	body := strings.Repeat("0123456789abcde", size/15+1)[:size]
	offset := rapid.SampledFrom([]string{"", "0", "1", "99", "49", "50", "63", "64", "65", "113", "114", "9999999"})
	rapid.Check(t, func(t *rapid.T) {
		largest := rapid.SampledFrom([]int64{10, 50, 64, 1000}).Draw(t, "largest")
		e, err := New(Config{Distributions: []distribution.Distribution{dist("E1")}, Resolve: through(ranging(body, "Etag", `"v"`)), LargestObject: largest})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		e.multiple = multiple
		for range rapid.IntRange(1, 6).Draw(t, "requests") {
			header := "bytes=" + offset.Draw(t, "first") + "-" + offset.Draw(t, "last")
			if header == "bytes=-0" {
				continue // the test's origin does not know that there is no such range
			}
			// What is too large to keep the origin answers, who knows the size.
			if largest > size && rapid.IntRange(0, 3).Draw(t, "two") == 0 {
				header += ",100-"
			}
			w := get(e, "/a", "Range", header)
			spans, status := selectSpans(header, size)
			if w.Code != status || w.Header().Get("Test-Aborted") != "" {
				t.Fatalf("%s: %d, want %d", header, w.Code, status)
			}
			if status == 200 && w.Body.String() != body || len(spans) == 1 && w.Body.String() != body[spans[0].offset:spans[0].offset+spans[0].length] {
				t.Fatalf("%s: %d bytes that are not the object's", header, w.Body.Len())
			}
		}
	})
}

// A part is not compressed, nor does it keep the whole from being so.
func TestPartsAreNotCompressed(t *testing.T) {
	text := strings.Repeat("fresh as the morning. ", 1000)
	e := open(t, ranging(text, "Content-Type", "text/html", "Etag", `"v"`, "Cache-Control", "max-age=60"),
		Config{Distributions: []distribution.Distribution{squeezing("Managed-CachingOptimized", true)}})
	for _, cache := range []string{"Miss", "Hit"} {
		w := get(e, "/a", "Accept-Encoding", "gzip", "Range", "bytes=6-7")
		settle(t, e)
		want(t, w, 206, cache, "as")
		if w.Header().Get("Content-Encoding") != "" || w.Header().Get("Content-Range") != (span{6, 2}).contentRange(int64(len(text))) {
			t.Errorf("%v", w.Header())
		}
	}
	w := get(e, "/a", "Accept-Encoding", "gzip")
	if xcache(w) != "Miss" || w.Header().Get("Content-Encoding") != "gzip" || plain(t, "gzip", w.Body.String()) != text {
		t.Errorf("%s %v, %d bytes", xcache(w), w.Header(), w.Body.Len())
	}
}

// The range that the origin is asked for holds the one that the viewer wants,
// however long the object is.
func FuzzWideRange(f *testing.F) {
	f.Add("bytes=5-8", int64(100), int64(64))
	f.Add("bytes=-5", int64(3), int64(64))
	f.Fuzz(func(t *testing.T, header string, size, multiple int64) {
		wide, ok := wideRange(header, max(1, multiple%(1<<30)))
		spans, status := selectSpans(header, size)
		if !ok || size < 0 || status != http.StatusPartialContent {
			return
		}
		around, status := selectSpans(wide, size)
		if status != http.StatusPartialContent || len(spans) != 1 || len(around) != 1 {
			t.Fatalf("%q of %d bytes: asked for as %q", header, size, wide)
		}
		if w, a := spans[0], around[0]; a.offset > w.offset || a.offset+a.length < w.offset+w.length {
			t.Errorf("%q of %d bytes: asked for as %q", header, size, wide)
		}
	})
}

// An origin that cannot be reached for a part cannot be reached for the whole.
func TestUnreachableForARange(t *testing.T) {
	o := &recorded{answer: func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }}
	e := open(t, o, Config{})
	for _, headers := range [][]string{{"Range", "bytes=3-4"}, {"Range", "bytes=5-6"}, {}} {
		if w := get(e, "/a", headers...); w.Code != 502 || o.count() != 1 {
			t.Errorf("%v: %d after %d requests", headers, w.Code, o.count())
		}
		settle(t, e)
	}
}
