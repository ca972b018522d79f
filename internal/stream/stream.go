// Package stream opens the engine under queue and journal: NATS JetStream in
// process, with a file store and no listening socket.
package stream

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxMessage is the largest message, in bytes.
const MaxMessage = 16 << 20

// Config says where the engine keeps its files.
type Config struct {
	Dir string       // one engine per directory at a time; the caller sees to that
	Log *slog.Logger // nil discards
}

// Engine is a running JetStream.
type Engine struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

// Open starts JetStream on cfg.Dir, which is created if missing. What was
// stored there is there again: messages, consumers, keys and values. Every
// message is synced to disk before it is acknowledged.
func Open(cfg Config) (*Engine, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "freshet",
		DontListen: true,
		JetStream:  true,
		// Without a limit of its own JetStream takes three quarters of what is
		// free at the start, and refuses to open a stream that may grow larger.
		JetStreamMaxStore: math.MaxInt64,
		StoreDir:          cfg.Dir,
		SyncAlways:        true,
		NoSigs:            true,
		MaxPayload:        MaxMessage,
		MaxPending:        16 * MaxMessage,
		NoSystemAccount:   true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", cfg.Dir, err)
	}
	if cfg.Log != nil {
		s.SetLoggerV2(serverLog{cfg.Log}, false, false, false)
	}
	s.Start()
	e := &Engine{server: s}
	if !s.ReadyForConnections(10 * time.Second) {
		e.Close()
		return nil, fmt.Errorf("open the store in %s: not ready after 10 s (is the disk full or the directory not writable?)", cfg.Dir)
	}
	if e.conn, err = nats.Connect("", nats.InProcessServer(s)); err != nil {
		e.Close()
		return nil, fmt.Errorf("connect to the store: %w", err)
	}
	if e.js, err = jetstream.New(e.conn); err != nil {
		e.Close()
		return nil, fmt.Errorf("connect to the store: %w", err)
	}
	if _, err := e.js.AccountInfo(context.Background()); err != nil {
		e.Close()
		return nil, fmt.Errorf("open the store in %s: %w", cfg.Dir, err)
	}
	return e, nil
}

// JetStream returns the client to the engine, usable until Close.
func (e *Engine) JetStream() jetstream.JetStream { return e.js }

// Close stops the engine; what was acknowledged stays on disk. It may be called
// twice.
func (e *Engine) Close() {
	if e.conn != nil {
		e.conn.Close()
	}
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// serverLog passes what the server has to complain about to slog, and leaves
// out its notices.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}
func (l serverLog) Warnf(format string, v ...any)   { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l serverLog) Errorf(format string, v ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, v...))
}
func (l serverLog) Fatalf(format string, v ...any) {
	l.log.Error("store: " + fmt.Sprintf(format, v...))
}
