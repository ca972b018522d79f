//go:build linux

package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const memoryDistribution = `Id: E1MEMORY
DistributionConfig:
  Enabled: true
  Origins:
    - Id: any
      DomainName: any.test
      CustomOriginConfig: {HTTPPort: 80, OriginProtocolPolicy: http-only}
  DefaultCacheBehavior:
    TargetOriginId: any
    ViewerProtocolPolicy: allow-all
    CachePolicyId: Managed-CachingOptimized
`

// However large the objects are that viewers ask for, and however many: the process
// takes no more than 1.3 times what it may, but for seconds, beside what it takes
// when it is empty.
func TestMemoryIsBounded(t *testing.T) {
	sizes := []int{200, 9_000, 300_000}
	counts := []int{6_000, 10_000, 500} // together twice what there is room for
	if os.Getenv("FRESHET_SOAK") != "" {
		counts = []int{60_000, 40_000, 3_000}
	}
	const memory = 96 << 20
	body := strings.Repeat("x", sizes[len(sizes)-1])
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Content-Length", strconv.Itoa(n))
		_, _ = io.WriteString(w, body[:n])
	}))
	defer origin.Close()
	file := filepath.Join(t.TempDir(), "distribution.yaml")
	if err := os.WriteFile(file, []byte(memoryDistribution), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, options{config: fmt.Sprintf("origins: {any.test: %q}\nmemory: %d\n", origin.URL, memory), args: []string{"--distribution", file}})
	empty := takenBy(t, f.command.Process.Pid)
	most := int64(0)
	for i, size := range sizes {
		fetchAll(t, f.Edge, size, counts[i])
		taken := int64(0)
		for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
			// What is not used any more comes back within seconds.
			if taken = takenBy(t, f.command.Process.Pid) - empty; taken <= memory*13/10 {
				break
			}
		}
		t.Logf("after %d objects of %d bytes: %d MiB", counts[i], size, taken>>20)
		most = max(most, taken)
	}
	if most > memory*13/10 {
		t.Errorf("it takes %d MiB more than when it was empty; it may take %d for responses", most>>20, memory>>20)
	}
}

// fetchAll has n objects of a size fetched by a few viewers.
func fetchAll(t *testing.T, edge string, size, n int) {
	t.Helper()
	var all sync.WaitGroup
	const viewers = 16
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: viewers}}
	defer client.CloseIdleConnections()
	for v := range viewers {
		all.Go(func() {
			for i := v; i < n; i += viewers {
				resp, err := client.Get(fmt.Sprintf("%s/%d/%d", edge, size, i))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || got != int64(size) {
					t.Errorf("%d bytes, %v", got, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// takenBy is the memory that a process takes, with that of the files in memory
// which it has open and which nothing else counts.
func takenBy(t *testing.T, pid int) int64 {
	t.Helper()
	taken := memoryOfProcess(pid)
	if taken == 0 {
		t.Fatal("it takes no memory")
	}
	return taken
}

// memoryOfProcess is 0 for one that has ended.
func memoryOfProcess(pid int) (taken int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		for _, name := range []string{"RssAnon:", "RssFile:"} {
			if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
				n, _ := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
				taken += n << 10
			}
		}
	}
	open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range open {
		var st syscall.Stat_t
		if name, _ := os.Readlink(fd); strings.HasPrefix(name, "/memfd:") && syscall.Stat(fd, &st) == nil {
			taken += st.Blocks * 512
		}
	}
	return taken
}
