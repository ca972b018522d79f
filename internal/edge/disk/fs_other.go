//go:build !linux

package disk

// Erase is of File.
func (f systemFile) Erase(at, length int64) error { return f.zeros(at, length) }

// Size is of File.
func (f systemFile) Size() (length, taken int64, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	return st.Size(), taking(st.Size()), nil
}
