package barrier

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// endWithin is how long what a command left behind may hold its output open
// after its end.
const endWithin = 2 * time.Second

// usualPath is where programs are looked for when the environment does not say.
const usualPath = "/usr/local/bin:/usr/bin:/bin"

// run runs a command once. It holds when the command ends with 0.
func (w *Waiter) run(ctx context.Context, f Fact) (Sight, error) {
	env := w.environment(f.Env)
	program, err := find(f.Argv[0], env)
	if err != nil {
		return Sight{}, &never{why: err.Error(), do: "give its full path, or PATH=… before it"}
	}
	var said tail
	cmd := exec.CommandContext(ctx, program, f.Argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = env, &said, &said, endWithin
	ownGroup(cmd)
	err = cmd.Run()
	endGroup(cmd)
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return Sight{true, said.line("exit status 0")}, nil
	case errors.As(err, &exit), ctx.Err() != nil:
		return Sight{Saw: said.line(err.Error())}, nil
	}
	return Sight{}, &never{why: err.Error(), do: "is it a program that this machine can run?"}
}

// environment is what commands get: where programs and homes are, and what they
// name. Nothing else of our own environment, where secrets are.
func (w *Waiter) environment(named []string) []string {
	get := w.Getenv
	if get == nil {
		get = func(string) string { return "" }
	}
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		value := get(name)
		if value == "" && name == "PATH" {
			value = usualPath
		}
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	for _, e := range named {
		name, value, _ := strings.Cut(e, "=")
		if from, is := strings.CutPrefix(value, "$"); is {
			value = get(from)
		}
		env = append(env, name+"="+value) // the last of a name counts
	}
	return env
}

// find looks for a program in the PATH of env, not in ours.
func find(program string, env []string) (string, error) {
	if strings.ContainsRune(program, filepath.Separator) {
		_, err := exec.LookPath(program)
		return program, err
	}
	path := ""
	for _, e := range env {
		if value, is := strings.CutPrefix(e, "PATH="); is {
			path = value
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // what lies in the working directory by chance is no program
		}
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in %s", program, path)
}

// tailBytes is how much of a command's output is kept.
const tailBytes = 4 << 10

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-tailBytes):]...)
	t.kept = t.kept[max(0, len(t.kept)-tailBytes):]
	return len(p), nil
}

// line is what happened, and the last line that was written.
func (t *tail) line(happened string) string {
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return happened + ": " + shown(last)
	}
	return happened
}
