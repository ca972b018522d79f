package worker_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/work"
)

// Nothing that a program has started outlives it.
func TestWhatAProgramStartsEndsWithIt(t *testing.T) {
	for name, end := range map[string]string{"in time": "cp \"$1\" out.txt", "with a failure": "exit 1"} {
		t.Run(name, func(t *testing.T) {
			if pid := startsAnother(t, time.Minute, end); pid == 0 {
				t.Error("the program started nothing")
			}
		})
	}
	t.Run("too late", func(t *testing.T) {
		limit := 500 * time.Millisecond
		for startsAnother(t, limit, "sleep 1000") == 0 { // which takes that long on a busy machine
			if limit *= 4; limit > time.Minute {
				t.Fatal("the program started nothing")
			}
		}
	})
}

// startsAnother runs a program that starts another one, waits until that is gone,
// and returns its number; or 0 if the limit was over before it was started.
func startsAnother(t *testing.T, limit time.Duration, end string) int {
	t.Helper()
	s := open(t, script(t, "", func(r *work.Rule) { r.Timeout = limit }))
	counted(s, `sleep 1000 & echo $! > $D/pid.part; mv $D/pid.part $D/pid; `+end)
	s.put(s.set("in/a.txt", "hello", nil))
	s.ended()
	text, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	s.must(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	s.must(err)
	s.until("the program's child is gone", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ") // nobody may have waited for it
	})
	return pid
}
