package benchedge

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// load is what is asked of every contender alike.
type load struct {
	name        string
	path        string
	connections int
	headers     []string
	script      string // of wrk, in Lua, for paths that differ; empty for path
	large       bool
	shared      bool   // server and clients share the cores
	secure      bool   // over TLS
	streams     int    // at once on each connection, in HTTP/2; 0 for HTTP/1.1
	lenient     bool   // answers that never come are no failure
	scarce      bool   // of what does not fit into the memory that there is
	without     string // a contender that cannot be measured so
	requests    int    // in HTTP/2, for each second that a round is meant to last
}

func (l load) scheme() string {
	if l.secure {
		return "https://"
	}
	return "http://"
}

// otherObjects asks for objects of a size that nobody has asked for yet.
func otherObjects(size int) string {
	return fmt.Sprintf(`local n = 0
init = function() math.randomseed(os.time()); n = math.random(1e9) * 1e6 end
request = function() n = n + 1; return wrk.format("GET", string.format("/%d/%%d", n)) end
`, size)
}

// round is what one contender did in one window of time.
type round struct {
	perSecond float64
	cpu       float64 // microseconds per request
	p99       float64 // microseconds
	requests  float64
	asked     float64 // requests to the origin; only where they are of interest
}

var (
	saidRequests = regexp.MustCompile(`(\d+) requests in ([0-9.]+)(us|ms|s|m)`)
	saidP99      = regexp.MustCompile(`99%\s+([0-9.]+)(us|ms|s|m)`)
	saidErrors   = regexp.MustCompile(`(Non-2xx[^\n]*|Socket errors[^\n]*)`)
)

// What h2load says of itself.
var (
	saidFinished  = regexp.MustCompile(`finished in ([0-9.]+)(us|ms|s|m)`)
	saidSucceeded = regexp.MustCompile(`requests: .* (\d+) done, (\d+) succeeded`)
)

// play has a contender loaded for a while.
func play(ctx context.Context, p *process, l load, length time.Duration, cores string) (round, error) {
	if l.streams > 0 {
		return playStreams(ctx, p, l, length, cores)
	}
	return playPlain(ctx, p, l, length, cores)
}

// playStreams has h2load send a contender a number of requests: with a duration
// in place of it, Debian's does not always come to an end.
func playStreams(ctx context.Context, p *process, l load, length time.Duration, cores string) (round, error) {
	args := []string{"h2load", "-t1", "-c" + strconv.Itoa(l.connections), "-m" + strconv.Itoa(l.streams), "-n" + strconv.Itoa(l.requests*seconds(length))}
	if cores != "" {
		args = append([]string{"taskset", "-c", cores}, args...)
	}
	for _, h := range l.headers {
		args = append(args, "-H", h)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	before := p.cpu()
	said, err := exec.CommandContext(ctx, args[0], append(args[1:], l.scheme()+p.addr+l.path)...).CombinedOutput()
	spent := p.cpu() - before
	if err != nil {
		return round{}, fmt.Errorf("h2load: %w: %s", err, said)
	}
	return heardStreams(said, p.name+", "+l.name, spent)
}

// heardStreams reads what h2load has said of requests that took so much of the
// processor.
func heardStreams(said []byte, whose string, spent time.Duration) (round, error) {
	took, m := saidFinished.FindSubmatch(said), saidSucceeded.FindSubmatch(said)
	if took == nil || m == nil {
		return round{}, fmt.Errorf("h2load said no number of requests: %s", said)
	}
	if string(m[1]) != string(m[2]) || string(m[1]) == "0" {
		return round{}, fmt.Errorf("%s: %s", whose, m[0])
	}
	n, _ := strconv.ParseFloat(string(m[1]), 64)
	return round{perSecond: n / (microseconds(took[1], took[2]) / 1e6), cpu: float64(spent.Microseconds()) / n}, nil
}

// seconds is a length as the programs want it.
func seconds(length time.Duration) int {
	return int(max(length.Round(time.Second), time.Second) / time.Second)
}

// playPlain has wrk load a contender.
func playPlain(ctx context.Context, p *process, l load, length time.Duration, cores string) (round, error) {
	args := []string{"wrk", "-t1", "-c" + strconv.Itoa(l.connections), "-d" + strconv.Itoa(seconds(length)) + "s", "--latency"}
	if l.shared {
		args[1] = "-t2"
	} else if cores != "" {
		args = append([]string{"taskset", "-c", cores}, args...)
	}
	for _, h := range l.headers {
		args = append(args, "-H", h)
	}
	if l.script != "" {
		file := filepath.Join(p.dir, "paths.lua")
		if err := os.WriteFile(file, []byte(l.script), 0o600); err != nil {
			return round{}, fmt.Errorf("write the script: %w", err)
		}
		args = append(args, "-s", file)
	}
	args = append(args, l.scheme()+p.addr+l.path)
	before := p.cpu()
	said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	spent := p.cpu() - before
	if err != nil {
		return round{}, fmt.Errorf("wrk: %w: %s", err, said)
	}
	return heardPlain(said, p.name+", "+l.name, spent, l.lenient)
}

// heardPlain reads what wrk has said of requests that took so much of the
// processor. Whoever is lenient counts failed ones, too.
func heardPlain(said []byte, whose string, spent time.Duration, lenient bool) (round, error) {
	if wrong := saidErrors.Find(said); wrong != nil && !lenient {
		return round{}, fmt.Errorf("%s: %s", whose, wrong)
	}
	m := saidRequests.FindSubmatch(said)
	if m == nil {
		return round{}, fmt.Errorf("wrk said no number of requests: %s", said)
	}
	n, _ := strconv.ParseFloat(string(m[1]), 64)
	if n == 0 {
		return round{}, fmt.Errorf("%s: no request was answered", whose)
	}
	r := round{requests: n, perSecond: n / (microseconds(m[2], m[3]) / 1e6), cpu: float64(spent.Microseconds()) / n}
	if q := saidP99.FindSubmatch(said); q != nil {
		r.p99 = microseconds(q[1], q[2])
	}
	return r, nil
}

func microseconds(number, unit []byte) float64 {
	n, _ := strconv.ParseFloat(string(number), 64)
	return n * map[string]float64{"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}[string(unit)]
}

// spread is the median of some values, and the middle half of them.
type spread struct{ median, low, high float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(values))
	at := func(share float64) float64 { return s[min(int(share*float64(len(s))), len(s)-1)] }
	return spread{at(0.5), at(0.25), at(0.75)}
}

// browser is what a browser sends beside Host.
func browser() []string {
	return strings.Split(`User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Accept-Language: en-GB,en;q=0.7,de;q=0.3
Accept-Encoding: gzip, deflate, br
Referer: https://www.example.com/section/page.html
Sec-Fetch-Dest: document
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: same-origin
Upgrade-Insecure-Requests: 1
Cookie: session=0123456789abcdef; theme=dark`, "\n")
}
