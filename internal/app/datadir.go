package app

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gofrs/flock"

	"github.com/freshet/freshet/internal/sigv4"
)

// DataDir is the directory that holds everything freshet keeps: keys, objects,
// queue and journal.
type DataDir string

func (d DataDir) path(name string) string { return filepath.Join(string(d), name) }

// stat reports as an error that there is no such directory.
func (d DataDir) stat() error {
	_, err := os.Stat(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no data directory %s; name it with --data, or start with freshet up", d)
	}
	return err
}

// ErrInUse is returned where a data directory is another process's.
var ErrInUse = errors.New("in use by another freshet")

// lock makes the directory, if it is missing, and takes it for this process
// until unlock is called or the process ends, however it ends.
func (d DataDir) lock() (unlock func() error, err error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	f := flock.New(d.path("lock"), flock.SetPermissions(0o600))
	ok, err := f.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory %s: %w", d, err)
	}
	if !ok {
		return nil, fmt.Errorf("data directory %s: %w; choose another with --data, or --ephemeral", d, ErrInUse)
	}
	return f.Unlock, nil
}

// Identity is what is made once for a data directory and never changes.
type Identity struct {
	AccessKey    string       `json:"access_key"`
	SecretKey    sigv4.Secret `json:"-"`
	Distribution string       `json:"distribution"` // ID in CloudFront's form
}

// identityFile is Identity as it is stored, with the secret readable.
type identityFile struct {
	AccessKey    string `json:"access_key"`
	SecretKey    string `json:"secret_key"`
	Distribution string `json:"distribution"`
}

// Identity reads the keys, or makes them if there are none yet.
func (d DataDir) Identity() (Identity, error) {
	var f identityFile
	err := d.readJSON("keys.json", &f)
	if errors.Is(err, fs.ErrNotExist) {
		f = identityFile{AccessKey: "FRSH" + letters(16), SecretKey: letters(40), Distribution: "E" + letters(13)}
		err = d.writeJSON("keys.json", f)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("keys: %w", err)
	}
	if f.AccessKey == "" || f.SecretKey == "" || !distributionID.MatchString(f.Distribution) {
		return Identity{}, fmt.Errorf("keys: %s is incomplete or damaged; move it away to have new keys made", d.path("keys.json"))
	}
	if err := d.keepPrivate("keys.json"); err != nil {
		return Identity{}, fmt.Errorf("keys: %w", err)
	}
	return Identity{AccessKey: f.AccessKey, SecretKey: sigv4.Secret(f.SecretKey), Distribution: f.Distribution}, nil
}

var distributionID = regexp.MustCompile(`^E[0-9A-Z]{5,31}$`)

// keepPrivate takes a file back from group and others, as a copy or a restored
// backup may have given it to them.
func (d DataDir) keepPrivate(name string) error {
	info, err := os.Stat(d.path(name))
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(d.path(name), 0o600)
}

// KnownIdentity reads the keys and makes none. The error is fs.ErrNotExist when
// there are none yet.
func (d DataDir) KnownIdentity() (Identity, error) {
	if _, err := os.Stat(d.path("keys.json")); err != nil {
		return Identity{}, err
	}
	return d.Identity()
}

// letters returns n random upper-case letters and digits.
func letters(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return strings.ToUpper(base32.StdEncoding.EncodeToString(b))[:n]
}

// Running says where a running freshet can be reached. It is written when
// everything is open and removed at the end; after a crash it stays behind.
type Running struct {
	Endpoints
	Token string `json:"token"` // for the control API
	PID   int    `json:"pid"`
}

// Running returns what the directory's freshet wrote when it was up. The error
// is fs.ErrNotExist if none runs, or one that is starting.
func (d DataDir) Running() (Running, error) {
	var r Running
	if err := d.readJSON("running.json", &r); err != nil {
		return Running{}, err
	}
	f := flock.New(d.path("lock"), flock.SetPermissions(0o600))
	switch free, err := f.TryRLock(); {
	case err != nil:
		return Running{}, fmt.Errorf("see whether a freshet runs on %s: %w", d, err)
	case free:
		return Running{}, errors.Join(fs.ErrNotExist, f.Unlock())
	}
	return r, nil
}

func (d DataDir) readJSON(name string, v any) error {
	text, err := os.ReadFile(d.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w", d.path(name), err)
	}
	return nil
}

// writeJSON is write for what JSON can hold.
func (d DataDir) writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return d.write(name, append(text, '\n'))
}

// write replaces a file as a whole, readable by its owner only.
func (d DataDir) write(name string, text []byte) error {
	f, err := os.CreateTemp(string(d), name+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone once it was renamed
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", d.path(name), err)
	}
	return os.Rename(f.Name(), d.path(name))
}
