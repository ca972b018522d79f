package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	sdkcloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/s3store"
	"github.com/freshet/freshet/internal/deploy/tree"
	"github.com/freshet/freshet/internal/distribution"
)

// atomicFlag is how viewers are led to a release; empty for a deploy that
// replaces objects where they are. Without a value the origin path is meant.
type atomicFlag string

// How viewers are led to a release.
const (
	byOriginPath = "origin-path"
	byPointer    = "pointer"
)

// IsBool allows the flag to stand without a value.
func (atomicFlag) IsBool() bool { return true }

// Decode reads the value, if there is one.
func (a *atomicFlag) Decode(k *kong.DecodeContext) error {
	*a = byOriginPath
	if k.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	switch value := k.Scan.Pop().String(); value {
	case byOriginPath, byPointer:
		*a = atomicFlag(value)
	case "true":
	case "false":
		*a = ""
	default:
		return fmt.Errorf("--atomic=%s: it is origin-path or pointer", value)
	}
	return nil
}

// pointerName is the object that names the release viewers are to get.
const pointerName = "current.json"

// leading leads viewers to releases.
type leading struct {
	*deploySite

	how   atomicFlag
	api   *sdkcloudfront.Client
	found []distribution.Distribution // whose origins are led
}

// leadsOf are the prefixes that the distributions' origins lead to, as far as
// they are the site's: below it, or below one of its releases.
func (l *leading) leadsOf() (leads []string) {
	for _, d := range l.found {
		for _, o := range d.Config.Origins {
			if lead, ok := l.leadOf(o); ok && !slices.Contains(leads, lead) {
				leads = append(leads, lead)
			}
		}
	}
	return leads
}

// leadOf is the prefix that an origin leads to; ok is false for one that is none
// of the site's.
func (l *leading) leadOf(o distribution.Origin) (lead string, ok bool) {
	if name, is := o.Bucket(); !is || name != l.bucket {
		return "", false
	}
	return l.leadOfPath(o.OriginPath)
}

func (l *leading) leadOfPath(path string) (lead string, ok bool) {
	if path = strings.Trim(path, "/"); path != "" {
		lead = path + "/"
	}
	rest, is := strings.CutPrefix(lead, l.prefix+"releases/")
	return lead, lead == l.prefix || is && strings.Count(rest, "/") == 1
}

// led are the distributions as they will be once viewers are led to a release.
func (l *leading) led(release string) []distribution.Distribution {
	all := slices.Clone(l.found)
	for i := range all {
		origins := slices.Clone(all[i].Config.Origins)
		for j := range origins {
			if _, ok := l.leadOf(origins[j]); ok {
				origins[j].OriginPath = l.pathOf(release)
			}
		}
		all[i].Config.Origins = origins
	}
	return all
}

func (l *leading) pathOf(release string) string {
	return "/" + strings.TrimSuffix(conduct.ReleasePrefix(l.prefix, release), "/")
}

// change leads viewers to the deploy's release.
func (l *leading) change(ctx context.Context, d *deploy.Deploy) error {
	if l.how == byPointer {
		return l.point(ctx, d)
	}
	for _, dist := range l.found {
		if err := l.originPath(ctx, dist.ID, l.pathOf(d.Release)); err != nil {
			return err
		}
	}
	waiter := sdkcloudfront.NewDistributionDeployedWaiter(l.api, func(o *sdkcloudfront.DistributionDeployedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 5*time.Second, 30*time.Second
		if l.running != nil {
			o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
		}
	})
	for _, dist := range l.found {
		if err := waiter.Wait(ctx, &sdkcloudfront.GetDistributionInput{Id: &dist.ID}, 30*time.Minute); err != nil {
			return fmt.Errorf("wait until distribution %s is deployed: %w", dist.ID, err)
		}
	}
	return nil
}

// originPath changes the origins of a distribution that are the site's. Whoever
// else changes the distribution meanwhile is not overwritten.
func (l *leading) originPath(ctx context.Context, id, path string) error {
	for range 5 {
		now, err := l.api.GetDistributionConfig(ctx, &sdkcloudfront.GetDistributionConfigInput{Id: &id})
		if err != nil {
			return fmt.Errorf("read distribution %s: %w", id, err)
		}
		changed := false
		for i := range now.DistributionConfig.Origins.Items {
			o := &now.DistributionConfig.Origins.Items[i]
			name, is := distribution.Origin{DomainName: aws.ToString(o.DomainName)}.Bucket()
			if _, ours := l.leadOfPath(aws.ToString(o.OriginPath)); is && name == l.bucket && ours && aws.ToString(o.OriginPath) != path {
				o.OriginPath, changed = &path, true
			}
		}
		if !changed {
			return nil
		}
		_, err = l.api.UpdateDistribution(ctx, &sdkcloudfront.UpdateDistributionInput{Id: &id, IfMatch: now.ETag, DistributionConfig: now.DistributionConfig})
		var answer *smithyhttp.ResponseError
		if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusPreconditionFailed {
			continue
		}
		if err != nil {
			return fmt.Errorf("update distribution %s: %w", id, err)
		}
		return nil
	}
	return fmt.Errorf("update distribution %s: somebody else changes it again and again", id)
}

// pointer is what the pointer object holds.
type pointer struct {
	Release string `json:"release"`
	Prefix  string `json:"prefix"` // of the release's objects
	Deploy  string `json:"deploy"`
}

// point writes the pointer object.
func (l *leading) point(ctx context.Context, d *deploy.Deploy) error {
	text, err := json.Marshal(pointer{d.Release, conduct.ReleasePrefix(l.prefix, d.Release), d.ID})
	if err != nil {
		return fmt.Errorf("write the pointer: %w", err)
	}
	f := tree.FileOf(pointerName, text)
	_, err = l.store.Put(ctx, s3store.Upload{
		Key: l.prefix + pointerName, Content: bytes.NewReader(text), Size: f.Size, SHA256: f.Hash, ETag: f.ETag,
		Served: deploy.Served{Type: "application/json", CacheControl: "no-cache"},
	})
	return err
}

// atomic makes the deploy one of a release.
func (s *deploySite) atomic(ctx context.Context, cfg *conduct.Config, f freshening, p place, how atomicFlag, a conduct.Atomic) error {
	l := &leading{deploySite: s, how: how}
	line := &deployLine{deploySite: s, edgeURL: f.EdgeURL}
	var err error
	if line.sample, err = sampleOf(f.Verify); err != nil {
		return exitError{exitUsage, err}
	}
	if how == byPointer {
		releases, err := conduct.ReadReleases(ctx, s.shelf)
		if err != nil {
			return err
		}
		a.View, a.Leads = &s.prefix, []string{s.prefix}
		if releases.Current != "" {
			a.Leads[0] = conduct.ReleasePrefix(s.prefix, releases.Current)
		}
	} else {
		if s.planner == nil {
			return usageError("--atomic leads viewers by the origin path of a distribution, and none has the bucket %s as an origin: name one with --distribution, or use --atomic=pointer", s.bucket)
		}
		if l.api, err = f.api(ctx, s, p); err != nil {
			return err
		}
		l.found = s.planner.Distributions
		if a.Leads = l.leadsOf(); len(a.Leads) == 0 {
			return usageError("no origin of %s leads to s3://%s/%s or one of its releases", s.planner.Distributions[0].ID, s.bucket, s.prefix)
		}
		if s.planner, err = app.PlannerOf(l.led(a.Release), s.cfg); err != nil {
			return err
		}
	}
	cfg.Atomic = &a
	cfg.Line = conduct.Line{Switch: l.change, Plan: nothingToPlan}
	if s.planner != nil {
		cfg.Line.Plan, cfg.Line.Send, cfg.Line.Repeat = line.plan, line.send, line.repeat
		if f.Wait {
			cfg.Line.Wait = line.wait
		}
		if f.Wait && line.sample != 0 {
			cfg.Line.Verify = func(ctx context.Context, d *deploy.Deploy) ([]freshet.Verdict, error) {
				return line.verify(ctx, d, *d.Plan, settling)
			}
		}
	}
	if s.running != nil {
		lead := cfg.Line.Switch
		cfg.Line.Switch = func(ctx context.Context, d *deploy.Deploy) error {
			if err := line.unrouted(ctx, d); err != nil {
				return err
			}
			return lead(ctx, d)
		}
	}
	return nil
}

// unrouted waits until the running freshet has seen what was sent: before viewers
// are led there it makes nothing stale, and afterwards it would.
func (l *deployLine) unrouted(ctx context.Context, d *deploy.Deploy) error {
	sent := *d
	sent.Changes = deploy.Changes(d.Bucket, d.ID, d.Steps)
	_, err := l.followRunning(ctx, &sent)
	return err
}

// released makes wanted objects those of a release, which is named by what is in
// it.
func (s *deploySite) released(want []conduct.Wanted) (string, error) {
	plain := make([]deploy.Object, len(want))
	for i := range want {
		want[i].Key = strings.TrimPrefix(want[i].Key, s.prefix)
		plain[i] = want[i].Object
	}
	id, err := deploy.ReleaseID(plain)
	for i := range want {
		want[i].Key = conduct.ReleasePrefix(s.prefix, id) + want[i].Key
		if len(want[i].Key) > maxKey {
			return "", fmt.Errorf("below a release the key %q… has %d bytes, S3 takes at most %d: rename the file", want[i].Key[:80], len(want[i].Key), maxKey)
		}
	}
	return id, err
}
