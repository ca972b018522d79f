package conduct

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/s3store"
	"github.com/freshet/freshet/internal/deploy/shelf"
)

// Atomic says that a deploy makes a release below a prefix of its own, to which
// viewers are led once it is complete.
type Atomic struct {
	Release  string
	Leads    []string // prefixes of the bucket that viewers are led to now, each with a slash at the end or empty
	View     *string  // prefix below which viewers' changes are routed; nil: the release's own
	Keep     int      // releases that remain
	Rollback bool     // the release is there already; Want is not looked at
}

// ReleasesName is the document that lists the releases.
const ReleasesName = "releases.json.gz"

// ReleasePrefix is where the objects of a release are.
func ReleasePrefix(prefix, release string) string { return prefix + "releases/" + release + "/" }

// base is below what the deploy's objects are.
func (c Config) base() string {
	if c.Atomic == nil {
		return c.Prefix
	}
	return ReleasePrefix(c.Prefix, c.Atomic.Release)
}

func (c Config) manifestName() string {
	if c.Atomic == nil {
		return ManifestName
	}
	return manifestOf(c.Atomic.Release)
}

func manifestOf(release string) string { return "release-" + release + ".json.gz" }

// ReadReleases lists the releases that are kept; none where there never was one.
func ReadReleases(ctx context.Context, s shelf.Shelf) (*deploy.Releases, error) {
	d, err := s.Get(ctx, ReleasesName)
	if errors.Is(err, fs.ErrNotExist) {
		return new(deploy.Releases), nil
	}
	if err != nil {
		return nil, err
	}
	return deploy.DecodeReleases(d.Text)
}

// release prepares a deploy of a release, or the way back to one.
func (p *Prepared) release(ctx context.Context) error {
	cfg, last := p.cfg, p.state.last
	if last != nil && last.Release == "" && !last.Over {
		return fmt.Errorf("deploy %s has not got through: finish it first, by deploying without --atomic", last.ID)
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	want := make([]deploy.Object, len(cfg.Want))
	for i := range cfg.Want {
		want[i] = cfg.Want[i].Object
	}
	after := deploy.Wanted(want)
	if cfg.Atomic.Rollback {
		var err error
		if after, err = p.complete(); err != nil {
			return err
		}
	} else {
		p.Steps = deploy.Compare(want, p.have, deploy.Options{})
	}
	leads := cfg.Atomic.Leads
	if last != nil && !last.Over && last.Phase != deploy.Begun {
		p.Before, leads = last, []string{ReleasePrefix(cfg.Prefix, last.Release)}
	}
	before, err := p.reuse(ctx, leads)
	if err != nil {
		return err
	}
	p.Totals = deploy.Count(p.Steps, len(after.Records))
	if last != nil && last.Release == cfg.Atomic.Release && last.Resumable(want, p.Steps) && !cfg.Atomic.Rollback {
		p.Deploy, p.Resumed = last, true
		return nil
	}
	if len(p.Steps) == 0 && len(leads) == 1 && leads[0] == cfg.base() {
		p.lookAgain()
		return nil
	}
	return p.intendRelease(before, after, leads)
}

// lookAgain takes up what the last deploy of the release has not seen fresh.
func (p *Prepared) lookAgain() {
	last := p.state.last
	if last != nil && last.Over && len(last.Unproven) > 0 && last.Release == p.cfg.Atomic.Release && p.cfg.looks() {
		p.Before = last
	}
}

// complete returns the manifest of a release all of whose objects are there.
func (p *Prepared) complete() (*deploy.Manifest, error) {
	if p.state.manifest == nil {
		return nil, fmt.Errorf("release %s has no manifest at %s: it was never complete", p.cfg.Atomic.Release, p.cfg.Shelf)
	}
	held := make(map[string]string, len(p.have))
	for _, o := range p.have {
		held[o.Key] = o.ETag
	}
	for _, r := range p.state.manifest.Records {
		if held[r.Key] != r.ETag {
			return nil, fmt.Errorf("release %s is not complete any more: %s is not what it was", p.cfg.Atomic.Release, r.Key)
		}
	}
	return p.state.manifest, nil
}

// reuse reads what viewers are led to now, and has copied what need not be sent.
func (p *Prepared) reuse(ctx context.Context, leads []string) (before []*deploy.Manifest, err error) {
	for _, lead := range leads {
		m, err := p.manifestAt(ctx, lead)
		if err != nil {
			return nil, err
		}
		deploy.Reuse(p.Steps, m, lead, p.cfg.base())
		before = append(before, m)
	}
	return before, nil
}

// manifestAt is what is known of what lies below a prefix; of what no release is
// the keys alone.
func (p *Prepared) manifestAt(ctx context.Context, lead string) (*deploy.Manifest, error) {
	if release, ok := strings.CutPrefix(lead, p.cfg.Prefix+"releases/"); ok {
		d, err := p.cfg.Shelf.Get(ctx, manifestOf(strings.TrimSuffix(release, "/")))
		if err == nil {
			return deploy.DecodeManifest(d.Text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	listed, err := p.cfg.Bucket.List(ctx, lead, nil)
	if err != nil {
		return nil, err
	}
	m := new(deploy.Manifest)
	for _, o := range listed.Objects {
		rest := strings.TrimPrefix(o.Key, lead)
		if strings.HasPrefix(rest, "releases/") || strings.HasPrefix(rest, ".freshet/") {
			continue
		}
		m.Records = append(m.Records, deploy.Record{Key: o.Key, Size: o.Size, ETag: o.ETag})
	}
	return m, nil
}

// intendRelease makes the deploy that leads viewers from what is before to the
// release.
func (p *Prepared) intendRelease(before []*deploy.Manifest, after *deploy.Manifest, leads []string) (err error) {
	base := p.cfg.base()
	changed := make(map[string]freshet.Change)
	var live []deploy.Present
	for i, m := range before {
		for _, c := range deploy.Differences(p.cfg.Name, "", m, after, leads[i], base) {
			changed[c.Key] = c
		}
		for _, r := range m.Records {
			live = append(live, deploy.Present{Key: p.viewed(base + strings.TrimPrefix(r.Key, leads[i])), Size: r.Size})
		}
	}
	var changes []freshet.Change
	for _, c := range changed {
		c.Key = p.viewed(c.Key)
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b freshet.Change) int { return strings.Compare(a.Key, b.Key) })
	d := &deploy.Deploy{
		Commit: p.cfg.Commit, Bucket: p.cfg.Name, Prefix: p.cfg.Prefix, Release: p.cfg.Atomic.Release, Begun: p.now.Unix(),
		Phase: deploy.Begun, Steps: p.Steps, Changes: changes,
	}
	if last := p.state.last; last != nil {
		d.After, d.Verified = last.ID, last.Verified
	}
	if d.ID, err = deploy.Name(d.After, rand.Text(), d.Steps, changes); err != nil {
		return err
	}
	for i := range d.Changes {
		d.Changes[i].Version = d.ID
	}
	made, err := p.cfg.Line.Plan(d.Changes, live)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	d.Plan, p.Deploy = &made, d
	return nil
}

// viewed is the key by which a release's object is known to viewers.
func (p *Prepared) viewed(key string) string {
	if p.cfg.Atomic.View == nil {
		return key
	}
	return *p.cfg.Atomic.View + strings.TrimPrefix(key, p.cfg.base())
}

// lead leads viewers to the deploy's release, and notes it.
func (p *Prepared) lead(ctx context.Context, d *deploy.Deploy) error {
	p.cfg.Report(Event{Stage: Switching})
	if err := p.cfg.Line.Switch(ctx, d); err != nil {
		return fmt.Errorf("lead viewers to release %s: %w; deploy again, and it goes on from here", d.Release, err)
	}
	d.Phase = deploy.Switched
	if err := p.save(ctx, d); err != nil {
		return err
	}
	all, err := ReadReleases(ctx, p.cfg.Shelf)
	if err != nil {
		return err
	}
	r := deploy.Release{ID: d.Release, Commit: d.Commit, Time: d.Begun}
	if known, err := all.Find(d.Release); err == nil {
		r = known
	} else if m, err := p.manifestAt(ctx, ReleasePrefix(d.Prefix, d.Release)); err == nil {
		for _, o := range m.Records {
			r.Objects, r.Bytes = r.Objects+1, r.Bytes+o.Size
		}
	}
	all.Led(r)
	return p.saveReleases(ctx, all)
}

func (p *Prepared) saveReleases(ctx context.Context, all *deploy.Releases) error {
	text, err := all.Encode()
	if err != nil {
		return err
	}
	_, err = p.cfg.Shelf.Put(ctx, ReleasesName, text, shelf.Any)
	return err
}

// prune deletes releases that are not kept. Their objects go first: what is left
// of a release of which a part is gone is not offered to anybody.
func (p *Prepared) prune(ctx context.Context) error {
	if p.cfg.Atomic.Keep <= 0 || p.Deploy.Phase == deploy.Completed { // something was seen stale
		return nil
	}
	all, err := ReadReleases(ctx, p.cfg.Shelf)
	if err != nil {
		return err
	}
	pruned := all.Prune(p.cfg.Atomic.Keep)
	for _, r := range pruned {
		listed, err := p.cfg.Bucket.List(ctx, ReleasePrefix(p.cfg.Prefix, r.ID), nil)
		if err != nil {
			return err
		}
		p.cfg.Report(Event{Note: "deleting release " + r.ID + " of " + time.Unix(r.Time, 0).UTC().Format(time.DateTime)})
		for part := range slices.Chunk(listed.Objects, s3store.MostDeleted) {
			keys := make([]string, len(part))
			for i, o := range part {
				keys[i] = o.Key
			}
			if err := p.cfg.Bucket.Delete(ctx, keys); err != nil {
				return err
			}
		}
	}
	if len(pruned) == 0 {
		return nil
	}
	return p.saveReleases(ctx, all)
}
