package benchedge

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a contender that runs.
type process struct {
	contender

	addr    string
	dir     string
	command *exec.Cmd
	said    bytes.Buffer
	exited  chan struct{}
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
	dir, err := os.MkdirTemp(inMemory(), "bench-edge-")
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
	p := &process{contender: c, addr: "127.0.0.1:" + strconv.Itoa(s.port), dir: dir, command: exec.Command(args[0], args[1:]...), exited: make(chan struct{})}
	p.command.Dir, p.command.Stderr = dir, &p.said
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if s.log != "" && c.name == "HAProxy" {
		file, err := os.Create(s.log)
		if err != nil {
			return nil, fmt.Errorf("make the log: %w", err)
		}
		p.command.Stdout = file
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.command.Wait(); close(p.exited) }()
	if err := p.answers(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
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
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
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

func (p *process) stop() {
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
	_ = os.RemoveAll(p.dir)
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

// cpu is what user and system time the processes have taken so far.
func (p *process) cpu() time.Duration {
	const tick = time.Second / 100 // USER_HZ, which is the same on all of Linux' machines
	var ticks int
	for _, pid := range p.tree() {
		if f := statOf(fmt.Sprintf("/proc/%d/stat", pid)); len(f) > 12 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			ticks += user + system
		}
	}
	return time.Duration(ticks) * tick
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
