package tree

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag is one; nothing here is secret
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/mediatype"
)

// File is an entry of which is known what is in it.
type File struct {
	deploy.File

	Entry Entry
}

// Hash reads the entries and returns them in their order. What memory, which may
// be nil, knows is not read again.
func Hash(ctx context.Context, entries []Entry, memory *Memory, progress func(bytes int64)) ([]File, error) {
	files := make([]File, len(entries))
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	buffers := sync.Pool{New: func() any { return new([256 << 10]byte) }}
	for i, e := range entries {
		if working.Err() != nil {
			break
		}
		if known, ok := memory.get(e); ok {
			files[i] = File{known, e}
			progress(e.Size)
			continue
		}
		g.Go(func() error {
			buffer := buffers.Get().(*[256 << 10]byte)
			defer buffers.Put(buffer)
			f, err := read(working, e, buffer[:], progress)
			if err != nil {
				return fmt.Errorf("read %s: %w", e.Path, err)
			}
			files[i] = File{f, e}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	memory.keep(files)
	return files, ctx.Err()
}

// read hashes one file, as a whole and as S3 does.
func read(ctx context.Context, e Entry, buffer []byte, progress func(int64)) (f deploy.File, err error) {
	content, err := e.Open()
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	f = deploy.File{Path: e.Path, Size: e.Size}
	whole := sha256.New()
	etag := NewETag(e.Size)
	for at := int64(0); ; {
		n, err := content.ReadAt(buffer, at)
		if at == 0 && mediatype.Of(e.Path) == "" {
			f.Type = http.DetectContentType(buffer[:min(n, 512)])
		}
		_, _ = whole.Write(buffer[:n])
		_, _ = etag.Write(buffer[:n])
		at += int64(n)
		progress(int64(n))
		if errors.Is(err, io.EOF) {
			if at != e.Size {
				return f, fmt.Errorf("it had %d bytes and now has %d: is it still being written?", e.Size, at)
			}
			break
		}
		if err != nil {
			return f, err
		}
		if ctx.Err() != nil {
			return f, ctx.Err()
		}
	}
	whole.Sum(f.Hash[:0])
	f.ETag = etag.String()
	return f, nil
}

// ETag computes the ETag that S3 gives an object which is sent in parts of
// deploy.PartSize, or as one.
type ETag struct {
	part  int64 // 0: one piece
	left  int64 // in this part
	count int
	now   hash.Hash
	sums  []byte
}

// NewETag is of an object of that size.
func NewETag(size int64) *ETag {
	part := deploy.PartSize(size)
	return &ETag{part: part, left: part, now: md5.New()}
}

// Write never fails.
func (e *ETag) Write(p []byte) (int, error) {
	n := len(p)
	for e.part > 0 && int64(len(p)) >= e.left {
		_, _ = e.now.Write(p[:e.left])
		p = p[e.left:]
		e.end()
	}
	_, _ = e.now.Write(p)
	if e.part > 0 {
		e.left -= int64(len(p))
	}
	return n, nil
}

func (e *ETag) end() {
	e.sums = e.now.Sum(e.sums)
	e.now.Reset()
	e.count, e.left = e.count+1, e.part
}

// String is the ETag without quotes. Nothing may be written after it.
func (e *ETag) String() string {
	if e.part == 0 {
		return hex.EncodeToString(e.now.Sum(nil))
	}
	if e.left < e.part {
		e.end()
	}
	sum := md5.Sum(e.sums)
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:]), e.count)
}

// ETagOfParts is the ETag of an object whose parts have these; empty where they
// are no MD5s.
func ETagOfParts(etags []string) string {
	var sums []byte
	for _, e := range etags {
		sum, err := hex.DecodeString(e)
		if err != nil || len(sum) != md5.Size {
			return ""
		}
		sums = append(sums, sum...)
	}
	sum := md5.Sum(sums)
	return fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:]), len(etags))
}

// Empty is a file without content, such as the object of a redirect is made of.
func Empty() deploy.File {
	f := FileOf("", nil)
	f.Type = "text/html; charset=utf-8"
	return f
}

// FileOf is a file that was made here.
func FileOf(path string, text []byte) deploy.File {
	etag := NewETag(int64(len(text)))
	_, _ = etag.Write(text)
	return deploy.File{Path: path, Size: int64(len(text)), Hash: sha256.Sum256(text), ETag: etag.String()}
}
