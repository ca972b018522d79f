package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
)

// accessLogs writes standard logs into a directory: for each distribution and
// hour, in UTC, a file that is named as CloudFront names them, but not
// compressed, so that it can be followed.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html
type accessLogs struct {
	dir  string
	log  *slog.Logger
	ends chan struct{}
	over sync.WaitGroup

	mu   sync.Mutex
	open map[string]*accessFile // by distribution
}

type accessFile struct {
	*accesslog.Writer
	file *os.File
	hour string
}

// flushEvery is how soon a line can be read.
const flushEvery = time.Second

// newAccessLogs makes the directory. The logs must be closed.
func newAccessLogs(dir string, log *slog.Logger) (*accessLogs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of access logs: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &accessLogs{dir: dir, log: log, ends: make(chan struct{}), open: make(map[string]*accessFile)}
	l.over.Go(l.flushing)
	return l, nil
}

// add is an edge's AccessLog. What reached no distribution is nobody's.
func (l *accessLogs) add(id string, r *accesslog.Record) {
	if id == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f, err := l.file(id, r.End.UTC().Format("2006-01-02-15"))
	if err == nil {
		err = f.Log(r)
	}
	if err != nil {
		l.log.Warn("a request is not in the access log", slog.String("distribution", id), slog.Any("error", err))
	}
}

// file returns the open file of an hour, and closes that of the hour before. A
// late line goes with the hour that has begun. l.mu is held.
func (l *accessLogs) file(id, hour string) (*accessFile, error) {
	f := l.open[id]
	if f != nil && hour <= f.hour {
		return f, nil
	}
	if f != nil {
		delete(l.open, id)
		if err := f.close(); err != nil {
			l.log.Warn("the end of an access log", slog.String("distribution", id), slog.Any("error", err))
		}
	}
	file, err := os.OpenFile(filepath.Join(l.dir, id+"."+hour+"."+letters(8)+".log"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open access log: %w", err)
	}
	f = &accessFile{accesslog.NewWriter(file), file, hour}
	l.open[id] = f
	return f, nil
}

func (f *accessFile) close() error { return errors.Join(f.Flush(), f.file.Close()) }

func (l *accessLogs) flushing() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.ends:
			return
		case <-tick.C:
			l.flush()
		}
	}
}

func (l *accessLogs) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, f := range l.open {
		if err := f.Flush(); err != nil {
			l.log.Warn("access log", slog.String("distribution", id), slog.Any("error", err))
		}
	}
}

// close writes what is left. It must be called once, when nothing is added any
// more.
func (l *accessLogs) close() error {
	close(l.ends)
	l.over.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	var failed []error
	for _, f := range l.open {
		failed = append(failed, f.close())
	}
	clear(l.open)
	return errors.Join(failed...)
}

// openAccessLogs returns nil where none are wanted.
func (u *Up) openAccessLogs() (func(string, *accesslog.Record), error) {
	if u.cfg.AccessLogs == "" {
		return nil, nil
	}
	l, err := newAccessLogs(u.cfg.AccessLogs, u.opts.Log)
	if err != nil {
		return nil, err
	}
	u.onClose(l.close)
	return l.add, nil
}
