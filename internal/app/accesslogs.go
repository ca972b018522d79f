package app

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
)

// accessLogs writes standard logs into a directory: for each distribution and
// hour, in UTC, a file that is named as CloudFront names them, but not
// compressed, so that it can be followed. Lines of one file are in the order in
// which their answers ended, as well as the clocks of several cores tell.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html
type accessLogs struct {
	dir  string
	log  *slog.Logger
	due  chan struct{} // some file has much to write
	ends chan struct{}
	over sync.WaitGroup

	open atomic.Pointer[map[string]*accessFile] // by distribution; a map that does not change

	mu   sync.Mutex
	past []*accessFile // of hours that are over, to be closed
}

type accessFile struct {
	*accesslog.Writer
	id   string
	hour int64 // since 1970
}

// flushEvery is how soon a line can be read, and for how long lines may be lost
// if the program is killed.
const flushEvery = time.Second

// newAccessLogs makes the directory. The logs must be closed.
func newAccessLogs(dir string, log *slog.Logger) (*accessLogs, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of access logs: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &accessLogs{dir: dir, log: log, due: make(chan struct{}, 1), ends: make(chan struct{})}
	l.open.Store(&map[string]*accessFile{})
	l.over.Go(l.flushing)
	return l, nil
}

// add is an edge's AccessLog. It waits for no file. What reached no distribution
// is nobody's.
func (l *accessLogs) add(id string, r *accesslog.Record) {
	if id == "" {
		return
	}
	hour := r.End.Unix() / 3600
	for range 2 { // it may just have become a file of the past
		f := (*l.open.Load())[id]
		if f == nil || f.hour < hour {
			f = l.begin(id, hour)
		}
		if f.Log(r) {
			return
		}
	}
}

// begin returns the file of an hour, in place of that of the hour before. A late
// line goes with the hour that has begun.
func (l *accessLogs) begin(id string, hour int64) *accessFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := *l.open.Load()
	f := open[id]
	if f != nil && f.hour >= hour {
		return f
	}
	if f != nil {
		l.past = append(l.past, f)
	}
	name := id + "." + time.Unix(hour*3600, 0).UTC().Format("2006-01-02-15") + "." + letters(8) + ".log"
	f = &accessFile{accesslog.NewWriter(&lateFile{name: filepath.Join(l.dir, name)}, l.ring), id, hour}
	open = maps.Clone(open)
	open[id] = f
	l.open.Store(&open)
	return f
}

func (l *accessLogs) ring() {
	select {
	case l.due <- struct{}{}:
	default:
	}
}

func (l *accessLogs) flushing() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.ends:
			return
		case <-tick.C:
		case <-l.due:
		}
		l.flush()
	}
}

// flush writes what was gathered. Those who log go on meanwhile.
func (l *accessLogs) flush() {
	l.mu.Lock()
	past := l.past
	l.past = nil
	l.mu.Unlock()
	for _, f := range past {
		l.warn(f, f.Close())
	}
	for _, f := range *l.open.Load() {
		l.warn(f, f.Flush())
	}
}

func (l *accessLogs) warn(f *accessFile, err error) {
	if err != nil {
		l.log.Warn("access log", slog.String("distribution", f.id), slog.Any("error", err))
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
	for _, f := range l.past {
		failed = append(failed, f.Close())
	}
	for _, f := range *l.open.Load() {
		failed = append(failed, f.Close())
	}
	return errors.Join(failed...)
}

// lateFile is a file that is made when something is first written to it.
type lateFile struct {
	name string
	file *os.File
}

func (f *lateFile) Write(b []byte) (int, error) {
	if f.file == nil {
		file, err := os.OpenFile(f.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, fmt.Errorf("open access log: %w", err)
		}
		f.file = file
	}
	return f.file.Write(b)
}

func (f *lateFile) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
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
