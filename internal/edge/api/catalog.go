package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// CatalogConfig is what a catalog works with.
type CatalogConfig struct {
	// Shelf keeps what was configured. Nil is a catalog that can be read only.
	Shelf Shelf

	// BuiltIn are the distributions of the configuration file, with their policies
	// and key groups. They can be read and updated, but not deleted. An update holds
	// until the file says something else of the distribution than when it was made,
	// as Rebuild tells.
	BuiltIn []distribution.Distribution

	// Apply has the edge serve exactly these distributions; when it returns, it
	// does. It is called before a change is durable, and once more with the former
	// distributions if it never becomes so. Never concurrently. Nil does nothing.
	Apply func([]distribution.Distribution) error

	// Publishing is called before a function's code is published; an error stops
	// that. The code may come to nothing if it cannot be kept. Never concurrently
	// with itself or Apply. Nil does nothing.
	Publishing func(LiveFunction) error

	Deploy  time.Duration    // for how long a changed distribution's status is InProgress
	Account string           // twelve digits, in ARNs; empty is 000000000000
	Now     func() time.Time // nil is time.Now
}

// Catalog holds what the API configures: distributions and what they use.
// Its methods may be called concurrently.
type Catalog struct {
	cfg      CatalogConfig
	opened   time.Time
	changing sync.Mutex
	state    atomic.Pointer[state]
}

// state is all of the catalog at one moment. It is never changed.
type state struct {
	builtIn       []distribution.Distribution
	resources     map[resourceKey]*resource
	distributions []distribution.Distribution // by ID; each with the policies it uses
	same          bool                        // the edge serves these already
}

// OpenCatalog reads the shelf. Apply is not called: give the edge what
// Distributions returns.
func OpenCatalog(ctx context.Context, cfg CatalogConfig) (*Catalog, error) {
	cfg.Account = cmp.Or(cfg.Account, "000000000000")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Apply == nil {
		cfg.Apply = func([]distribution.Distribution) error { return nil }
	}
	c := &Catalog{cfg: cfg, opened: cfg.Now().UTC()}
	resources := make(map[resourceKey]*resource)
	if err := c.build(resources, cfg.BuiltIn, c.opened); err != nil {
		return nil, err
	}
	if err := c.load(ctx, resources); err != nil {
		return nil, fmt.Errorf("read what was configured through the API: %w", err)
	}
	c.state.Store(c.newState(resources, cfg.BuiltIn))
	return c, nil
}

// build adds the distributions of the configuration file, which is as old as
// modified where they do not say it themselves.
func (c *Catalog) build(resources map[resourceKey]*resource, built []distribution.Distribution, modified time.Time) error {
	for _, d := range built {
		key := resourceKey{distributionKind, d.ID}
		if resources[key] != nil {
			return fmt.Errorf("two distributions have the ID %q", d.ID)
		}
		from, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("name the version of distribution %s: %w", d.ID, err)
		}
		modified := modified
		if !d.LastModified.IsZero() {
			modified = d.LastModified
		}
		// A template has none, and a client must be able to send back what it read.
		d.Config.CallerReference = cmp.Or(d.Config.CallerReference, d.ID)
		parts := partsOf(d)
		parts[key] = distributionConfig{d.Config}
		for key, config := range parts {
			resources[key] = &resource{key: key, created: modified, modified: modified, config: config, builtFrom: shortHash(string(from))}
		}
	}
	return nil
}

// load adds what the shelf keeps. What the configuration file has said something
// else of since gives way to the file.
func (c *Catalog) load(ctx context.Context, resources map[resourceKey]*resource) error {
	if c.cfg.Shelf == nil {
		return nil
	}
	return c.cfg.Shelf.All(ctx, func(value []byte) error {
		r, err := unmarshalResource(value)
		if err != nil || r == nil {
			return err
		}
		built := resources[r.key]
		switch {
		case built != nil && built.builtFrom != r.builtFrom:
			return nil
		case built == nil && r.builtFrom != "":
			return nil // the file has it no more
		}
		resources[r.key] = r
		return nil
	})
}

func (c *Catalog) newState(resources map[resourceKey]*resource, built []distribution.Distribution) *state {
	s := &state{resources: resources, builtIn: built}
	for _, r := range s.all(distributionKind) {
		s.distributions = append(s.distributions, s.assemble(r))
	}
	return s
}

// all are the resources of a kind, by ID.
func (s *state) all(kind kindName) []*resource {
	var found []*resource
	for key, r := range s.resources {
		if key.kind == kind {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *resource) int { return strings.Compare(a.key.id, b.key.id) })
	return found
}

// assemble puts a distribution together with what it uses.
func (s *state) assemble(r *resource) distribution.Distribution {
	d := distribution.Distribution{ID: r.key.id, DomainName: strings.ToLower(r.key.id) + distribution.LocalSuffix, LastModified: r.modified}
	if i := slices.IndexFunc(s.builtIn, func(b distribution.Distribution) bool { return b.ID == r.key.id }); i >= 0 {
		d = s.builtIn[i]
		d.LastModified = r.modified
	}
	if config, ok := r.config.(distributionConfig); ok {
		d.Config = config.Config
	}
	s.addPolicies(&d)
	return d
}

// Distributions are all there are, by ID, each with the custom policies that it
// uses. The caller must not change them.
func (c *Catalog) Distributions() []distribution.Distribution { return c.state.Load().distributions }

// distribution finds one of the assembled ones.
func (s *state) distribution(id string) (distribution.Distribution, error) {
	i, ok := slices.BinarySearchFunc(s.distributions, id, func(d distribution.Distribution, id string) int { return strings.Compare(d.ID, id) })
	if !ok {
		return distribution.Distribution{}, noSuchDistribution(id)
	}
	return s.distributions[i], nil
}

// put makes a resource, or a new version of one, durable and visible. judge may
// refuse it, given all that there would be.
func (c *Catalog) put(ctx context.Context, draft func(*state) (*resource, error), judge func(*state, *resource) error) (*resource, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	now := c.state.Load()
	r, err := draft(now)
	if err != nil {
		return nil, err
	}
	resources := clone(now.resources)
	resources[r.key] = r
	next := c.after(now, resources, r.key.kind)
	if err := judge(next, r); err != nil {
		return nil, err
	}
	value, err := r.marshal()
	if err != nil {
		return nil, err
	}
	if f, ok := c.live(r); ok && c.cfg.Publishing != nil {
		if err := c.cfg.Publishing(f); err != nil {
			return nil, refuse(InvalidArgument, "The function cannot be published: %s", err)
		}
	}
	return r, c.become(ctx, next, func(ctx context.Context) error { return c.cfg.Shelf.Put(ctx, r.key.shelfKey(), value) })
}

// remove deletes the resource that chosen returns.
func (c *Catalog) remove(ctx context.Context, chosen func(*state) (*resource, error)) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	now := c.state.Load()
	r, err := chosen(now)
	if err != nil {
		return err
	}
	resources := clone(now.resources)
	delete(resources, r.key)
	return c.become(ctx, c.after(now, resources, r.key.kind), func(ctx context.Context) error { return c.cfg.Shelf.Delete(ctx, r.key.shelfKey()) })
}

// after is the state after a change of something of a kind. What functions and
// key value stores hold is no part of any distribution.
func (c *Catalog) after(now *state, resources map[resourceKey]*resource, changed kindName) *state {
	if changed == functionKind || changed == storeKind {
		return &state{builtIn: now.builtIn, resources: resources, distributions: now.distributions, same: true}
	}
	return c.newState(resources, now.builtIn)
}

func clone(resources map[resourceKey]*resource) map[resourceKey]*resource {
	next := make(map[resourceKey]*resource, len(resources)+1)
	for k, r := range resources {
		next[k] = r
	}
	return next
}

// become applies the next state to the edge, makes it durable and then visible.
// changing is held.
func (c *Catalog) become(ctx context.Context, next *state, keep func(context.Context) error) error {
	if c.cfg.Shelf == nil {
		return refuse(AccessDenied, "The configuration of this edge can be read only")
	}
	if next.same {
		if err := c.keep(ctx, next, keep); err != nil {
			return err
		}
		return nil
	}
	if err := c.cfg.Apply(next.distributions); err != nil {
		return refuse(InvalidArgument, "The edge cannot serve this configuration: %s", err)
	}
	err := c.keep(ctx, next, keep)
	if err != nil {
		if back := c.cfg.Apply(c.state.Load().distributions); back != nil {
			err.Err = errors.Join(err.Err, back)
		}
		return err
	}
	return nil
}

// keep makes the next state durable and then visible.
func (c *Catalog) keep(ctx context.Context, next *state, keep func(context.Context) error) *Error {
	// A client that hangs up must not leave half a change behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendWithin)
	defer cancel()
	if err := keep(ctx); err != nil {
		return unavailable("CloudFront encountered an internal error. Please try again.", fmt.Errorf("keep the configuration: %w", err))
	}
	c.state.Store(next)
	return nil
}

// arn names a resource; slash is distribution/E1, for example.
func (c *Catalog) arn(slash string) string {
	return "arn:aws:cloudfront::" + c.cfg.Account + ":" + slash
}

// status is Deployed, or InProgress for a while after a change. The edge has
// every change before the client knows of it; the while is for those who try out
// how they wait.
func (c *Catalog) status(modified time.Time) string {
	if c.cfg.Now().Before(modified.Add(c.cfg.Deploy)) && modified.After(c.opened) {
		return statusInProgress
	}
	return statusDeployed
}

const (
	statusDeployed   = "Deployed"
	statusInProgress = "InProgress"
)
