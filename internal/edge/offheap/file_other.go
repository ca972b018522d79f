//go:build !linux

package offheap

import "errors"

type file struct{}

func newFile() (file, bool)           { return file{}, false }
func (file) close()                   {}
func (file) descriptor() int          { return -1 }
func (file) write([]byte, int64) bool { return false }
func (file) clear(place)              {}

func (file) read([]byte, place, int64) (int, error) {
	return 0, errors.ErrUnsupported
}
