package release_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/release"
	"github.com/freshet/freshet/internal/warm"
)

// fakeEdge has copies that were made at a time, and makes them anew after a while.
type fakeEdge struct {
	made   time.Time
	until  time.Time // when the old copy goes
	status int
	err    error

	mu    sync.Mutex
	asked []string
}

func (f *fakeEdge) Fetch(_ context.Context, a probe.Ask) (probe.Answer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf("%s %s %s", a.URL, a.Header.Get("Accept-Encoding"), a.At))
	made := f.made
	if time.Now().After(f.until) {
		made = time.Now()
	}
	h := http.Header{"X-Cache": {"Hit from cloudfront"}, "Age": {fmt.Sprint(int(time.Since(made).Seconds()))}}
	return probe.Answer{URL: a.URL.String(), Status: f.status, Header: h, At: time.Now(), Whole: true}, f.err
}

func viewers(t *testing.T, f *fakeEdge, paths ...string) (*release.Viewers, *strings.Builder) {
	t.Helper()
	var said strings.Builder
	v := &release.Viewers{Fetcher: f, Patience: 10 * time.Second, Say: func(text string) { said.WriteString(text + "\n") }}
	for _, p := range paths {
		u, err := url.Parse("https://www.example.com" + p)
		if err != nil {
			t.Fatal(err)
		}
		for _, encoding := range []string{"identity", "br"} {
			ask := probe.Ask{URL: u, Header: http.Header{"Accept-Encoding": {encoding}}}
			v.Looked = append(v.Looked, warm.Request{Ask: ask, Variant: encoding})
		}
	}
	v.Warmed = v.Looked
	return v, &said
}

func TestVerify(t *testing.T) {
	for _, tt := range []struct {
		name   string
		made   time.Duration // before the invalidation was planned
		goes   time.Duration // after verification began
		status int
		err    error
		want   string // in the error; empty is success
		least  time.Duration
		most   time.Duration
	}{
		{name: "newer", made: -2 * time.Second},
		{name: "of the same second", made: 500 * time.Millisecond},
		{name: "older, and goes", made: time.Minute, goes: 4 * time.Second, least: 4 * time.Second, most: 6 * time.Second},
		{name: "older, and stays", made: time.Minute, goes: time.Hour, want: "still served from before the release: https://www.example.com/a (", least: 10 * time.Second, most: 12 * time.Second},
		{name: "a redirect is an answer", made: -time.Second, status: http.StatusFound},
		{name: "broken", status: http.StatusBadGateway, want: "https://www.example.com/a answered 502"},
		{name: "not reached", err: errors.New("no route"), want: "look through the edge: no route"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				planned := time.Now()
				time.Sleep(5 * time.Second)
				f := &fakeEdge{made: planned.Add(-tt.made), until: time.Now().Add(tt.goes), status: max(tt.status, 200), err: tt.err}
				v, _ := viewers(t, f, "/a", "/b")
				began := time.Now()
				err := v.Verify(t.Context(), release.Journal{Planned: planned})
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("it took %v", took)
				}
				var stale *release.Stale
				switch {
				case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("%v, want %q", err, tt.want)
				case strings.HasPrefix(tt.want, "still") && (!errors.As(err, &stale) || len(stale.Seen) != len(f.asked)/11):
					t.Errorf("%d stale of %d asked", len(stale.Seen), len(f.asked))
				}
			})
		})
	}
}

// What is to be warm is fetched, and what cannot be is said.
func TestWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeEdge{status: 200}
		v, said := viewers(t, f, "/a")
		if err := v.Warm(t.Context(), release.Journal{}); err != nil || len(f.asked) != 2 || !strings.Contains(said.String(), "2 were warm") {
			t.Errorf("%v: %s", err, said)
		}
		f.err = errors.New("no route")
		if err := v.Warm(t.Context(), release.Journal{}); err == nil || err.Error() != "warm: none of 2 requests was answered" || !strings.Contains(said.String(), "no route") {
			t.Errorf("%v: %s", err, said)
		}
	})
}
