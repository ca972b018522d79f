package worker

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag of an object put in one part is its MD5; nothing here is secret
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/work"
)

// What is written into the metadata of what a rule has made.
const (
	metaFrom = "freshet-made-from" // key of the object, escaped as in a URL
	metaBy   = "freshet-made-by"   // IDs of the rules on the way here, escaped, the last one last
)

// longestWay is of how many rules one may follow the other.
const longestWay = 8

// through returns the rules on the way to what r makes of an object. One that
// comes back to itself would go on for ever.
func through(o Object, r work.Rule) (string, error) {
	var way []string
	if before := o.Metadata[metaBy]; before != "" {
		way = strings.Split(before, ",")
	}
	id := url.QueryEscape(r.ID())
	if slices.Contains(way, id) {
		return "", fmt.Errorf("it was made by rule %s itself, by way of %s, and would go on for ever: %w", r.ID(), strings.Join(way, ", "), errLasting)
	}
	if len(way) >= longestWay {
		return "", fmt.Errorf("%d rules have followed each other to make it: %w", len(way), errLasting)
	}
	return strings.Join(append(way, id), ","), nil
}

// result is a file that is to become an object; file is nil where it is an
// optional one that is not there.
type result struct {
	work.Made

	file        *os.File
	size        int64
	sum         [16]byte
	contentType string
}

func closeAll(results []result) {
	for _, r := range results {
		if r.file != nil {
			_ = r.file.Close()
		}
	}
}

// collect opens what a program has made.
func collect(folder string, made []work.Made) (results []result, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	defer func() {
		if err != nil {
			closeAll(results)
		}
	}()
	for _, m := range made {
		r := result{Made: m, contentType: cmp.Or(m.Type, typeOf(m.ObjectKey))}
		switch err := r.open(root); {
		case errors.Is(err, fs.ErrNotExist) && m.Optional:
		case errors.Is(err, fs.ErrNotExist):
			return results, fmt.Errorf("it has not made %s", m.FileName)
		case err != nil:
			return results, fmt.Errorf("%s, which it has made: %w", m.FileName, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// sniffed is how much of a file says what it is, in bytes.
const sniffed = 512

// open opens the file and looks at it. Nothing outside the folder is opened,
// whatever link leads there.
func (r *result) open(root *os.Root) error {
	info, err := root.Lstat(r.FileName)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no file")
	case info.Size() == 0 && r.Optional:
		return fs.ErrNotExist
	case info.Size() == 0:
		return errors.New("it is empty")
	}
	file, err := root.Open(r.FileName)
	if err != nil {
		return err
	}
	begin := make([]byte, sniffed)
	n, err := io.ReadFull(file, begin)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err == nil {
		err = fits(r.contentType, begin[:n])
	}
	hash := md5.New()
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err == nil {
		r.size, err = io.Copy(hash, file)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return err
	}
	r.file, r.sum = file, [16]byte(hash.Sum(nil))
	return nil
}

// known are the media types that are told by the first bytes.
var known = []string{
	"image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "video/webm", "video/mp4", "audio/mpeg", "audio/wave",
	"application/pdf", "application/zip", "application/x-gzip",
}

// fits refuses what is plainly not of its type.
func fits(declared string, begin []byte) error {
	declared, _, err := mime.ParseMediaType(declared)
	if err != nil || !slices.Contains(known, declared) {
		return nil
	}
	seen, _, _ := strings.Cut(http.DetectContentType(begin), ";")
	if seen == declared || declared == "audio/mpeg" && len(begin) > 1 && begin[0] == 0xff && begin[1]&0xe0 == 0xe0 {
		return nil // a stream of MPEG audio may come without a tag before it
	}
	return fmt.Errorf("it is no %s: it looks like %s", declared, seen)
}

// typeOf gives the media type for a key; the table is our own, so that it is the
// same on every machine.
func typeOf(key string) string {
	return cmp.Or(contentTypes[strings.ToLower(path.Ext(key))], "application/octet-stream")
}

// contentTypes is never changed.
var contentTypes = map[string]string{
	".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp", ".avif": "image/avif", ".svg": "image/svg+xml",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".aac": "audio/aac", ".ogg": "audio/ogg", ".opus": "audio/ogg",
	".wav": "audio/wav", ".flac": "audio/flac", ".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t", ".vtt": "text/vtt; charset=utf-8",
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".json": "application/json",
	".txt": "text/plain; charset=utf-8", ".xml": "text/xml; charset=utf-8", ".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip",
}

// putAll puts what has changed, and says what that was.
func (w *Worker) putAll(ctx context.Context, r work.Rule, from, way string, results []result) (string, error) {
	before := make([]Object, len(results))
	differs := false
	var keys []string
	for i, res := range results {
		keys = append(keys, res.ObjectKey)
		o, err := w.cfg.Store.Head(ctx, res.ObjectKey)
		switch {
		case errors.Is(err, ErrGone):
		case err != nil:
			return "", err
		case !madeFrom(o, from, r):
			return "", fmt.Errorf("%s is there and was not made from %s by this rule, so that it is not overwritten: %w", res.ObjectKey, from, errLasting)
		}
		before[i] = o
		differs = differs || res.differs(o, from, way)
	}
	if differs && w.cfg.Together != nil {
		defer w.cfg.Together(ctx, keys)()
	}
	var o outcome
	for i, res := range results {
		var err error
		switch {
		case !res.differs(before[i], from, way):
			if res.file != nil {
				o.same = append(o.same, res.ObjectKey)
			}
		case res.file == nil:
			err = w.remove(ctx, res.ObjectKey, before[i].ETag)
			o.removed = append(o.removed, res.ObjectKey)
		default:
			err = w.cfg.Store.Put(ctx, res.upload(from, way))
			o.made = append(o.made, res.ObjectKey)
		}
		if err != nil {
			return "", err
		}
	}
	return o.String(), nil
}

// differs reports whether something is to be put or removed: before is what is
// there, without an ETag where nothing is.
func (r result) differs(before Object, from, way string) bool {
	if r.file == nil {
		return before.ETag != ""
	}
	return before.ETag == "" || !before.same(r.upload(from, way).Object)
}

// outcome is what became of the outputs of a rule, by their keys.
type outcome struct{ made, same, removed []string }

func (o outcome) String() string {
	var parts []string
	for _, p := range []struct {
		what string
		keys []string
	}{{"made ", o.made}, {"unchanged: ", o.same}, {"removed ", o.removed}} {
		if len(p.keys) > 0 {
			parts = append(parts, p.what+strings.Join(p.keys, ", "))
		}
	}
	if len(parts) == 0 {
		return "nothing was made"
	}
	return strings.Join(parts, "; ")
}

// madeFrom reports whether an object is one that the rule has made from another.
func madeFrom(o Object, from string, r work.Rule) bool {
	by := o.Metadata[metaBy]
	return o.Metadata[metaFrom] == url.QueryEscape(from) && by[strings.LastIndexByte(by, ',')+1:] == url.QueryEscape(r.ID())
}

func (r result) upload(from, way string) Upload {
	return Upload{
		Key: r.ObjectKey, Body: r.file, MD5: r.sum,
		Object: Object{
			ETag: hex.EncodeToString(r.sum[:]), Type: r.contentType, CacheControl: r.CacheControl, Size: r.size,
			Metadata: map[string]string{metaFrom: url.QueryEscape(from), metaBy: way},
		},
	}
}

// same reports whether viewers would see no difference.
func (o Object) same(p Object) bool {
	return o.ETag == p.ETag && o.Size == p.Size && o.Type == p.Type && o.CacheControl == p.CacheControl && o.Metadata[metaBy] == p.Metadata[metaBy]
}

// unmake removes what was made of an object that is gone.
func (w *Worker) unmake(ctx context.Context, r work.Rule, from string, made []work.Made) (string, error) {
	if r.Keep {
		return "the object is gone, and what was made of it is kept", nil
	}
	if _, err := w.cfg.Store.Head(ctx, from); err == nil {
		return "the object is there again", nil
	} else if !errors.Is(err, ErrGone) {
		return "", err
	}
	var keys, removed []string
	for _, m := range made {
		keys = append(keys, m.ObjectKey)
	}
	if w.cfg.Together != nil {
		defer w.cfg.Together(ctx, keys)()
	}
	for _, key := range keys {
		o, err := w.cfg.Store.Head(ctx, key)
		switch {
		case errors.Is(err, ErrGone), err == nil && !madeFrom(o, from, r):
			continue // somebody else's
		case err == nil:
			err = w.remove(ctx, key, o.ETag)
		}
		if err != nil {
			return "", err
		}
		removed = append(removed, key)
	}
	if len(removed) == 0 {
		return "the object is gone, and nothing was made of it", nil
	}
	return "removed " + strings.Join(removed, ", "), nil
}

func (w *Worker) remove(ctx context.Context, key, etag string) error {
	if err := w.cfg.Store.Delete(ctx, key, etag); err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	return nil
}
