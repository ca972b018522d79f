//go:build unix

package barrier_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/barrier"
)

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	getenv := func(name string) string {
		return map[string]string{"PATH": "/usr/bin:/bin", "SECRET": "s3cret", "PASSED": "passed", "HOME": "/home/x"}[name]
	}
	t.Chdir(dir)
	for name, mode := range map[string]os.FileMode{"plain": 0o644, "here": 0o755} {
		if err := os.WriteFile(name, []byte("#!/bin/sh\nexit 0\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ fact, want string }{
		{`command true`, ""},
		{`command sh -c 'echo built; exit 3' within 1ms`, `last seen: exit status 3: "built"`},
		{`command no-such-program`, "there is no program no-such-program in /usr/bin:/bin"},
		{`command PATH=/nowhere true`, "there is no program true in /nowhere"},
		{`command here`, "there is no program here"},
		{`command ./here`, ""},
		{`command ./plain`, "permission denied"},
		{`command /no/such`, "no such file"},
		{`command sh -c 'test "$HOME" = /home/x && test -z "$SECRET"'`, ""},
		{`command A=1 B=$PASSED sh -c 'test "$A$B" = 1passed'`, ""},
		{`command sh -c 'test "$TERM" = vt100' within 1ms`, "exit status 1"},
		{`command sh -c 'yes | head -c 1000000; echo; echo end; exit 1' within 1ms`, `exit status 1: "end"`},
		{`command sh -c 'echo "not yet" >&2; test -e done || { touch done; exit 1; }'`, ""},
		{`command sleep 1000 within 50ms`, "signal: killed"},
	} {
		w := &barrier.Waiter{Getenv: getenv}
		if !strings.Contains(tt.fact, "sleep") {
			w.Least = time.Minute // for a busy machine
		}
		err := w.Wait(t.Context(), fact(t, tt.fact))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.fact, err, tt.want)
		}
	}
}

// What a command started goes with it, whether it hangs or leaves it behind.
func TestCommandLeavesNothingBehind(t *testing.T) {
	for _, script := range []string{
		"sleep 1000 & echo $! > pid; wait",                    // hangs
		"sleep 1000 > /dev/null 2>&1 & echo $! > pid; exit 0", // ends before its child
	} {
		t.Chdir(t.TempDir())
		w := &barrier.Waiter{Getenv: os.Getenv}
		var err error
		hangs := strings.HasSuffix(script, "wait")
		for within := time.Second; within < time.Hour; within *= 4 { // until that is enough for all but the child
			err = w.Wait(t.Context(), fact(t, fmt.Sprintf("command sh -c '%s' within %v", script, within)))
			if written, _ := os.ReadFile("pid"); bytes.HasSuffix(written, []byte("\n")) && (hangs || err == nil) {
				break
			}
		}
		if hangs != (err != nil) {
			t.Errorf("%s: %v", script, err)
		}
		text, err := os.ReadFile(filepath.Join(".", "pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); alive(pid); <-time.After(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d still runs", script, pid)
			}
		}
	}
}

// alive is false for what has ended, whether or not somebody has taken note.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}
