package e2e_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// suite is a folder that http-cache-tests is installed in, see the conformance
// target of the Makefile.
type suite string

// suiteTest is what the suite says of one of its tests.
type suiteTest struct {
	ID        string
	Kind      string // required, optimal, or check, which has no right answer
	DependsOn []string
}

// verdicts are the suite's results: by the ID of a test, empty if it passed, or
// what was wrong.
type verdicts map[string]string

// TestConformance runs the suite behind cache-tests.fyi against the program, and
// holds what it says against what is known, in both directions. What depends on
// a test that fails is not judged.
func TestConformance(t *testing.T) {
	s := suite(os.Getenv("FRESHET_HTTP_CACHE_TESTS"))
	if s == "" {
		t.Skip("make conformance runs this")
	}
	tests := s.tests(t)
	known := readKnown(t, filepath.Join("testdata", "http-cache-tests", "expected.txt"))
	file, err := filepath.Abs(filepath.Join("testdata", "http-cache-tests", "distribution.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, options{
		config: fmt.Sprintf("origins: {suite.test: %q}\n", s.serve(t)),
		args:   []string{"--distribution", file},
	})
	got := s.run(t, f.Edge)
	if unexpected(tests, got, known) {
		// The suite waits by the clock, which a busy machine may not keep up with:
		// what passes once can pass.
		for id, why := range s.run(t, f.Edge) {
			got[id] = either(got[id], why)
		}
	}
	t.Log(table(tests, got, known))
	for id := range known {
		if !slices.ContainsFunc(tests, func(c suiteTest) bool { return c.ID == id }) {
			t.Errorf("%s is listed, and there is no such test", id)
		}
	}
	for _, c := range tests {
		why, judged := got.of(c, tests)
		switch {
		case judged && why != "" && known[c.ID] == "":
			t.Errorf("%s (%s) fails: %s", c.ID, c.Kind, why)
		case judged && why == "" && known[c.ID] != "":
			t.Errorf("%s passes, and is listed: %s", c.ID, known[c.ID])
		}
	}
}

// either is empty if one of two verdicts on a test is.
func either(a, b string) string {
	if b == "" {
		return ""
	}
	return a
}

func unexpected(tests []suiteTest, got verdicts, known map[string]string) bool {
	return slices.ContainsFunc(tests, func(c suiteTest) bool {
		why, judged := got.of(c, tests)
		return judged && why != "" && known[c.ID] == ""
	})
}

// of returns what was wrong, and whether that can be judged: all passed that c
// depends on.
func (v verdicts) of(c suiteTest, tests []suiteTest) (string, bool) {
	for _, id := range c.DependsOn {
		i := slices.IndexFunc(tests, func(c suiteTest) bool { return c.ID == id })
		if i < 0 {
			continue
		}
		if why, judged := v.of(tests[i], tests); why != "" || !judged {
			return "", false
		}
	}
	return v[c.ID], true
}

// table shows how many tests of each kind passed, and why the others did not.
func table(tests []suiteTest, got verdicts, known map[string]string) string {
	type count struct{ passed, failed, depending int }
	kinds := make(map[string]*count)
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, c := range slices.SortedFunc(slices.Values(tests), func(a, b suiteTest) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(known[a.ID], known[b.ID]), cmp.Compare(a.ID, b.ID))
	}) {
		if kinds[c.Kind] == nil {
			kinds[c.Kind] = new(count)
		}
		switch why, judged := got.of(c, tests); {
		case !judged:
			kinds[c.Kind].depending++
		case why == "":
			kinds[c.Kind].passed++
		default:
			kinds[c.Kind].failed++
			fmt.Fprintf(w, "%s\t%s\t%s\n", c.Kind, c.ID, cmp.Or(known[c.ID], "NOT EXPECTED: "+why))
		}
	}
	fmt.Fprintf(w, "\nkind\tpassed\tfailed\tdepend on those\n")
	for _, kind := range slices.Backward(slices.Sorted(maps.Keys(kinds))) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", kind, kinds[kind].passed, kinds[kind].failed, kinds[kind].depending)
	}
	_ = w.Flush()
	return "\n" + text.String()
}

// readKnown reads the tests that fail, by their ID, with the reason above them.
func readKnown(t *testing.T, path string) map[string]string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	known, reason := make(map[string]string), ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch after, isReason := strings.CutPrefix(line, "= "); {
		case line == "" || strings.HasPrefix(line, "#"):
		case isReason:
			reason = after
		case reason == "" || known[line] != "":
			t.Errorf("%s: %s has no reason or two", path, line)
		default:
			known[line] = reason
		}
	}
	return known
}

// node returns a command in the suite's folder; its settings are such as npm
// passes them.
func (s suite) node(t *testing.T, settings map[string]string, args ...string) *exec.Cmd {
	c := exec.CommandContext(t.Context(), "node", append([]string{"--no-warnings"}, args...)...)
	c.Dir, c.Env = string(s), os.Environ()
	for name, value := range settings {
		c.Env = append(c.Env, "npm_package_config_"+name+"="+value)
	}
	return c
}

// tests lists the tests for caches that are no browsers.
func (s suite) tests(t *testing.T) []suiteTest {
	c := s.node(t, nil, "--input-type=module", "--eval", `
		const suites = (await import('./tests/index.mjs')).default
		suites.push((await import('./tests/surrogate-control.mjs')).default)
		console.log(JSON.stringify(suites.flatMap(s => s.tests).filter(t => !t.browser_only).map(t => (
			{ ID: t.id, Kind: t.kind || 'required', DependsOn: t.depends_on || [] }))))`)
	out, err := c.Output()
	var tests []suiteTest
	if err == nil {
		err = json.Unmarshal(out, &tests)
	}
	if err != nil || len(tests) < 300 {
		t.Fatalf("list the suite's tests: %v, %d tests\n%s", err, len(tests), stderrOf(err))
	}
	return tests
}

// serve starts the suite's server and returns its URL.
func (s suite) serve(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close() // the server takes a number, and 0 for none
	var said safeBuffer
	c := s.node(t, map[string]string{"protocol": "http", "port": port, "pidfile": filepath.Join(t.TempDir(), "pid")}, "server/server.mjs")
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	url := "http://127.0.0.1:" + port
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); ; <-poll.C {
		resp, err := http.Get(url + "/package.json")
		if err == nil {
			_ = resp.Body.Close()
			return url
		}
		if time.Now().After(deadline) {
			t.Fatalf("the suite's server does not answer: %v\n%s", err, said.String())
		}
	}
}

// run has the suite's client test the cache at a URL.
func (s suite) run(t *testing.T, url string) verdicts {
	out, err := s.node(t, map[string]string{"base": url, "id": ""}, "cli.mjs").Output()
	if err != nil {
		t.Fatalf("run the suite: %v\n%s", err, stderrOf(err))
	}
	var results map[string]any // true, or what kind of error and which
	if err := json.Unmarshal(bytes.TrimSpace(out), &results); err != nil {
		t.Fatalf("read the suite's results: %v\n%s", err, tail(string(out), 2000))
	}
	v := make(verdicts, len(results))
	for id, result := range results {
		if v[id] = ""; result != true {
			v[id] = fmt.Sprint(result)
		}
	}
	return v
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
