package worker_test

import (
	"fmt"
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
	for name, end := range map[string]string{"in time": "cp \"$1\" out.txt", "too late": "sleep 1000", "with a failure": "exit 1"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, script(t, "", func(r *work.Rule) { r.Timeout = 500 * time.Millisecond }))
			counted(s, `sleep 1000 & echo $! > $D/pid.part; mv $D/pid.part $D/pid; `+end)
			s.put(s.set("in/a.txt", "hello", nil))
			s.ended()
			text, err := os.ReadFile(filepath.Join(s.dir, "pid"))
			s.must(err)
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			s.must(err)
			s.until("the program's child is gone", func() bool {
				stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
				return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ") // nobody may have waited for it
			})
		})
	}
}
