package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is how long a process has had a processor, in the program and in
// the kernel for it, in nanoseconds where /proc counts hundredths of seconds.
func processorTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED, see MAKE_PROCESS_CPUCLOCK in the kernel
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &spent); err != nil {
		return 0, fmt.Errorf("processor time of %d: %w", pid, err)
	}
	return time.Duration(spent.Nano()), nil
}

// forgetPeak has the kernel measure a process's peak of memory anew.
// https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o600)
}

// peakMemory is the most that was resident since forgetPeak, in bytes.
func peakMemory(pid int) (bytes float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, err := fmt.Sscanf(rest, "%f kB", &bytes)
			return bytes * 1024, err
		}
	}
	return 0, fmt.Errorf("the kernel says nothing of the memory of %d", pid)
}
