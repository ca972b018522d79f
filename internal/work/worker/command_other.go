//go:build !unix

package worker

import "os/exec"

// together has a program end when it must. What it has started goes on.
func together(cmd *exec.Cmd) { cmd.Cancel = func() error { return cmd.Process.Kill() } }

func sweep(*exec.Cmd) {}
