// Package stream opens the engine under queue and journal: NATS JetStream in
// process, with a file store and no listening socket.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxMessage is the largest message, in bytes.
const MaxMessage = 16 << 20

// patience is how long the engine has to start and to be connected to, on a
// machine with other things to do.
const patience = time.Minute

// Config says where the engine keeps its files.
type Config struct {
	Dir string       // one engine per directory at a time; the caller sees to that
	Log *slog.Logger // nil discards
}

// Engine is a running JetStream.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	conn   *nats.Conn
	js     jetstream.JetStream
	stop   context.CancelFunc // of the mending
	mended chan struct{}      // closed when the mending has stopped

	mu     sync.Mutex
	server *server.Server // nil while there is none
}

// Open starts JetStream on cfg.Dir, which is created if missing. What was
// stored there is there again: messages, consumers, keys and values. Every
// message is synced to disk before it is acknowledged.
//
// When a write to the disk has failed, JetStream takes no more messages until it
// is started anew. Open sees to that as soon as there is space; meanwhile every
// use of it fails.
func Open(cfg Config) (*Engine, error) {
	e := &Engine{cfg: cfg, log: cfg.Log, mended: make(chan struct{})}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	trouble, err := e.start()
	if err != nil {
		stop()
		return nil, err
	}
	go e.mend(ctx, trouble)
	if err := e.connect(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// start starts a server. The channel gets a value when the server has something
// to complain about.
func (e *Engine) start() (trouble <-chan struct{}, err error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "freshet",
		DontListen: true,
		JetStream:  true,
		// Without a limit of its own JetStream takes three quarters of what is
		// free at the start, and refuses to open a stream that may grow larger.
		JetStreamMaxStore: math.MaxInt64,
		StoreDir:          e.cfg.Dir,
		SyncAlways:        true,
		NoSigs:            true,
		MaxPayload:        MaxMessage,
		MaxPending:        16 * MaxMessage,
		NoSystemAccount:   true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", e.cfg.Dir, err)
	}
	log := serverLog{e.log, make(chan struct{}, 1)}
	s.SetLoggerV2(log, false, false, false)
	s.Start()
	if !s.ReadyForConnections(patience) || !s.JetStreamEnabled() {
		shut(s)
		return nil, fmt.Errorf("open the store in %s: not ready (is the disk full or the directory not writable?)", e.cfg.Dir)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server = s
	return log.trouble, nil
}

func (e *Engine) connect() (err error) {
	if e.conn, err = nats.Connect("", nats.InProcessServer(current{e}),
		nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1), // what cannot be written fails, and is not written late
		nats.Timeout(patience),
	); err != nil {
		return fmt.Errorf("connect to the store: %w", err)
	}
	if e.js, err = jetstream.New(e.conn); err != nil {
		return fmt.Errorf("connect to the store: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := e.js.AccountInfo(ctx); err != nil {
		return fmt.Errorf("open the store in %s: %w", e.cfg.Dir, err)
	}
	return nil
}

// current connects to the server of the moment.
type current struct{ *Engine }

func (c current) InProcessConn() (net.Conn, error) {
	s := c.serving()
	if s == nil {
		return nil, errors.New("the store is being opened again")
	}
	return s.InProcessConn()
}

// serving is the server of the moment; nil while there is none.
func (e *Engine) serving() *server.Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server
}

// JetStream returns the client to the engine, usable until Close.
func (e *Engine) JetStream() jetstream.JetStream { return patient{e.js} }

// patient waits for what is opened as long as for the engine itself, and not for
// the five seconds of any other question: a machine with other things to do takes
// its time to read what there is.
type patient struct{ jetstream.JetStream }

func (p patient) CreateOrUpdateStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.JetStream.CreateOrUpdateStream(ctx, c)
}

func (p patient) CreateOrUpdateKeyValue(ctx context.Context, c jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.JetStream.CreateOrUpdateKeyValue(ctx, c)
}

// Close stops the engine; what was acknowledged stays on disk. It may be called
// twice.
func (e *Engine) Close() {
	e.stop()
	<-e.mended
	if e.conn != nil {
		e.conn.Close()
	}
	e.shutdown()
}

// shutdown stops the server of the moment, if there is one.
func (e *Engine) shutdown() {
	e.mu.Lock()
	s := e.server
	e.server = nil
	e.mu.Unlock()
	if s != nil {
		shut(s)
	}
}

func shut(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// serverLog passes what the server has to complain about to slog, and leaves
// out its notices.
type serverLog struct {
	*slog.Logger
	trouble chan struct{}
}

func (l serverLog) complain(format string, v []any) {
	l.Error("store: " + fmt.Sprintf(format, v...))
	select {
	case l.trouble <- struct{}{}:
	default:
	}
}

// Noticef is for what is no trouble.
func (l serverLog) Noticef(format string, v ...any) { l.Debug(fmt.Sprintf(format, v...)) }

// Warnf is for what the server copes with by itself.
func (l serverLog) Warnf(format string, v ...any) { l.Debug(fmt.Sprintf(format, v...)) }

// Errorf is for what the server may not recover from.
func (l serverLog) Errorf(format string, v ...any) { l.complain(format, v) }

// Fatalf does not end the process.
func (l serverLog) Fatalf(format string, v ...any) { l.complain(format, v) }

// Debugf does nothing.
func (l serverLog) Debugf(string, ...any) {}

// Tracef does nothing.
func (l serverLog) Tracef(string, ...any) {}
