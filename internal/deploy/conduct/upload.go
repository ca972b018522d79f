package conduct

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5" //nolint:gosec // S3 checks an upload by its MD5; nothing here is secret
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/andybalholm/brotli"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/s3store"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/deploy/tree"
)

// maxEncoded is the largest file that is compressed, and how many bytes of files
// are being compressed at a time.
const maxEncoded = 256 << 20

// uploading is a deploy's objects on their way.
type uploading struct {
	*Prepared

	wanted   map[string]*Wanted
	present  map[string]*deploy.Present
	encoding *semaphore.Weighted

	noting sync.Mutex // of uploads

	mu   sync.Mutex
	sent map[string]deploy.Sent
}

// upload writes the deploy down, makes the bucket what it is to be, and writes
// that down.
func (p *Prepared) upload(ctx context.Context) error {
	u := &uploading{Prepared: p, wanted: make(map[string]*Wanted), encoding: semaphore.NewWeighted(maxEncoded), sent: make(map[string]deploy.Sent), present: make(map[string]*deploy.Present)}
	for i := range p.cfg.Want {
		u.wanted[p.cfg.Want[i].Key] = &p.cfg.Want[i]
	}
	for i := range p.have {
		u.present[p.have[i].Key] = &p.have[i]
	}
	closed := func(context.Context) error { return nil }
	if p.cfg.Opened != nil {
		var err error
		if closed, err = p.cfg.Opened(ctx, p.Resumed); err != nil {
			return err
		}
	}
	err := u.all(ctx)
	if err = errors.Join(err, closed(ctx)); err != nil {
		return err
	}
	return u.finish(ctx)
}

func (u *uploading) all(ctx context.Context) error {
	if !u.Resumed {
		if err := u.save(ctx, u.Deploy); err != nil {
			return err
		}
	}
	for _, phase := range deploy.Phases(u.Steps) {
		var err error
		if phase[0].Op == deploy.Delete {
			err = u.remove(ctx, phase)
		} else {
			err = u.transfer(ctx, phase)
		}
		if err != nil {
			return fmt.Errorf("%w; deploy again, and it goes on from here", err)
		}
	}
	return nil
}

// finish writes the manifest and then that the objects are there. In this order:
// a manifest that is too new is noticed, since the deploy is not through.
func (u *uploading) finish(ctx context.Context) error {
	steps := u.Steps
	if u.Resumed {
		steps = u.Deploy.Steps
		for _, s := range steps { // what was sent before it died
			if p := u.present[s.Object.Key]; p != nil && p.Served != nil {
				if _, again := u.sent[s.Object.Key]; !again {
					u.sent[s.Object.Key] = deploy.Sent{ETag: p.ETag, Size: p.Size, At: time.Unix(p.Modified, 0)}
				}
			}
		}
	}
	text, err := deploy.After(u.Deploy.ID, u.have, steps, u.sent).Encode()
	if err != nil {
		return err
	}
	if _, err := u.cfg.Shelf.Put(ctx, u.cfg.manifestName(), text, shelf.Any); err != nil {
		return err
	}
	u.Deploy.Phase = deploy.Uploaded
	return u.save(ctx, u.Deploy)
}

// transfer sends and copies, many at a time.
func (u *uploading) transfer(ctx context.Context, steps []deploy.Step) error {
	total := int64(0)
	for _, s := range steps {
		if s.Op == deploy.Put {
			total += s.Object.Size
		}
	}
	u.cfg.Report(Event{Stage: Sending, Objects: len(steps), Bytes: total})
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(u.cfg.parallel())
	for _, s := range steps {
		if working.Err() != nil {
			break
		}
		g.Go(func() error {
			sent, err := u.one(working, s)
			if err != nil {
				return err
			}
			u.mu.Lock()
			u.sent[s.Object.Key] = sent
			u.mu.Unlock()
			u.cfg.Report(Event{Stage: Sending, Done: &Done{Step: s, Size: s.Object.Size}})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (u *uploading) one(ctx context.Context, s deploy.Step) (deploy.Sent, error) {
	if s.From.Key != "" {
		sent, err := u.cfg.Bucket.Copy(ctx, s.From.Key, s.From.ETag, s.Object.Key, s.Object.Served)
		sent.Size = s.From.Size
		return sent, err
	}
	if s.Op == deploy.Copy {
		sent, err := u.cfg.Bucket.Copy(ctx, s.Object.Key, s.Before.ETag, s.Object.Key, s.Object.Served)
		sent.Size = s.Before.Size
		return sent, err
	}
	w := u.wanted[s.Object.Key]
	if w == nil {
		return deploy.Sent{}, fmt.Errorf("send %s: nobody knows what is in it", s.Object.Key)
	}
	upload := s3store.Upload{Key: s.Object.Key, Size: s.Object.Size, SHA256: s.Object.Hash, ETag: s.Object.ETag, Served: s.Object.Served}
	upload.Begun = func(ctx context.Context, id string) error { return u.note(ctx, s.Object.Key, id) }
	if w.Open == nil {
		upload.Content = bytes.NewReader(nil)
		return u.cfg.Bucket.Put(ctx, upload)
	}
	content, err := w.Open()
	if err != nil {
		return deploy.Sent{}, fmt.Errorf("send %s: %w", s.Object.Key, err)
	}
	defer func() { _ = content.Close() }()
	upload.Content = content
	if s.Object.Form == "" {
		return u.cfg.Bucket.Put(ctx, upload)
	}
	return u.encoded(ctx, upload, s.Object)
}

// encoded sends a file compressed. What is compressed must still be the file that
// was read.
func (u *uploading) encoded(ctx context.Context, upload s3store.Upload, o deploy.Object) (deploy.Sent, error) {
	if o.Size > maxEncoded {
		return deploy.Sent{}, fmt.Errorf("send %s: it has %d bytes, and at most %d are compressed: leave it out of encode and precompress", o.Key, o.Size, maxEncoded)
	}
	if err := u.encoding.Acquire(ctx, max(o.Size, 1)); err != nil {
		return deploy.Sent{}, err
	}
	defer u.encoding.Release(max(o.Size, 1))
	text, err := encode(upload.Content, o)
	if err != nil {
		return deploy.Sent{}, fmt.Errorf("send %s: %w", o.Key, err)
	}
	sum := md5.Sum(text)
	upload.Content, upload.Size, upload.SHA256 = bytes.NewReader(text), int64(len(text)), sha256.Sum256(text)
	upload.ETag = hex.EncodeToString(sum[:])
	if deploy.PartSize(upload.Size) > 0 {
		etag := tree.NewETag(upload.Size)
		_, _ = etag.Write(text)
		upload.ETag = etag.String()
	}
	return u.cfg.Bucket.Put(ctx, upload)
}

func encode(content io.ReaderAt, o deploy.Object) ([]byte, error) {
	var out bytes.Buffer
	var to io.WriteCloser
	if deploy.EncodingOf(o.Form) == deploy.Gzip {
		to, _ = gzip.NewWriterLevel(&out, gzip.BestCompression) // the level exists
	} else {
		to = brotli.NewWriterLevel(&out, brotli.BestCompression)
	}
	h := sha256.New()
	_, err := io.Copy(io.MultiWriter(to, h), io.NewSectionReader(content, 0, o.Size))
	if err = errors.Join(err, to.Close()); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if deploy.Hash(h.Sum(nil)) != o.Hash {
		return nil, errors.New("the file was changed while it was being sent: deploy again once nothing writes to the directory")
	}
	return out.Bytes(), nil
}

// remove deletes, as many at a time as one request takes.
func (u *uploading) remove(ctx context.Context, steps []deploy.Step) error {
	u.cfg.Report(Event{Stage: Deleting, Objects: len(steps)})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for begin := 0; begin < len(steps); begin += s3store.MostDeleted {
		part := steps[begin:min(begin+s3store.MostDeleted, len(steps))]
		keys := make([]string, len(part))
		for i, s := range part {
			keys[i] = s.Object.Key
		}
		g.Go(func() error {
			if err := u.cfg.Bucket.Delete(ctx, keys); err != nil {
				return err
			}
			for _, s := range part {
				u.cfg.Report(Event{Stage: Deleting, Done: &Done{Step: s}})
			}
			return nil
		})
	}
	return g.Wait()
}
