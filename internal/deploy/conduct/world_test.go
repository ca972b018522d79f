package conduct_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/s3store"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/deploy/tree"
)

// world is a bucket, a shelf and a CDN. It can die at any call, before or after
// its effect; what comes after that has none.
type world struct {
	mu       sync.Mutex
	now      int64 // seconds
	objects  map[string]stored
	shelf    map[string]document
	writes   int // of documents, for versions
	sequence int
	written  map[string][]int // by key: when
	sent     []invalidation   // each caller reference once
	dieAt    int              // call; 0: never
	after    bool             // its effect
	calls    int
	dead     bool
	heads    int
	opaque   bool // ETags are no MD5s
	coarse   int  // deploys within the second of the one before
}

type stored struct {
	text     string
	etag     string
	served   deploy.Served
	modified int64
}

type document struct {
	text    []byte
	version string
	at      int64
}

type invalidation struct {
	freshet.Invalidation
	at int
}

func newWorld() *world {
	return &world{now: 1000, objects: make(map[string]stored), shelf: make(map[string]document), written: make(map[string][]int)}
}

var errDead = errors.New("the process is no more")

// call counts, dies if it is time, and says whether the effect takes place.
func (w *world) call(effect func()) error {
	if w.dead {
		return errDead
	}
	w.calls++
	w.sequence++
	if w.calls == w.dieAt {
		w.dead = true
		if w.after {
			effect()
		}
		return errDead
	}
	effect()
	return nil
}

// rebirth is the next process, a while later.
func (w *world) rebirth(later int64) {
	w.dead, w.calls, w.dieAt = false, 0, 0
	w.now += later
}

func etagOf(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (w *world) List(_ context.Context, prefix string, _ []string) (l s3store.Listed, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err = w.call(func() {
		for key, o := range w.objects {
			if strings.HasPrefix(key, prefix) {
				l.Objects = append(l.Objects, deploy.Present{Key: key, Size: int64(len(o.text)), ETag: o.etag, Modified: o.modified})
			}
		}
		slices.SortFunc(l.Objects, func(a, b deploy.Present) int { return strings.Compare(a.Key, b.Key) })
		l.Now = time.Unix(w.now, 0)
	})
	return l, err
}

func (w *world) Head(_ context.Context, key string) (served *deploy.Served, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err = w.call(func() {
		w.heads++
		if o, ok := w.objects[key]; ok {
			served = &o.served
		}
	})
	return served, err
}

func (w *world) write(key, text string, served deploy.Served) deploy.Sent {
	etag := etagOf(text)
	if w.opaque {
		etag = fmt.Sprintf("opaque-%d", w.sequence)
	}
	w.objects[key] = stored{text, etag, served, w.now}
	w.written[key] = append(w.written[key], w.sequence)
	return deploy.Sent{ETag: etag, Size: int64(len(text)), At: time.Unix(w.now, 0)}
}

func (w *world) Put(_ context.Context, u s3store.Upload) (sent deploy.Sent, err error) {
	text, err := io.ReadAll(io.NewSectionReader(u.Content, 0, u.Size))
	if err != nil {
		return sent, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	err = w.call(func() { sent = w.write(u.Key, string(text), u.Served) })
	return sent, err
}

func (w *world) Copy(_ context.Context, from, etag, to string, served deploy.Served) (sent deploy.Sent, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.objects[from]; o.etag != etag {
		return sent, fmt.Errorf("%s has the ETag %s, not %s", from, o.etag, etag)
	}
	err = w.call(func() { sent = w.write(to, w.objects[from].text, served) })
	return sent, err
}

func (w *world) Delete(_ context.Context, keys []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.call(func() {
		for _, key := range keys {
			delete(w.objects, key)
			w.written[key] = append(w.written[key], w.sequence)
		}
	})
}

func (w *world) Abort(context.Context, string, string) error {
	return errors.New("nothing is sent in parts here")
}

// documents is the world's shelf.
type documents struct{ *world }

func (d documents) String() string { return "the shelf" }

func (d documents) Get(_ context.Context, name string) (doc shelf.Document, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := false
	err = d.call(func() {
		var o document
		o, found = d.shelf[name]
		doc = shelf.Document{Text: o.text, Version: o.version, Age: time.Duration(d.now-o.at) * time.Second}
	})
	if err == nil && !found {
		return doc, fs.ErrNotExist
	}
	return doc, err
}

func (d documents) Put(_ context.Context, name string, text []byte, version string) (made string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := false
	err = d.call(func() {
		o, there := d.shelf[name]
		if version == shelf.None && there || version != shelf.None && version != shelf.Any && o.version != version {
			changed = true
			return
		}
		d.writes++
		made = fmt.Sprintf("v%d", d.writes)
		d.shelf[name] = document{text, made, d.now}
	})
	if changed {
		return "", shelf.ErrChanged
	}
	return made, err
}

func (w *world) send(_ context.Context, inv freshet.Invalidation) (r freshet.Receipt, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err = w.call(func() {
		for i, s := range w.sent {
			if s.CallerReference == inv.CallerReference {
				r = freshet.Receipt{ID: fmt.Sprintf("I%d", i), State: freshet.Accepted}
				return
			}
		}
		w.sent = append(w.sent, invalidation{inv, w.sequence})
		r = freshet.Receipt{ID: fmt.Sprintf("I%d", len(w.sent)-1), State: freshet.Accepted}
	})
	return r, err
}

func (w *world) wait(_ context.Context, r freshet.Receipt) (freshet.Receipt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.State = freshet.Completed
	return r, w.call(func() {})
}

func (w *world) verify(_ context.Context, d *deploy.Deploy) (verdicts []freshet.Verdict, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range d.Changes {
		verdicts = append(verdicts, freshet.Verdict{Target: freshet.Target{Key: c.Key}, State: freshet.Fresh})
	}
	return verdicts, w.call(func() {})
}

// plan makes a request for every two keys, so that there are several.
func plan(changes []freshet.Change, _ []deploy.Present) (p freshet.Plan, err error) {
	p.Changes = changes
	for part := range slices.Chunk(changes, 2) {
		inv := freshet.Invalidation{Distribution: "E"}
		for _, c := range part {
			inv.Patterns = append(inv.Patterns, freshet.Pattern("/"+c.Key))
		}
		inv.CallerReference = freshet.CallerReference("E", part, inv.Patterns, 0)
		p.Invalidations = append(p.Invalidations, inv)
	}
	return p, nil
}

// site is what is deployed: content and Cache-Control by key.
type site map[string][2]string

func (s site) wanted() (all []conduct.Wanted) {
	for key, v := range s {
		text := v[0]
		o := deploy.Object{Key: key, Size: int64(len(text)), Hash: sha256.Sum256([]byte(text)), ETag: etagOf(text), Served: deploy.Served{Type: "text/plain", CacheControl: v[1]}}
		if strings.HasSuffix(key, ".html") {
			o.Class = deploy.Pages
		}
		all = append(all, conduct.Wanted{Object: o, Open: func() (tree.Content, error) { return content{bytes.NewReader([]byte(text))}, nil }})
	}
	slices.SortFunc(all, func(a, b conduct.Wanted) int { return strings.Compare(a.Key, b.Key) })
	return all
}

type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (w *world) config(s site) conduct.Config {
	return conduct.Config{
		Bucket: w, Shelf: documents{w}, Name: "b", Want: s.wanted(), Limit: deploy.Limit{Objects: 100, Share: 1}, Parallel: 3, Holder: shelf.Who{Name: "test"},
		Line: conduct.Line{Plan: plan, Send: w.send, Wait: w.wait, Verify: w.verify},
	}
}

// run deploys as one process does.
func (w *world) run(ctx context.Context, s site) ([]conduct.Result, error) {
	p, err := conduct.Prepare(ctx, w.config(s))
	if err != nil {
		return nil, err
	}
	return p.Run(ctx, nil)
}
