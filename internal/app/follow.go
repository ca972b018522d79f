package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How files are followed.
const (
	lookEvery  = time.Second            // without a word from the file system, which is silent about network drives
	settleTime = 150 * time.Millisecond // in which nothing changes before files are read: several are written at once
	grace      = 2 * time.Second        // in which what cannot be read may become readable, before that is said
)

// follower has files read anew whenever they change. What editors do on the way,
// such as to write half a file or to move it away, it waits out.
type follower struct {
	read    func(context.Context) (files []string, err error) // returns the files that decide what it reads
	stamp   func(file string) string                          // differs when the file does
	problem func(error)                                       // told when files stay unreadable
	word    <-chan struct{}                                   // something may have changed; nil for nobody who says so
	asked   <-chan struct{}                                   // read at once; nil for nobody who asks
	watch   func(files []string)                              // have word of these; nil for nobody who gives it

	stamps map[string]string // of what was read last, by file
	failed error             // of the last reading, not said yet
}

// run reads once and then follows, until ctx is done.
func (f *follower) run(ctx context.Context) {
	if f.reading(ctx); f.failed != nil {
		f.settled(ctx, false)
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for ctx.Err() == nil {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-f.word:
		case <-f.asked:
			asked = true
		}
		if asked || f.changed() {
			f.settled(ctx, asked)
		}
	}
}

// settled reads once nothing changes any more, again while that fails and the
// files change, and says at last what is wrong. Who asks is answered at once.
func (f *follower) settled(ctx context.Context, asked bool) {
	patience := time.NewTimer(grace)
	defer patience.Stop()
	for ctx.Err() == nil {
		if !asked {
			f.rest(ctx)
		}
		f.reading(ctx)
		if asked || f.failed == nil {
			break
		}
		if !f.wait(ctx, patience.C) {
			break
		}
	}
	if f.failed != nil && ctx.Err() == nil {
		f.problem(f.failed)
	}
	f.failed = nil
}

// rest returns when nothing has changed for a while, and at the latest after the
// grace: what never rests is read as it is.
func (f *follower) rest(ctx context.Context) {
	end := time.Now().Add(grace)
	for last := f.now(); ctx.Err() == nil; {
		sleep(ctx, settleTime)
		now := f.now()
		if slices.Equal(last, now) || time.Now().After(end) {
			return
		}
		last = now
	}
}

// wait returns true when something has changed since the last reading, and false
// when there is no more patience.
func (f *follower) wait(ctx context.Context, patience <-chan time.Time) bool {
	for {
		sleep(ctx, settleTime)
		select {
		case <-ctx.Done():
			return false
		case <-patience:
			return f.changed()
		default:
		}
		if f.changed() {
			return true
		}
	}
}

// reading reads, and once more where there are files that were not known before,
// since they may have changed after they were read.
func (f *follower) reading(ctx context.Context) {
	for range 2 {
		before := make(map[string]string, len(f.stamps))
		for file := range f.stamps {
			before[file] = f.stamp(file)
		}
		files, err := f.read(ctx)
		f.failed = err
		if f.watch != nil {
			f.watch(files)
		}
		stamps, known := make(map[string]string, len(files)), true
		for _, file := range files {
			at, was := before[file]
			if !was {
				at, known = f.stamp(file), false
			}
			stamps[file] = at
		}
		if err != nil { // what is not reached because of it may be where it is mended
			for file, at := range before {
				if stamps[file] == "" {
					stamps[file] = at
				}
			}
		}
		if f.stamps = stamps; known {
			return
		}
	}
}

func (f *follower) changed() bool {
	for file, was := range f.stamps {
		if f.stamp(file) != was {
			return true
		}
	}
	return false
}

// now are the stamps of all files.
func (f *follower) now() []string {
	var all []string
	for file := range f.stamps {
		all = append(all, file+"\x00"+f.stamp(file))
	}
	slices.Sort(all)
	return all
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// stampOf tells a file's states apart. What is not there has one, too.
func stampOf(file string) string {
	stat, err := os.Stat(file)
	if err != nil {
		return "none"
	}
	return fmt.Sprintf("%d %d %v", stat.Size(), stat.ModTime().UnixNano(), stat.Mode())
}

// follow keeps what runs as the distributions' files say, until ctx is done.
func (u *Up) follow(ctx context.Context) error {
	f := &follower{read: u.reload, stamp: stampOf, asked: u.opts.Reread, problem: func(err error) {
		u.recorder.Reloaded(time.Now(), false)
		if u.opts.Problem != nil {
			u.opts.Problem(err)
			return
		}
		u.opts.Log.Error(err.Error())
	}}
	if watcher, err := fsnotify.NewWatcher(); err == nil {
		defer func() { _ = watcher.Close() }()
		word, done := make(chan struct{}, 1), make(chan struct{})
		f.word, f.watch = word, watchFolders(watcher)
		go func() {
			defer close(done)
			pass(watcher, word)
		}()
		defer func() { _ = watcher.Close(); <-done }()
	}
	f.run(ctx)
	return nil
}

// reload is reread, of whose success the metrics tell. What fails may still be on
// its way, which the follower finds out.
func (u *Up) reload(ctx context.Context) (files []string, err error) {
	if files, err = u.reread(ctx); err == nil {
		u.recorder.Reloaded(time.Now(), true)
	}
	return files, err
}

// watchFolders watches the folders of files, since what is written by renaming
// is no more the file that was watched.
func watchFolders(w *fsnotify.Watcher) func(files []string) {
	return func(files []string) {
		for _, file := range files {
			_ = w.Add(filepath.Dir(file)) // again does nothing; what cannot be watched is looked at
		}
	}
}

// pass turns events into a word.
func pass(w *fsnotify.Watcher, word chan<- struct{}) {
	for {
		select {
		case _, ok := <-w.Events:
			if !ok {
				return
			}
		case _, ok := <-w.Errors:
			if !ok {
				return
			}
		}
		select {
		case word <- struct{}{}:
		default:
		}
	}
}
