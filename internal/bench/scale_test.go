package bench_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
)

// live is how many objects the site of the scale benchmark has.
const live = 10_000_000

// scaled is what one run of the planner at scale says.
type scaled struct {
	Plan     float64 // seconds for plan.Make
	CPU      float64 // seconds of processor time for it, garbage collection included
	Route    float64 // seconds for the targets of all changes
	Patterns int
	Cold     int64
	Peak     int64 // resident memory of the whole process at most, in bytes
	Held     int64 // of it after inventory, changes and targets were there, before planning
}

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv("FRESHET_BENCH_CHANGED")); err == nil {
		_ = json.NewEncoder(os.Stdout).Encode(planAtScale(n))
		return
	}
	os.Exit(m.Run())
}

// BenchmarkPlanAtScale plans 1,000 to 1,000,000 changed keys of a site of ten
// million on one core, each in a process of its own, so that the memory counts.
func BenchmarkPlanAtScale(b *testing.B) {
	for n := 1000; n <= 1_000_000; n *= 10 {
		b.Run(fmt.Sprintf("changed=%d/live=%d", n, live), func(b *testing.B) {
			var s scaled
			for b.Loop() {
				child := exec.CommandContext(b.Context(), os.Args[0])
				child.Env = append(os.Environ(), "FRESHET_BENCH_CHANGED="+strconv.Itoa(n), "GOMAXPROCS=1")
				child.Stderr = os.Stderr
				text, err := child.Output()
				if err == nil {
					err = json.Unmarshal(text, &s)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(s.Plan, "plan-s")
			b.ReportMetric(s.CPU, "plan-cpu-s")
			b.ReportMetric(s.CPU/float64(n)*1e9, "plan-cpu-ns/key")
			b.ReportMetric(s.Route, "route-s")
			b.ReportMetric(float64(s.Held)/(1<<20), "held-MiB")
			b.ReportMetric(float64(s.Peak)/(1<<20), "peak-MiB")
			b.ReportMetric(float64(s.Patterns), "paths")
			b.ReportMetric(float64(s.Cold), "cold")
		})
	}
}

// key is the n-th key of the site, in the order of the keys: a tree of
// languages, versions, sections and pages.
func key(n int) string {
	return fmt.Sprintf("%s/docs/v%d.%d/section-%02d/chapter-%02d/page-%04d.html", languages[n/1_000_000], n/500_000%2+1, n/50_000%10, n/5000%10, n/500%10, n%500)
}

var languages = []string{"ar", "de", "en", "es", "fr", "it", "ja", "ko", "pt", "zh"}

// planAtScale plans every (live/changed)-th key.
func planAtScale(changed int) (s scaled) {
	debug.SetMemoryLimit(900 << 20)
	router, err := route.New([]distribution.Distribution{distribution.ForBucket("E1", "site")}, route.Rules{})
	must(err)
	var b inventory.Builder
	for n := range live {
		b.Add(inventory.Entry{URL: "/" + key(n), Size: int64(1000 + n%50_000)})
	}
	in := plan.Input{Profiles: []freshet.Profile{cloudfront.ProfileOf("E1", nil)}, Inventories: map[string]*inventory.Inventory{"E1": b.Inventory()}}
	step := live / changed
	for n := 0; n < live; n += step {
		in.Changes = append(in.Changes, freshet.Change{Origin: "site", Key: key(n), Op: freshet.OpPut, Sequencer: "01"})
	}
	runtime.GC()
	began := time.Now()
	in.Targets, in.Unrouted = router.Targets(in.Changes, nil)
	s.Route = time.Since(began).Seconds()
	runtime.GC()
	s.Held = memory("VmRSS:")
	stop := profile()
	beganPlan, used := time.Now(), processorTime()
	p, err := plan.Make(in)
	must(err)
	s.Plan, s.CPU = time.Since(beganPlan).Seconds(), (processorTime() - used).Seconds()
	stop()
	s.Patterns, s.Cold, s.Peak = len(patternsOf(p)), p.Costs[0].Plan.ColdObjects, memory("VmHWM:")
	return s
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory reads a field of the process's status, in bytes; 0 where there is none.
func memory(field string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), field)
	n, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
	return n * 1024
}

// profile writes a CPU profile to the file that the environment names.
func profile() (stop func()) {
	name := os.Getenv("FRESHET_BENCH_PROFILE")
	if name == "" {
		return func() {}
	}
	f, err := os.Create(name)
	must(err)
	must(pprof.StartCPUProfile(f))
	return func() { pprof.StopCPUProfile(); must(f.Close()) }
}
