// Package mirror keeps a bucket equal to a directory: at the start it uploads
// what differs, then it watches. It owns only what it has put into the bucket
// itself and never touches other objects.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Config says what to mirror where. Dir, Store and Manifest are required.
type Config struct {
	Dir   string
	Store Store

	// Manifest is the file in which the mirror remembers which objects are its
	// own. It is written before an object is, so that one that was put and not
	// recorded does not exist.
	Manifest string

	// OnReady is called once, when the bucket equals the directory for the
	// first time, apart from what was reported to OnProblem. Nil is allowed.
	OnReady func(Summary)

	// OnProblem hears of what goes wrong and of what will be tried again. It
	// may be called concurrently. If it is nil, the log hears of it.
	OnProblem func(error)

	Logger *slog.Logger // nil discards
}

// Summary is what the first comparison has found and done.
type Summary struct {
	Files     int // in the directory
	Uploaded  int
	Deleted   int
	Unchanged int
	Failed    int // will be tried again
	Took      time.Duration
}

const (
	workers      = 8
	rootInterval = 2 * time.Second        // between looks whether the directory is still itself
	backInterval = 250 * time.Millisecond // between looks whether it is back
)

// Run mirrors until ctx ends, and then returns nil. It fails only if it cannot
// begin: without a directory or a manifest that can be read and written.
func Run(ctx context.Context, config Config) error {
	m, err := newMirror(config)
	if err != nil {
		return fmt.Errorf("mirror %s: %w", config.Dir, err)
	}
	defer m.manifest.close()
	for ctx.Err() == nil {
		m.problem(m.session(ctx))
		if ctx.Err() == nil {
			m.awaitRoot(ctx)
		}
	}
	return nil
}

// mirror is a running mirror.
type mirror struct {
	config   Config
	root     string // absolute
	manifest *manifest
	log      *slog.Logger
	readied  bool
	resumed  bool // a session has ended before
}

func newMirror(config Config) (*mirror, error) {
	if config.Store == nil || config.Manifest == "" {
		return nil, errors.New("a store and a manifest file are required")
	}
	root, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := statDir(root); err != nil {
		return nil, err
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	manifest, err := openManifest(config.Manifest)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return &mirror{config: config, root: root, manifest: manifest, log: config.Logger}, nil
}

func statDir(path string) (os.FileInfo, error) {
	stat, err := os.Stat(path)
	if err == nil && !stat.IsDir() {
		err = fmt.Errorf("%s is no directory", path)
	}
	return stat, err
}

// problem reports err; nil is none.
func (m *mirror) problem(err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	if m.config.OnProblem == nil {
		m.log.Warn("mirror", "dir", m.root, "err", err)
		return
	}
	m.config.OnProblem(err)
}

// errVanished ends a session whose directory is no longer there.
type errVanished struct{ root, what string }

func (e errVanished) Error() string {
	return fmt.Sprintf("%s %s; the bucket is left as it is; watching goes on when it is back", e.root, e.what)
}

// awaitRoot returns when there is a directory with files in it again.
func (m *mirror) awaitRoot(ctx context.Context) {
	tick := time.NewTicker(backInterval)
	defer tick.Stop()
	for !m.hasFiles() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// hasFiles reports whether there is anything to mirror. A mirror that never had
// files needs none.
func (m *mirror) hasFiles() bool {
	if _, err := statDir(m.root); err != nil {
		return false
	}
	found := m.manifest.len() == 0
	_ = filepath.WalkDir(m.root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case found:
			return filepath.SkipAll
		case err != nil || path == m.root:
		case !m.wanted(path) && entry.IsDir():
			return filepath.SkipDir
		case m.wanted(path) && !entry.IsDir():
			found = true
		}
		return nil
	})
	return found
}

// session mirrors one directory for as long as it is the same one.
type session struct {
	*mirror
	identity os.FileInfo // of the directory
	queue    *queue
	watch    *watch
	happened atomic.Int64      // how often something has
	missing  atomic.Int64      // how many paths are being waited for
	back     bool              // the directory was away before
	stored   map[string]Stored // of the first comparison, nil afterwards
	counts   counts
}

// session mirrors until the directory is gone and returns what has ended it.
func (m *mirror) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	identity, err := statDir(m.root)
	if err != nil {
		return errVanished{m.root, "vanished"}
	}
	s := m.newSession(identity)
	defer s.watch.close()
	done := s.work(ctx)
	defer func() { cancel(); s.queue.close(); <-done }()

	watched := make(chan error, 1)
	go func() { watched <- s.watch.run(ctx) }()
	err = s.compare(ctx)
	if err != nil {
		cancel()
	}
	if ended := <-watched; err == nil {
		err = ended
	}
	return err
}

func (m *mirror) newSession(identity os.FileInfo) *session {
	s := &session{mirror: m, identity: identity, queue: newQueue(), back: m.resumed}
	if m.resumed { // something has: the directory is another one
		s.happened.Add(1)
	}
	m.resumed = true
	s.watch = newWatch(s) // before the first look, so that nothing falls between
	return s
}

// gone reports whether the directory is no longer the one that the session
// began with: removed, replaced or unmounted.
func (s *session) gone() bool {
	now, err := statDir(s.root)
	return err != nil || !os.SameFile(now, s.identity)
}

// work runs the workers; the channel is closed when the last one has ended.
func (s *session) work(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	ended := make(chan struct{}, workers)
	for range workers {
		go func() {
			defer func() { ended <- struct{}{} }()
			for task, ok := s.queue.next(); ok; task, ok = s.queue.next() {
				s.queue.finish(task, s.attempt(ctx, task))
			}
		}()
	}
	go func() {
		defer close(done)
		for range workers {
			<-ended
		}
	}()
	return done
}

// compare makes the bucket equal to the directory. After that the manifest is
// what the bucket is known to hold.
func (s *session) compare(ctx context.Context) error {
	began := time.Now()
	stored, err := backoff.Retry(ctx, func() (map[string]Stored, error) {
		stored, err := s.list(ctx)
		if err != nil {
			s.problem(fmt.Errorf("list the bucket: %w", err))
		}
		return stored, err
	}, backoff.WithBackOff(newBackOff()), backoff.WithMaxElapsedTime(0))
	if err != nil {
		return err
	}
	s.stored = stored
	s.manifest.trustOnly(stored)
	files := s.scan(s.root)
	if len(files) == 0 && s.manifest.len() > 0 {
		return errVanished{s.root, "is empty, but held files when it was last mirrored"}
	}
	s.begin(files)
	s.queue.waitIdle(ctx)
	s.queue.locked(func() { s.stored = nil })
	if summary := s.counts.summary(len(files), time.Since(began)); !s.readied && ctx.Err() == nil {
		s.readied = true
		if s.config.OnReady != nil {
			s.config.OnReady(summary)
		}
	}
	return nil
}

func (s *session) list(ctx context.Context) (map[string]Stored, error) {
	stored := make(map[string]Stored)
	for object, err := range s.config.Store.List(ctx) {
		if err != nil {
			return nil, err
		}
		stored[object.Key] = object
	}
	return stored, nil
}

// recheck puts all files on the queue and everything of ours that is no longer
// a file.
func (s *session) recheck(files []string, hash bool) { s.look(files, hash, s.queue.mark) }

// begin is the first recheck of a session.
func (s *session) begin(files []string) {
	missing := s.queue.mark
	if s.back {
		missing = s.queue.expect
	}
	s.look(files, false, missing)
}

// look marks files, and has what is missing marked by another.
func (s *session) look(files []string, hash bool, missing func(path string, hash bool)) {
	present := make(map[string]bool, len(files))
	for _, path := range files {
		present[path] = true
		s.queue.mark(path, hash)
	}
	for _, key := range s.manifest.keys("") {
		if path := s.pathOf(key); !present[path] {
			missing(path, hash)
		}
	}
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 100*time.Millisecond, 15*time.Second
	return b
}
