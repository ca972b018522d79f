package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/mirror"
)

type upCmd struct {
	Dir       string        `arg:"" optional:"" type:"existingdir" help:"Directory to mirror into the bucket and to watch: saving a file is a PUT, removing one is a DELETE."`
	S3        string        `name:"s3" placeholder:"ADDR" help:"Address of the bucket's S3 API (default 127.0.0.1:9000). Port 0 takes a free one."`
	Edge      string        `placeholder:"ADDR" help:"Address of the edge (default 127.0.0.1:8080)."`
	TLS       string        `name:"tls" placeholder:"ADDR" help:"Address of the edge for TLS (HTTP/1.1 and HTTP/2; default none). The authority that signs its certificates is kept in the data directory."`
	TLSCert   []string      `name:"tls-cert" placeholder:"FILE" sep:"none" help:"PEM file of a certificate for --tls, which viewers get who ask for a name that it holds; the authority's are for the others. May be given several times, each with its --tls-key. Files that change are read again."`
	TLSKey    []string      `name:"tls-key" placeholder:"FILE" sep:"none" help:"PEM file of the key of the certificate in the same place."`
	Drain     time.Duration `placeholder:"TIME" help:"For how long answers that are under way go on when it ends (default 10s)."`
	Memory    config.Size   `placeholder:"SIZE" help:"What the responses take at most that the edge holds, such as 1GiB (default 256MiB). The process takes no more than 1.3 times that, which needs at least 256MiB."`
	Disk      config.Disk   `placeholder:"DIR,SIZE" help:"Directory for what the edge has cached, beside memory, and what it may take of the disk, such as /var/cache/freshet,10GiB (default none): large responses need no memory then, and a restart loses nothing."`
	Conns     int           `name:"connections" placeholder:"N" help:"How many connections viewers may have at the edge, over all its addresses (default: as many as the process may open files for). Before there are so many, those end on which nothing has come for the longest."`
	Requests  int           `placeholder:"N" help:"How many requests the edge works on at once that are no plain hits (default 10000, or a quarter of the files that the process may open, or one for each 128KiB of --memory). Those beyond get a 503."`
	API       string        `name:"api" placeholder:"ADDR" help:"Address of the CloudFront API (default 127.0.0.1:9001)."`
	Bucket    string        `placeholder:"NAME" help:"Name of the bucket (default site)."`
	Driver    string        `placeholder:"NAME" help:"How invalidations are sent: cloudfront (the AWS SDK against the CloudFront API, default) or edge (straight onto the edge)."`
	Chaos     string        `placeholder:"SPEC" help:"What goes wrong in the CloudFront API on purpose, to try out what you have built on it; see below."`
	Quota     string        `placeholder:"NAME" help:"Which of CloudFront's published quotas the API holds clients to: none (default), rate, window or both."`
	Hooks     string        `placeholder:"ADDR" help:"Address of the webhooks of the sources that are configured (default 127.0.0.1:9002; none without sources)."`
	Metrics   string        `placeholder:"ADDR" help:"Address of the metrics for Prometheus (default none; with the token they are at /metrics of the CloudFront API's address)."`
	Pprof     string        `placeholder:"ADDR" help:"Address of the runtime's profiles for go tool pprof, which must be one of this machine's own (default none)."`
	AccessLog string        `name:"access-logs" placeholder:"DIR" type:"path" help:"Directory for the edge's standard access logs, in CloudFront's format (default none)."`
	Fresh     time.Duration `name:"fresh-within" placeholder:"TIME" help:"How soon after it changed a change is to be seen by viewers (default: no promise). What takes longer is late; see freshet log --late."`
	Ephemeral bool          `help:"Keep nothing: use a temporary data directory instead of --data, and remove it at the end."`
	JSON      bool          `name:"json" help:"Print one JSON line when ready and one for each step of each change."`

	described `embed:""`
}

// Help is shown below the flags.
func (upCmd) Help() string {
	return `Starts a bucket (S3 API), an edge with CloudFront's cache model, the CloudFront API and
the pipeline that keeps the edge fresh, all on loopback. Objects, keys, queue and journal
are kept in the data directory; a second start goes on where the first one stopped.

Distributions of files, and functions, are read anew when the files change, and at once on
SIGHUP. What is broken is said, and what was there before goes on.

Examples:
  freshet up ./site
  freshet up ./site --distribution cdk.out --resource SiteBucket397A1860=site
  freshet up ./site --memory 1GiB --disk /var/cache/freshet,50GiB
  freshet up --distribution site.yaml --ephemeral
  freshet up --ephemeral --s3 127.0.0.1:0 --edge 127.0.0.1:0 --api 127.0.0.1:0 --json
  curl -i http://127.0.0.1:8080/

Chaos (the same calls fail alike at each run; freshet chaos shows and changes it while freshet
runs, and so do GET, PUT and DELETE of /_freshet/v1/chaos at its CloudFront API, with the token of
running.json in "Authorization: Bearer"):
` + api.ChaosGrammar
}

func (c *upCmd) apply(cfg *config.Config) {
	for _, set := range []struct{ flag, field *string }{
		{&c.S3, &cfg.S3}, {&c.Edge, &cfg.Edge}, {&c.TLS, &cfg.EdgeTLS}, {&c.API, &cfg.API}, {&c.Bucket, &cfg.Bucket}, {&c.Driver, &cfg.Driver},
		{&c.Chaos, &cfg.Chaos}, {&c.Quota, &cfg.Quota}, {&c.Metrics, &cfg.Metrics}, {&c.Hooks, &cfg.Hooks}, {&c.Pprof, &cfg.Pprof}, {&c.AccessLog, &cfg.AccessLogs},
	} {
		if *set.flag != "" {
			*set.field = *set.flag
		}
	}
	c.describe(cfg)
	if c.Memory != 0 {
		cfg.Memory = c.Memory
	}
	if c.Conns != 0 {
		cfg.Connections = c.Conns
	}
	if c.Requests != 0 {
		cfg.Requests = c.Requests
	}
	if c.Disk.Dir != "" {
		cfg.Disk = c.Disk
	}
	if c.Fresh != 0 {
		cfg.FreshWithin.Default = config.Duration(c.Fresh)
	}
	if c.Drain != 0 {
		cfg.Drain = config.Duration(c.Drain)
	}
	if len(c.TLSCert)+len(c.TLSKey) > 0 {
		cfg.Certificates = make([]config.Certificate, max(len(c.TLSCert), len(c.TLSKey)))
		for i, file := range c.TLSCert {
			cfg.Certificates[i].File = file
		}
		for i, file := range c.TLSKey {
			cfg.Certificates[i].Key = file
		}
	}
}

// Run serves until ctx is done.
func (c *upCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	c.apply(&cfg)
	if err := cfg.Check(); err != nil {
		return exitError{exitUsage, err}
	}
	// Whoever reads the output may leave; caches are kept fresh all the same.
	signal.Ignore(syscall.SIGPIPE)
	ctx, reread, stop := hangups(ctx)
	defer stop()
	show := newTicker(t.out, c.JSON)
	defer show.close()
	opts := app.Options{
		Dir: c.Dir, Ephemeral: c.Ephemeral, FilesFirst: len(c.Distribution) > 0, Log: r.logger(t), Report: show.records,
		Mirrored: func(s mirror.Summary) { show.note(mirrored(c.Dir, s)) },
		Problem:  func(err error) { _, _ = fmt.Fprintf(t.err, "freshet: %v\n", err) },
		Reread:   reread, Changed: func(r app.Reread) { show.note(rereadLine(r)) },
	}
	began := time.Now()
	u, err := app.Open(ctx, cfg, opts)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // stopped while it started, which is no failure
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(t.out, u.Endpoints)
	} else {
		err = welcome(t.out, u.Endpoints, cfg.Data, c, time.Since(began))
	}
	if err == nil {
		err = u.Run(ctx)
	}
	if closing := u.Close(); err == nil {
		err = closing
	}
	return err
}

// welcome says where everything is and how to use it.
func welcome(w io.Writer, e app.Endpoints, data string, c *upCmd, took time.Duration) error {
	kept := "kept in " + data
	if c.Ephemeral {
		kept = "kept until it ends"
	}
	lines := []string{
		fmt.Sprintf("freshet is up (%d ms), %s", took.Milliseconds(), kept),
		"",
		"  edge   " + e.Edge + "   what viewers see; distribution " + cmp.Or(e.First, e.Distribution),
		"  s3     " + e.S3 + "   bucket " + e.Bucket,
		"  api    " + e.API + "   CloudFront",
		"",
		"  export AWS_ACCESS_KEY_ID=" + e.AccessKey + " AWS_SECRET_ACCESS_KEY=" + e.SecretKey + " AWS_DEFAULT_REGION=" + e.Region,
		"  aws --endpoint-url " + e.S3 + " s3 cp index.html s3://" + e.Bucket + "/",
		"  aws --endpoint-url " + e.API + " cloudfront list-invalidations --distribution-id " + e.Distribution,
		"  curl -i " + e.Edge + "/",
		"",
	}
	if e.EdgeTLS != "" {
		lines = slices.Insert(lines, 3, "  tls    "+e.EdgeTLS+"   the same over TLS; trust "+e.Authority)
	}
	if e.Hooks != "" {
		lines = slices.Insert(lines, slices.Index(lines, "  api    "+e.API+"   CloudFront")+1, "  hooks  "+e.Hooks+"   webhooks of the sources")
	}
	if e.Metrics != "" {
		lines = slices.Insert(lines, len(lines)-1, "  curl "+e.Metrics)
	}
	if e.Pprof != "" {
		lines = slices.Insert(lines, len(lines)-1, "  go tool pprof "+e.Pprof+"profile")
	}
	if c.Dir != "" {
		lines = append(lines, "watching "+c.Dir+"; Ctrl-C ends", "")
	} else {
		lines = append(lines, "Ctrl-C ends", "")
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n"))
	return err
}

// rereadLine says what files that were read anew have changed.
func rereadLine(r app.Reread) string {
	var parts []string
	for _, p := range []struct {
		what string
		ids  []string
	}{{"changed", r.Changed}, {"new", r.Added}, {"gone", r.Removed}} {
		if len(p.ids) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.ids, ", "))
		}
	}
	if r.Functions {
		parts = append(parts, "functions changed")
	}
	return "the distributions were read anew (" + strings.Join(parts, "; ") + ")"
}

func mirrored(dir string, s mirror.Summary) string {
	text := fmt.Sprintf("%s is mirrored: %d files, %d uploaded, %d deleted (%s)", dir, s.Files, s.Uploaded, s.Deleted, since(time.Time{}, time.Time{}.Add(s.Took)))
	if s.Failed > 0 {
		text += fmt.Sprintf(", %d FAILED and will be tried again", s.Failed)
	}
	return text
}
