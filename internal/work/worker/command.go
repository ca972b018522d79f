package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/work"
)

// Find returns the file that a rule's program is. The error says where it was
// looked for.
func Find(r work.Rule) (string, error) {
	name := r.Run[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			return "", fmt.Errorf("run: %q must be a name, looked for in path, or an absolute path", name)
		}
		if why := notExecutable(name); why != "" {
			return "", fmt.Errorf("run: %s: %s", name, why)
		}
		return name, nil
	}
	var looked []string
	for _, folder := range strings.Split(pathOf(r), ":") {
		file := filepath.Join(folder, name)
		why := notExecutable(file)
		if why == "" {
			return file, nil
		}
		looked = append(looked, file+" ("+why+")")
	}
	return "", fmt.Errorf("run: %s was found nowhere in path: %s", name, strings.Join(looked, ", "))
}

func pathOf(r work.Rule) string {
	if r.Path == "" {
		return work.DefaultPath
	}
	return r.Path
}

// notExecutable says why a file cannot be run; empty where it can.
func notExecutable(file string) string {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "not there"
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return "no file"
	case info.Mode().Perm()&0o111 == 0:
		return "not executable"
	}
	return ""
}

// said is how much of what a program says is kept, in bytes: the last.
const said = 4 << 10

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
	cut  bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-said):]...)
	if over := len(t.kept) - said; over > 0 {
		t.kept, t.cut = slices.Clone(t.kept[over:]), true
	}
	t.cut = t.cut || len(p) > said
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.ToValidUTF8(string(bytes.TrimSpace(t.kept)), "\uFFFD")
	if t.cut {
		return "…" + text
	}
	return text
}

// How a program is watched.
const (
	lookEvery = 200 * time.Millisecond // whether it has written too much
	lastWords = 2 * time.Second        // for how long others may hold what it writes to
)

// errTooMuch ends a program that writes more than it may.
var errTooMuch = errors.New("it has written more than it may")

// command runs a rule's program in folder, which has the object as file, and
// returns what it said last. The program and all that it has started are killed
// when ctx or the rule's time is over.
func command(ctx context.Context, r work.Rule, folder string, values work.Values) (words string, err error) {
	program, err := Find(r)
	if err != nil {
		return "", err
	}
	args := make([]string, 0, len(r.Run))
	for _, arg := range r.Run[1:] {
		expanded, err := values.Expand(arg)
		if err != nil {
			return "", err
		}
		args = append(args, expanded)
	}
	limited, cancel := context.WithTimeoutCause(ctx, r.Timeout, fmt.Errorf("it was not done within %v, and killed", r.Timeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(limited)
	defer stop(nil)
	var output tail
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = folder, environment(r, folder), &output, &output, lastWords
	together(cmd)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watch(ctx, folder, r.MaxOutput, stop)
	}()
	err = run(cmd)
	cause := context.Cause(ctx)
	stop(nil)
	<-watched
	switch {
	case cause != nil:
		err = cause
	case err != nil:
		err = fmt.Errorf("%s: %w", r.Run[0], err)
	default:
		err = within(folder, r.MaxOutput)
	}
	return output.String(), err
}

// run runs a program on a thread of its own, since Linux ends a program with the
// thread that has started it where it is asked to end it with its parent.
func run(cmd *exec.Cmd) error {
	ended := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Run()
		sweep(cmd)
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil // it has ended well, and left behind what was just swept away
		}
		ended <- err
	}()
	return <-ended
}

// environment is all that a program sees of ours.
func environment(r work.Rule, folder string) (env []string) {
	all := map[string]string{"PATH": pathOf(r), "HOME": folder, "TMPDIR": folder}
	maps.Copy(all, r.Environment)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}

// watch stops a program that writes too much.
func watch(ctx context.Context, folder string, most int64, stop context.CancelCauseFunc) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := within(folder, most); err != nil {
				stop(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// within is an error if what is in folder, beside the object, is more than most
// bytes.
func within(folder string, most int64) error {
	total := int64(0)
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Base(filepath.Dir(path)) == inputFolder && filepath.Dir(filepath.Dir(path)) == folder {
			return nil // it may be gone already
		}
		if info, err := e.Info(); err == nil {
			total += info.Size()
		}
		if total > most {
			return errTooMuch
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %d bytes (max_output)", err, most)
	}
	return nil
}

// fetched copies an object into a new file. It may have up to most bytes.
func fetched(from io.Reader, file string, most int64) error {
	to, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(from, most+1))
	if closing := to.Close(); err == nil {
		err = closing
	}
	if err == nil && n > most {
		err = fmt.Errorf("the object has more than %d bytes", most)
	}
	return err
}
