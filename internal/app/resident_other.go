//go:build !linux

package app

// programMemory is not known here.
func programMemory() int64 { return 0 }
