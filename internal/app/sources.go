package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/source/s3event"
	"github.com/freshet/freshet/internal/source/webhook"
	"github.com/freshet/freshet/internal/upstream"
)

// hook is a source whose webhooks come in.
type hook struct {
	config.Source
	secret webhook.Secret
	branch *upstream.Branch // nil for stores
}

// branches is the shelf with what was seen of each branch that is followed.
const branches = "BRANCHES"

// openSources prepares what tells of changes beside the bucket.
func (u *Up) openSources(ctx context.Context) error {
	if !u.cfg.HasHooks() {
		return nil
	}
	shelf, err := journal.OpenShelf(ctx, u.store.JetStream(), branches)
	if err != nil {
		return err
	}
	for _, s := range u.cfg.Sources {
		h := hook{Source: s}
		if h.secret, err = s.Secret(); err != nil {
			return err
		}
		if s.Webhook != config.WebhookS3 {
			if h.branch, err = u.follows(s, shelf); err != nil {
				return err
			}
		}
		u.hooks = append(u.hooks, h)
	}
	return nil
}

// seenBranch is what the shelf holds.
type seenBranch struct {
	Key string `json:"key"`
	upstream.Seen
}

func (u *Up) follows(s config.Source, shelf *journal.Shelf) (*upstream.Branch, error) {
	rules, err := s.Rules()
	if err != nil {
		return nil, err
	}
	origin, branch := s.Bucket, branchOf(s)
	if origin == "" {
		origin = u.cfg.Bucket
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Repository, remoteOf(s), branch, s.At()}, "\x00")))
	key := fmt.Sprintf("%x", sum[:8])
	return upstream.New(upstream.Config{
		Dir: s.Repository, Remote: remoteOf(s), Branch: branch, Rules: rules, Origin: origin, Log: u.opts.Log,
		Put: u.told,
		Load: func(ctx context.Context) (found upstream.Seen, err error) {
			err = shelf.All(ctx, func(value []byte) error {
				var b seenBranch
				if err := json.Unmarshal(value, &b); err != nil {
					return fmt.Errorf("read what was seen of a branch: %w", err)
				}
				if b.Key == key {
					found = b.Seen
				}
				return nil
			})
			return found, err
		},
		Save: func(ctx context.Context, seen upstream.Seen) error {
			text, err := json.Marshal(seenBranch{key, seen})
			if err != nil {
				return err
			}
			return shelf.Put(ctx, key, text)
		},
	}), nil
}

func remoteOf(s config.Source) string {
	if s.Remote == "" {
		return "origin"
	}
	return s.Remote
}

func branchOf(s config.Source) string {
	if s.Branch == "" {
		return "main"
	}
	return s.Branch
}

// told queues a change that somebody else tells of. Of the bucket here it is
// known what it holds, and in which order: the sequencer is taken first, so that
// a change that comes meanwhile has a greater one.
func (u *Up) told(ctx context.Context, c freshet.Change) error {
	if c.Origin == u.cfg.Bucket {
		c.Sequencer = u.bucket.NextSequencer()
		held, there := u.bucket.Stat(c.Key)
		c.Op, c.ETag, c.Served, c.Size, c.Time = freshet.OpPut, held.ETag, held.Served, held.Size, time.Now().UTC()
		if !there {
			c.Op = freshet.OpDelete
		}
	}
	return u.queue.Put(ctx, c)
}

// receive serves the webhooks and follows the branches until ctx is done.
func (u *Up) receive(ctx context.Context) error {
	mux := http.NewServeMux()
	var looking []*upstream.Hook
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range u.hooks {
		if h.branch == nil {
			mux.Handle(h.At(), u.storeEvents(h))
			continue
		}
		served := &upstream.Hook{
			From: webhook.Sender(h.Webhook), Secret: h.secret, Repository: h.Name, Branch: h.branch, Name: branchOf(h.Source),
			Serving: ctx, Now: time.Now, Log: u.opts.Log,
		}
		mux.Handle(h.At(), served)
		looking = append(looking, served)
		g.Go(func() error { return h.branch.Run(ctx) })
	}
	g.Go(func() error {
		return serve(ctx, &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}, u.hookListener, lastAnswers)
	})
	err := g.Wait()
	for _, h := range looking {
		h.Close()
	}
	return err
}

// storeEvents takes S3's events from a store elsewhere. It says 2xx once every change
// is queued. A record that cannot be read is logged and not asked for again: it
// would come for ever.
func (u *Up) storeEvents(h hook) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead || r.Method == http.MethodGet: // is anybody there?
			w.WriteHeader(http.StatusOK)
			return
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", "POST, GET, HEAD")
			http.Error(w, "events are sent with POST", http.StatusMethodNotAllowed)
			return
		case !bears(r, h.secret):
			u.opts.Log.Warn("refused events", "from", r.RemoteAddr)
			http.Error(w, "the token is not the one in the secret_file", http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s3event.DefaultMaxBytes))
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			http.Error(w, "the events are too long", http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			return // the sender has gone
		}
		if status, err := u.events(r.Context(), h, body); err != nil {
			u.opts.Log.Error("events were not taken", "from", r.RemoteAddr, "err", err)
			http.Error(w, err.Error(), status)
		}
	})
}

// events queues what a store says.
func (u *Up) events(ctx context.Context, h hook, body []byte) (status int, err error) {
	read, err := s3event.Parse(body, s3event.Options{Dialect: s3event.Dialect(h.Dialect)})
	if err != nil {
		return http.StatusUnprocessableEntity, err
	}
	for _, p := range read.Problems {
		u.opts.Log.Error("an event makes stale nobody knows what", "err", p)
		if u.opts.Problem != nil {
			u.opts.Problem(fmt.Errorf("an event at %s makes stale nobody knows what: %w", h.At(), p))
		}
	}
	for _, c := range read.Plain() {
		if err := u.told(ctx, c); err != nil {
			return http.StatusServiceUnavailable, err
		}
	}
	return http.StatusOK, nil
}

// bears reports whether a request has the secret: as the bearer token that MinIO
// sends, or in its URL as ?token=, for senders that can send no headers.
func bears(r *http.Request, s webhook.Secret) bool {
	if s == "" {
		return true
	}
	given := r.URL.Query().Get("token")
	if h := r.Header.Get("Authorization"); h != "" {
		given = strings.TrimPrefix(h, "Bearer ")
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
