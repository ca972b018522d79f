//go:build unix

package tree

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// stamp names a state of a file. It is empty for a file that has changed just
// now, since another change might not show.
func stamp(where string, stat os.FileInfo) string {
	sys, ok := stat.Sys().(*syscall.Stat_t)
	changed := stat.ModTime()
	if !ok {
		return ""
	}
	if at := changeTime(sys); at.After(changed) {
		changed = at
	}
	if time.Since(changed) < settled {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d.%d.%d.%s", sys.Dev, sys.Ino, stat.Size(), stat.ModTime().UnixNano(), changeTime(sys).UnixNano(), where)
}
