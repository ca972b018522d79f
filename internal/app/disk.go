package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/freshet/freshet/internal/edge"
)

// diskFile says which cache on disk the freshet on a data directory used last. As
// long as it names the one that is opened, that has been told of everything that
// was invalidated.
const diskFile = "disk.json"

type diskUse struct {
	Used string `json:"used"`
}

// disk is where the edge keeps what it has cached; nil for nowhere, which is
// written down, too.
func (u *Up) disk() (*edge.Disk, error) {
	if u.cfg.Disk.Dir == "" {
		err := os.Remove(u.data.path(diskFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err == nil {
			err = u.data.sync()
		}
		if err != nil {
			return nil, fmt.Errorf("write down that no cache on disk is used: %w", err)
		}
		return nil, nil
	}
	var last diskUse
	if err := u.data.readJSON(diskFile, &last); err != nil && !errors.Is(err, fs.ErrNotExist) {
		u.opts.Log.Warn("which cache on disk was used last is not known", "error", err)
	}
	u.replayed = make(chan struct{})
	return &edge.Disk{
		Dir: u.cfg.Disk.Dir, Limit: int64(u.cfg.Disk.Size), Known: last.Used, Replayed: u.replayed,
		Pair: func(token string) error {
			return errors.Join(u.data.writeJSON(diskFile, diskUse{token}), u.data.sync())
		},
	}, nil
}

// replay is called once the edge has been told of everything that was invalidated
// while it was not there.
func (u *Up) replay() {
	if u.replayed != nil {
		close(u.replayed)
	}
}

// sync has what was renamed or removed in the directory survive the loss of power.
func (d DataDir) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
