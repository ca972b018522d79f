//go:build !linux

package wal

import "os"

// syncData syncs what was written over what was there.
func syncData(f *os.File) error { return f.Sync() }
