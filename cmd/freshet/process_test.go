package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for what must happen. It is far longer
// than anything takes, so that only what never happens runs into it.
const patience = 3 * time.Minute

type processesKey struct{}

// process is a freshet in the background.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	err    error // of its end, once ended is closed
	stdout transcript
	stderr transcript
}

// transcript is what a process wrote, line by line.
type transcript struct {
	mu    sync.Mutex
	lines []string
	from  int // await looks at the lines from here on
	more  chan struct{}
}

func (t *transcript) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		t.mu.Lock()
		t.lines = append(t.lines, lines.Text())
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
	}
}

// find returns the first line since the mark that matches, and what to wait for
// if there is none yet.
func (t *transcript) find(re *regexp.Regexp) (line string, ok bool, more <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines[t.from:] {
		if re.MatchString(l) {
			return l, true, nil
		}
	}
	return "", false, t.more
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n") + "\n"
}

func (t *transcript) mark() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.from = len(t.lines)
}

// launch starts freshet in the script's directory and with its environment. It
// is killed when the script ends, unless it has ended before.
func launch(ts *testscript.TestScript, name string, args []string) *process {
	path, err := exec.LookPath("freshet")
	ts.Check(err)
	p := &process{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.stdout.more, p.stderr.more = make(chan struct{}), make(chan struct{})
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Env = environment(ts)
	out, err := p.cmd.StdoutPipe()
	ts.Check(err)
	errs, err := p.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	var reading sync.WaitGroup
	reading.Go(func() { p.stdout.read(out) })
	reading.Go(func() { p.stderr.read(errs) })
	go func() {
		reading.Wait()
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	processes(ts)[name] = p
	ts.Defer(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		ts.Logf("[%s stdout]\n%s[%s stderr]\n%s", name, &p.stdout, name, &p.stderr)
	})
	return p
}

func processes(ts *testscript.TestScript) map[string]*process {
	return ts.Value(processesKey{}).(map[string]*process)
}

// environment is what the script's own commands see.
func environment(ts *testscript.TestScript) []string {
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, name := range []string{"HOME", "TMPDIR", "FRESHET_DATA", "FRESHET_CONFIG", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "GORACE", "GOCOVERDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func named(ts *testscript.TestScript, name string) *process {
	p := processes(ts)[name]
	if p == nil {
		ts.Fatalf("no process is called %s", name)
	}
	return p
}

// wait returns the first line that matches, now or later.
func (p *process) wait(ts *testscript.TestScript, t *transcript, pattern string) string {
	re, err := regexp.Compile(pattern)
	ts.Check(err)
	deadline := time.After(patience)
	for {
		line, ok, more := t.find(re)
		if ok {
			return line
		}
		select {
		case <-more:
		case <-p.ended:
			if line, ok, _ := t.find(re); ok {
				return line
			}
			ts.Fatalf("ended (%v) without a line that matches %s", p.err, pattern)
		case <-deadline:
			ts.Fatalf("no line matches %s", pattern)
		}
	}
}

// serve [-people] [argument…] runs freshet up in the background as the process
// up, on free ports, and returns when it is ready. What it says of itself is
// then in S3, EDGE, API (URLs), S3_ADDR, EDGE_ADDR, API_ADDR and, with TLS, TLS_ADDR
// (host and port),
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, BUCKET and DIST. With
// -people it is read from what is written for people.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("serve cannot be negated: use exec freshet up")
	}
	all := []string{"up", "--s3", "127.0.0.1:0", "--edge", "127.0.0.1:0", "--api", "127.0.0.1:0"}
	people := len(args) > 0 && args[0] == "-people"
	if people {
		p := launch(ts, "up", append(all, args[1:]...))
		p.wait(ts, &p.stdout, `Ctrl-C ends$`)
		readWelcome(ts, p.stdout.String())
	} else {
		p := launch(ts, "up", append(append(all, "--json"), args...))
		readReady(ts, p.wait(ts, &p.stdout, `^\{"s3":`))
	}
	for _, name := range []string{"S3", "EDGE", "API"} {
		ts.Setenv(name+"_ADDR", host(ts, ts.Getenv(name)))
	}
	if secure := ts.Getenv("EDGE_TLS"); secure != "" {
		ts.Setenv("TLS_ADDR", host(ts, secure))
	}
}

func readReady(ts *testscript.TestScript, line string) {
	var ready map[string]string
	ts.Check(json.Unmarshal([]byte(line), &ready))
	for name, field := range map[string]string{
		"S3": "s3", "EDGE": "edge", "API": "api", "BUCKET": "bucket", "DIST": "distribution",
		"AWS_ACCESS_KEY_ID": "access_key", "AWS_SECRET_ACCESS_KEY": "secret_key", "AWS_REGION": "region",
	} {
		if ready[field] == "" {
			ts.Fatalf("%s is missing in the ready line %s", field, line)
		}
		ts.Setenv(name, ready[field])
	}
	ts.Setenv("EDGE_TLS", ready["edge_tls"])
	ts.Setenv("AUTHORITY", ready["authority"])
	ts.Setenv("HOOKS", ready["hooks"])
}

func readWelcome(ts *testscript.TestScript, text string) {
	for name, pattern := range map[string]string{
		"S3": `  s3     (\S+)`, "EDGE": `  edge   (\S+)`, "API": `  api    (\S+)`, "BUCKET": `   bucket (\S+)`, "DIST": `; distribution (\S+)`,
		"AWS_ACCESS_KEY_ID": `AWS_ACCESS_KEY_ID=(\S+)`, "AWS_SECRET_ACCESS_KEY": `AWS_SECRET_ACCESS_KEY=(\S+)`, "AWS_REGION": `AWS_DEFAULT_REGION=(\S+)`,
	} {
		found := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if found == nil {
			ts.Fatalf("nothing matches %s in\n%s", pattern, text)
		}
		ts.Setenv(name, found[1])
	}
}

// start NAME ARGUMENT… runs freshet in the background.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start name argument…")
	}
	launch(ts, args[0], args[1:])
}

// await [-stderr] NAME PATTERN waits until the process has written a line that
// matches, and puts it on the standard output.
func await(ts *testscript.TestScript, neg bool, args []string) {
	onStderr := len(args) > 0 && args[0] == "-stderr"
	if onStderr {
		args = args[1:]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await [-stderr] name pattern")
	}
	p := named(ts, args[0])
	t := &p.stdout
	if onStderr {
		t = &p.stderr
	}
	_, _ = io.WriteString(ts.Stdout(), p.wait(ts, t, args[1])+"\n")
}

// mark NAME has await overlook what the process has written so far.
func mark(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: mark name")
	}
	p := named(ts, args[0])
	p.stdout.mark()
	p.stderr.mark()
}

// end NAME [-KILL] ends a process as Ctrl-C does, or kills it, and waits for
// its end. What it wrote is then the standard output and standard error. After
// Ctrl-C the exit code must be 0.
func end(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: end name [-KILL]")
	}
	p := named(ts, args[0])
	kill := len(args) > 1 && args[1] == "-KILL"
	signal := syscall.SIGINT
	if kill {
		signal = syscall.SIGKILL
	}
	ts.Check(p.cmd.Process.Signal(signal))
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s goes on after %v", args[0], signal)
	}
	_, _ = io.WriteString(ts.Stdout(), p.stdout.String())
	_, _ = io.WriteString(ts.Stderr(), p.stderr.String())
	if p.err != nil && !kill {
		ts.Fatalf("%s ended with %v", args[0], p.err)
	}
}

// code N ARGUMENT… runs freshet and wants the exit code N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: code N argument…")
	}
	want, got := args[0], "0"
	err := ts.Exec("freshet", args[1:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = strconv.Itoa(exit.ExitCode())
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %s, want %s", got, want)
	}
}
