package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/freshet/freshet/internal/edge/disk"
)

// Disk is a directory for what the edge has cached, and what it may take of the
// disk. The zero value is none.
type Disk struct {
	Dir  string `yaml:"dir" json:"dir"`
	Size Size   `yaml:"size" json:"size"` // everything included
}

// UnmarshalText reads DIR,SIZE.
func (d *Disk) UnmarshalText(text []byte) error {
	dir, size := string(text), ""
	if i := strings.LastIndexByte(dir, ','); i >= 0 {
		dir, size = dir[:i], dir[i+1:]
	}
	if dir == "" || size == "" {
		return fmt.Errorf("%q is no directory and size such as /var/cache/freshet,10GiB", text)
	}
	d.Dir = dir
	return d.Size.UnmarshalText([]byte(size))
}

func (d Disk) check() error {
	switch {
	case d == Disk{}:
		return nil
	case d.Dir == "":
		return errors.New("disk.dir: a directory is needed")
	case d.Size < disk.LeastLimit:
		return fmt.Errorf("disk.size: %s is too little, at least %s are needed", d.Size, Size(disk.LeastLimit))
	}
	return nil
}
