package lambda

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Metrics is where metrics go, as lines of CloudWatch's embedded metric format.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type Metrics struct {
	Out      io.Writer // nil: nowhere
	Function string    // name, the only dimension
}

// Namespace is what the metrics are found under in CloudWatch.
const Namespace = "freshet"

// metric is what is counted, or observed in seconds.
type metric string

const (
	received   metric = "Received"   // records
	skipped    metric = "Skipped"    // understood, and nothing to do
	repeated   metric = "Repeated"   // done before
	unreadable metric = "Unreadable" // records
	planned    metric = "Planned"    // invalidations
	sent       metric = "Sent"       // invalidations that were accepted
	patterns   metric = "Paths"      // that were accepted
	throttled  metric = "Throttled"  // push-backs of the CDN
	failed     metric = "Failed"     // records that come again

	acceptedWithin metric = "AcceptedWithin" // from the change to the CDN's acceptance
	freshWithin    metric = "FreshWithin"    // from the change to completion
)

func counted() []metric {
	return []metric{received, skipped, repeated, unreadable, planned, sent, patterns, throttled, failed}
}

// mostValues is how many values of one metric the format allows in a line.
const mostValues = 100

// meter counts during one invocation.
type meter struct {
	out Metrics

	mu       sync.Mutex
	at       time.Time
	counts   map[metric]int
	observed map[metric][]float64 // seconds
}

func (m *meter) begin(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at, m.counts, m.observed = now, make(map[metric]int), make(map[metric][]float64)
}

func (m *meter) add(what metric, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[what] += n
}

func (m *meter) observe(what metric, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.observed[what]) < mostValues {
		m.observed[what] = append(m.observed[what], max(0, d.Seconds()))
	}
}

// end writes the line. Zeros are written, too: an alarm has to tell none from
// unknown.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.out.Out == nil {
		return
	}
	type definition struct {
		Name, Unit string
	}
	line := map[string]any{"FunctionName": m.out.Function}
	var definitions []definition
	for _, c := range counted() {
		definitions = append(definitions, definition{string(c), "Count"})
		line[string(c)] = m.counts[c]
	}
	for _, o := range []metric{acceptedWithin, freshWithin} {
		if values := m.observed[o]; len(values) > 0 {
			definitions = append(definitions, definition{string(o), "Seconds"})
			line[string(o)] = values
		}
	}
	line["_aws"] = map[string]any{"Timestamp": m.at.UnixMilli(), "CloudWatchMetrics": []any{map[string]any{
		"Namespace": Namespace, "Dimensions": [][]string{{"FunctionName"}}, "Metrics": definitions,
	}}}
	text, err := json.Marshal(line)
	if err == nil {
		_, _ = m.out.Out.Write(append(text, '\n'))
	}
}
