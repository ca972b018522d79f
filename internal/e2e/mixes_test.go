//go:build linux

package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// mixes are crowds that ask for much memory in ways of their own, by what they do.
func mixes() map[string]map[string]int {
	return map[string]map[string]int{
		"misses":           {"misses of all sizes": 300},
		"misses by HTTP/2": {"misses of all sizes by HTTP/2": 20},
		"slow readers":     {"slow readers": 150, "slow readers of ranges": 75, "slow readers over TLS": 75, "slow readers over HTTP/2": 20},
		"slow misses":      {"slow readers of misses": 300},
		"uploads":          {"uploads": 200},
		"compressed":       {"compressed": 200},
		"ranges":           {"ranges": 200},
		"idle":             {"idle": 1000, "idle over TLS": 500, "idle over HTTP/2": 500, "idle after a miss": 300},
		"handshakes":       {"churn over TLS": 100},
		"everything": {
			"misses of all sizes": 150, "misses of all sizes by HTTP/2": 5, "slow readers": 50, "slow readers over TLS": 50, "slow readers of misses": 100,
			"uploads": 50, "compressed": 50, "ranges": 50, "idle": 300, "idle over HTTP/2": 200, "churn over TLS": 30, "slow heads": 50,
		},
	}
}

// Whatever viewers ask for, and all of it at once: the process never takes more than
// 1.3 times what is configured, from --memory 256MiB on.
func TestMemoryUnderMixes(t *testing.T) {
	if !long() {
		besiegedWith(t, 256, "everything", 5, 3*time.Second)
		return
	}
	for _, memory := range []int{256, 1024} {
		for _, name := range slices.Sorted(maps.Keys(mixes())) {
			t.Run(fmt.Sprintf("%d MiB, %s", memory, name), func(t *testing.T) { besiegedWith(t, memory, name, 1, 20*time.Second) })
		}
	}
}

// besiegedWith has a part of a mix besiege a freshet whose store is full.
func besiegedWith(t *testing.T, memory int, name string, part int, lasts time.Duration) {
	t.Helper()
	f := besiegedBy(t, withoutRaces(t), "--memory", fmt.Sprint(memory, "MiB"))
	pid := f.command.Process.Pid
	fetchAll(t, f.Edge, 20_000, memory<<20/20_000/4)
	fetchAll(t, f.Edge, 300_000, memory<<20/300_000)
	full := takenBy(t, pid)
	var all sync.WaitGroup
	var stops []func()
	for what, n := range mixes()[name] {
		stops = append(stops, besiege(t, f, what, max(n/part, 1)))
	}
	most := int64(0)
	for end := time.Now().Add(lasts); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		most = max(most, takenBy(t, pid))
	}
	for _, stop := range stops {
		all.Go(stop)
	}
	all.Wait()
	resident, err := peakMemory(pid)
	if err != nil {
		t.Fatal(err)
	}
	share := resident / float64(memory<<20)
	t.Logf("full it took %d MiB, with files in memory; then at most %d, of which %.0f resident: %.2f times", full>>20, most>>20, resident/(1<<20), share)
	if share > 1.3 {
		t.Errorf("it took %.2f times what is configured", share)
	}
}

// withoutRaces is the program without the race detector, which takes memory of its
// own.
func withoutRaces(t *testing.T) string {
	t.Helper()
	if !long() {
		return program
	}
	path := filepath.Join(t.TempDir(), "freshet")
	build := exec.Command("go", "build", "-o", path, "../../cmd/freshet")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	return path
}
