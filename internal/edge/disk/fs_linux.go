package disk

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Erase is of File.
func (f systemFile) Erase(at, length int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, length)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return f.zeros(at, length)
	}
	return err
}

// Reserve has so many bytes of the disk for the beginning of the file, which stays as
// long as it is.
func (f systemFile) Reserve(length int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, length)
}

// Size is of File.
func (f systemFile) Size() (length, taken int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, 0, err
	}
	return st.Size, st.Blocks * 512, nil
}

// Print tells files, and what was written to them, apart.
func (f systemFile) Print() (Print, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return Print{}, err
	}
	return Print{inode: st.Ino, length: st.Size, modified: st.Mtim.Nano(), changed: st.Ctim.Nano()}, nil
}
