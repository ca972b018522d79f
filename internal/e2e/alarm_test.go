package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/alarm"
)

// hook is an address that takes alarms, after it has failed for the first few.
func hook(t *testing.T, secret string, failures int) (url string, heard <-chan alarm.Notice) {
	t.Helper()
	taken := make(chan alarm.Notice, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		seconds, _ := strconv.ParseInt(r.Header.Get(alarm.TimeHeader), 10, 64)
		var n alarm.Notice
		if err != nil || r.Header.Get(alarm.SignatureHeader) != alarm.Sign(secret, time.Unix(seconds, 0), body) || json.Unmarshal(body, &n) != nil {
			t.Errorf("%v %q %v", r.Header, body, err)
		}
		if failures > 0 {
			failures--
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		taken <- n
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hook", taken
}

func hears(t *testing.T, heard <-chan alarm.Notice) alarm.Notice {
	t.Helper()
	select {
	case n := <-heard:
		return n
	case <-time.After(patience):
		t.Fatal("no alarm comes")
		return alarm.Notice{}
	}
}

// An invalidation that the CDN does not complete is raised while it is waited
// for, once, also across kill -9, whoever takes it fails at first; and viewers
// get their bytes in the end.
func TestLateChangesRaiseAnAlarm(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, heard := hook(t, "s3cret", 1)
	config := fmt.Sprintf("fresh_within: 300ms\nalarm: {webhook: %q, secret_file: %q}\n", url, secret)
	f := start(t, options{config: config, args: []string{"--chaos", "stuck"}})
	c := f.s3(t)
	for i := range 3 {
		if _, err := f.put(t.Context(), c, fmt.Sprintf("%d.html", i), []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	n := hears(t, heard)
	if n.Alarm != alarm.Late || n.State != alarm.Raised || n.Distribution != f.Distribution || n.Changes < 1 || n.FreshWithin != 0.3 {
		t.Errorf("%+v", n)
	}
	f.kill()
	f = start(t, options{data: f.data, config: config})
	f.putVerified(t, f.s3(t), "after", "one")
	f.viewer(t).wantBody(t, "/0.html", "one")
	select {
	case again := <-heard: // it may have been killed before it wrote down that somebody was told
		if again.ID != n.ID || again.Changes == 0 {
			t.Errorf("it is raised again: %+v", again)
		}
	default:
	}
}
