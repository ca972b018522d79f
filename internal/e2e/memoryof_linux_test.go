package e2e_test

// memoryOf is what a process takes; 0 if it has ended.
func memoryOf(f *running) int64 { return memoryOfProcess(f.command.Process.Pid) }
