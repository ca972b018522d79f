package benchedge

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a contender that runs.
type process struct {
	contender

	addr    string
	dir     string
	setting setting
	empty   int64 // memory before it was filled
	filled  int64 // and after
	args    []string
	command *exec.Cmd
	said    bytes.Buffer // on standard error
	out     firstLine
	exited  chan struct{}
}

// firstLine keeps the first line of what is written to it.
type firstLine struct {
	mu   sync.Mutex
	text []byte
}

// Write never fails.
func (l *firstLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !bytes.Contains(l.text, []byte("\n")) {
		l.text = append(l.text, p...)
	}
	return len(p), nil
}

// String is empty until the line is whole.
func (l *firstLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, _, whole := bytes.Cut(l.text, []byte("\n"))
	if !whole {
		return ""
	}
	return string(line)
}

// mostFiles is as many files as Linux lets a process open, if nobody says
// otherwise, and more than there are objects.
const mostFiles = 1 << 20

// openFiles raises how many files this process and those that it starts may open,
// as far as it may, and returns how many that are.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	for _, most := range []uint64{mostFiles, limit.Max} {
		raised := syscall.Rlimit{Cur: most, Max: max(most, limit.Max)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			return int(most)
		}
	}
	return int(limit.Cur)
}

// startAll starts each contender on a port of its own, on one core unless cores
// is empty.
func startAll(all []contender, s setting, cores string) (running []*process, err error) {
	for _, c := range all {
		p, err := start(c, s, cores)
		if err != nil {
			stopAll(running)
			return nil, fmt.Errorf("start %s: %w", c.name, err)
		}
		running = append(running, p)
	}
	return running, nil
}

func start(c contender, s setting, cores string) (*process, error) {
	where := inMemory()
	if s.scarce {
		where = ""
	}
	dir, err := os.MkdirTemp(where, "bench-edge-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // some of the programs give their rights up
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	if s.dir = dir; s.log != "" {
		s.log = filepath.Join(dir, "access.log")
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	args, err := c.command(s)
	if err != nil {
		return nil, err
	}
	if cores != "" {
		args = append([]string{"taskset", "-c", cores}, args...)
	}
	p := &process{contender: c, addr: "127.0.0.1:" + strconv.Itoa(s.port), dir: dir, setting: s, args: args}
	if err := p.launch(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return p, nil
}

// launch runs the program in its folder, as it is, until it answers.
func (p *process) launch() error {
	p.command = exec.Command(p.args[0], p.args[1:]...)
	p.exited, p.out = make(chan struct{}), firstLine{}
	p.command.Dir, p.command.Stderr, p.command.Stdout = p.dir, &p.said, &p.out
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.setting.log != "" && p.name == "HAProxy" {
		file, err := os.Create(p.setting.log)
		if err != nil {
			return fmt.Errorf("make the log: %w", err)
		}
		defer func() { _ = file.Close() }()
		p.command.Stdout = file
	}
	if err := p.command.Start(); err != nil {
		return err
	}
	command, exited := p.command, p.exited
	go func() { _ = command.Wait(); close(exited) }()
	if err := p.answers(); err != nil {
		p.halt()
		return err
	}
	return nil
}

// inMemory is a folder that no disk slows down, or the usual one.
func inMemory() string {
	const shm = "/dev/shm"
	if at, err := os.Stat(shm); err == nil && at.IsDir() {
		return shm
	}
	return ""
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// answers waits until the process takes connections.
func (p *process) answers() error {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		select {
		case <-p.exited:
			return fmt.Errorf("it ended at once: %s", p.said.String())
		default:
		}
		if c, err := net.Dial("tcp", p.addr); err == nil {
			return c.Close()
		}
	}
	return errors.New("it takes no connections")
}

func stopAll(all []*process) {
	for _, p := range all {
		p.stop()
	}
}

// stop ends the process and removes its folder.
func (p *process) stop() {
	p.halt()
	_ = os.RemoveAll(p.dir)
}

// halt ends the process, and with it all that it has started.
func (p *process) halt() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
	}
	for _, pid := range p.tree() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // its group is its own
	<-p.exited
}

// tree are the process and those below it.
func (p *process) tree() []int {
	parents := make(map[int]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		if f := statOf(file); len(f) > 1 {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			parents[pid], _ = strconv.Atoi(f[1])
		}
	}
	all := []int{p.command.Process.Pid}
	for i := 0; i < len(all); i++ {
		for pid, parent := range parents {
			if parent == all[i] {
				all = append(all, pid)
			}
		}
	}
	return all
}

// statOf are the fields of a stat file that follow the name.
func statOf(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// cpu is what user and system time the processes have taken so far. What
// /proc/PID/stat says is counted in hundredths of a second; the clock that each
// process has is exact, and knows of threads that have ended, too.
func (p *process) cpu() (sum time.Duration) {
	const ofProcess = 2 // CPUCLOCK_SCHED
	for _, pid := range p.tree() {
		var t unix.Timespec
		if unix.ClockGettime(int32(^pid<<3|ofProcess), &t) == nil {
			sum += time.Duration(t.Nano())
		}
	}
	return sum
}

// resident is the memory of the processes, in bytes.
func (p *process) resident() int64 {
	var pages int64
	for _, pid := range p.tree() {
		if f := statOf(fmt.Sprintf("/proc/%d/stat", pid)); len(f) > 21 {
			n, _ := strconv.ParseInt(f[21], 10, 64)
			pages += n
		}
	}
	return pages * int64(os.Getpagesize())
}

// memory is what the processes have in memory, and their files that are there, in
// bytes.
func (p *process) memory() int64 { return p.resident() + p.files() }

// files are the bytes that the blocks of the files in the folder take, those of
// Varnish's shared log and of our own data not among them.
func (p *process) files() (bytes int64) {
	_ = filepath.WalkDir(filepath.Join(p.dir, "cache"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // the program may remove it meanwhile
		}
		var at syscall.Stat_t
		if syscall.Stat(path, &at) == nil {
			bytes += at.Blocks * 512
		}
		return nil
	})
	return bytes
}
