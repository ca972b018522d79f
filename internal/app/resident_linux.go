package app

import (
	"bytes"
	"os"
	"strconv"
)

// programMemory is how much memory the program's own text and what else is read from
// files takes: what is resident and not the process's alone.
// https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html
func programMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	if fields := bytes.Fields(text); len(fields) > 2 {
		n, _ := strconv.ParseInt(string(fields[2]), 10, 64)
		return n * int64(os.Getpagesize())
	}
	return 0
}
