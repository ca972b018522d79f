package edge

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/edge/disk"
)

// opened is a response whose body is on disk, of which the beginning of what a viewer
// gets was read.
type opened struct {
	*entry

	reading *disk.Reading
}

func (o opened) copyPart(ctx context.Context, w io.Writer, p span) error {
	return copyRemote(ctx, w, p, o.reading.Each)
}

// copyRemote writes a part of a body that is on disk.
func copyRemote(ctx context.Context, w io.Writer, p span, each func(from, length int64, each func([]byte) error) error) error {
	return each(p.offset, p.length, func(b []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := w.Write(b)
		return err
	})
}

// respondStored is respond, and reports false, with nothing sent, if the body is on
// disk and cannot be had from there: then the copy is not in the cache any more.
func (e *Edge) respondStored(w http.ResponseWriter, r *http.Request, a answer) bool {
	if a.content == content(a.entry) && a.entry.remote != nil {
		if from, begins := a.begins(r); begins {
			reading, err := a.site.tier.read(a.entry.remote, from)
			if err != nil {
				a.site.store.drop(a.entry)
				return false
			}
			defer reading.Close()
			a.content = opened{a.entry, reading}
		}
	}
	e.respond(w, r, a)
	return true
}

// begins is from where on a viewer gets something of the body that is there, if any.
func (a *answer) begins(r *http.Request) (from int64, begins bool) {
	e := a.entry
	if r.Method == http.MethodHead || e.status == http.StatusNoContent {
		return 0, false
	}
	if e.status != http.StatusOK || a.instead != 0 || r.Method == http.MethodOptions {
		return 0, true
	}
	size, first := e.size(), int64(0)
	if e.part != nil {
		size, first = e.part.total, e.part.first
	}
	if precondition(r.Header, e.header) != 0 {
		return 0, false
	}
	if !asksForPart(r, e, size) {
		return 0, true
	}
	spans, _ := selectSpans(r.Header.Get("Range"), size)
	if len(spans) == 0 {
		return 0, false
	}
	return spans[0].offset - first, true
}

// read opens a body for a viewer, who does not wait for a slow disk.
func (t *tier) read(b *disk.Body, from int64) (*disk.Reading, error) {
	select {
	case t.reading <- struct{}{}:
	default:
		return nil, errSlow // as in recall
	}
	type outcome struct {
		reading *disk.Reading
		err     error
	}
	answered, left := make(chan outcome), make(chan struct{})
	defer close(left)
	go func() {
		defer func() { <-t.reading }()
		reading, err := b.Open(from, b.Size() <= checkedBody)
		select {
		case answered <- outcome{reading, err}:
		case <-left:
			if err == nil {
				reading.Close()
			}
		}
	}()
	patience := time.NewTimer(t.patience)
	defer patience.Stop()
	select {
	case o := <-answered:
		return o.reading, o.err
	case <-patience.C:
		t.slow()
		return nil, errSlow
	}
}

// slow notes that somebody has waited for the disk in vain, unless it is we who are
// slow.
func (t *tier) slow() {
	if t.store.Reading() >= t.patience/2 {
		t.store.Failed("read a record", errSlow)
	}
}
