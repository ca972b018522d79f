package mirror

import (
	"context"
	"crypto/md5" //nolint:gosec // S3 checks an upload by its MD5; nothing here is secret
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/freshet/freshet/internal/mediatype"
)

// How patient the mirror is. A removal waits until nothing has happened for a
// moment: an editor may be about to put a new file in place, or the whole
// directory may be going, which is no reason to empty the bucket. The moment is
// counted in looks: where the machine stands still, so does whoever empties the
// directory, and what the kernel has to tell of it is heard late. The more is
// missing at the same time the longer it takes, as does to remove it. A directory
// that was away and is back may be filled for minutes, one file after another.
const (
	removalPause = 30 * time.Millisecond  // before the next look at what is missing
	quietLooks   = 5                      // in a row, between which nothing has happened
	mostLooks    = 170                    // although something happens all the time
	longQuiet    = 100                    // quietLooks, however much is missing, and of what may be on its way back
	longMost     = 10_000                 // mostLooks of those
	writerPause  = 10 * time.Millisecond  // before the next look at a file that is being written
	writerLimit  = 250 * time.Millisecond // for files that stay open for long
)

// absence is what was seen of a file that is missing.
type absence struct {
	happened     int64 // of the session, at the last look
	looks, quiet int
	back         bool // it may be on its way back, with its directory
}

// sure reports, at one more look, whether the file has been missing for long
// enough, as one of so many. Where nothing has ever happened it was missing before.
func (a *absence) sure(happened, missing int64) bool {
	if a.looks++; happened == a.happened && a.looks > 1 {
		a.quiet++
	} else {
		a.happened, a.quiet = happened, 0
	}
	quiet, most := min(quietLooks+missing/2, longQuiet), min(mostLooks*(1+missing/4), longMost)
	if a.back {
		quiet, most = longQuiet, longMost
	}
	return happened == 0 || a.quiet >= int(quiet) || a.looks > int(most)
}

// counts is what a comparison has done so far.
type counts struct {
	mu                                   sync.Mutex
	uploaded, deleted, unchanged, failed int
}

func (c *counts) add(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

func (c *counts) summary(files int, took time.Duration) Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Summary{Files: files, Uploaded: c.uploaded, Deleted: c.deleted, Unchanged: c.unchanged, Failed: c.failed, Took: took}
}

// attempt makes the bucket equal to one path.
func (s *session) attempt(ctx context.Context, t *task) outcome {
	wait, err := s.settle(ctx, t)
	if err != nil && t.backoff == nil { // once, not with every try
		s.counts.add(&s.counts.failed)
		s.problem(err)
	}
	return outcome{wait, err}
}

func (s *session) settle(ctx context.Context, t *task) (wait time.Duration, err error) {
	stat, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		return s.remove(ctx, t)
	case err != nil:
		return 0, err
	case !stat.Mode().IsRegular() || !s.wanted(t.path):
		return s.remove(ctx, t)
	}
	s.found(t)
	s.watch.follow(t.path)
	key := s.keyOf(t.path)
	known, _ := s.manifest.get(key)
	if !t.full && known.describes(stat) {
		s.counts.add(&s.counts.unchanged)
		return 0, nil
	}
	return s.send(ctx, t, known)
}

// remove deletes the object of a file that is gone. Only what the manifest
// holds is ours, and only if it is still what was put.
func (s *session) remove(ctx context.Context, t *task) (wait time.Duration, err error) {
	key := s.keyOf(t.path)
	known, ours := s.manifest.get(key)
	if !ours {
		s.found(t)
		return 0, nil
	}
	if t.absent.looks == 0 {
		s.missing.Add(1)
	}
	if !t.absent.sure(s.happened.Load(), s.missing.Load()-1) {
		return removalPause, nil
	}
	if s.gone() {
		return removalPause, nil // the session is about to end
	}
	err = s.erase(ctx, known)
	if errors.Is(err, ErrNotOurs) {
		s.log.Info("a removed file's object stays", "key", key, "why", err)
	} else if err != nil {
		return 0, fmt.Errorf("delete %s: %w", key, err)
	} else {
		s.counts.add(&s.counts.deleted)
	}
	s.found(t)
	return 0, s.manifest.put(record{Key: key, Gone: true})
}

// found has a path count as missing no more.
func (s *session) found(t *task) {
	if t.absent.looks > 0 {
		s.missing.Add(-1)
	}
	t.absent = absence{}
}

// erase deletes the object if it is one that we may have put.
func (s *session) erase(ctx context.Context, known record) error {
	err := s.config.Store.Delete(ctx, known.Key, known.MD5)
	for _, etag := range known.Before {
		if errors.Is(err, ErrNotOurs) {
			err = s.config.Store.Delete(ctx, known.Key, etag)
		}
	}
	return err
}

// send uploads the file unless the bucket holds it already. What was read
// counts only if nobody wrote meanwhile, and the bucket takes only what was
// read.
func (s *session) send(ctx context.Context, t *task, known record) (wait time.Duration, err error) {
	f, err := os.Open(t.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if !t.settled(f) {
		return t.pause(), nil
	}
	before, err := f.Stat()
	if err != nil {
		return 0, err
	}
	now, upload, err := s.read(f, before, t.path)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", t.path, err)
	}
	if !t.settled(f) || !unchanged(before, t.path) {
		return t.pause(), nil
	}
	if same, err := s.holds(ctx, now, known); err != nil || same {
		if same {
			s.counts.add(&s.counts.unchanged)
			err = s.remember(now, known)
		}
		return 0, err
	}
	err = s.put(ctx, now, known, upload)
	if !unchanged(before, t.path) {
		return writerPause, nil // whether it worked or, for that reason, not
	}
	return 0, err
}

// put uploads. That the object is ours is in the manifest first, with the MD5
// of what it may be: after a crash nobody else's object is taken for it.
func (s *session) put(ctx context.Context, now, known record, upload Upload) error {
	for _, etag := range append([]string{known.MD5}, known.Before...) {
		if etag != "" && etag != now.MD5 && !slices.Contains(now.Before, etag) {
			now.Before = append(now.Before, etag)
		}
	}
	if err := s.manifest.put(now); err != nil {
		return err
	}
	if err := s.config.Store.Put(ctx, upload); err != nil {
		return fmt.Errorf("upload %s: %w", now.Key, err)
	}
	now.Sent, now.Before = true, nil
	s.counts.add(&s.counts.uploaded)
	s.log.Debug("uploaded", "key", now.Key, "bytes", now.Size)
	return s.manifest.put(now)
}

// read hashes the file and leaves it ready for uploading.
func (s *session) read(f *os.File, stat fs.FileInfo, path string) (record, Upload, error) {
	at := time.Now()
	h := md5.New()
	var head [512]byte
	n, err := io.ReadFull(f, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return record{}, Upload{}, err
	}
	h.Write(head[:n])
	if _, err := io.Copy(h, f); err != nil {
		return record{}, Upload{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return record{}, Upload{}, err
	}
	kind := mediatype.Of(filepath.Base(path))
	if kind == "" {
		kind = http.DetectContentType(head[:n])
	}
	key := s.keyOf(path)
	sum := [16]byte(h.Sum(nil))
	return record{Key: key, MD5: hex.EncodeToString(sum[:]), Type: kind, Size: stat.Size(), Time: stat.ModTime(), At: at},
		Upload{Key: key, Body: f, Size: stat.Size(), MD5: sum, Type: kind}, nil
}

// holds reports whether the bucket has this very object already: because we
// sent it, or because the first listing shows it.
func (s *session) holds(ctx context.Context, now, known record) (bool, error) {
	if known.Sent && known.MD5 == now.MD5 && known.Type == now.Type {
		return true, nil
	}
	var object Stored
	s.queue.locked(func() { object = s.stored[now.Key] })
	if object.ETag != now.MD5 || object.Size != now.Size || known.Sent {
		return false, nil
	}
	kind, err := object.Type(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for the content type of %s: %w", now.Key, err)
	}
	return kind == now.Type, nil
}

// remember notes that the file was looked at, if it is ours. An equal object
// that somebody else has put stays theirs.
func (s *session) remember(now, known record) error {
	if known.Key == "" {
		return nil
	}
	now.Sent = true
	return s.manifest.put(now)
}

// unchanged reports whether path still is the file that before describes.
func unchanged(before fs.FileInfo, path string) bool {
	after, err := os.Stat(path)
	return err == nil && os.SameFile(before, after) && before.Size() == after.Size() && before.ModTime().Equal(after.ModTime())
}
