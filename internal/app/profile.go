package app

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"time"
)

// profiles is the path below which the profiles of the runtime are.
const profiles = "/debug/pprof/"

// profileServer answers with profiles of the running program, and collects its
// garbage when it is told to: what takes long or memory under load is seen here.
func profileServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+profiles, pprof.Index)
	mux.HandleFunc("GET "+profiles+"cmdline", pprof.Cmdline)
	mux.HandleFunc("GET "+profiles+"profile", pprof.Profile)
	mux.HandleFunc("GET "+profiles+"symbol", pprof.Symbol)
	mux.HandleFunc("GET "+profiles+"trace", pprof.Trace)
	mux.HandleFunc("POST /debug/gc", collectGarbage)
	// No WriteTimeout: a profile takes as long as it is asked to.
	return &http.Server{Handler: onlyHere(mux), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
}

// onlyHere refuses requests for another name than this machine's own, which a
// page in a browser could have made to lead here.
func onlyHere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
			http.Error(w, "profiles are for this machine only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// collected is what a forced garbage collection says of itself.
type collected struct {
	Took  time.Duration `json:"took_ns"`  // from the beginning to the end, while the program goes on
	Pause time.Duration `json:"pause_ns"` // for which everything stood still
	CPU   time.Duration `json:"cpu_ns"`   // that it took of the processor
	Heap  uint64        `json:"heap_bytes"`
}

// collectGarbage answers when the garbage has been collected.
func collectGarbage(w http.ResponseWriter, _ *http.Request) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	spent := garbageCPU()
	began := time.Now()
	runtime.GC()
	took := time.Since(began)
	spent = garbageCPU() - spent
	runtime.ReadMemStats(&after)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(collected{took, time.Duration(after.PauseTotalNs - before.PauseTotalNs), spent, after.HeapAlloc}) // whoever asked is gone, or not
}

// garbageCPU is what the processor has spent on garbage up to the end of the last
// collection.
func garbageCPU() time.Duration {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindFloat64 {
		return 0
	}
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
}
