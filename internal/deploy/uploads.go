package deploy

import (
	"fmt"
	"slices"
)

// uploadsFormat marks the documents that hold Uploads.
const uploadsFormat = "freshet-uploads/1"

// Uploads are uploads in parts that a deploy has begun. Whatever it did not end
// costs money until it is aborted, and no listing of objects shows it.
type Uploads struct {
	Format  string   `json:"format"`
	Uploads []Upload `json:"uploads"` // perhaps ended
}

// Upload is an upload in parts.
type Upload struct {
	Key string `json:"key"`
	ID  string `json:"id"`
}

// Encode writes the uploads.
func (u *Uploads) Encode() ([]byte, error) {
	u.Format = uploadsFormat
	return Encode(u)
}

// DecodeUploads reads what Encode wrote.
func DecodeUploads(text []byte) (*Uploads, error) {
	u := new(Uploads)
	if err := decode(text, uploadsFormat, u); err != nil {
		return nil, fmt.Errorf("read the uploads of the last deploy: %w", err)
	}
	return u, nil
}

// MayLeaveUploads reports whether the deploy may have died while it was sending
// something in parts.
func (d *Deploy) MayLeaveUploads() bool {
	return d != nil && !d.Over && d.Phase == Begun && slices.ContainsFunc(d.Steps, func(s Step) bool {
		return s.Op == Put && PartSize(s.Object.Size) > 0
	})
}
