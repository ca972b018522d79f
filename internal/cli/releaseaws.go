package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/release"
	"github.com/freshet/freshet/internal/warm"
)

// prepare reads all that was given and asks for what is needed of it, so that
// nothing is found wrong once the code was replaced.
func (c *releaseLambdaCmd) prepare(ctx context.Context, t terminal, r *root) (*release.Release, error) {
	cfg, err := barrier.Load(ctx, config.WithRegion(cmp.Or(c.Region, regionOf(c.Function))))
	switch {
	case err != nil:
		return nil, err
	case cfg.Region == "":
		return nil, usageError("--region: the AWS configuration has none")
	}
	client := lambda.NewFromConfig(cfg)
	rel := &release.Release{Lambda: client, Within: c.Timeout, Each: c.show(t)}
	rel.Wanted = release.Wanted{Function: c.Function, Alias: c.Alias, CanaryFor: c.CanaryFor}
	for _, read := range []func() error{
		func() error { return c.shares(&rel.Wanted) },
		func() error { return c.code(ctx, cfg, rel) },
		func() error { return c.atOrigin(ctx, cfg, client, rel) },
		func() error { return c.atEdge(ctx, r, rel) },
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	if c.Canary != "" {
		rel.Measure = release.Counted(cloudwatch.NewFromConfig(cfg), nameOf(c.Function), c.Alias)
	}
	return rel, nil
}

// regionOf is that of an ARN, or empty.
func regionOf(function string) string {
	if parts := strings.Split(function, ":"); len(parts) > 3 && parts[0] == "arn" {
		return parts[3]
	}
	return ""
}

// nameOf is the name in a name or an ARN.
func nameOf(function string) string {
	return function[strings.LastIndexByte(function, ':')+1:]
}

func (c *releaseLambdaCmd) shares(w *release.Wanted) (err error) {
	if c.Canary != "" {
		if w.Canary, err = share("--canary", c.Canary); err == nil && w.Canary == 0 {
			err = usageError("--canary=%s: a share above 0 is needed", c.Canary)
		}
	}
	if err == nil {
		w.Tolerate, err = share("--canary-errors", c.CanaryErrors)
	}
	return err
}

// code reads the zip, or asks which image a tag names.
func (c *releaseLambdaCmd) code(ctx context.Context, cfg aws.Config, rel *release.Release) error {
	if c.Zip != "" {
		text, err := readZip(c.Zip)
		rel.Zip, rel.Wanted.Code = text, release.SHA256(text)
		return err
	}
	image, ok := release.ParseImage(c.Image)
	if !ok {
		return usageError("--image=%s: Lambda takes images from ECR, such as 123456789012.dkr.ecr.eu-west-1.amazonaws.com/site:v7", c.Image)
	}
	registry := ecr.NewFromConfig(cfg, func(o *ecr.Options) { o.Region = image.Region })
	digest, err := release.Resolve(ctx, registry, image)
	switch {
	case errors.Is(err, release.ErrUnresolved):
		rel.Wanted.Image = c.Image
		rel.Each(release.Event{Step: "image", At: time.Now(), Text: fmt.Sprintf("%v: %s is deployed by its tag, and is so even if it is what runs already", err, c.Image)})
		return nil
	case err != nil:
		return err
	}
	rel.Wanted.Code, rel.Wanted.Image = digest, image.At(digest)
	return c.moved(ctx, rel, image, digest)
}

// moved says where a tag leads, and that Lambda does not follow it.
func (c *releaseLambdaCmd) moved(ctx context.Context, rel *release.Release, image release.Image, digest string) error {
	now, err := rel.Deployed(ctx)
	if err != nil || image.Tag == "" {
		return err
	}
	text := fmt.Sprintf("tag %s is %s, which the function runs already", image.Tag, digest)
	if now != digest {
		text = fmt.Sprintf("tag %s is %s, and the function runs %s: a tag that moves deploys nothing by itself", image.Tag, digest, now)
	}
	rel.Each(release.Event{Step: "image", At: time.Now(), Text: text})
	return nil
}

// atOrigin finds out where and how the new code is to be seen.
func (c *releaseLambdaCmd) atOrigin(ctx context.Context, cfg aws.Config, client release.URLs, rel *release.Release) error {
	base, transport := c.Origin, http.RoundTripper(barrier.Transport())
	if c.FunctionURL {
		at, signed, err := release.FunctionURL(ctx, client, c.Function, c.Alias)
		if err != nil {
			return err
		}
		if base = at; signed {
			transport = release.Signed{Next: transport, Credentials: cfg.Credentials, Region: cfg.Region}
		}
	}
	texts, err := c.probed(base)
	if err != nil {
		return err
	}
	if len(texts) > 0 {
		f, err := barrier.Parse(strings.NewReplacer("{version}", "1", "{sha256}", "a").Replace(texts[0]))
		if err != nil {
			return err
		}
		rel.Sample = release.Sampler(transport, f.URL)
	}
	each := func(p barrier.Progress) {
		rel.Each(release.Event{Step: release.Probe, Text: p.Fact.URL + ": " + p.Saw, At: time.Now()})
	}
	rel.Facts, rel.Wanted.Probe = texts, len(texts) > 0
	rel.Waiter = &barrier.Waiter{HTTP: transport, Getenv: os.Getenv, Each: changes(each)}
	return nil
}

// changes lets through only what differs from what came last of the same fact.
func changes(each func(barrier.Progress)) func(barrier.Progress) {
	last := make(map[string]string)
	return func(p barrier.Progress) {
		if name := p.Fact.String(); last[name] != p.Saw {
			last[name] = p.Saw
			each(p)
		}
	}
}

// atEdge finds out what is to be invalidated, looked at and warmed, and where.
func (c *releaseLambdaCmd) atEdge(ctx context.Context, r *root, rel *release.Release) error {
	patterns, err := parsePatterns(c.Invalidate)
	if err != nil || len(patterns)+len(c.Warm) == 0 {
		return err
	}
	driver, distribution, err := c.driver(ctx, r, c.Distribution)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, askedFor)
	defer cancel()
	profile, err := profileOf(limited, driver, distribution)
	if err != nil {
		return err
	}
	rel.Driver, rel.Profile = driver, profile
	rel.Wanted.Distribution, rel.Wanted.Patterns = distribution, patterns
	return nil
}

// patience is how long an edge may serve what is older after an invalidation was
// completed.
const patience = 15 * time.Second

// viewers has looked at what can be, and warmed what is wanted, as the cache keys
// of the distribution tell requests apart.
func (c *releaseLambdaCmd) viewers(ctx context.Context, t terminal, r *root, rel *release.Release) (stop func(), err error) {
	w := &rel.Wanted
	var exact []string
	for _, p := range w.Patterns {
		if text := string(p); strings.HasPrefix(text, "/") && !p.IsWildcard() && c.Verify {
			exact = append(exact, text)
		}
	}
	if len(exact)+len(c.Warm) == 0 {
		return func() {}, nil
	}
	cfg, err := r.load()
	if err != nil {
		return nil, err
	}
	seen, err := app.NewViewers(ctx, cfg, app.ViewersOptions{IDs: []string{w.Distribution}, Agent: "freshet-release"})
	if err != nil {
		return nil, fmt.Errorf("%w; without --warm and with --no-verify nothing is asked there", err)
	}
	v := &release.Viewers{Fetcher: seen.Client, Patience: patience, Say: func(text string) { rel.Each(release.Event{Step: "edge", Text: text, At: time.Now()}) }}
	look, err := c.requests(t, seen, exact)
	if err == nil {
		v.Warmed, err = c.requests(t, seen, c.Warm)
	}
	if err != nil {
		seen.Close()
		return nil, err
	}
	if c.Verify && len(w.Patterns) > 0 {
		v.Looked = append(look, v.Warmed...)
	}
	rel.Verify, rel.Warm = v.Verify, v.Warm
	w.Verify, w.Warm = len(v.Looked) > 0, len(v.Warmed) > 0
	return seen.Close, nil
}

// requests are those for URLs, and for paths at the distribution.
func (c *releaseLambdaCmd) requests(t terminal, v *app.Viewers, texts []string) ([]warm.Request, error) {
	var all []warm.Request
	for _, text := range texts {
		u, err := v.URL(text)
		if strings.HasPrefix(text, "/") && len(v.Distributions) > 0 {
			u, err = v.On(c.among(v.Distributions), text)
		}
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		requests, notes, err := v.Requests(u, 1)
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		warn(t, notes)
		all = append(all, requests...)
	}
	return all, nil
}

// among is the distribution that is meant; a running freshet may know more.
func (c *releaseLambdaCmd) among(all []distribution.Distribution) *distribution.Distribution {
	for i := range all {
		if all[i].ID == c.Distribution {
			return &all[i]
		}
	}
	return &all[0]
}
