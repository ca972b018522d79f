package mirror

import (
	"io/fs"
	"os"
	"time"
)

// still is how long a file must not change where the kernel does not say
// whether somebody is writing.
const still = 100 * time.Millisecond

// observation is what a file looked like when a writer could not be ruled out.
type observation struct {
	stat  fs.FileInfo
	at    time.Time
	looks int
}

// still reports whether the file has looked the same for long enough.
func (o *observation) still(stat fs.FileInfo) bool {
	last := o.stat
	if last == nil || last.Size() != stat.Size() || !last.ModTime().Equal(stat.ModTime()) || !os.SameFile(last, stat) {
		o.stat, o.at = stat, time.Now()
		return false
	}
	return time.Since(o.at) >= still
}

// settled reports whether nobody is writing the file: by the kernel's word, or
// else because it has not changed for a while.
func (t *task) settled(f *os.File) bool {
	if free, known := unwritten(f); known {
		return free
	}
	stat, err := f.Stat()
	return err == nil && t.observed.still(stat)
}

// pause is how long to wait for a writer. It grows, so that a file that stays
// open, such as a log, costs little.
func (t *task) pause() time.Duration {
	t.observed.looks++
	if t.observed.looks > 200 {
		return writerLimit
	}
	return writerPause
}
