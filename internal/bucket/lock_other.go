//go:build !unix

package bucket

// lockDir does nothing where there are no advisory locks.
func lockDir(string) (unlock func() error, err error) {
	return func() error { return nil }, nil
}
