package benchedge

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

const versionsTitle = "Versions"

// preface says what the report is.
func preface() string {
	return fmt.Sprintf("# The edge beside other caches\n\n`make bench-edge` writes this; the last time on %s, on %s.\n\n", today(), machine()) +
		"Each server has one core and the clients another, over loopback; where the cores are shared, both use all.\n" +
		"The servers run at the same time and are loaded in turns. What counts is the processor time of the server\n" +
		"(user and system) per request: its median, and in brackets the middle half of the rounds. A ratio above 1 says\n" +
		"how many times less than nginx a server needs. nginx has one worker, its cache in memory, open files remembered,\n" +
		"and sendfile for large bodies only. All keep 64 connections open, 16 for 10 MiB. TLS is 1.3, with certificates of\n" +
		"P-256 and AES-128-GCM; wrk asks in HTTP/1.1, h2load in HTTP/2, of which p99 is not known. The busier the machine\n" +
		"was with other programs, the less requests/s and p99 say.\n"
}

// circumstances says when and how a chapter was measured.
func (b *bench) circumstances() string {
	return fmt.Sprintf("(%s, %d rounds of %v; %s threads of other programs wanted to run when it began.)\n", today(), b.rounds, b.length, b.before)
}

func today() string { return time.Now().UTC().Format("2 January 2006") }

func (b *bench) versions() string {
	var text strings.Builder
	for _, c := range b.contenders {
		fmt.Fprintf(&text, "- %s\n", c.versionOf())
	}
	return text.String()
}

// chapter writes down what was measured of one load.
func (b *bench) chapter(r result) chapter {
	var text strings.Builder
	b.table(&text, r)
	c := chapter{title: r.name, text: text.String()}
	var ours float64
	var others []string
	for k, who := range b.contenders {
		if who.name == ourName && len(r.rounds[k]) > 0 {
			ours = cpuOf(r.rounds[k])
			c.rows = []row{{what: r.name, ours: fmt.Sprintf("%s us", short(ours))}}
		}
	}
	for k, who := range b.contenders {
		if who.name != ourName && ours > 0 && len(r.rounds[k]) > 0 {
			others = append(others, fmt.Sprintf("%s %.2f", who.name, cpuOf(r.rounds[k])/ours))
		}
	}
	if len(c.rows) > 0 {
		c.rows[0].others = strings.Join(others, ", ") + " times as much"
	}
	return c
}

// cpuOf is the median of the processor time per request, in microseconds.
func cpuOf(rounds []round) float64 {
	return spreadOf(each(rounds, func(x round) float64 { return x.cpu })).median
}

func (b *bench) table(w io.Writer, r result) {
	fmt.Fprint(w, "| server | CPU per request, us | times better than nginx | requests/s | p99, us |\n|---|---|---|---|---|\n")
	first := cpuOf(r.rounds[0])
	for k, c := range b.contenders {
		if len(r.rounds[k]) == 0 {
			why := "speaks no TLS"
			if r.scarce {
				why = "has no files"
			}
			fmt.Fprintf(w, "| %s | %s | | | |\n", c.name, why)
			continue
		}
		own := spreadOf(each(r.rounds[k], func(x round) float64 { return x.cpu }))
		p99 := ""
		if slowest := spreadOf(each(r.rounds[k], func(x round) float64 { return x.p99 })).median; slowest > 0 {
			p99 = fmt.Sprintf("%.0f", slowest)
		}
		fmt.Fprintf(w, "| %s | %s | %.2f | %.0f | %s |\n", c.name, own, first/own.median,
			spreadOf(each(r.rounds[k], func(x round) float64 { return x.perSecond })).median, p99)
	}
}

// short is a figure without more digits than it deserves.
func short(value float64) string {
	if value >= 100 {
		return fmt.Sprintf("%.0f", value)
	}
	return fmt.Sprintf("%.2f", value)
}

// String is the median and the middle half.
func (s spread) String() string {
	return fmt.Sprintf("%s (%s-%s)", short(s.median), short(s.low), short(s.high))
}

func each[T any](rounds []T, of func(T) float64) (values []float64) {
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
