package benchedge

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const hitRatioTitle = "Hit ratio"

// saidRatio is a line of the benchmark: the trace, the policy, and its figures.
var saidRatio = regexp.MustCompile(`(?m)^BenchmarkHitRatio/(.+)/([^/\s]+?)(?:-\d+)?\s+\d+\s+\S+ ns/op\s+([0-9.]+) %bytes\s+([0-9.]+) %objects`)

// hitRatioTrial runs the benchmark of what is evicted, which needs no server.
func (b *bench) hitRatioTrial() trial {
	return trial{[]string{hitRatioTitle}, func(ctx context.Context) ([]chapter, error) {
		said, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkHitRatio$", "-benchtime", "1x", "./internal/edge/arena").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("run the benchmark: %w: %s", err, said)
		}
		c, err := hitRatioChapter(string(said))
		return []chapter{c}, err
	}}
}

// ratios are those of each policy on one trace, in hundredths of objects and of
// bytes.
type ratios struct {
	trace          string
	objects, bytes map[string]float64
}

func hitRatioChapter(said string) (chapter, error) {
	var traces []ratios
	var policies []string
	for _, m := range saidRatio.FindAllStringSubmatch(said, -1) {
		if at := len(traces) - 1; at < 0 || traces[at].trace != m[1] {
			traces = append(traces, ratios{m[1], make(map[string]float64), make(map[string]float64)})
		}
		if !slices.Contains(policies, m[2]) {
			policies = append(policies, m[2])
		}
		r := traces[len(traces)-1]
		r.bytes[m[2]], _ = strconv.ParseFloat(m[3], 64)
		r.objects[m[2]], _ = strconv.ParseFloat(m[4], 64)
	}
	if len(traces) == 0 {
		return chapter{}, fmt.Errorf("the benchmark says nothing of hits: %s", said)
	}
	c := chapter{title: hitRatioTitle}
	var text strings.Builder
	text.WriteString("Which share of the requests is a hit, and in brackets of the bytes, in hundredths. The first is how the edge does it; otter,\n" +
		"which it had before, is W-TinyLFU. All are charged alike for what an object takes beside its body.\n\n| trace | " + strings.Join(policies, " | ") + " |\n|---|" + strings.Repeat("---|", len(policies)) + "\n")
	for _, r := range traces {
		name := strings.ReplaceAll(r.trace, "_", " ")
		fmt.Fprintf(&text, "| %s |", name)
		others := make([]string, 0, len(policies))
		for _, policy := range policies {
			figure := fmt.Sprintf("%.1f (%.1f)", r.objects[policy], r.bytes[policy])
			fmt.Fprintf(&text, " %s |", figure)
			others = append(others, fmt.Sprintf("%s %.1f %%", policy, r.objects[policy]))
		}
		text.WriteString("\n")
		c.rows = append(c.rows, row{hitRatioTitle + ": " + name, others[0], strings.Join(others[1:], ", ")})
	}
	c.text = text.String()
	return c, nil
}
