package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/probe"
)

func sha(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// answer is one of an edge with a body, and pairs of headers.
func answer(status int, body string, headers ...string) probe.Answer {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	sums := probe.Sums{MD5: sum(body), SHA256: sha(body)}
	return probe.Answer{Status: status, Header: h, Location: h.Get("Location"), Size: int64(len(body)), Whole: true, Raw: sums, Decoded: sums, At: time.Now()}
}

// encoded is answer with a body that the edge has encoded.
func encoded(body string, headers ...string) probe.Answer {
	a := answer(200, body, append([]string{"Content-Encoding", "br"}, headers...)...)
	a.Raw, a.Size = probe.Sums{MD5: sum("br " + body), SHA256: sha("br " + body)}, 3
	return a
}

func cut(a probe.Answer) probe.Answer {
	a.Whole, a.Raw, a.Decoded = false, probe.Sums{}, probe.Sums{}
	return a
}

func undecoded(a probe.Answer) probe.Answer {
	a.Decoded = probe.Sums{}
	return a
}

func TestJudge(t *testing.T) {
	quoted := func(s string) string { return `"` + sum(s) + `"` }
	held := Expected{From: "bucket www", ETag: sum("new"), Size: 3}
	hour := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	day := func(h time.Time) string { return h.Format(http.TimeFormat) }
	tests := []struct {
		name   string
		seen   probe.Answer
		want   Expected
		state  freshet.VerdictState
		reason string
	}{
		{"the same", answer(200, "new", "ETag", quoted("new")), held, freshet.Fresh, ""},
		{"another", answer(200, "old", "ETag", quoted("old")), held, freshet.Stale, "the edge serves ETag " + sum("old") + ", bucket www has " + sum("new")},
		{"compressed on the way", encoded("new", "ETag", "W/"+quoted("new")), held, freshet.Fresh, ""},
		{"compressed, of something old under the new ETag", encoded("old", "ETag", "W/"+quoted("new")), held, freshet.Stale, "the body is not what its ETag"},
		{"compressed, without an ETag", encoded("new"), held, freshet.Fresh, ""},
		{"old, without an ETag", answer(200, "old"), held, freshet.Stale, "serves ETag (none)"},
		{"held compressed", undecoded(encoded("plain", "ETag", `"`+sum("br plain")+`"`)), Expected{From: "b", ETag: sum("br plain"), Size: 3}, freshet.Fresh, ""},
		{"in a way that cannot be decoded", undecoded(encoded("new", "ETag", "W/"+quoted("new"))), held, freshet.Fresh, ""},
		{"not decoded, and another ETag", undecoded(encoded("new", "ETag", "W/"+quoted("old"))), held, freshet.Stale, "serves ETag"},
		{"made smaller on the way", answer(200, "nw", "ETag", "W/"+quoted("new")), held, freshet.Fresh, ""},
		{"cut short under the right ETag", answer(200, "ne", "ETag", quoted("new")), held, freshet.Stale, "the body is not what"},
		{"another ETag of the same bytes", answer(200, "new", "ETag", `"x-2"`), held, freshet.Fresh, ""},
		{"encrypted: the ETag is no MD5", answer(200, "new", "ETag", quoted("x"), "X-Amz-Server-Side-Encryption", "aws:kms"), Expected{From: "b", ETag: sum("x")}, freshet.Fresh, ""},
		{"an ETag that is no MD5", answer(200, "new", "ETag", quoted("x")), Expected{From: "b", ETag: sum("x"), Opaque: true}, freshet.Fresh, ""},
		{"of another size", answer(200, "longer", "ETag", `"x-2"`), Expected{From: "b", ETag: "x-2", Size: 3}, freshet.Stale, "serves 6 bytes, b has 3"},
		{"too large to be read", cut(answer(200, "", "ETag", quoted("new"))), held, freshet.Fresh, ""},
		{"too large, and another", cut(answer(200, "", "ETag", quoted("old"))), held, freshet.Stale, "serves ETag"},
		{"too large for a hash", cut(answer(200, "")), Expected{From: "b", SHA256: sha("x")}, Unverified, "too little to compare"},
		{"the hash", answer(200, "new"), Expected{From: "b", SHA256: sha("new"), Size: 3}, freshet.Fresh, ""},
		{"the hash of what was encoded", encoded("new", "ETag", `"any"`), Expected{From: "b", SHA256: sha("new"), Size: 3, Opaque: true}, freshet.Fresh, ""},
		{"another hash", encoded("old", "ETag", quoted("new")), Expected{From: "b", SHA256: sha("new"), ETag: sum("new")}, freshet.Stale, "content of SHA-256 " + sha("old")[:12]},
		{"a size alone", answer(200, "new"), Expected{From: "b", Size: 3}, freshet.Fresh, ""},
		{"another size alone", answer(200, "older"), Expected{From: "b", Size: 3}, freshet.Stale, "serves 5 bytes"},
		{"nothing on the edge's side", cut(answer(200, "")), Expected{From: "b", ETag: "x-2"}, Unverified, "too little"},
		{"nothing comparable", answer(200, ""), Expected{From: "b", ETag: "x-2"}, Unverified, "nothing that could be compared"},

		{"older headers", answer(200, "new", "ETag", quoted("new"), "Last-Modified", day(hour)), Expected{From: "b", ETag: sum("new"), Modified: hour.Add(time.Hour)}, freshet.Stale, "with the headers of"},
		{"the same headers", answer(200, "new", "ETag", quoted("new"), "Last-Modified", day(hour)), Expected{From: "b", ETag: sum("new"), Modified: hour.Add(900 * time.Millisecond)}, freshet.Fresh, ""},
		{"overtaken by another change", answer(200, "old", "ETag", quoted("old")), Expected{From: "b", ETag: sum("new"), Also: []string{sum("old")}}, freshet.Fresh, "changed again since"},

		{"gone at both", answer(404, "no"), Expected{From: "b", Gone: true}, freshet.Fresh, "neither the edge nor b"},
		{"forbidden is gone where listing is", answer(403, "no"), Expected{From: "b", Gone: true}, freshet.Fresh, "neither"},
		{"gone at the origin alone", answer(200, "old", "ETag", quoted("old")), Expected{From: "b", Gone: true}, freshet.Stale, "answered 200 for an object that is gone"},
		{"gone, and an error page with another status", answer(200, "app", "X-Cache", "Error from cloudfront"), Expected{From: "b", Gone: true}, freshet.Fresh, "error page"},
		{"gone at the edge alone", answer(404, "no"), held, freshet.Stale, "answered 404 for an object that exists"},
		{"an error page for what exists", answer(200, "app", "X-Cache", "Error from cloudfront", "ETag", quoted("app")), held, freshet.Stale, "serves ETag"},

		{"in trouble", answer(503, ""), held, freshet.Unreachable, "answered 503"},
		{"in trouble about nothing", answer(500, ""), Expected{From: "b", Gone: true}, freshet.Unreachable, "answered 500"},
		{"has had enough", answer(429, ""), held, freshet.Unreachable, "answered 429"},
		{"nobody knows", answer(200, "x"), Expected{}, Unverified, "nobody says"},
		{"somebody, but not what", answer(200, "x"), Expected{From: "b"}, Unverified, "does not say"},
		{"a function", answer(200, "x", "X-Cache", "FunctionGeneratedResponse from cloudfront"), held, freshet.Fresh, "a function answered"},

		{"a redirect", answer(302, "", "Location", "/x"), held, freshet.Stale, "answered 302 to /x"},
		{"the same redirect", answer(301, "", "Location", "/x"), Expected{From: "o", Status: 301, Location: "/x"}, freshet.Fresh, ""},
		{"a redirect elsewhere", answer(301, "", "Location", "/y"), Expected{From: "o", Status: 301, Location: "/x"}, freshet.Stale, "answered 301 to /y"},
		{"no redirect", answer(200, "x"), Expected{From: "o", Status: 301, Location: "/x"}, freshet.Stale, "answered 200, and o says 301"},
		{"another status", answer(200, "x"), Expected{From: "o", Status: 401, SHA256: sha("x")}, freshet.Stale, "o says 401"},
		{"the same status", answer(401, "x"), Expected{From: "o", Status: 401, SHA256: sha("x")}, freshet.Fresh, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state, reason := Judge(tt.seen, tt.want)
			if state != tt.state || !strings.Contains(reason, tt.reason) || (tt.reason == "") != (reason == "") {
				t.Errorf("%s (%s), want %s (%s)", state, reason, tt.state, tt.reason)
			}
		})
	}
}

func TestJudgeByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now()
		time.Sleep(10 * time.Second)
		for headers, want := range map[string]freshet.VerdictState{
			"Hit 11": freshet.Stale, "Hit 9": freshet.Fresh, "Hit 8": freshet.Fresh, "Hit 10": Unverified, "Hit -": Unverified,
			"Miss -": freshet.Fresh, "Miss 0": freshet.Fresh, "RefreshHit 100": freshet.Stale, "RefreshHit 2": freshet.Fresh,
		} {
			cache, age, _ := strings.Cut(headers, " ")
			a := answer(200, "x", "X-Cache", cache+" from cloudfront")
			if age != "-" {
				a.Header.Set("Age", age)
			}
			if state, reason := Judge(a, Expected{From: "the plan", Since: since}); state != want {
				t.Errorf("%s: %s (%s), want %s", headers, state, reason, want)
			}
		}
	})
}

// edges answers by address and variant.
type edges struct {
	mu    sync.Mutex
	text  map[string]string // by address and variant; error is no answer
	looks int
	each  func(looks int) // told before each look; may be nil
}

func (e *edges) Fetch(_ context.Context, ask probe.Ask) (probe.Answer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.looks++
	if e.each != nil {
		e.each(e.looks)
	}
	text := e.text[ask.At.String()+" "+ask.Header.Get("Accept-Encoding")]
	if text == "error" {
		return probe.Answer{}, errors.New("connection refused")
	}
	return answer(200, text, "ETag", `"`+sum(text)+`"`), nil
}

func view(t *testing.T, at, encoding string, source *Source) View {
	t.Helper()
	u, err := probe.ParseURL("http://www.example.com/a")
	if err != nil {
		t.Fatal(err)
	}
	p, err := probe.ParsePlace(at)
	if err != nil {
		t.Fatal(err)
	}
	return View{Ask: probe.Ask{URL: u, At: p, Header: http.Header{"Accept-Encoding": {encoding}}}, Variant: encoding, Source: source}
}

func says(text *string, asked *int) *Source {
	return &Source{Ask: func(context.Context) (Expected, error) {
		*asked++
		if *text == "error" {
			return Expected{}, errors.New("no bucket")
		}
		return Expected{From: "the origin", ETag: sum(*text)}, nil
	}}
}

func states(findings []Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, string(f.State))
	}
	return strings.Join(all, " ")
}

// TestOneOfThree: an edge that stays stale at one of three addresses, in one of
// its variants.
func TestOneOfThree(t *testing.T) {
	e := &edges{text: map[string]string{
		"192.0.2.1 br": "new", "192.0.2.2 br": "old", "192.0.2.3 br": "error",
		"192.0.2.1 gzip": "new", "192.0.2.2 gzip": "new", "192.0.2.3 gzip": "new",
	}}
	text, asked := "new", 0
	source := says(&text, &asked)
	var views []View
	for _, at := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		views = append(views, view(t, at, "br", source), view(t, at, "gzip", source))
	}
	findings := Views{Client: e}.Look(t.Context(), views)
	if got := states(findings); got != "fresh fresh stale fresh unreachable fresh" {
		t.Error(got)
	}
	if asked != 1 && asked != 2 { // once more where what was stale had been seen before
		t.Errorf("the origin was asked %d times", asked)
	}
	if f := findings[2]; f.Place.String() != "192.0.2.2" || f.Variant != "br" || f.Expected.ETag != sum("new") || f.Seen.Status != 200 {
		t.Errorf("%+v", f)
	}
	text = "error"
	if got := states(Views{Client: e}.Look(t.Context(), []View{view(t, "192.0.2.1", "br", says(&text, &asked)), view(t, "192.0.2.1", "br", nil)})); got != "unverified unverified" {
		t.Error(got)
	}
}

// TestTheOriginIsAskedAgain: an edge that has what the origin got meanwhile is not
// stale.
func TestTheOriginIsAskedAgain(t *testing.T) {
	text, asked := "old", 0
	e := &edges{text: map[string]string{"192.0.2.1 br": "new"}}
	source := says(&text, &asked)
	if _, err := source.Expected(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	e.each = func(int) { text = "new" }
	if got := states(Views{Client: e}.Look(t.Context(), []View{view(t, "192.0.2.1", "br", source)})); got != "fresh" {
		t.Error(got)
	}
}

func TestPatienceOfViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, asked := "new", 0
		e := &edges{text: map[string]string{"192.0.2.1 br": "old", "192.0.2.2 br": "old"}}
		e.each = func(n int) {
			if n == 5 {
				e.text["192.0.2.1 br"] = "new"
			}
		}
		source := says(&text, &asked)
		views := []View{view(t, "192.0.2.1", "br", source), view(t, "192.0.2.2", "br", source)}
		began := time.Now()
		if got := states(Views{Client: e, Patience: 10 * time.Second}.Look(t.Context(), views)); got != "fresh stale" {
			t.Error(got)
		}
		if took := time.Since(began); took > 10*time.Second || took < 5*time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		Views{Client: e, Patience: time.Hour}.Look(ctx, views[1:])
		if took := time.Since(began); took != time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, asked := "new", 0
		e := &edges{text: map[string]string{"192.0.2.1 br": "new"}}
		script := []string{"new", "new", "old", "old", "error", "new", "new", "new", "new", "new", "new", "new", "new"}
		e.each = func(n int) { e.text["192.0.2.1 br"] = script[n-1] }
		var turns []string
		began := time.Now()
		sums, err := Views{Client: e}.Watch(t.Context(), []View{view(t, "192.0.2.1", "br", says(&text, &asked))}, 5*time.Second, time.Minute, func(turn Turn) error {
			turns = append(turns, string(turn.Was)+">"+string(turn.State))
			return nil
		})
		if err != nil || strings.Join(turns, " ") != ">fresh fresh>stale stale>unreachable unreachable>fresh" {
			t.Errorf("%v (%v)", turns, err)
		}
		if took := time.Since(began); took != time.Minute || e.looks != 13 {
			t.Errorf("%d looks in %v", e.looks, took)
		}
		s := sums[0]
		if s.Looks[freshet.Fresh] != 10 || s.Looks[freshet.Stale] != 2 || s.Looks[freshet.Unreachable] != 1 || s.Turns != 3 || s.Last.State != freshet.Fresh {
			t.Errorf("%+v", s)
		}
		if asked < 12 {
			t.Errorf("the origin was asked %d times in 13 rounds", asked)
		}
	})
}

func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, asked := "new", 0
		e := &edges{text: map[string]string{"192.0.2.1 br": "new"}}
		views := []View{view(t, "192.0.2.1", "br", says(&text, &asked))}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		began := time.Now()
		sums, err := Views{Client: e}.Watch(ctx, views, 5*time.Second, time.Hour, func(Turn) error { return nil })
		if err != nil || time.Since(began) != 12*time.Second || sums[0].Looks[freshet.Fresh] != 3 {
			t.Errorf("%v after %v: %+v", err, time.Since(began), sums)
		}
		broken := errors.New("nobody reads")
		if _, err := (Views{Client: e}).Watch(t.Context(), views, time.Second, time.Hour, func(Turn) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	})
}

func TestFindingsAsJSON(t *testing.T) {
	f := Finding{
		URL: "http://h/a", Variant: "br", State: freshet.Stale, Reason: "old", Seen: answer(200, "old", "ETag", `W/"x"`, "Age", "0"),
		Expected: Expected{From: "b", ETag: "y", Size: 9},
	}
	f.Seen.Took = 1500 * time.Microsecond
	text, err := Turn{f, freshet.Fresh}.MarshalJSON()
	for _, part := range []string{`"was":"fresh"`, `"state":"stale"`, `"age":0`, `"etag":"x","weak":true,"size":3,"sha256":"` + sha("old"), `"expected":{"from":"b","etag":"y","size":9}`, `"took_ms":1.5`} {
		if err != nil || !strings.Contains(string(text), part) {
			t.Errorf("%s lacks %s (%v)", text, part, err)
		}
	}
	text, err = f.MarshalJSON()
	if err != nil || strings.Contains(string(text), "was") {
		t.Errorf("%s (%v)", text, err)
	}
}
