package conduct

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/shelf"
)

// UploadsName is the document on the shelf that lists uploads in parts.
const UploadsName = "uploads.json.gz"

// abandon aborts the uploads in parts that a deploy has left which died. They are
// known by their IDs, so that nobody else's are touched. What cannot be aborted
// is said, and tried again after the next one that dies.
func (p *Prepared) abandon(ctx context.Context) {
	if !p.state.last.MayLeaveUploads() {
		return
	}
	left, err := readUploads(ctx, p.cfg.Shelf)
	for _, u := range left {
		if failed := p.cfg.Bucket.Abort(ctx, u.Key, u.ID); failed != nil {
			err = errors.Join(err, failed)
			p.uploads = append(p.uploads, u)
		}
	}
	if err != nil {
		p.cfg.Report(Event{Note: fmt.Sprintf("parts that deploy %s had sent may be left in the bucket, and cost money: %v", p.state.last.ID, err)})
	}
}

func readUploads(ctx context.Context, s shelf.Shelf) ([]deploy.Upload, error) {
	d, err := s.Get(ctx, UploadsName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := deploy.DecodeUploads(d.Text)
	if err != nil {
		return nil, err
	}
	return all.Uploads, nil
}

// note writes down that an upload in parts is begun, before there is a part.
func (u *uploading) note(ctx context.Context, key, id string) error {
	u.noting.Lock()
	defer u.noting.Unlock()
	u.uploads = append(u.uploads, deploy.Upload{Key: key, ID: id})
	text, err := (&deploy.Uploads{Uploads: u.uploads}).Encode()
	if err == nil {
		_, err = u.cfg.Shelf.Put(ctx, UploadsName, text, shelf.Any)
	}
	return err
}
