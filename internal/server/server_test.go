package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "letmein"

// open serves the control API and returns a client with the right token.
func open(t *testing.T, c server.Config) server.Client {
	t.Helper()
	c.Token, c.Log = token, slog.New(slog.DiscardHandler)
	return client(t, server.New(c))
}

func client(t *testing.T, h http.Handler) server.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		s.Close()
	})
	return server.Client{URL: s.URL, Token: token}
}

// records is a journal that holds a record for each key.
func records(keys ...string) func(context.Context, bool, func(journal.Record) error) error {
	return func(_ context.Context, _ bool, each func(journal.Record) error) error {
		for _, k := range keys {
			if err := each(journal.Record{Key: k, Reason: "line\nbreak"}); err != nil {
				return err
			}
		}
		return nil
	}
}

func collect(keys *[]string) func(journal.Record) error {
	return func(r journal.Record) error {
		*keys = append(*keys, r.Key)
		return nil
	}
}

func TestRead(t *testing.T) {
	for _, want := range [][]string{nil, {"a.html"}, {"a.html", "b\n.html", strings.Repeat("x", 1<<20)}} {
		var got []string
		if err := open(t, server.Config{Read: records(want...)}).Read(t.Context(), false, collect(&got)); err != nil || !slices.Equal(got, want) {
			t.Errorf("read %.40q, %v, want %.40q", got, err, want)
		}
	}
}

func TestReadStopsWhereTheReaderDoes(t *testing.T) {
	enough := errors.New("enough")
	var got []string
	err := open(t, server.Config{Read: records("a", "b", "c")}).Read(t.Context(), false, func(r journal.Record) error {
		got = append(got, r.Key)
		return enough
	})
	if !errors.Is(err, enough) || len(got) != 1 {
		t.Errorf("%v after %q", err, got)
	}
}

func TestWrongToken(t *testing.T) {
	c := open(t, server.Config{Read: records("secret"), Retry: func(context.Context, server.Selection) (int, error) {
		t.Error("retried without the token")
		return 0, nil
	}})
	for _, wrong := range []string{"", "letmeim", "letmei", "letmeinn", "Letmein"} {
		c.Token = wrong
		err := c.Read(t.Context(), false, func(journal.Record) error { t.Error("read without the token"); return nil })
		if err == nil || !strings.Contains(err.Error(), "the token is not the one in the data directory") {
			t.Errorf("token %q: %v", wrong, err)
		}
		if _, err := c.Retry(t.Context(), server.Selection{}); err == nil {
			t.Errorf("token %q was taken for a retry", wrong)
		}
	}
	for _, path := range []string{"log", "retry", "chaos", "top", "", "nothing"} {
		resp, err := http.Get(c.URL + server.Prefix + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", path, resp.Status)
		}
	}
}

// A log that was cut off must not look like a short one.
func TestCutOffLogIsAnError(t *testing.T) {
	t.Run("the journal fails midway", func(t *testing.T) {
		c := open(t, server.Config{Read: func(_ context.Context, _ bool, each func(journal.Record) error) error {
			return errors.Join(each(journal.Record{Key: "a"}), errors.New("disk on fire"))
		}})
		var got []string
		if err := c.Read(t.Context(), false, collect(&got)); err == nil || !strings.Contains(err.Error(), "ended before it was through") || len(got) != 1 {
			t.Errorf("%v after %q", err, got)
		}
	})
	for name, text := range map[string]string{
		"between lines": "{\"key\":\"a\"}\n", "within a line": "{\"key\":\"a\"}\n{\"key\":", "before the first": "",
	} {
		t.Run(name, func(t *testing.T) {
			c := client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, text)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}))
			var got []string
			err := c.Read(t.Context(), false, collect(&got))
			if err == nil || !strings.HasPrefix(err.Error(), "read the log: ") || len(got) > 1 {
				t.Errorf("%v after %q", err, got)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	more := make(chan string)
	c := open(t, server.Config{Read: func(ctx context.Context, follow bool, each func(journal.Record) error) error {
		if !follow {
			t.Error("asked not to follow")
		}
		for {
			select {
			case key := <-more:
				if err := each(journal.Record{Key: key}); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Read(ctx, true, func(r journal.Record) error { seen <- r.Key; return nil })
	}()
	for _, key := range []string{"a", "b", "c"} {
		more <- key
		if got := <-seen; got != key { // at once, not when a buffer is full
			t.Errorf("saw %q, want %q", got, key)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestTop(t *testing.T) {
	c := open(t, server.Config{Watch: func(ctx context.Context, each func(metrics.Snapshot) error) error {
		for n := 1.0; ; n++ {
			if err := each(metrics.Snapshot{Requests: n}); err != nil {
				return err
			}
		}
	}})
	enough, got := errors.New("enough"), 0.0
	err := c.Top(t.Context(), func(s metrics.Snapshot) error {
		if got++; s.Requests != got {
			t.Errorf("%v in snapshot %v", s.Requests, got)
		}
		if got == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("%v after %v", err, got)
	}
	full := open(t, server.Config{Watch: func(context.Context, func(metrics.Snapshot) error) error { return metrics.ErrWatched }})
	if err := full.Top(t.Context(), nil); err == nil || !strings.Contains(err.Error(), metrics.ErrWatched.Error()) {
		t.Errorf("where too many look on: %v", err)
	}
	ended := open(t, server.Config{Watch: func(_ context.Context, each func(metrics.Snapshot) error) error { return each(metrics.Snapshot{}) }})
	if err := ended.Top(t.Context(), func(metrics.Snapshot) error { return nil }); err == nil || !strings.Contains(err.Error(), "ended before it was through") {
		t.Errorf("a freshet that ended: %v", err)
	}
}

// The metrics are for whoever has the token.
func TestMetrics(t *testing.T) {
	c := open(t, server.Config{Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1") })})
	for given, want := range map[string]int{"": 401, "Bearer x": 401, "Bearer " + token: 200} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+server.Metrics, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", given)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want || (want == 200) != (string(text) == "up 1") {
			t.Errorf("with %q: %d %s %v", given, resp.StatusCode, text, err)
		}
	}
}

func TestRetry(t *testing.T) {
	var got server.Selection
	c := open(t, server.Config{Retry: func(_ context.Context, s server.Selection) (int, error) {
		got = s
		return 7, nil
	}})
	for _, keys := range [][]string{nil, {"a.html", "b c\n\x7f.html"}} {
		n, err := c.Retry(t.Context(), server.Selection{Keys: keys})
		if err != nil || n != 7 || !slices.Equal(got.Keys, keys) {
			t.Errorf("%d, %v for %q, want those of %q", n, err, got.Keys, keys)
		}
	}
}

func TestFailures(t *testing.T) {
	failing := open(t, server.Config{Retry: func(context.Context, server.Selection) (int, error) { return 0, errors.New("disk on fire") }})
	if _, err := failing.Retry(t.Context(), server.Selection{}); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("a failing retry: %v", err)
	}
	if _, err := failing.Retry(t.Context(), server.Selection{Keys: []string{strings.Repeat("x", 1<<20)}}); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a request that is too large: %v", err)
	}
	other := client(t, http.NotFoundHandler())
	if _, err := other.Retry(t.Context(), server.Selection{}); err == nil || !strings.Contains(err.Error(), "it answered 404") {
		t.Errorf("somebody else's server: %v", err)
	}
	babble := client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") }))
	if err := babble.Read(t.Context(), false, func(journal.Record) error { return nil }); err == nil {
		t.Error("read a log from a greeting")
	}
	if _, err := babble.Retry(t.Context(), server.Selection{}); err == nil {
		t.Error("retried with a greeting")
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if _, err := (server.Client{URL: gone.URL}).Retry(t.Context(), server.Selection{}); err == nil || !strings.Contains(err.Error(), "ask the running freshet") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestFollowingOutlastsTheReadTimeout, which is for those who are slow to ask. A
// machine that is too busy for asking in time has more of it at the next try.
func TestFollowingOutlastsTheReadTimeout(t *testing.T) {
	var keys []string
	var err error
	for timeout := 20 * time.Millisecond; timeout < 10*time.Second && len(keys) == 0; timeout *= 4 {
		err = followLonger(t, timeout, &keys)
	}
	if err != nil || !slices.Equal(keys, []string{"late"}) {
		t.Errorf("read %v: %v", keys, err)
	}
}

// followLonger follows for five times as long as a server has patience to be asked.
func followLonger(t *testing.T, timeout time.Duration, keys *[]string) error {
	t.Helper()
	s := httptest.NewUnstartedServer(server.New(server.Config{
		Token: token, Log: slog.New(slog.DiscardHandler),
		Read: func(ctx context.Context, _ bool, each func(journal.Record) error) error {
			select {
			case <-time.After(5 * timeout):
				return each(journal.Record{Key: "late"})
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		},
	}))
	s.Config.ReadTimeout = timeout
	s.Start()
	defer s.Close()
	defer http.DefaultClient.CloseIdleConnections()
	return server.Client{URL: s.URL, Token: token}.Read(t.Context(), true, collect(keys))
}

func TestChaosIsShownAndSet(t *testing.T) {
	spec := "throttle=2"
	c := open(t, server.Config{
		Chaos: func() server.Chaos { return server.Chaos{Spec: spec, Counts: map[string]int{"throttle": 3}} },
		SetChaos: func(wanted string) error {
			if wanted == "wrong" {
				return errors.New("what is wrong with it")
			}
			spec = wanted
			return nil
		},
	})
	if got, err := c.Chaos(t.Context()); err != nil || got.Spec != "throttle=2" || got.Counts["throttle"] != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.SetChaos(t.Context(), "lose"); err != nil || got.Spec != "lose" || spec != "lose" {
		t.Errorf("set: %+v, %v", got, err)
	}
	if _, err := c.SetChaos(t.Context(), "wrong"); err == nil || !strings.Contains(err.Error(), "what is wrong with it") || spec != "lose" {
		t.Errorf("a wrong one: %v", err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, c.URL+server.Prefix+"chaos", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK || spec != "" {
		t.Errorf("deleted: %d, %q", answer.StatusCode, spec)
	}
}
