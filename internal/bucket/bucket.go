package bucket

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/versity/versitygw/backend/posix"
)

// Config says what to open. Dir, AccessKey, Secret and Bucket are required.
type Config struct {
	Dir       string // holds the objects; made when missing
	Addr      string // empty means 127.0.0.1:9000; port 0 takes a free one
	AccessKey string
	Secret    string
	Region    string // empty means us-east-1
	Bucket    string // made when missing

	// OnChange hears of every change of an object before the client that made
	// it gets its answer. Changes of one key come one after the other, and the
	// last one describes what is there in the end; those of different keys come
	// concurrently. If it fails, the object stays changed, the client is told
	// so with status 500, and the change is handed over again with the next
	// request for the key. Its context does not end when the client hangs up.
	// Nil means that nobody listens.
	OnChange func(context.Context, freshet.Change) error

	// TagHeaders are the headers of the origin's responses that may hold cache
	// tags; what an object has of them goes into its changes. It is asked at each
	// change. Nil means that there are none.
	TagHeaders func() []string

	// After comes before every sequencer that is given out.
	After freshet.Sequencer

	Logger *slog.Logger // nil discards

	headWithin time.Duration // for a request without its body; 0 means headerTimeout
}

// Bucket is an open store. Its methods may be called concurrently.
type Bucket struct {
	config Config
	store  *store
	unlock func() error
	stop   context.CancelFunc // of the context given to OnChange

	mu   sync.Mutex
	door *door // nil until Start, and after Close
	shut bool
}

// validName reports whether S3 would take name for a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func validName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`).MatchString(name) && net.ParseIP(name) == nil
}

// Open locks the store, repairs what a crash has left and builds the index. It
// does not listen: what Objects yields before Start is what the last run left,
// and nobody can change it meanwhile. A store that another process has open is
// an error. Close the bucket.
func Open(ctx context.Context, config Config) (*Bucket, error) {
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	unlock, err := lockDir(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("open bucket: %w", err)
	}
	b := &Bucket{config: config, unlock: unlock}
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open bucket %s: %w", config.Bucket, err), unlock())
	}
	return b, nil
}

func (c *Config) complete() (err error) {
	if c.Dir == "" || c.AccessKey == "" || c.Secret == "" || c.Bucket == "" {
		return errors.New("a directory, an access key, a secret and a bucket name are required")
	}
	if !validName(c.Bucket) {
		return fmt.Errorf("%q is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens", c.Bucket)
	}
	if c.Addr == "" {
		c.Addr = "127.0.0.1:9000"
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Dir, err = filepath.Abs(c.Dir)
	return err
}

func (b *Bucket) open(ctx context.Context) error {
	c := b.config
	if err := probe(c.Dir); err != nil {
		return err
	}
	numbers, err := newSequencer(c.After)
	if err != nil {
		return err
	}
	inner, err := newInner(c.Dir)
	if err != nil {
		return err
	}
	announce, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.store = &store{
		inner: inner, name: c.Bucket, owner: c.AccessKey, dir: filepath.Join(c.Dir, c.Bucket), log: c.Logger,
		announcer: announcer{
			origin: c.Bucket, onChange: c.OnChange, ctx: announce, seed: maphash.MakeSeed(),
			sequencer: numbers, owed: make(map[string]string), writing: make(map[string]*writing),
		},
		tagHeaders: c.TagHeaders,
	}
	if err := b.prepare(ctx); err != nil {
		stop()
		inner.Shutdown()
		return err
	}
	return nil
}

func (b *Bucket) prepare(ctx context.Context) error {
	if err := b.store.claim(ctx, b.config.AccessKey); err != nil {
		return fmt.Errorf("make the bucket: %w", err)
	}
	if err := b.store.recoverUploads(); err != nil {
		return err
	}
	stat, err := os.Stat(b.store.dir)
	if err != nil {
		return err
	}
	b.store.created = stat.ModTime()
	return b.store.load(ctx)
}

// changingDirectory keeps two openings in one process from mixing up the
// working directory, which a process has only one of.
var changingDirectory sync.Mutex

// newInner makes the backend that keeps the files. It changes the working
// directory of the process to its own, which is undone here: all its paths are
// absolute.
func newInner(dir string) (*posix.Posix, error) {
	changingDirectory.Lock()
	defer changingDirectory.Unlock()
	before, beforeErr := os.Getwd()
	options := posix.PosixOpts{
		ForceNoObjLockFile:  true, // one process has the store, see lockDir
		CopyObjectThreshold: maxCopySize,
		IOBufferSize:        128 << 10,
	}
	options.SetNewDirPerm(0o700)
	options.SetNewFilePerm(0o600)
	inner, err := posix.New(dir, attributes{}, options)
	if beforeErr == nil {
		err = errors.Join(err, os.Chdir(before))
	}
	return inner, err
}

// Objects yields every object in the order of the keys' bytes, as they were
// when the iteration began.
func (b *Bucket) Objects() iter.Seq[Object] { return b.store.index.all() }

// Len is the number of objects.
func (b *Bucket) Len() int { return b.store.index.len() }

// Stat says what is stored under key. It touches no file.
func (b *Bucket) Stat(key string) (Object, bool) { return b.store.index.get(key) }

// NextSequencer takes a sequencer, for a change that is announced by others than
// the bucket: those that came before are smaller, and those that come after are
// greater.
func (b *Bucket) NextSequencer() freshet.Sequencer { return b.store.announcer.sequencer.next() }

// Start opens the door: it listens and returns once requests are answered. An
// address that is taken is an error for which errors.Is(err,
// syscall.EADDRINUSE) holds. It may be called once.
func (b *Bucket) Start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.door != nil || b.shut {
		return errors.New("start bucket: it was started or closed before")
	}
	d, err := openDoor(b.config, b.store)
	if err != nil {
		return fmt.Errorf("start bucket: %w", err)
	}
	b.door = d
	return nil
}

// Addr is the address that is listened on; empty before Start.
func (b *Bucket) Addr() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.door == nil {
		return ""
	}
	return b.door.addr
}

// URL is the endpoint for S3 clients, which must use path style; empty before
// Start.
func (b *Bucket) URL() string {
	if addr := b.Addr(); addr != "" {
		return "http://" + addr
	}
	return ""
}

// Close stops listening, gives running requests half a second and cuts off what
// is left. An upload that is cut off leaves the object as it was. A second call
// does nothing.
func (b *Bucket) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shut {
		return nil
	}
	b.shut = true
	var err error
	if b.door != nil {
		err = b.door.close(b.stop)
		b.door = nil
	}
	b.stop()
	b.store.Shutdown()
	if err := errors.Join(err, b.unlock()); err != nil {
		return fmt.Errorf("close bucket: %w", err)
	}
	return nil
}
