package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/config"
)

func TestProfiles(t *testing.T) {
	handler := profileServer().Handler
	ask := func(method, target, host string) *http.Response {
		r := httptest.NewRequest(method, target, nil)
		r.Host = host
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result()
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap?debug=1", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		resp := ask(http.MethodGet, path, "127.0.0.1:6060")
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s is answered with %s and %d bytes", path, resp.Status, len(body))
		}
	}
	for _, host := range []string{"localhost:6060", "[::1]:6060", "127.0.0.2"} {
		if resp := ask(http.MethodGet, "/debug/pprof/cmdline", host); resp.StatusCode != http.StatusOK {
			t.Errorf("%s is refused with %s", host, resp.Status)
		}
	}
	for _, host := range []string{"rebound.example:6060", "192.0.2.1", ""} {
		if resp := ask(http.MethodGet, "/debug/pprof/cmdline", host); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%q gets %s", host, resp.Status)
		}
	}
	resp := ask(http.MethodPost, "/debug/gc", "localhost")
	var said struct {
		Took int64  `json:"took_ns"`
		Heap uint64 `json:"heap_bytes"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil || said.Took <= 0 || said.Heap == 0 {
		t.Errorf("a garbage collection is answered with %+v, %v", said, err)
	}
	if resp := ask(http.MethodGet, "/debug/gc", "localhost"); resp.StatusCode == http.StatusOK {
		t.Error("a GET collects garbage, which a link could do")
	}
}

// Profiles show what the program holds, so they are never open to others.
func TestProfilesAreForThisMachine(t *testing.T) {
	cfg := config.Default()
	for _, addr := range []string{"0.0.0.0:0", ":6060", "192.0.2.1:6060", "nowhere"} {
		cfg.Pprof = addr
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), "pprof: ") {
			t.Errorf("%s is taken: %v", addr, err)
		}
	}
	for _, addr := range []string{"", "127.0.0.1:0", "[::1]:6060", "localhost:6060"} {
		if cfg.Pprof = addr; cfg.Check() != nil {
			t.Errorf("%q is not taken: %v", addr, cfg.Check())
		}
	}
}
