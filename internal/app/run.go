package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/mirror"
	"github.com/freshet/freshet/internal/queue"
	"github.com/freshet/freshet/internal/server"
	"github.com/freshet/freshet/internal/stream"
)

// lastAnswers is how long requests that run may take to end when everything
// stops, but for those of viewers, who have Config.Drain.
const lastAnswers = 500 * time.Millisecond

// Run serves, works and watches until ctx is done, and returns what ended it
// otherwise.
func (u *Up) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return serve(ctx, u.edgeServer, u.edge.Door(u.edgeListener, nil), time.Duration(u.cfg.Drain))
	})
	g.Go(func() error { return serve(ctx, u.inside.server(u.edge), u.inside, lastAnswers) })
	if u.tlsServer != nil {
		g.Go(func() error { return serve(ctx, u.tlsServer, u.tlsDoor, time.Duration(u.cfg.Drain)) })
	}
	if u.scrapes != nil {
		g.Go(func() error { return serve(ctx, u.scrapeServer(), u.scrapes, lastAnswers) })
	}
	if u.profiling != nil {
		g.Go(func() error { return serve(ctx, profileServer(), u.profiling, lastAnswers) })
	}
	g.Go(func() error { return serve(ctx, u.apiServer, u.apiListener, lastAnswers) })
	g.Go(func() error { return u.pipeline.Run(ctx) })
	g.Go(func() error { return u.boundGarbage(ctx) })
	g.Go(func() error { return u.alarms.Run(ctx) })
	g.Go(func() error { return u.worker.Run(ctx) })
	if len(u.described.files) > 0 {
		g.Go(func() error { return u.follow(ctx) })
	}
	if u.hookListener != nil {
		g.Go(func() error { return u.receive(ctx) })
	}
	if u.opts.Dir != "" {
		g.Go(func() error { return u.mirror(ctx) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serve returns when ctx is done and the last answers were given, or cut off
// after drain.
func serve(ctx context.Context, s *http.Server, l net.Listener, drain time.Duration) error {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if door, ok := l.(edge.Drainer); ok {
			door.Drain(patience)
		}
		if s.Shutdown(patience) != nil {
			_ = s.Close()
		}
	})
	err := s.Serve(l) // returns as soon as Shutdown begins, or the door is closed
	if !stop() {
		<-ended
		return nil
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

func (u *Up) mirror(ctx context.Context) error {
	return mirror.Run(ctx, mirror.Config{
		Dir:       u.opts.Dir,
		Store:     u.mirrorStore(),
		Manifest:  u.data.path("mirror.json"),
		OnReady:   u.opts.Mirrored,
		OnProblem: u.opts.Problem,
		Logger:    u.opts.Log,
	})
}

// Records calls each for every record in the data directory's journal, oldest
// first: a running freshet is asked, and otherwise the store is opened here.
// With follow it goes on with those that come, until ctx is done, and needs a
// running freshet.
func Records(ctx context.Context, data string, follow bool, each func(journal.Record) error) error {
	return offlineOr(ctx, DataDir(data), func(c server.Client) error {
		return c.Read(ctx, follow, each)
	}, func(q *queue.Queue, j *journal.Journal) error {
		if follow {
			return fmt.Errorf("follow the log: no freshet is running on %s", data)
		}
		return readLog(ctx, q, j, each)
	})
}

// readLog calls each for every record of the journal, and then for the changes
// that wait in the queue and have no record there yet.
func readLog(ctx context.Context, q *queue.Queue, j *journal.Journal, each func(journal.Record) error) error {
	// In this order: a change that is planned in between has its records.
	waiting, err := q.Pending(ctx)
	if err != nil {
		return err
	}
	unknown := make(map[string]bool, len(waiting))
	for _, w := range waiting {
		unknown[w.ID()] = true
	}
	err = j.Read(ctx, func(r journal.Record) error {
		delete(unknown, r.ID)
		return each(r)
	})
	for _, w := range waiting {
		if err == nil && unknown[w.ID()] {
			err = each(journal.First(w.Change, w.Since))
		}
	}
	return err
}

// Top calls each with a snapshot of the freshet that runs on the data directory,
// every second until ctx is done or each fails.
func Top(ctx context.Context, data string, each func(metrics.Snapshot) error) error {
	c, err := Client(data)
	if err != nil {
		return err
	}
	return c.Top(ctx, each)
}

// Client asks the freshet that runs on the data directory. There is an error if
// none does.
func Client(data string) (server.Client, error) {
	d := DataDir(data)
	if err := d.stat(); err != nil {
		return server.Client{}, err
	}
	running, err := d.Running()
	if errors.Is(err, fs.ErrNotExist) {
		return server.Client{}, fmt.Errorf("no freshet is running on %s; start one with freshet up", d)
	}
	if err != nil {
		return server.Client{}, err
	}
	return server.Client{URL: running.API, Token: running.Token}, nil
}

// Retry has the dead letters with one of the keys, or all of them, tried again:
// now by a running freshet, or by the next one. It returns how many changes
// they hold.
func Retry(ctx context.Context, data string, s server.Selection) (changes int, running bool, err error) {
	err = offlineOr(ctx, DataDir(data), func(c server.Client) (err error) {
		running = true
		changes, err = c.Retry(ctx, s)
		return err
	}, func(_ *queue.Queue, j *journal.Journal) error {
		dead, err := j.Dead(ctx)
		if err != nil {
			return err
		}
		for _, w := range dead {
			if !selects(s)(w) {
				continue
			}
			if err := j.Revive(ctx, w); err != nil {
				return err
			}
			changes += len(w.Only)
		}
		return nil
	})
	return changes, running, err
}

// offlineOr talks to the freshet that runs on the data directory, or, if none
// does, opens its journal.
func offlineOr(ctx context.Context, d DataDir, online func(server.Client) error, offline func(*queue.Queue, *journal.Journal) error) error {
	if err := d.stat(); err != nil {
		return err
	}
	unlock, err := d.lock()
	if errors.Is(err, ErrInUse) {
		running, err := d.Running()
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the freshet on %s is starting or ending; try again", d)
		}
		if err != nil {
			return err
		}
		return online(server.Client{URL: running.API, Token: running.Token})
	}
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	store, err := stream.Open(stream.Config{Dir: d.path("stream")})
	if err != nil {
		return err
	}
	defer store.Close()
	q, err := queue.Open(ctx, store.JetStream())
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, store.JetStream())
	if err != nil {
		return err
	}
	return offline(q, j)
}

// Objects calls each for every object that the data directory's inventory holds:
// a running freshet is asked, and otherwise the store is opened here.
func Objects(ctx context.Context, data string, each func(server.Object) error) error {
	return offlineOr(ctx, DataDir(data), func(c server.Client) error {
		return c.Objects(ctx, each)
	}, func(_ *queue.Queue, j *journal.Journal) error {
		known, err := j.Inventory(ctx)
		if err != nil {
			return err
		}
		for o, s := range known {
			if s.Gone {
				continue
			}
			if err := each(server.Object{Origin: o[0], Key: o[1], Size: s.Size}); err != nil {
				return err
			}
		}
		return nil
	})
}
