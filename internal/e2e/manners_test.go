//go:build linux

package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const mannersDistribution = `Id: E1MANNERS
DistributionConfig:
  Enabled: true
  HttpVersion: http2
  Origins:
    - Id: any
      DomainName: any.test
      CustomOriginConfig: {HTTPPort: 80, OriginProtocolPolicy: http-only}
  DefaultCacheBehavior:
    TargetOriginId: any
    ViewerProtocolPolicy: allow-all
    AllowedMethods: [GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE]
    CachePolicyId: Managed-CachingOptimized
`

func smallBuffer(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
}

// besieged starts a freshet in front of an origin that answers /SIZE/… with as many
// bytes, and /slow/… when the test is over.
func besieged(t *testing.T, args ...string) *running {
	t.Helper()
	return besiegedBy(t, program, append([]string{"--memory", "64MiB"}, args...)...)
}

// besiegedBy is besieged for a program of its own.
func besiegedBy(t *testing.T, program string, args ...string) *running {
	t.Helper()
	over := make(chan struct{})
	body := strings.Repeat("0123456789", 1_000_000)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := strings.Split(r.URL.Path, "/")[1]
		if first == "slow" {
			select {
			case <-over:
			case <-r.Context().Done():
			}
			return
		}
		n, _ := strconv.Atoi(first)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Length", first)
		_, _ = io.WriteString(w, body[:n])
	}))
	t.Cleanup(origin.Close)
	t.Cleanup(func() { close(over) })
	file := filepath.Join(t.TempDir(), "distribution.yaml")
	if err := os.WriteFile(file, []byte(mannersDistribution), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, options{
		config:  fmt.Sprintf("origins: {any.test: %q}\ndrain: 1s\n", origin.URL),
		args:    append([]string{"--distribution", file, "--tls", "127.0.0.1:0", "--pprof", "127.0.0.1:0"}, args...),
		program: program,
	})
	for _, path := range []string{"/1000/hit", "/30000/middling", "/10000000/large"} {
		for end := time.Now().Add(patience); ; {
			if seen, err := f.viewer(t).get(path); err == nil && seen.cache() == "Hit" {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s is no hit", path)
			}
		}
	}
	return f
}

// healthy are viewers as there should be: each asks, takes the answer, and asks
// again.
type healthy struct {
	client *http.Client
	url    func(n int) string

	mu    sync.Mutex
	took  []time.Duration
	full  int // times there was no room
	other []string
}

// visit asks until ctx is done.
func (h *healthy) visit(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		status, err := h.ask(ctx, h.url(n))
		took := time.Since(began)
		h.mu.Lock()
		switch {
		case ctx.Err() != nil:
		case status == http.StatusOK:
			h.took = append(h.took, took)
		case status == http.StatusServiceUnavailable || status == 0:
			h.full++
			if took > patience/2 {
				h.other = append(h.other, fmt.Sprintf("refused after %v: %v", took, err))
			}
		default:
			h.other = append(h.other, fmt.Sprintf("status %d, %v", status, err))
		}
		h.mu.Unlock()
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// ask returns 0 for a connection that ended before there was an answer.
func (h *healthy) ask(ctx context.Context, url string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return -1, err
	}
	resp, err := h.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode == http.StatusOK && n != 1000 {
		return -2, fmt.Errorf("%d bytes, %w", n, err)
	}
	return resp.StatusCode, nil
}

func (h *healthy) answered() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.took)
}

func (h *healthy) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.took) == 0 {
		return fmt.Sprintf("never (refused %d)", h.full)
	}
	slices.Sort(h.took)
	ms := func(of int) float64 { return float64(h.took[(len(h.took)-1)*of/100].Microseconds()) / 1000 }
	return fmt.Sprintf("%d in %.1f/%.1f/%.1f ms (refused %d)", len(h.took), ms(50), ms(99), ms(100), h.full)
}

// visitors are healthy viewers of each kind.
func visitors(t *testing.T, f *running) map[string]*healthy {
	of := func(h2 bool, url func(int) string) *healthy {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2, DisableCompression: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &healthy{client: &http.Client{Transport: transport, Timeout: patience}, url: url}
	}
	hit := func(base string) func(int) string { return func(int) string { return base + "/1000/hit" } }
	return map[string]*healthy{
		"hit": of(false, hit(f.Edge)), "TLS": of(false, hit(f.EdgeTLS)), "HTTP/2": of(true, hit(f.EdgeTLS)),
		"miss": of(false, func(n int) string { return fmt.Sprintf("%s/1000/m%d-%d", f.Edge, time.Now().UnixNano(), n) }),
	}
}

// use is what a process has of the system.
type use struct{ files, goroutines, memory int }

func (f *running) use(t *testing.T) (u use) {
	t.Helper()
	pid := f.command.Process.Pid
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	u.files, u.memory = len(files), int(takenBy(t, pid))
	resp, err := http.Get(f.Pprof + "goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Sscanf(string(text), "goroutine profile: total %d", &u.goroutines)
	return u
}

// crowdSize is how many viewers an attack has: FRESHET_CROWD, or a few.
func crowdSize(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("FRESHET_CROWD")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHealthyViewersAreAnswered: whatever others do, and however many they are,
// those who ask as one should are answered, and when the others have gone nothing is
// left of them. FRESHET_CROWD says how many they are.
func TestHealthyViewersAreAnswered(t *testing.T) {
	if !long() && os.Getenv("FRESHET_CROWD") == "" {
		t.Skip("attacks that take both cores for minutes; with FRESHET_SOAK=1 or FRESHET_CROWD=60")
	}
	f := besieged(t)
	empty := f.use(t)
	for _, name := range slices.Sorted(maps.Keys(misdeeds())) {
		t.Run(name, func(t *testing.T) { f.attacked(t, name, crowdSize(t, 60), empty) })
	}
}

// attacked is one attack.
func (f *running) attacked(t *testing.T, name string, size int, empty use) {
	stop := besiege(t, f, name, size)
	defer stop()
	if size > 1000 {
		<-time.After(time.Duration(size/2000) * time.Second) // until most of them are there
	}
	all := visitors(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var visiting sync.WaitGroup
	for _, h := range all {
		visiting.Go(func() { h.visit(ctx) })
	}
	wanted, most := 10, use{}
	least := time.Duration(0)
	if size > 1000 {
		wanted, least = 100, 15*time.Second
	}
	began := time.Now()
	for name, h := range all {
		for end := time.Now().Add(patience); h.answered() < wanted || time.Since(began) < least; <-time.After(20 * time.Millisecond) {
			u := f.use(t)
			most = use{max(most.files, u.files), max(most.goroutines, u.goroutines), max(most.memory, u.memory)}
			if time.Now().After(end) {
				t.Errorf("%s: %s", name, h)
				break
			}
		}
	}
	cancel()
	visiting.Wait()
	stop()
	for name, h := range all {
		if len(h.other) > 0 {
			t.Errorf("%s: %s", name, strings.Join(h.other[:min(len(h.other), 5)], "\n"))
		}
	}
	t.Logf("%d viewers; at most %d files, %d goroutines, %d MiB more than when empty", size, most.files, most.goroutines, (most.memory-empty.memory)>>20)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Logf("%6s answered %s", name, all[name])
	}
	var left use
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if left = f.use(t); left.files < empty.files+100 && left.goroutines < empty.goroutines+300 {
			t.Logf("%d files, %d goroutines left after %v", left.files-empty.files, left.goroutines-empty.goroutines, time.Since(began).Round(time.Second))
			return
		}
	}
	t.Errorf("afterwards there are %d files and %d goroutines, when empty there were %d and %d", left.files, left.goroutines, empty.files, empty.goroutines)
}
