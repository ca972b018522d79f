package benchedge

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// report writes what was measured as Markdown.
func (b *bench) report(w io.Writer) {
	fmt.Fprintf(w, "# The edge beside other caches\n\n`make bench-edge` wrote this on %s, on %s.\n\n", time.Now().UTC().Format("2 January 2006"), machine())
	fmt.Fprintf(w, "Each server has one core and the clients another, over loopback; where the cores are shared, both use all.\n"+
		"The servers run at the same time and are loaded in turns, %d rounds of %v each. What counts is the processor time\n"+
		"of the server (user and system) per request: its median, and in brackets the middle half of the rounds. A ratio\n"+
		"above 1 says how many times less than nginx a server needs. nginx has one worker, its cache in memory, open files\n"+
		"remembered, and sendfile for large bodies only. All keep 64 connections open, 16 for 10 MiB.\n\n", b.rounds, b.length)
	fmt.Fprintf(w, "Before it began, %s threads on average wanted to run, of other programs: the more, the less requests/s and p99 say.\n\n", b.before)
	for _, r := range b.results {
		b.table(w, r)
	}
	fmt.Fprintln(w, "Versions:")
	fmt.Fprintln(w)
	for _, c := range b.contenders {
		fmt.Fprintf(w, "- %s\n", c.versionOf())
	}
}

func (b *bench) table(w io.Writer, r result) {
	fmt.Fprintf(w, "## %s\n\n| server | CPU per request, us | times better than nginx | requests/s | p99, us |\n|---|---|---|---|---|\n", r.name)
	cpu := func(x round) float64 { return x.cpu }
	first := spreadOf(each(r.rounds[0], cpu)).median
	for k, c := range b.contenders {
		own := spreadOf(each(r.rounds[k], cpu))
		fmt.Fprintf(w, "| %s | %s | %.2f | %.0f | %.0f |\n", c.name, own, first/own.median,
			spreadOf(each(r.rounds[k], func(x round) float64 { return x.perSecond })).median,
			spreadOf(each(r.rounds[k], func(x round) float64 { return x.p99 })).median)
	}
	fmt.Fprintln(w)
}

// String is the median and the middle half.
func (s spread) String() string {
	if s.median >= 100 {
		return fmt.Sprintf("%.0f (%.0f-%.0f)", s.median, s.low, s.high)
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.median, s.low, s.high)
}

func each(rounds []round, of func(round) float64) (values []float64) {
	for _, r := range rounds {
		values = append(values, of(r))
	}
	return values
}

// busy is the average number of threads that wanted to run in the last minute.
func busy() string {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ")
	return load
}

// machine says what the figures were taken on, in general.
func machine() string {
	model := runtime.GOARCH
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("a virtual machine with %d cores (%s), Linux, %s", runtime.NumCPU(), model, runtime.Version())
}
