package pipeline_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/alarm"
	"github.com/freshet/freshet/internal/journal"
)

// What stays stale after a second invalidation, under another caller reference,
// is raised once for all of it, and cleared when a retry has made all of it
// fresh.
func TestWhatStaysStaleIsRaisedOnce(t *testing.T) {
	heard := make(chan alarm.Notice, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n alarm.Notice
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Error(err)
		}
		heard <- n
	}))
	t.Cleanup(hook.Close)
	l := newLine(t)
	shelf, err := journal.OpenShelf(t.Context(), l.js, "ALARMS")
	l.must(err)
	book, err := alarm.Open(t.Context(), alarm.Config{
		Shelf: shelf, Senders: map[string]alarm.Sender{"hook": alarm.NewWebhook(hook.URL, "")}, Give: time.Minute, Log: slog.New(slog.DiscardHandler),
	}, nil)
	l.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- book.Run(ctx) }()
	t.Cleanup(func() { cancel(); l.must(<-ended) })
	l.watch = func(r journal.Record) { book.Records([]journal.Record{r}) }
	l.network.set(func() { l.network.check = stale })
	batch := []freshet.Change{put("a", 1), put("b", 2), put("c", 3)}
	l.take("together", time.Hour)
	l.put(batch...)
	l.held(len(batch))
	l.release("together")
	for _, c := range batch {
		l.last(c, journal.Dead)
	}
	if n := next(t, heard); n.Alarm != alarm.Stale || n.State != alarm.Raised || n.Distribution != "E1" || !strings.Contains(n.Text, "old bytes") {
		t.Errorf("raised %+v", n)
	}
	sent := l.requests()
	if len(sent) != 2 || sent[0].CallerReference == sent[1].CallerReference {
		t.Errorf("sent %+v", sent)
	}
	l.settled()
	l.network.set(func() { l.network.check = nil })
	if n, err := l.run.Retry(t.Context(), func(journal.Work) bool { return true }); err != nil || n != 3 {
		t.Errorf("%d are tried again: %v", n, err)
	}
	if n := next(t, heard); n.Alarm != alarm.Stale || n.State != alarm.Cleared || n.Distribution != "E1" {
		t.Errorf("cleared %+v", n)
	}
	for _, c := range batch {
		l.last(c, journal.Verified)
	}
	l.settled()
	if len(heard) != 0 {
		t.Errorf("told once more: %+v", <-heard)
	}
}

func next(t *testing.T, heard <-chan alarm.Notice) alarm.Notice {
	t.Helper()
	select {
	case n := <-heard:
		return n
	case <-time.After(2 * time.Minute):
		t.Fatal("nobody is told")
		return alarm.Notice{}
	}
}
