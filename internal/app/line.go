package app

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/bucket"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/all"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/edge/s3origin"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/mirror"
	"github.com/freshet/freshet/internal/pipeline"
	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/server"
	"github.com/freshet/freshet/internal/verify"
	"github.com/freshet/freshet/internal/wal"
)

// known is what is on record when a run begins.
type known struct {
	inventory map[[2]string]journal.Seen
	waiting   []freshet.Change // queued, or in a plan that is not finished
}

func (u *Up) readKnown(ctx context.Context) (k known, err error) {
	if k.inventory, err = u.journal.Inventory(ctx); err != nil {
		return known{}, err
	}
	pending, err := u.queue.Pending(ctx)
	if err != nil {
		return known{}, err
	}
	for _, w := range pending {
		k.waiting = append(k.waiting, w.Change)
	}
	for _, list := range []func(context.Context) ([]journal.Work, error){u.journal.Plans, u.journal.Dead} {
		works, err := list(ctx)
		if err != nil {
			return known{}, err
		}
		for _, w := range works {
			k.waiting = append(append(k.waiting, w.Left()...), w.Plan.Superseded...)
		}
	}
	return k, nil
}

// lastSequencer is the greatest sequencer on record.
func (k known) lastSequencer() (last freshet.Sequencer) {
	for _, s := range k.inventory {
		if s.Sequencer.Compare(last) > 0 {
			last = s.Sequencer
		}
	}
	for _, c := range k.waiting {
		if c.Sequencer.Compare(last) > 0 {
			last = c.Sequencer
		}
	}
	return last
}

// openBucket opens the store without its door, and queues the changes that it
// holds and that nobody told of.
func (u *Up) openBucket(ctx context.Context) (err error) {
	k, err := u.readKnown(ctx)
	if err != nil {
		return err
	}
	u.inventory = k.inventory
	u.bucket, err = bucket.Open(ctx, bucket.Config{
		Dir: u.data.path("bucket"), Addr: u.cfg.S3, Region: u.cfg.Region, Bucket: u.cfg.Bucket,
		AccessKey: u.identity.AccessKey, Secret: u.identity.SecretKey.Reveal(),
		TagHeaders: u.tagHeaders, OnChange: u.announceChange, After: k.lastSequencer(), Logger: u.opts.Log,
	})
	if err != nil {
		return err
	}
	u.onClose(u.bucket.Close)
	return u.reconcile(ctx, k)
}

// announceChange queues a change, unless it is of what deploys keep for each
// other: no viewer sees that, and the log would be full of it.
func (u *Up) announceChange(ctx context.Context, c freshet.Change) error {
	if route.IsRecord(c.Key) {
		return nil
	}
	return u.changed(ctx, c)
}

func (u *Up) reconcile(ctx context.Context, k known) error {
	var held []freshet.Change
	for o := range u.bucket.Objects() {
		if route.IsRecord(o.Key) {
			continue
		}
		held = append(held, freshet.Change{Origin: u.cfg.Bucket, Key: o.Key, ETag: o.ETag, Served: o.Served, Size: o.Size, Time: o.Time})
	}
	for _, c := range pipeline.Reconcile(u.cfg.Bucket, held, k.inventory, k.waiting, time.Now()) {
		c.Sequencer = u.bucket.NextSequencer()
		if err := u.changed(ctx, c); err != nil {
			return fmt.Errorf("queue what was missed: %w", err)
		}
	}
	return nil
}

// Stat answers for verification what the bucket holds now.
func (u *Up) Stat(ctx context.Context, origin, key string) (verify.Object, bool, error) {
	if origin != u.cfg.Bucket {
		return u.statElsewhere(ctx, origin, key)
	}
	o, ok := u.bucket.Stat(key)
	return verify.Object{ETag: o.ETag, Size: o.Size, Modified: o.Time}, ok, nil
}

// reach tells verification how to get to a distribution.
func (u *Up) reach(id string) (*url.URL, string, bool) {
	for _, d := range u.catalog.Distributions() {
		if d.ID == id {
			at := u.edgeListener.Addr().String()
			if wantsTLS(d) {
				at = insideHost
			}
			return &url.URL{Scheme: "http", Host: at}, d.DomainName, true
		}
	}
	return nil, "", false
}

// How soon the embedded API is asked again, about an invalidation and after it
// has pushed back.
const (
	pollEvery  = 2 * time.Millisecond
	firstPause = 50 * time.Millisecond
)

// driver keeps within the quota that our own API holds its clients to.
func (u *Up) driver(ctx context.Context) (*quota.Broker, error) {
	driver, err := all.Open(ctx, u.cfg.Driver, all.Setup{Edge: u.register, Decode: func(into any) error {
		if c, ok := into.(*cloudfront.Config); ok {
			c.Endpoint, c.Region, c.PollEvery = "http://"+u.apiListener.Addr().String(), u.cfg.Region, pollEvery
			c.Credentials = u.credentials()
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return quota.New(quota.Config{Driver: driver, Pause: firstPause, Of: u.quotaOf, Pushed: func(distribution string, err error) {
		u.recorder.PushedBack(distribution, string(cdn.ClassOf(err)))
	}, Log: u.opts.Log}), nil
}

// quotaOf is the part of CloudFront's quotas that is in force here.
func (u *Up) quotaOf(p freshet.Profile) freshet.Quota {
	q := p.Quota
	switch api.Quota(u.cfg.Quota) {
	case api.QuotaBoth:
	case api.QuotaRate:
		q.PatternsInProgress, q.WildcardsInProgress = 0, 0
	case api.QuotaWindow:
		q.RequestsPerSecond, q.PatternsPerSecond, q.WildcardsPerSecond = 0, 0, 0
	case api.QuotaNone:
		q = freshet.Quota{}
	}
	return q
}

func (u *Up) credentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(u.identity.AccessKey, u.identity.SecretKey.Reveal(), "")
}

// bucketOrigin is the bucket as the edge sees it: private, through signed
// requests.
func (u *Up) bucketOrigin() (edge.Origin, error) {
	return edge.BucketOrigin(s3origin.Config{
		Endpoint: "http://" + u.bucket.Addr(), Bucket: u.cfg.Bucket, Region: u.cfg.Region, Credentials: u.credentials(),
		Transport: u.toBucket,
	})
}

// mirrorStore is the bucket as any client sees it.
func (u *Up) mirrorStore() mirror.Store {
	return mirror.NewStore(s3.New(s3.Options{
		BaseEndpoint: &u.S3, UsePathStyle: true, Region: u.cfg.Region, Credentials: u.credentials(),
		HTTPClient: &http.Client{Transport: u.toBucket},
	}), u.cfg.Bucket)
}

// probes is how many fetches verification makes at a time.
const probes = 32

func (u *Up) openPipeline(ctx context.Context) error {
	driver, err := u.driver(ctx)
	if err != nil {
		return err
	}
	router, err := u.router(u.catalog.Distributions())
	if err != nil {
		return err
	}
	checker := &verify.Checker{
		Client:   &http.Client{Timeout: 30 * time.Second, Transport: u.inside.transport(), CheckRedirect: dontFollow},
		Edge:     u.reach,
		Origin:   u,
		Patience: time.Duration(u.cfg.Patience),
		Slots:    semaphore.NewWeighted(probes),
	}
	u.quota = driver
	if u.holds, err = u.openHolds(ctx); err != nil {
		return err
	}
	before, err := u.openBarrier(ctx)
	if err != nil {
		return err
	}
	tagging, err := u.tagging.of(u.catalog.Distributions())
	if err != nil {
		return err
	}
	u.keepTagHeaders(tagging)
	u.pipeline = pipeline.New(pipeline.Config{
		Tagging: tagging,
		Queue:   u.queue, Journal: u.journal, Driver: driver, Bulk: driver.Lane(quota.Bulk), Router: router, Terms: u.cfg.Plan,
		Holds: u.holds, Before: before, Within: u.cfg.FreshWithin.Of, Redo: u.again, Check: checker.Check, Retry: time.Duration(u.cfg.Retry), Report: u.report, Log: u.opts.Log,
	}, u.inventory)
	u.routing.Store(router)
	u.inventory = nil // the pipeline keeps what it needs of it
	return nil
}

// dontFollow has verification see a redirect as what it is.
func dontFollow(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// registerLog keeps the register of invalidations in a log of its own: of all that
// is written down here nothing comes as often, or is waited for as such.
type registerLog struct{ *wal.Log }

// registerRoom is how many bytes of the disk that takes at most: some half a million
// invalidations of a path each, which are read again at every start.
const registerRoom = 256 << 20

func (u *Up) openRegisterLog() (registerLog, error) {
	l, err := wal.Open(wal.Config{Dir: u.data.path("invalidations"), Keep: journal.KeepFor, Room: registerRoom, Log: u.opts.Log})
	if err != nil {
		return registerLog{}, fmt.Errorf("open the register of invalidations: %w", err)
	}
	u.onClose(l.Close)
	return registerLog{l}, nil
}

// Append implements api.Log.
func (l registerLog) Append(ctx context.Context, entries ...api.Entry) error {
	texts := make([][]byte, len(entries))
	for i, e := range entries {
		texts[i] = e.AppendJSON(make([]byte, 0, 256))
	}
	return l.Log.Append(ctx, texts...)
}

// Replay implements api.Log.
func (l registerLog) Replay(ctx context.Context, apply func(api.Entry) error) error {
	return l.Log.Replay(ctx, func(text []byte) error {
		var e api.Entry
		if err := json.Unmarshal(text, &e); err != nil {
			return fmt.Errorf("read the register: %w", err)
		}
		return apply(e)
	})
}

// withControl puts the control API in front of the CloudFront API.
func (u *Up) withControl(cloudfrontAPI http.Handler) http.Handler {
	control := server.New(server.Config{
		Token:    u.token,
		Log:      u.opts.Log,
		Metrics:  u.recorder.Handler(),
		Watch:    u.recorder.Watch,
		Chaos:    u.chaosNow,
		SetChaos: u.setChaos,
		Explain:  u.explain,
		Read: func(ctx context.Context, follow bool, each func(journal.Record) error) error {
			if follow {
				return u.journal.Follow(ctx, each)
			}
			return readLog(ctx, u.queue, u.journal, u.whyWaits(each))
		},
		Hold:    u.takeHold,
		Release: func(ctx context.Context, name string) (bool, error) { return u.pipeline.Release(ctx, name) },
		Waits:   func() []pipeline.Wait { return u.pipeline.Waits() },
		Retry: func(ctx context.Context, s server.Selection) (int, error) {
			return u.pipeline.Retry(ctx, selects(s))
		},
		Objects: func() iter.Seq[server.Object] {
			return func(yield func(server.Object) bool) {
				for o, size := range u.pipeline.Objects() {
					if !yield(server.Object{Origin: o[0], Key: o[1], Size: size}) {
						return
					}
				}
			}
		},
	})
	// A ServeMux would send those elsewhere who ask for a key with dots or slashes
	// in a row.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, server.Prefix) || r.URL.Path == server.Metrics {
			control.ServeHTTP(w, r)
			return
		}
		cloudfrontAPI.ServeHTTP(w, r)
	})
}

// selects returns the test for the dead letters that s means.
func selects(s server.Selection) func(journal.Work) bool {
	return func(w journal.Work) bool {
		return len(s.Keys) == 0 || slices.ContainsFunc(w.Left(), func(c freshet.Change) bool { return slices.Contains(s.Keys, c.Key) })
	}
}
