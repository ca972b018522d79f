// Package app builds a running freshet from a configuration. It knows no flags,
// signals or environment.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/alarm"
	"github.com/freshet/freshet/internal/bucket"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/mirror"
	"github.com/freshet/freshet/internal/pipeline"
	"github.com/freshet/freshet/internal/queue"
	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/server"
	"github.com/freshet/freshet/internal/sigv4"
	"github.com/freshet/freshet/internal/stream"
	"github.com/freshet/freshet/internal/work"
	"github.com/freshet/freshet/internal/work/worker"
)

// Options are what one run adds to the configuration.
type Options struct {
	Dir        string                 // mirrored into the bucket and watched; empty for none
	Ephemeral  bool                   // keep nothing: the data directory is a temporary one
	FilesFirst bool                   // the first distribution of the configuration's files, not that of the bucket, answers hosts that none has
	Report     func([]journal.Record) // told of every step of every change; called concurrently
	Mirrored   func(mirror.Summary)   // told each time Dir and the bucket are equal
	Reread     <-chan struct{}        // asks to read the distributions' files anew at once; nil: only when they change
	Changed    func(Reread)           // told when files that were read anew had changed something
	Problem    func(error)            // told of what went wrong and did not end the run; called concurrently
	Log        *slog.Logger
}

// Endpoints is where to reach what runs.
type Endpoints struct {
	S3           string `json:"s3"`                  // URL
	Edge         string `json:"edge"`                // URL
	EdgeTLS      string `json:"edge_tls,omitempty"`  // URL; empty without TLS
	Metrics      string `json:"metrics,omitempty"`   // URL; empty without an address of their own
	Pprof        string `json:"pprof,omitempty"`     // URL; empty without an address of their own
	Hooks        string `json:"hooks,omitempty"`     // URL; empty without sources that send webhooks
	Authority    string `json:"authority,omitempty"` // file with the certificate to trust there
	API          string `json:"api"`                 // URL
	AccessKey    string `json:"access_key"`
	SecretKey    string `json:"secret_key"`
	Region       string `json:"region"`
	Bucket       string `json:"bucket"`
	Distribution string `json:"distribution"`
	First        string `json:"first,omitempty"` // ID of the distribution that answers hosts that none has; empty: that of the bucket
}

// Format prints the addresses and hides the keys, also where Endpoints is
// embedded: only JSON has them.
func (e Endpoints) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{s3 %s, edge %s, api %s, distribution %s, keys ***}", e.S3, e.Edge, e.API, e.Distribution)
}

// Up is a running freshet: bucket, edge, CloudFront API and pipeline.
type Up struct {
	Endpoints
	cfg      config.Config
	opts     Options
	data     DataDir
	identity Identity

	store        *stream.Engine
	queue        *queue.Queue
	journal      *journal.Journal
	distribution distribution.Distribution // of the configuration; the catalog may know better
	described    description               // what its files said last
	catalog      *api.Catalog
	scripts      *scripts
	chaos        api.Chaos
	bucket       *bucket.Bucket
	edge         *edge.Edge
	replayed     chan struct{} // see edge.Disk; nil without a disk
	register     *api.Register
	quota        *quota.Broker
	alarms       *alarm.Book
	rules        []work.Rule
	tasks        *worker.Tasks
	worker       *worker.Worker
	holds        *pipeline.Holds
	pipeline     *pipeline.Pipeline
	routing      atomic.Pointer[route.Router] // what the pipeline routes with
	tagging      tagging
	tagged       atomic.Pointer[[]string] // headers that may hold cache tags
	edgeListener net.Listener
	tlsListener  net.Listener // nil without TLS
	apiListener  net.Listener
	scrapes      net.Listener // of metrics without a token; nil for none
	profiling    net.Listener // of the runtime's profiles; nil for none
	hookListener net.Listener // of webhooks; nil for none
	hooks        []hook
	recorder     *metrics.Recorder
	edgeServer   *http.Server
	inside       *inside      // the way of verification to distributions that answer over TLS alone
	tlsServer    *http.Server // nil without TLS
	tlsDoor      net.Listener // over tlsListener
	apiServer    *http.Server
	token        string
	toBucket     *http.Transport            // of everything here that uses the S3 API
	inventory    map[[2]string]journal.Seen // nil once the pipeline has it
	closers      []func() error             // in the order of opening
}

// Open starts everything but the pipeline and the mirror: when it returns the
// three doors are open and what a crash had cut off is queued again. Call Run,
// then Close.
func Open(ctx context.Context, cfg config.Config, opts Options) (*Up, error) {
	u := &Up{cfg: cfg, opts: opts, data: DataDir(cfg.Data), token: letters(32), recorder: metrics.New()}
	for _, step := range []func(context.Context) error{
		u.openDescription, u.openData, u.openListeners, u.openStore, u.openTagging, u.openBucket, u.startBucket, u.openCatalog, u.openEdge, u.openAPI, u.openAlarms, u.openPipeline, u.openWork, u.openSources, u.openMetrics, u.announce,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, u.Close())
		}
	}
	return u, nil
}

func (u *Up) onClose(f func() error) { u.closers = append(u.closers, f) }

// Close stops what Open started, in the reverse order.
func (u *Up) Close() error {
	var failed []error
	for i := len(u.closers) - 1; i >= 0; i-- {
		failed = append(failed, u.closers[i]())
	}
	u.closers = nil
	return errors.Join(failed...)
}

func (u *Up) openData(context.Context) error {
	if u.opts.Ephemeral {
		dir, err := os.MkdirTemp("", "freshet-")
		if err != nil {
			return fmt.Errorf("make a temporary data directory: %w", err)
		}
		u.data = DataDir(dir)
		u.onClose(func() error { return os.RemoveAll(dir) })
	}
	unlock, err := u.data.lock()
	if err != nil {
		return err
	}
	u.onClose(unlock)
	u.identity, err = u.data.Identity()
	return err
}

// openListeners takes the addresses before anything else is opened, so that one
// that is taken costs nothing.
func (u *Up) openListeners(ctx context.Context) (err error) {
	if u.edgeListener, err = u.listen(ctx, "edge", u.cfg.Edge); err != nil {
		return err
	}
	if u.cfg.EdgeTLS != "" {
		if u.tlsListener, err = u.listen(ctx, "tls", u.cfg.EdgeTLS); err != nil {
			return err
		}
	}
	if u.cfg.Metrics != "" {
		if u.scrapes, err = u.listen(ctx, "metrics", u.cfg.Metrics); err != nil {
			return err
		}
	}
	if u.cfg.Pprof != "" {
		if u.profiling, err = u.listen(ctx, "pprof", u.cfg.Pprof); err != nil {
			return err
		}
	}
	if u.cfg.HasHooks() {
		if u.hookListener, err = u.listen(ctx, "hooks", u.cfg.Hooks); err != nil {
			return err
		}
	}
	u.apiListener, err = u.listen(ctx, "api", u.cfg.API)
	return err
}

func (u *Up) listen(ctx context.Context, name, addr string) (net.Listener, error) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // a socket for it cannot be closed without losing whom it has
	l, err := plain.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, addressError(name, addr, err)
	}
	u.onClose(func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// addressError says which address could not be had and what to do about it.
func addressError(name, addr string, err error) error {
	return fmt.Errorf("open the %s address %s: %w; choose another with --%s ADDR (port 0 takes a free one)", name, addr, err, name)
}

func (u *Up) openStore(ctx context.Context) (err error) {
	if u.store, err = stream.Open(stream.Config{Dir: u.data.path("stream"), Log: u.opts.Log}); err != nil {
		return err
	}
	u.onClose(func() error { u.store.Close(); return nil })
	if u.queue, err = queue.Open(ctx, u.store.JetStream()); err != nil {
		return err
	}
	u.rules = u.cfg.WorkRules()
	if u.tasks, err = worker.OpenTasks(ctx, u.store.JetStream()); err != nil {
		return err
	}
	u.journal, err = journal.Open(ctx, u.store.JetStream())
	return err
}

func (u *Up) startBucket(context.Context) error {
	if err := u.bucket.Start(); err != nil {
		return addressError("s3", u.cfg.S3, err)
	}
	u.toBucket = &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, IdleConnTimeout: time.Minute}
	u.onClose(func() error { u.toBucket.CloseIdleConnections(); return nil })
	return nil
}

// openCatalog reads what was configured through the API.
func (u *Up) openCatalog(ctx context.Context) error {
	u.distribution = u.cfg.Front(distribution.ForBucket(u.identity.Distribution, u.cfg.Bucket))
	shelf, err := journal.OpenShelf(ctx, u.store.JetStream(), "CONFIGURED")
	if err != nil {
		return err
	}
	u.catalog, err = api.OpenCatalog(ctx, api.CatalogConfig{
		Shelf: shelf, BuiltIn: u.builtIn(u.described), Deploy: time.Duration(u.cfg.Deploy),
		Apply: u.serve, Publishing: u.publishing,
	})
	if err == nil {
		u.scripts.published, u.scripts.stored = u.catalog.Function, u.catalog.Store
	}
	return err
}

func (u *Up) openEdge(context.Context) (err error) {
	accessLog, err := u.openAccessLogs()
	if err != nil {
		return err
	}
	onDisk, err := u.disk()
	if err != nil {
		return err
	}
	u.edge, err = edge.New(edge.Config{
		Distributions: u.catalog.Distributions(), First: cmp.Or(u.First, u.distribution.ID), Resolve: u.resolve, Origins: u.origins(),
		TLSPort: portOf(u.tlsListener), Log: u.opts.Log, AccessLog: accessLog, Observer: u.recorder,
		Function: u.scripts.find, MemoryLimit: int64(u.cfg.Memory), Disk: onDisk,
		Connections: u.cfg.Connections, Requests: u.cfg.Requests,
	})
	if err != nil {
		return fmt.Errorf("open the edge: %w", err)
	}
	u.onClose(u.edge.Close)
	u.edgeServer = edge.Server(u.edge)
	u.inside = newInside()
	u.onClose(u.inside.Close)
	return u.openTLS()
}

// serve has the edge serve other distributions, and the pipeline keep them
// fresh. The pipeline comes first: what changes before the edge has a
// distribution is invalidated there for nothing, and what changes after is not
// missed.
func (u *Up) serve(all []distribution.Distribution) error {
	router, err := u.router(all)
	if err != nil {
		return err
	}
	if err := u.untag(); err != nil {
		return err
	}
	u.reroute(router)
	if err := u.edge.Apply(all); err != nil {
		if router, before := u.router(u.catalog.Distributions()); before == nil {
			u.reroute(router)
		}
		return errors.Join(err, u.retag(u.catalog.Distributions()))
	}
	return u.retag(all)
}

// reroute has changes routed by another router from here on.
func (u *Up) reroute(r *route.Router) {
	u.routing.Store(r)
	u.pipeline.Reroute(r)
}

// router routes to all by the configuration's rules. Those that are about
// distributions elsewhere, which plan knows, rest.
func (u *Up) router(all []distribution.Distribution) (*route.Router, error) {
	rules, idle := u.cfg.Routing().Among(all)
	for _, rule := range idle {
		u.opts.Log.Warn("a rule names none of the distributions here, and rests", "rule", rule)
	}
	router, err := route.NewWith(all, rules, u.scripts.routing())
	if err != nil {
		return nil, fmt.Errorf("prepare routing: %w", err)
	}
	return router, nil
}

// origins are the servers that stand for origins, as the edge looks them up.
func (u *Up) origins() map[string]string {
	known := make(map[string]string, len(u.cfg.Origins))
	for name, server := range u.cfg.Origins {
		known[strings.ToLower(name)] = server
	}
	return known
}

// resolve reaches our own bucket through its S3 API. Other origins are reached
// as their distributions say.
func (u *Up) resolve(_ distribution.Distribution, o distribution.Origin) (edge.Origin, error) {
	if name, ok := o.Bucket(); ok && name == u.cfg.Bucket {
		return u.bucketOrigin()
	}
	return edge.Origin{}, nil
}

func (u *Up) openAPI(ctx context.Context) error {
	if err := u.setChaos(u.cfg.Chaos); err != nil {
		return err
	}
	entries, err := u.openRegisterLog()
	if err != nil {
		return err
	}
	u.register, err = api.Open(ctx, api.RegisterConfig{
		Distributions: u.catalog.Distributions, Invalidator: u.edge, Log: entries, Retain: journal.KeepFor, Logger: u.opts.Log,
		Quota: api.Quota(u.cfg.Quota), Hold: u.hold, AtOnce: true, Changed: u.recorder.Invalidation, Resumed: u.replay,
	})
	if err != nil {
		return err
	}
	u.onClose(func() error { u.register.Close(); return nil })
	handler, err := api.NewHandler(api.HandlerConfig{
		Register:     u.register,
		Catalog:      u.catalog,
		Fault:        u.chaos.Fault,
		TestFunction: u.scripts.test,
		Import:       u.importPairs,
		Credentials:  sigv4.Credentials{AccessKeyID: u.identity.AccessKey, Secret: u.identity.SecretKey},
		Logger:       u.opts.Log,
	})
	if err != nil {
		return err
	}
	u.apiServer = &http.Server{Handler: u.withControl(handler), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	return nil
}

// announce says where everything is, here and in the data directory.
func (u *Up) announce(context.Context) error {
	u.Endpoints = Endpoints{
		S3:           "http://" + u.bucket.Addr(),
		Edge:         "http://" + u.edgeListener.Addr().String(),
		API:          "http://" + u.apiListener.Addr().String(),
		AccessKey:    u.identity.AccessKey,
		SecretKey:    u.identity.SecretKey.Reveal(),
		Region:       u.cfg.Region,
		Bucket:       u.cfg.Bucket,
		Distribution: u.identity.Distribution,
		First:        u.First,
	}
	if u.tlsListener != nil {
		u.EdgeTLS, u.Authority = "https://"+u.tlsListener.Addr().String(), u.data.path(trustFile)
	}
	if u.scrapes != nil {
		u.Metrics = "http://" + u.scrapes.Addr().String() + server.Metrics
	}
	if u.profiling != nil {
		u.Pprof = "http://" + u.profiling.Addr().String() + profiles
	}
	if u.hookListener != nil {
		u.Hooks = "http://" + u.hookListener.Addr().String()
	}
	err := u.data.writeJSON("running.json", Running{Endpoints: u.Endpoints, Token: u.token, PID: os.Getpid()})
	u.onClose(func() error { return os.Remove(u.data.path("running.json")) })
	return err
}
