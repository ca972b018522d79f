package upstream_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/upstream"
)

// Who sends slowly, or announces more than is ever read, keeps no other sender
// from being heard: before a delivery was read nobody knows whose it is.
func TestSlowSendersKeepNobodyWaiting(t *testing.T) {
	h := &upstream.Hook{From: "github", Secret: "s3cret", Name: "main", Serving: t.Context(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	send := func(body io.Reader, length int64) int {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body)
		req.ContentLength = length
		sum := hmac.New(sha256.New, []byte("s3cret"))
		sum.Write([]byte("{}"))
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sum.Sum(nil)))
		req.Header.Set("X-GitHub-Event", "ping")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w.Code
	}
	var slow sync.WaitGroup
	var ends []*io.PipeWriter
	for i := range 8 {
		body, end := io.Pipe()
		ends = append(ends, end)
		slow.Go(func() { send(body, -1) })
		if i < 4 {
			if _, err := end.Write([]byte(" ")); err != nil { // it is being read
				t.Fatal(err)
			}
		}
	}
	heard := make(chan int, 1)
	go func() { heard <- send(strings.NewReader("{}"), 2) }()
	select {
	case status := <-heard:
		if status != http.StatusOK {
			t.Errorf("the short one: %d", status)
		}
	case <-time.After(time.Minute):
		t.Error("the short one waits for the slow ones")
	}
	if status := send(strings.NewReader(""), 1<<40); status != http.StatusRequestEntityTooLarge {
		t.Errorf("more than is read: %d", status)
	}
	for _, end := range ends {
		_ = end.Close()
	}
	slow.Wait()
}
