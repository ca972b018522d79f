package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkcloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/deploy/s3store"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/survey"
)

// place is how the bucket is reached, and where the state lies.
type place struct {
	Endpoint string        `name:"endpoint-url" placeholder:"URL" help:"S3 API (default: that of the running freshet if it has the bucket, or AWS)."`
	Region   string        `placeholder:"REGION" help:"Region of the bucket (default: as the AWS CLI has it)."`
	Profile  string        `placeholder:"NAME" help:"Profile of the AWS CLI's configuration."`
	State    string        `placeholder:"PLACE" help:"Where manifest, unfinished deploy and lock lie: s3://BUCKET/PREFIX, or a directory of this machine (default: .freshet/ beside the site's objects)."`
	LockWait time.Duration `name:"lock-wait" placeholder:"TIME" help:"How long to wait for another deploy of the same site to end (default: not at all)."`
	NoLock   bool          `help:"Do not keep two deploys apart, for stores without conditional writes."`
}

// freshening is how viewers' caches are made fresh.
type freshening struct {
	Invalidate    string     `default:"auto" enum:"auto,self,events,none" help:"Who invalidates: this command (self), whoever follows the bucket's events (events), or nobody (none) (default: what is found decides, and it is said)."`
	Distribution  []string   `placeholder:"ID|[ID=]FILE" sep:"none" help:"Distribution in front of the bucket: its ID, or a file that describes it, as freshet plan takes it (default: those that have the bucket as an origin). May be given several times."`
	CloudFrontURL string     `name:"cloudfront-url" placeholder:"URL" help:"CloudFront API (default: that of the running freshet if it has the bucket, or AWS)."`
	EdgeURL       string     `name:"edge-url" placeholder:"URL" help:"Where viewers' requests go for verification (default: the distribution's domain name)."`
	Wait          bool       `default:"true" negatable:"" help:"Wait until completed, and verify."`
	Verify        string     `default:"all" placeholder:"all|none|N" help:"Look through the edge at all that was invalidated, at nothing, or at a sample of N URLs (default all)."`
	Warm          warmth     `default:"100" placeholder:"changed|none|N" help:"Once it is done, fetch through the edge what that made cold: all that changed or went with it, nothing, or the N URLs that are asked for most (default ${default}). Never with --no-wait."`
	WarmRate      *perSecond `placeholder:"N/s" help:"Requests at most with which caches are warmed, as for freshet warm (default 50/s; of the running freshet as many as it answers)."`
	AccessLog     []string   `aliases:"access-logs" placeholder:"FILE" sep:"none" help:"Log that says which URLs are asked for most, as for freshet warm (default: those nearest to the root come first). May be given several times."`
}

// Who invalidates.
const (
	bySelf   = "self"
	byEvents = "events"
	byNobody = "none"
)

// deploySite is a site that is deployed: its bucket, and what stands in front.
type deploySite struct {
	cfg     config.Config
	store   *s3store.Store
	shelf   shelf.Shelf
	bucket  string
	prefix  string
	noLock  bool
	lockFor time.Duration // for which the lock is waited for
	running *app.Running  // that has the bucket; nil for none

	mode    string // who invalidates
	because string
	planner *app.Planner // nil where no distribution is known
	driver  cdn.Driver   // nil unless mode is bySelf
	tags    *deployTags  // nil where no distribution has cache tags
}

// open finds out what there is; nothing is changed.
func (c *deployCmd) open(ctx context.Context, t terminal, r *root, to string, parallel int) (*deploySite, error) {
	cfg, err := r.load()
	if err != nil {
		return nil, err
	}
	s := &deploySite{cfg: cfg, noLock: c.NoLock, lockFor: c.LockWait}
	if s.bucket, s.prefix, err = parseS3URL(to); err != nil {
		return nil, exitError{exitUsage, err}
	}
	if err := c.reach(ctx, s, parallel); err != nil {
		return nil, err
	}
	if err := c.keep(ctx, s, parallel); err != nil {
		return nil, err
	}
	if err := c.decide(ctx, s, c.place, c.DryRun, c.Atomic); err != nil {
		return nil, err
	}
	if s.planner != nil {
		warn(t, s.planner.Warnings)
	}
	return s, nil
}

// reach opens the bucket.
func (p place) reach(ctx context.Context, s *deploySite, parallel int) error {
	running, err := app.DataDir(s.cfg.Data).Running()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case running.Bucket == s.bucket && (p.Endpoint == "" || p.Endpoint == running.S3):
		s.running = &running
	}
	loaded, err := p.awsConfig(ctx, s)
	if err != nil {
		return err
	}
	c := s3store.Config{AWS: loaded, Bucket: s.bucket, Endpoint: p.Endpoint, PathStyle: p.Endpoint != "", Parallel: parallel}
	if s.running != nil {
		c.Endpoint, c.PathStyle = running.S3, true
	}
	s.store = s3store.New(c)
	return nil
}

// awsConfig has the credentials of the running freshet where that has the
// bucket, and otherwise those of the AWS CLI.
func (p place) awsConfig(ctx context.Context, s *deploySite) (aws.Config, error) {
	if s.running != nil {
		return aws.Config{Region: s.running.Region, Credentials: credentials.NewStaticCredentialsProvider(s.running.AccessKey, s.running.SecretKey, "")}, nil
	}
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithSharedConfigProfile(p.Profile)}
	if p.Region != "" {
		options = append(options, awsconfig.WithRegion(p.Region))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return loaded, fmt.Errorf("load the AWS configuration: %w", err)
	}
	loaded.Region = cmp.Or(loaded.Region, "us-east-1")
	return loaded, nil
}

// keep opens the place of the state.
func (p place) keep(ctx context.Context, s *deploySite, parallel int) error {
	if p.State == "" {
		s.shelf = s.store.Shelf(s.prefix + ".freshet/")
		return nil
	}
	if !strings.HasPrefix(p.State, "s3://") {
		dir, err := filepath.Abs(p.State)
		s.shelf = shelf.Dir(dir)
		return err
	}
	bucket, prefix, err := parseS3URL(p.State)
	if err != nil {
		return usageError("--state: %w", err)
	}
	at := *s
	at.bucket = bucket
	if err := p.reach(ctx, &at, parallel); err != nil {
		return err
	}
	s.shelf = at.store.Shelf(prefix)
	return nil
}

// decide finds the distributions, and who is to invalidate.
func (f freshening) decide(ctx context.Context, s *deploySite, p place, dry bool, atomic atomicFlag) error {
	s.mode, s.because = f.Invalidate, "as told by --invalidate"
	switch {
	case f.Invalidate == byNobody && atomic != byOriginPath:
		return nil
	case atomic != "":
		// Whoever follows the bucket's events sees what is sent, and not that viewers
		// are led there.
		s.mode, s.because = bySelf, "the release is only then the viewers'"
		f.Invalidate = "auto"
	case s.running != nil && f.Invalidate != bySelf:
		s.mode, s.because = byEvents, "the freshet running on "+s.cfg.Data+" follows the bucket"
		if !dry {
			return nil
		}
	case f.Invalidate == "auto":
		if err := f.guess(ctx, s, p); err != nil || s.mode == byNobody {
			return err
		}
	}
	api, err := f.api(ctx, s, p)
	if err != nil {
		return err
	}
	found, err := f.find(ctx, s, api)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if f.Invalidate == bySelf {
			return usageError("no distribution has the bucket %s as an origin: name one with --distribution", s.bucket)
		}
		if s.mode == byEvents { // who follows them knows where to
			return nil
		}
		s.mode, s.because = byNobody, "no distribution has the bucket "+s.bucket+" as an origin; --distribution names one"
		return nil
	}
	if s.planner, err = app.PlannerOf(found, s.cfg); err != nil {
		return err
	}
	s.tags = tagsOf(ctx, api, found, s.shelf)
	return f.drive(ctx, s, p)
}

// guess finds out whether somebody follows the bucket.
func (f freshening) guess(ctx context.Context, s *deploySite, p place) error {
	s.mode, s.because = bySelf, "nobody follows the bucket's events"
	if p.Endpoint != "" && f.CloudFrontURL == "" && len(f.Distribution) == 0 {
		s.mode, s.because = byNobody, "this is no bucket of AWS, and no --distribution is named"
		return nil
	}
	follower, err := follower(ctx, s.store.Client(), s.bucket)
	switch {
	case err != nil:
		s.because = "who follows the bucket's events cannot be seen (" + err.Error() + "); --invalidate events leaves it to them"
	case follower != "":
		s.mode, s.because = byEvents, follower+" is told of every change in the bucket; --invalidate self does it here"
	}
	return nil
}

// api is CloudFront, or what stands for it.
func (f freshening) api(ctx context.Context, s *deploySite, p place) (*sdkcloudfront.Client, error) {
	loaded, err := p.awsConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	return sdkcloudfront.NewFromConfig(loaded, func(o *sdkcloudfront.Options) {
		o.Region = "us-east-1" // where CloudFront's API is
		if s.running != nil {
			o.Region, o.BaseEndpoint = s.running.Region, &s.running.API
		}
		if f.CloudFrontURL != "" {
			o.BaseEndpoint = &f.CloudFrontURL
		}
	}), nil
}

// find reads the distributions: those that are named, or those that have the
// bucket as an origin.
func (f freshening) find(ctx context.Context, s *deploySite, api survey.API) ([]distribution.Distribution, error) {
	var ids, files []string
	for _, given := range f.Distribution {
		if _, err := os.Stat(given); err != nil && accountID.MatchString(given) {
			ids = append(ids, given)
		} else {
			files = append(files, given)
		}
	}
	var all []distribution.Distribution
	if len(files) > 0 {
		cfg := s.cfg
		(&described{Distribution: files}).describe(&cfg)
		p, err := app.NewPlanner(cfg)
		if err != nil {
			return nil, err
		}
		all = p.Distributions
	}
	if len(f.Distribution) == 0 {
		feeding, err := survey.Feeding(ctx, api, s.bucket)
		if err != nil {
			return nil, fmt.Errorf("find the distributions of the bucket %s: %w; name them with --distribution, or let nobody invalidate with --invalidate none", s.bucket, err)
		}
		maps.DeleteFunc(feeding, func(_ string, enabled bool) bool { return !enabled })
		ids = slices.Sorted(maps.Keys(feeding))
	}
	if len(ids) > 0 {
		found, err := survey.Read(ctx, api, ids...)
		if err != nil {
			return nil, err
		}
		for i := range found.Distributions {
			found.Distributions[i].CachePolicies = found.CachePolicies
		}
		all = append(all, found.Distributions...)
	}
	return all, nil
}

// drive opens the way to the CDN.
func (f freshening) drive(ctx context.Context, s *deploySite, p place) error {
	if s.mode != bySelf {
		return nil
	}
	if s.running != nil && f.CloudFrontURL == "" {
		d, _, err := ofRunning(ctx, *s.running, "")
		s.driver = d
		return err
	}
	d, err := cloudfront.New(ctx, cloudfront.Config{Endpoint: f.CloudFrontURL, Profile: p.Profile})
	if err != nil {
		return err
	}
	s.driver = quota.New(quota.Config{Driver: d, Default: cloudfront.Quota()}).Lane(quota.Bulk)
	return nil
}

// group is the consistency group of a key.
func (s *deploySite) group(key string) string {
	if s.planner == nil {
		return ""
	}
	return s.planner.Router.Group(key)
}

func (s *deploySite) profile(id string) freshet.Profile {
	for _, d := range s.planner.Distributions {
		if d.ID == id {
			return cloudfront.ProfileOf(d.ID, d.Hosts())
		}
	}
	return cloudfront.ProfileOf(id, nil)
}
