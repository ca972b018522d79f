package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	cf "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/survey"
)

// Config is what to examine.
type Config struct {
	Clients
	Bucket       string // empty: the one behind the distribution
	Distribution string // ID; empty: those that the bucket feeds
	Function     string // name of the Lambda function that invalidates; empty: not looked at
	Own          bool   // all of it is of a running freshet up
	Routes       route.Rules
	Code         map[string]Code // of functions that the API does not show, by ARN
	Canary       bool            // an object is put into the bucket and taken away again

	Keys   int           // so many are looked at; 0: 1000
	Each   time.Duration // how long a question may take; 0: 15 s
	Within time.Duration // how long a canary may take; 0: 5 min
	Every  time.Duration // how often a canary is looked for; 0: 2 s, or 50 ms where Own

	Progress func(doing string) // is told what begins; may be nil
}

func (c Config) withDefaults() Config {
	c.Keys = cmp.Or(c.Keys, 1000)
	c.Each = cmp.Or(c.Each, 15*time.Second)
	c.Within = cmp.Or(c.Within, 5*time.Minute)
	if c.Own {
		c.Every = cmp.Or(c.Every, 50*time.Millisecond)
	}
	c.Every = cmp.Or(c.Every, 2*time.Second)
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	return c
}

// ask asks one question, whatever became of the others.
func ask[T any](ctx context.Context, c *Config, doing string, question func(context.Context) (T, error)) (a Answer[T]) {
	c.Progress(doing)
	ctx, cancel := context.WithTimeoutCause(ctx, c.Each, fmt.Errorf("no answer within %v", c.Each))
	defer cancel()
	a.Is, a.Err = question(ctx)
	if a.Err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		a.Err = context.Cause(ctx)
	}
	return a
}

// gather asks about everything. What is asked later depends on what was found
// before only where there is nothing to ask about otherwise.
func gather(ctx context.Context, c Config) Seen {
	s := Seen{Own: c.Own, Bucket: c.Bucket, Wanted: c.Distribution, Region: c.Region, Routes: c.Routes, Function: c.Function}
	if !c.Own {
		s.Caller = ask(ctx, &c, "credentials", c.caller)
	}
	ids := []string{c.Distribution}
	if c.Distribution == "" {
		s.Fed = ask(ctx, &c, "distributions", func(ctx context.Context) ([]string, error) {
			fed, err := survey.Feeding(ctx, c.CloudFront, c.Bucket)
			return slices.Sorted(maps.Keys(fed)), err
		})
		ids = s.Fed.Is
	}
	for _, id := range ids {
		read := ask(ctx, &c, "distribution "+id, func(ctx context.Context) (Site, error) { return c.site(ctx, id) })
		read.Is.ID, read.Is.Err = id, read.Err
		s.Sites = append(s.Sites, read.Is)
	}
	if s.Bucket == "" {
		s.Bucket = bucketOf(s.Sites)
	}
	if s.Bucket != "" {
		c.bucket(ctx, &s)
	}
	if c.Function != "" && !c.Own {
		s.Worker = ask(ctx, &c, "function "+c.Function, func(ctx context.Context) (Worker, error) { return c.lambda(ctx, c.Function, s.Home.Is) })
	}
	for i := range s.Sites {
		if site := &s.Sites[i]; site.Err == nil {
			c.around(ctx, &s, site)
		}
	}
	return s
}

// around asks about what stands around a distribution.
func (c Config) around(ctx context.Context, s *Seen, site *Site) {
	d := &site.Distribution
	site.Front = ask(ctx, &c, "the front of "+site.ID, func(ctx context.Context) (Reply, error) { return c.Fetch(ctx, d, "/") })
	site.InProgress = ask(ctx, &c, "invalidations of "+site.ID, func(ctx context.Context) ([]cdn.Progress, error) {
		return c.Invalidations.InProgress(ctx, site.ID, nil)
	})
	site.Rewritten = make(map[string]Answer[[]Rewritten])
	for _, b := range s.behaviors(site) {
		for _, f := range b.FunctionAssociations {
			if _, done := site.Rewritten[f.FunctionARN]; !done && slices.Contains(rewriters(b), f.FunctionARN) {
				site.Rewritten[f.FunctionARN] = ask(ctx, &c, "function "+f.FunctionARN, func(ctx context.Context) ([]Rewritten, error) {
					return c.rewritten(ctx, s, d, f.FunctionARN)
				})
			}
		}
	}
	if c.Canary && d.Config.Enabled && s.originIsBucket(site) {
		site.Trial = c.send(ctx, s, site)
	}
}

func (c Config) caller(ctx context.Context) (Caller, error) {
	if c.Credentials != nil {
		return Caller{}, c.Credentials
	}
	out, err := c.STS.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Caller{}, err
	}
	return Caller{Account: aws.ToString(out.Account), ARN: aws.ToString(out.Arn)}, nil
}

// site reads a distribution with its policies, and what is not configuration.
func (c Config) site(ctx context.Context, id string) (Site, error) {
	out, err := c.CloudFront.GetDistribution(ctx, &cf.GetDistributionInput{Id: &id})
	if err != nil {
		return Site{}, err
	}
	found, err := survey.Read(ctx, c.CloudFront, id)
	if err != nil {
		return Site{}, err
	}
	if len(found.Distributions) != 1 || out.Distribution == nil {
		return Site{}, fmt.Errorf("the answer has no distribution")
	}
	site := Site{Status: aws.ToString(out.Distribution.Status), Distribution: found.Distributions[0]}
	site.Distribution.CachePolicies = found.CachePolicies
	if a, err := arn.Parse(aws.ToString(out.Distribution.ARN)); err == nil && !c.Own {
		site.Account = a.AccountID
	}
	return site, nil
}

// bucketOf is the first bucket behind distributions, that of a default behavior
// rather than another.
func bucketOf(sites []Site) (first string) {
	for i := range sites {
		config := &sites[i].Distribution.Config
		for _, o := range config.Origins {
			name, ok := o.Bucket()
			if ok && config.Feeds(config.DefaultCacheBehavior.TargetOriginID, o.ID) {
				return name
			}
			if ok && first == "" {
				first = name
			}
		}
	}
	return first
}

// bucket asks about the bucket, in its own region.
func (c Config) bucket(ctx context.Context, s *Seen) {
	s.Home = ask(ctx, &c, "bucket "+s.Bucket, func(ctx context.Context) (string, error) { return c.home(ctx, s.Bucket) })
	in := func(o *s3.Options) {
		if s.Home.Is != "" && o.BaseEndpoint == nil {
			o.Region = s.Home.Is
		}
	}
	if !c.Own {
		s.Rules = ask(ctx, &c, "notification rules", func(ctx context.Context) (Notifications, error) {
			out, err := c.S3.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: &s.Bucket}, in)
			if err != nil {
				return Notifications{}, err
			}
			return notifications(out), nil
		})
		s.Expiring = ask(ctx, &c, "lifecycle rules", func(ctx context.Context) (bool, error) { return c.expiring(ctx, s.Bucket, in) })
	}
	s.Listing = ask(ctx, &c, "keys", func(ctx context.Context) (Listing, error) { return c.list(ctx, s.Bucket, in) })
	for _, key := range pages(s.Listing.Is.Keys) {
		page := ask(ctx, &c, key, func(ctx context.Context) (string, error) {
			out, err := c.S3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.Bucket, Key: &key}, in)
			if err != nil {
				return "", err
			}
			return aws.ToString(out.CacheControl), nil
		})
		s.Pages = append(s.Pages, Page{key, page.Is, page.Err})
	}
}
