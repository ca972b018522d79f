package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/fsnotify/fsnotify"
)

// pollInterval is how often everything is looked at where the kernel does not
// tell about changes.
const pollInterval = 2 * time.Second

// watch hears from the kernel what changes in the directory.
type watch struct {
	s       *session
	watcher *fsnotify.Watcher // nil: there is none, so the directory is polled

	mu    sync.Mutex
	poll  bool
	links map[string]map[string]bool // file elsewhere, to the symbolic links to it
}

func newWatch(s *session) *watch {
	w := &watch{s: s, links: make(map[string]map[string]bool)}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		w.limited(err)
		return w
	}
	w.watcher = watcher
	return w
}

func (w *watch) close() {
	if w.watcher != nil {
		_ = w.watcher.Close()
	}
}

// limited falls back to polling, and says once what would help.
func (w *watch) limited(err error) {
	w.mu.Lock()
	before := w.poll
	w.poll = true
	w.mu.Unlock()
	if before {
		return
	}
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC):
		hint = "; the kernel's limit of watched directories is reached: raise it with sysctl fs.inotify.max_user_watches"
	case errors.Is(err, syscall.EMFILE):
		hint = "; the kernel's limit of watchers is reached: raise it with sysctl fs.inotify.max_user_instances"
	}
	w.s.problem(fmt.Errorf("watch %s: %w%s; until then changes are looked for every %v", w.s.root, err, hint, pollInterval))
}

func (w *watch) polling() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.poll
}

// add watches one directory.
func (w *watch) add(dir string) {
	if w.watcher == nil {
		return
	}
	if err := w.watcher.Add(dir); err != nil && !os.IsNotExist(err) && !errors.Is(err, fsnotify.ErrClosed) {
		w.limited(err)
	}
}

// follow watches the file that path leads to, if path is a symbolic link.
func (w *watch) follow(path string) {
	stat, err := os.Lstat(path)
	if err != nil || stat.Mode()&os.ModeSymlink == 0 {
		return
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return
	}
	w.mu.Lock()
	if w.links[target] == nil {
		w.links[target] = make(map[string]bool)
	}
	w.links[target][path] = true
	w.mu.Unlock()
	w.add(filepath.Dir(target))
}

// linksTo are the symbolic links that lead to path.
func (w *watch) linksTo(path string) (links []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for link := range w.links[path] {
		links = append(links, link)
	}
	return links
}

// run passes on what changes until the directory is gone or ctx ends.
func (w *watch) run(ctx context.Context) error {
	var events chan fsnotify.Event
	var failures chan error
	if w.watcher != nil {
		events, failures = w.watcher.Events, w.watcher.Errors
	}
	look := time.NewTicker(rootInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-events:
			w.s.observe(event)
		case err := <-failures:
			w.failed(err)
		case <-look.C:
			if w.polling() && !w.s.gone() {
				w.s.happened.Add(1)
				w.s.recheck(w.s.scan(w.s.root), false)
			}
		}
		if w.s.gone() {
			return errVanished{w.s.root, "vanished"}
		}
	}
}

// failed handles lost events by looking at everything.
func (w *watch) failed(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		w.s.log.Info("too many changes at once: everything is compared", "dir", w.s.root)
	} else {
		w.s.problem(fmt.Errorf("watch %s: %w", w.s.root, err))
	}
	w.s.recheck(w.s.scan(w.s.root), true)
}

// observe queues what an event is about.
func (s *session) observe(event fsnotify.Event) {
	for _, link := range s.watch.linksTo(event.Name) {
		s.queue.mark(link, true)
	}
	if !s.wanted(event.Name) {
		return
	}
	if !utf8.ValidString(event.Name) {
		if event.Has(fsnotify.Create) {
			s.problem(fmt.Errorf("%q is skipped: an object key must be valid UTF-8", event.Name))
		}
		return
	}
	s.happened.Add(1)
	if event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename) {
		s.forget(event.Name)
	}
	if stat, err := os.Lstat(event.Name); err == nil && stat.IsDir() {
		if event.Has(fsnotify.Create) {
			for _, path := range s.scan(event.Name) {
				s.queue.mark(path, true)
			}
		}
	}
	s.queue.mark(event.Name, true)
}

// forget handles a path that went away and may have been a directory: a moved
// one's watches would go on telling about it under its old name.
func (s *session) forget(path string) {
	below := path + string(filepath.Separator)
	for _, watched := range s.watch.watcher.WatchList() {
		if watched == path || strings.HasPrefix(watched, below) {
			_ = s.watch.watcher.Remove(watched)
		}
	}
	for _, key := range s.manifest.keys(s.keyOf(path) + "/") {
		s.queue.mark(s.pathOf(key), true)
	}
}
