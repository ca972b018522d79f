package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// sender is a program that makes a bucket equal to a directory.
type sender struct {
	name    string
	command func(f *running, endpoint, dir, prefix string) *exec.Cmd
}

// senders are those that are installed. Each may have 32 requests in flight.
func senders(tb testing.TB) []sender {
	all := []sender{{"freshet deploy", func(f *running, endpoint, dir, prefix string) *exec.Cmd {
		c := exec.Command(program, "--data", filepath.Join(dir, "..", "elsewhere"), "deploy", dir, "s3://"+f.Bucket+"/"+prefix, "--endpoint-url", endpoint, "--invalidate", "none", "--max-delete", "100%")
		c.Env = append(f.environ(), "HOME="+filepath.Dir(dir))
		return c
	}}}
	if path, err := exec.LookPath("/usr/bin/aws"); err == nil {
		config := filepath.Join(tb.TempDir(), "config")
		if err := os.WriteFile(config, []byte("[default]\ns3 =\n  max_concurrent_requests = 32\n"), 0o600); err != nil {
			tb.Fatal(err)
		}
		all = append(all, sender{"aws s3 sync" + versionOf(path), func(f *running, endpoint, dir, prefix string) *exec.Cmd {
			c := exec.Command(path, "--endpoint-url", endpoint, "s3", "sync", "--delete", "--only-show-errors", dir, "s3://"+f.Bucket+"/"+prefix)
			c.Env = append(f.environ(), "AWS_CONFIG_FILE="+config)
			return c
		}})
	}
	for _, path := range append([]string{"/usr/bin/rclone"}, strings.Fields(os.Getenv("BENCH_RCLONE"))...) {
		if _, err := exec.LookPath(path); err != nil {
			continue
		}
		all = append(all, sender{"rclone sync" + versionOf(path), func(f *running, endpoint, dir, prefix string) *exec.Cmd {
			c := exec.Command(path, "sync", "--transfers", "32", "--checkers", "32", "--fast-list", "--s3-no-check-bucket", "-q", dir, "b:"+f.Bucket+"/"+prefix)
			own := slices.DeleteFunc(f.environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }) // it reads only its own
			c.Env = append(own, "RCLONE_CONFIG=/dev/null", "RCLONE_CONFIG_B_TYPE=s3", "RCLONE_CONFIG_B_PROVIDER=Other", "RCLONE_CONFIG_B_ENDPOINT="+endpoint,
				"RCLONE_CONFIG_B_ACCESS_KEY_ID="+f.AccessKey, "RCLONE_CONFIG_B_SECRET_ACCESS_KEY="+f.SecretKey, "RCLONE_CONFIG_B_REGION="+f.Region)
			return c
		}})
	}
	return all
}

// versionOf is what a program says of itself, in brackets.
func versionOf(path string) string {
	out, _ := exec.Command(path, "--version").Output()
	for _, word := range strings.FieldsFunc(string(out), func(r rune) bool { return r == ' ' || r == '\n' || r == '/' }) {
		if strings.ContainsAny(word, "0123456789") && strings.Contains(word, ".") {
			return " (" + strings.TrimPrefix(word, "v") + ")"
		}
	}
	return ""
}

// counted passes requests on to a server and counts them.
func counted(tb testing.TB, to string) (endpoint string, count *atomic.Int64) {
	target, err := url.Parse(to)
	if err != nil {
		tb.Fatal(err)
	}
	count = new(atomic.Int64)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	tb.Cleanup(s.Close)
	return s.URL, count
}

// spent is what one run took.
type spent struct {
	wall     time.Duration
	cpu      time.Duration
	memory   int64 // bytes
	requests int64
}

func measure(tb testing.TB, c *exec.Cmd) spent {
	tb.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	begun := time.Now()
	if err := c.Start(); err != nil {
		tb.Fatalf("%v: %v", c.Args, err)
	}
	ended := make(chan struct{})
	most := make(chan int64)
	go func() { most <- peak(c.Process.Pid, ended) }()
	err := c.Wait()
	s := spent{wall: time.Since(begun)}
	close(ended)
	s.memory = <-most
	if err != nil {
		tb.Fatalf("%v: %v\n%s", c.Args, err, out.String())
	}
	s.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	return s
}

// peak is the most memory that a process is seen to have had until it ended. What
// the system says of an ended one counts what its parent had when it forked.
func peak(pid int, ended <-chan struct{}) (bytes int64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return bytes
		case <-tick.C:
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		if words := strings.Fields(rest); len(words) > 0 {
			if kB, err := strconv.ParseInt(words[0], 10, 64); err == nil {
				bytes = max(bytes, kB<<10)
			}
		}
	}
}

// scenario is a state of the directory, and what the senders do to it.
type scenario struct {
	name   string
	change func(tb testing.TB, dir string, n int)
}

func fillSite(tb testing.TB, dir string, files, least, most int) {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, most)
	for i := range text {
		text[i] = byte(random.Uint32())
	}
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("d%02d", i%100), fmt.Sprintf("f%05d.%s", i, []string{"html", "css", "js"}[i%3]))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			tb.Fatal(err)
		}
		copy(text, strconv.Itoa(i))
		if err := os.WriteFile(name, text[:least+random.IntN(most-least+1)], 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error { return os.Chtimes(path, old, old) })
}

// touch changes one file in a hundred, size and all, as a build does.
func touch(tb testing.TB, dir string, n int) {
	for i := 0; i < n; i += 100 {
		name := filepath.Join(dir, fmt.Sprintf("d%02d", i%100), fmt.Sprintf("f%05d.%s", i, []string{"html", "css", "js"}[i%3]))
		if err := os.WriteFile(name, []byte(fmt.Sprint("changed ", i, time.Now())), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func benchSize(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// BenchmarkDeploy holds deploys beside other programs that make a bucket equal to
// a directory, against the same server, one after the other, and prints a table.
// Time and memory are of runs against the server itself, requests of runs through
// a proxy that counts.
func BenchmarkDeploy(b *testing.B) {
	small, large := benchSize("BENCH_FILES", 10_000), benchSize("BENCH_LARGE", 200)
	f := start(b, options{})
	f.silence(b)
	endpoint, count := counted(b, f.S3)
	var table strings.Builder
	fmt.Fprintln(&table, "| | | wall time | processor | requests | peak memory |\n|---|---|---:|---:|---:|---:|")
	for _, size := range []struct {
		what        string
		files       int
		least, most int
		scenarios   []scenario
	}{
		{what: fmt.Sprintf("%d small files", small), files: small, least: 200, most: 8000, scenarios: []scenario{
			{"all new", nil}, {"1 % changed", touch}, {"nothing changed", func(testing.TB, string, int) {}},
		}},
		{what: fmt.Sprintf("%d files of 8 MB", large), files: large, least: 8 << 20, most: 8 << 20, scenarios: []scenario{
			{"all new", nil}, {"nothing changed", func(testing.TB, string, int) {}},
		}},
	} {
		dir := filepath.Join(b.TempDir(), "site")
		fillSite(b, dir, size.files, size.least, size.most)
		_ = exec.Command("sync").Run() // or the first one waits for the disk
		all := senders(b)
		results := make(map[string][]spent)
		for _, sc := range size.scenarios {
			if sc.change != nil {
				sc.change(b, dir, size.files)
			}
			for _, s := range all {
				prefix := strings.Map(plainLetter, s.name)
				took := measure(b, s.command(f, f.S3, dir, prefix+"-t"))
				count.Store(0)
				measure(b, s.command(f, endpoint, dir, prefix+"-c"))
				took.requests = count.Load()
				results[sc.name] = append(results[sc.name], took)
				fmt.Fprintf(os.Stderr, "%s, %s, %s: %.2f s, %d requests, %d MB\n", size.what, sc.name, s.name, took.wall.Seconds(), took.requests, took.memory>>20)
			}
		}
		for _, sc := range size.scenarios {
			for i, r := range results[sc.name] {
				what := ""
				if i == 0 {
					what = size.what + ", " + sc.name
				}
				fmt.Fprintf(&table, "| %s | %s | %.2f s | %.2f s | %d | %d MB |\n", what, all[i].name, r.wall.Seconds(), r.cpu.Seconds(), r.requests, r.memory>>20)
			}
		}
		f.empty(b)
	}
	fresh := start(b, options{})
	dir := filepath.Join(b.TempDir(), "site")
	fillSite(b, dir, small, 200, 8000)
	fmt.Fprintln(&table, "\nFrom the last object sent to all of them seen fresh through the edge:")
	for _, what := range []string{"all new", "1 % changed"} {
		out, err := fresh.deploying(dir, "--json", "--timeout", "10m").Output()
		if err != nil {
			b.Fatal(err)
		}
		var result struct {
			Seconds  float64        `json:"seconds_from_sent_to_end"`
			Verdicts map[string]int `json:"verdicts"`
		}
		if err := json.Unmarshal(out, &result); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&table, "%s: %d objects in %.2f s\n", what, result.Verdicts["fresh"], result.Seconds)
		touch(b, dir, small)
	}
	b.Log("\n" + table.String())
	if file := os.Getenv("BENCH_TABLE"); file != "" {
		if err := os.WriteFile(file, []byte(table.String()), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

func plainLetter(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// empty deletes all that the bucket holds.
func (f *running) empty(tb testing.TB) {
	c := f.s3(tb)
	for {
		page, err := c.ListObjectsV2(tb.Context(), &s3.ListObjectsV2Input{Bucket: &f.Bucket})
		if err != nil {
			tb.Fatal(err)
		}
		var list []types.ObjectIdentifier
		for _, o := range page.Contents {
			list = append(list, types.ObjectIdentifier{Key: o.Key})
		}
		if len(list) == 0 {
			return
		}
		if _, err := c.DeleteObjects(tb.Context(), &s3.DeleteObjectsInput{Bucket: &f.Bucket, Delete: &types.Delete{Objects: slices.Clone(list)}}); err != nil {
			tb.Fatal(err)
		}
	}
}
