package warm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// edge is a cache in words: by path, what is answered in turn, the last one from
// then on. hit, miss and no are responses that are kept, fetched or neither; a
// number is a status, and anything else an error. An answer takes as long as
// takes says.
type edge struct {
	script map[string]string
	takes  time.Duration

	mu      sync.Mutex
	asked   []string
	at      []time.Time
	current int
	most    int // at a time
}

func (e *edge) Fetch(ctx context.Context, ask probe.Ask) (probe.Answer, error) {
	e.mu.Lock()
	path := ask.URL.Path
	words := strings.Fields(e.script[path])
	n := 0
	for _, p := range e.asked {
		if p == path {
			n++
		}
	}
	e.asked, e.at = append(e.asked, path), append(e.at, time.Now())
	e.current++
	e.most = max(e.most, e.current)
	e.mu.Unlock()
	defer func() { e.mu.Lock(); e.current--; e.mu.Unlock() }()
	select {
	case <-time.After(e.takes):
	case <-ctx.Done():
		return probe.Answer{}, ctx.Err()
	}
	a := probe.Answer{Status: 200, Header: http.Header{}, Whole: true, Size: 10}
	switch word := words[min(n, len(words)-1)]; word {
	case "hit":
		a.Header.Set("X-Cache", "Hit from cloudfront")
	case "miss":
		a.Header.Set("X-Cache", "Miss from cloudfront")
	case "cut":
		a.Whole = false
	case "wait":
		a.Status = 503
		a.Header.Set("Retry-After", "7")
	case "refused":
		return probe.Answer{}, &probe.Refused{What: path, Why: "no"}
	case "error":
		return probe.Answer{}, errors.New("broken")
	default:
		_, err := fmt.Sscan(word, &a.Status)
		return a, err
	}
	return a, nil
}

func request(path string, weight int64) Request {
	return Request{Ask: probe.Ask{URL: &url.URL{Scheme: "http", Host: "h", Path: path}}, Weight: weight}
}

func TestHottestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &edge{script: map[string]string{"/a": "miss", "/b": "miss", "/c": "miss", "/d": "miss"}}
		given := []Request{request("/a", 1), request("/b", 50), request("/c", 50), request("/d", 7)}
		before := slices.Clone(given)
		var told []int
		report, err := Fetch(t.Context(), Config{Client: e, Concurrency: 1, Progress: func(done, all int) { told = append(told, done*10+all) }}, given)
		if err != nil || strings.Join(e.asked, "") != "/b/c/d/a" || report.Warmed != 4 || report.Bytes != 40 {
			t.Errorf("%v, %+v (%v)", e.asked, report, err)
		}
		if !slices.Equal(told, []int{14, 24, 34, 44}) {
			t.Errorf("progress %v", told)
		}
		if !slices.EqualFunc(before, given, func(a, b Request) bool { return a.Ask.URL == b.Ask.URL }) {
			t.Error("what was given is changed")
		}
	})
}

func TestWhatBecomesOfThem(t *testing.T) {
	tests := []struct {
		script  string
		confirm bool
		want    State
		tries   int
		reason  string
	}{
		{"hit", false, Already, 1, ""},
		{"miss", false, Warmed, 1, ""},
		{"miss hit", true, Warmed, 1, ""},
		{"miss miss", true, Unkept, 1, "asked the origin again: Miss from cloudfront"},
		{"miss error", true, Warmed, 1, ""}, // nobody knows better
		{"500 miss", false, Warmed, 2, ""},
		{"429 429 hit", false, Already, 3, ""},
		{"error error error hit", false, Failed, 3, "broken"},
		{"wait miss", false, Warmed, 2, ""},
		{"503", false, Failed, 3, "answered 503"},
		{"404 miss", false, Failed, 1, "answered 404: there is nothing"},
		{"301", false, Warmed, 1, ""},
		{"cut", false, Failed, 1, "longer than the 10 bytes"},
		{"refused", false, Skipped, 1, "not fetched: no"},
	}
	for _, tt := range tests {
		t.Run(tt.script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got Result
				report, err := Fetch(t.Context(), Config{Client: &edge{script: map[string]string{"/": tt.script}}, Confirm: tt.confirm, Each: func(r Result) { got = r }}, []Request{request("/", 1)})
				if err != nil || got.State != tt.want || got.Tries != tt.tries || !strings.Contains(got.Reason, tt.reason) || (tt.reason == "") != (got.Reason == "") {
					t.Errorf("%s after %d tries (%s), %v; want %s after %d (%s)", got.State, got.Tries, got.Reason, err, tt.want, tt.tries, tt.reason)
				}
				if report.Done() != 1 || report.Left != 0 {
					t.Errorf("%+v", report)
				}
			})
		})
	}
}

func TestRetryAfterIsKeptTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &edge{script: map[string]string{"/": "wait miss"}}
		if _, err := Fetch(t.Context(), Config{Client: e}, []Request{request("/", 1)}); err != nil || e.at[1].Sub(e.at[0]) != 7*time.Second {
			t.Errorf("%v, %v", e.at, err)
		}
	})
}

func TestRateAndConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &edge{script: map[string]string{"/": "miss"}, takes: time.Second}
		all := slices.Repeat([]Request{request("/", 1)}, 100)
		began := time.Now()
		if _, err := Fetch(t.Context(), Config{Client: e, Rate: 50, Concurrency: 200}, all); err != nil {
			t.Fatal(err)
		}
		for i := range e.at {
			within := 0
			for _, at := range e.at {
				if d := at.Sub(e.at[i]); d >= 0 && d < time.Second {
					within++
				}
			}
			if within > 51 {
				t.Fatalf("%d requests within a second", within)
			}
		}
		if took := time.Since(began); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("took %v", took)
		}
		e = &edge{script: e.script, takes: time.Second}
		if _, err := Fetch(t.Context(), Config{Client: e, Concurrency: 7}, all); err != nil || e.most != 7 {
			t.Errorf("%d at a time (%v)", e.most, err)
		}
	})
}

func TestConfirmingKeepsToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &edge{script: map[string]string{"/": "miss hit"}}
		if _, err := Fetch(t.Context(), Config{Client: e, Rate: 1, Confirm: true}, []Request{request("/", 1)}); err != nil || e.at[1].Sub(e.at[0]) != time.Second {
			t.Errorf("%v, %v", e.at, err)
		}
	})
}

// TestTheEndOfItsContext: what was done is told, and how many were not.
func TestTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		because := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3500*time.Millisecond, because)
		defer cancel()
		e := &edge{script: map[string]string{"/": "miss"}, takes: time.Second}
		n := 0
		report, err := Fetch(ctx, Config{Client: e, Concurrency: 2, Each: func(Result) { n++ }}, slices.Repeat([]Request{request("/", 1)}, 100))
		if !errors.Is(err, because) || report.Warmed != 6 || n != 6 || report.Left != 94 {
			t.Errorf("%+v, %d told (%v)", report, n, err)
		}
		if report, err := Fetch(ctx, Config{Client: e}, nil); err != nil || report.Done() != 0 {
			t.Errorf("nothing to do: %+v (%v)", report, err)
		}
	})
}
