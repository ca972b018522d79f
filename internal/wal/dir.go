package wal

import (
	"errors"
	"os"
)

// syncDir has a file that was made in a directory survive the loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
