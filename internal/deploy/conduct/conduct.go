// Package conduct carries a deploy out: it writes down what it is about to do,
// sends objects, and has what they made stale invalidated. A deploy that dies
// anywhere is taken up by the next one.
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

	"golang.org/x/sync/errgroup"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/s3store"
	"github.com/freshet/freshet/internal/deploy/shelf"
	"github.com/freshet/freshet/internal/deploy/tree"
)

// Bucket is what a deploy asks of a bucket; *s3store.Store has it.
type Bucket interface {
	List(ctx context.Context, prefix string, expected []string) (s3store.Listed, error)
	Head(ctx context.Context, key string) (*deploy.Served, error)
	Put(ctx context.Context, u s3store.Upload) (deploy.Sent, error)
	Copy(ctx context.Context, from, etag, to string, served deploy.Served) (deploy.Sent, error)
	Delete(ctx context.Context, keys []string) error
	Abort(ctx context.Context, key, upload string) error // of an upload in parts; no error where there is none
}

// Line is the rest of the way to viewers.
type Line struct {
	// Plan makes the plan for changes of a bucket that holds have.
	Plan func(changes []freshet.Change, have []deploy.Present) (freshet.Plan, error)

	// Switch leads viewers to the release of an atomic deploy, and returns when they
	// are. It may be called again.
	Switch func(context.Context, *deploy.Deploy) error

	Send func(context.Context, freshet.Invalidation) (freshet.Receipt, error) // nil: nobody invalidates
	Wait func(context.Context, freshet.Receipt) (freshet.Receipt, error)      // nil: accepted is enough

	// Verify looks through the edge. Nil: nobody looks.
	Verify func(context.Context, *deploy.Deploy) ([]freshet.Verdict, error)

	// Repeat makes the plan for what was seen stale after completion, under other
	// caller references. Nil: it is shown and that is all.
	Repeat func(stale []freshet.Change) (freshet.Plan, error)

	// Follow waits until somebody else has made viewers' caches fresh; then Plan,
	// Send and Wait are not called. Nil: the deploy does so itself.
	Follow func(context.Context, *deploy.Deploy) ([]freshet.Verdict, error)
}

// Wanted is an object of the site, and the file that it is made from.
type Wanted struct {
	deploy.Object

	Open func() (tree.Content, error) // nil for an object without content
}

// Config is what a deploy works with.
type Config struct {
	Bucket   Bucket
	Shelf    shelf.Shelf
	Line     Line
	Name     string // of the bucket
	Prefix   string // of the site's keys: empty, or with a slash at the end
	Want     []Wanted
	Options  deploy.Options
	Limit    deploy.Limit
	Commit   string
	Atomic   *Atomic // nil: objects are replaced where they are
	Parallel int
	NoLock   bool
	Holder   shelf.Who     // who deploys
	Lease    time.Duration // for which the lock is held without a sign of life; 0: a minute
	Patience time.Duration // for which the lock is waited for
	Report   func(Event)   // told how it goes; may be called concurrently; nil is allowed

	// Own are keys below Prefix that are no part of the site.
	Own func(key string) bool

	// Opened is called before the first object is sent, and what it returns after
	// the last one was. A resumed deploy has sent some before. Nil does nothing.
	Opened func(ctx context.Context, resumed bool) (closed func(context.Context) error, err error)
}

// Names of documents on the shelf.
const (
	ManifestName = "manifest.json.gz"
	DeployName   = "deploy.json.gz"
)

// state is what lies on the shelf.
type state struct {
	manifest *deploy.Manifest // nil: none
	last     *deploy.Deploy   // nil: none
	version  string           // of last
	marks    [2]string        // versions of what was read
}

// Prepared is a deploy of which everything is known before anything is done.
type Prepared struct {
	Deploy  *deploy.Deploy // nil where there is nothing to do
	Steps   []deploy.Step  // that are left to do; of a deploy that is taken up fewer than Deploy has
	Resumed bool           // Deploy died before everything was sent
	Before  *deploy.Deploy // that has sent everything and not finished, which comes first; nil: none
	Totals  deploy.Totals
	There   int // objects that the bucket holds
	Adopted int // changes of a deploy that died, which nobody has invalidated, or that was seen stale in the end

	cfg   Config
	state state
	have  []deploy.Present
	now   time.Time // by the bucket's clock

	uploads []deploy.Upload // in parts, that are begun
}

// Prepare reads what there is and decides what is to be done. It changes nothing.
func Prepare(ctx context.Context, cfg Config) (*Prepared, error) {
	if cfg.Report == nil {
		cfg.Report = func(Event) {}
	}
	st, err := readState(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return prepare(ctx, cfg, st)
}

func readState(ctx context.Context, cfg Config) (st state, err error) {
	var manifest, last shelf.Document
	g, ctx := errgroup.WithContext(ctx)
	get := func(name string, into *shelf.Document) {
		g.Go(func() (err error) {
			*into, err = cfg.Shelf.Get(ctx, name)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	get(cfg.manifestName(), &manifest)
	get(DeployName, &last)
	if err := g.Wait(); err != nil {
		return st, err
	}
	st.version, st.marks = shelf.None, [2]string{manifest.Version, last.Version}
	if last.Text != nil {
		st.version = last.Version
		if st.last, err = deploy.DecodeDeploy(last.Text); err != nil {
			return st, fmt.Errorf("%s: %w", cfg.Shelf, err)
		}
		if st.last.Bucket != cfg.Name || st.last.Prefix != cfg.Prefix {
			return st, fmt.Errorf("%s holds the state of s3://%s/%s, not of s3://%s/%s: give each site a --state of its own", cfg.Shelf, st.last.Bucket, st.last.Prefix, cfg.Name, cfg.Prefix)
		}
	}
	if manifest.Text != nil {
		if st.manifest, err = deploy.DecodeManifest(manifest.Text); err != nil {
			return st, fmt.Errorf("%s: %w", cfg.Shelf, err)
		}
	}
	return st, nil
}

func prepare(ctx context.Context, cfg Config, st state) (*Prepared, error) {
	p := &Prepared{cfg: cfg, state: st}
	if cfg.Atomic != nil {
		return p, p.release(ctx)
	}
	if st.last != nil && st.last.Release != "" {
		return nil, fmt.Errorf("s3://%s/%s is deployed with --atomic: go on so, or delete what is at %s first", cfg.Name, cfg.Prefix, cfg.Shelf)
	}
	if err := p.look(ctx); err != nil {
		return nil, err
	}
	want := make([]deploy.Object, len(cfg.Want))
	for i := range cfg.Want {
		want[i] = cfg.Want[i].Object
	}
	p.Steps = deploy.Compare(want, p.have, cfg.Options)
	p.Totals = deploy.Count(p.Steps, len(want))
	if err := cfg.Limit.Check(p.Totals.Deleted, len(p.have)); err != nil {
		return nil, err
	}
	last := st.last
	if last != nil && !last.Over && last.Phase != deploy.Begun {
		p.Before = last
	}
	if last != nil && last.Resumable(want, p.Steps) {
		p.Deploy, p.Resumed = last, true
		return p, nil
	}
	return p, p.intend()
}

// look lists the bucket and finds out what is not known of what it holds.
func (p *Prepared) look(ctx context.Context) error {
	var expected []string
	if p.state.manifest != nil {
		for _, r := range p.state.manifest.Records {
			expected = append(expected, r.Key)
		}
	}
	listed, err := p.cfg.Bucket.List(ctx, p.cfg.base(), expected)
	if err != nil {
		return err
	}
	p.now = listed.Now
	p.have = slices.DeleteFunc(listed.Objects, func(o deploy.Present) bool { return p.cfg.Own != nil && p.cfg.Own(o.Key) })
	if err := p.spare(); err != nil {
		return err
	}
	p.There = len(p.have)
	deploy.Know(p.have, p.state.manifest, p.state.last)
	want := make([]deploy.Object, len(p.cfg.Want))
	for i := range p.cfg.Want {
		want[i] = p.cfg.Want[i].Object
	}
	return p.ask(ctx, want)
}

// spare leaves alone what lies below a prefix that is a site of its own, as its
// state beside it shows.
func (p *Prepared) spare() error {
	const mark = "/.freshet/" + DeployName
	var others []string
	for _, o := range p.have {
		if at, is := strings.CutSuffix(o.Key, mark); is {
			others = append(others, at+"/")
		}
	}
	inside := func(key string) bool {
		return slices.ContainsFunc(others, func(at string) bool { return strings.HasPrefix(key, at) })
	}
	if len(others) == 0 {
		return nil
	}
	for _, w := range p.cfg.Want {
		if inside(w.Key) {
			return fmt.Errorf("%s lies in a site that is deployed on its own, below one of %s: leave it out of this one, or delete the .freshet/ there", w.Key, strings.Join(others, ", "))
		}
	}
	p.have = slices.DeleteFunc(p.have, func(o deploy.Present) bool { return inside(o.Key) })
	return nil
}

// ask completes what is known of objects that hold what they are to hold.
func (p *Prepared) ask(ctx context.Context, want []deploy.Object) error {
	unknown := deploy.Unknown(want, p.have, p.cfg.Options)
	if len(unknown) == 0 {
		return nil
	}
	wanted := make(map[string]*deploy.Object, len(want))
	for i := range want {
		wanted[want[i].Key] = &want[i]
	}
	places := make(map[string]int, len(p.have))
	for i := range p.have {
		places[p.have[i].Key] = i
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.cfg.parallel())
	for _, key := range unknown {
		i := places[key]
		g.Go(func() error {
			served, err := p.cfg.Bucket.Head(ctx, key)
			if err == nil && served != nil {
				w := wanted[key]
				p.have[i].Hash, p.have[i].Form, p.have[i].Served = w.Hash, w.Form, served
			}
			return err
		})
	}
	return g.Wait()
}

func (c Config) parallel() int {
	if c.Parallel > 0 {
		return c.Parallel
	}
	return s3store.DefaultParallel
}

// intend makes the deploy that takes the steps.
func (p *Prepared) intend() (err error) {
	d := &deploy.Deploy{
		Commit: p.cfg.Commit, Bucket: p.cfg.Name, Prefix: p.cfg.Prefix, Begun: p.now.Unix(), Phase: deploy.Begun,
		Steps: p.Steps, Elsewhere: p.cfg.Line.Follow != nil,
	}
	last := p.state.last
	var left []freshet.Change
	if last != nil {
		d.After, d.Verified = last.ID, last.Verified
		switch {
		case d.Elsewhere: // who follows the bucket has seen it
			d.Unproven = last.Remaining(p.Steps)
		case !last.Over && last.Phase == deploy.Begun:
			left = last.Left(p.have, p.Steps, "")
		case last.Over:
			left = last.Doubtful(p.have, p.Steps, "")
		}
	}
	p.Adopted = len(left)
	if len(d.Unproven) > 0 && p.cfg.looks() {
		p.Before = last // there is nothing to send for it, but all may be fresh by now
	}
	if len(p.Steps)+len(left) == 0 {
		if last != nil && !last.Over && last.Phase == deploy.Begun {
			// Nothing that it began was done: it is over, and so that the next one does
			// not look at it again that is written down.
			p.Deploy = d
			d.ID, d.Steps, d.Changes = last.ID, []deploy.Step{}, []freshet.Change{}
		}
		return nil
	}
	if d.ID, err = deploy.Name(d.After, rand.Text(), d.Steps, left); err != nil {
		return err
	}
	d.Changes = deploy.Changes(d.Bucket, d.ID, d.Steps)
	for _, c := range left {
		c.Version = d.ID
		d.Changes = append(d.Changes, c)
	}
	slices.SortFunc(d.Changes, func(a, b freshet.Change) int { return strings.Compare(a.Key, b.Key) })
	p.Deploy = d
	if d.Elsewhere {
		return nil
	}
	made, err := p.cfg.Line.Plan(d.Changes, p.have)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	d.Plan = &made
	return nil
}

// looks reports whether somebody looks whether viewers get what is new.
func (c Config) looks() bool { return c.Line.Verify != nil || c.Line.Follow != nil }

// Nothing reports whether everything is as it is to be.
func (p *Prepared) Nothing() bool { return p.Deploy == nil && p.Before == nil }

// Have is what the bucket holds before the deploy.
func (p *Prepared) Have() []deploy.Present { return p.have }
