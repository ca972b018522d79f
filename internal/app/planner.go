package app

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/distribution/load"
	"github.com/freshet/freshet/internal/inventory"
	"github.com/freshet/freshet/internal/inventory/listing"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
)

// Planner plans and explains by a configuration alone. Nothing has to run.
type Planner struct {
	Distributions []distribution.Distribution
	Router        *route.Router
	Terms         plan.Terms
	Warnings      []string // about the distributions' files
	Inventories   map[string]*inventory.Inventory
	Sure          func(freshet.Target) []string // see plan.Input; nil: what the inventories have
	Attempt       int                           // how often the same changes were completed and found stale before

	loaded   load.Result // from the distributions' files
	scripts  *scripts
	logsOnly bool // Inventories lack what nobody asked for
}

// NewPlanner reads the distributions that cfg names; without any it is that of
// the embedded edge.
func NewPlanner(cfg config.Config) (*Planner, error) {
	p := &Planner{Terms: cfg.Plan}
	if len(cfg.Distributions) == 0 {
		id := "EXAMPLE"
		if identity, err := DataDir(cfg.Data).KnownIdentity(); err == nil {
			id = identity.Distribution
		}
		p.Distributions = []distribution.Distribution{cfg.Front(distribution.ForBucket(id, cfg.Bucket))}
	} else if err := p.load(cfg.Distributions); err != nil {
		return nil, err
	}
	return p, p.prepare(cfg)
}

// PlannerOf plans for distributions that were read elsewhere.
func PlannerOf(all []distribution.Distribution, cfg config.Config) (*Planner, error) {
	p := &Planner{Terms: cfg.Plan, Distributions: all}
	var idle []string
	cfg.Routes, idle = cfg.Routes.Among(all)
	for _, rule := range idle {
		p.Warnings = append(p.Warnings, "routes: "+rule+" names none of the distributions here, and rests")
	}
	return p, p.prepare(cfg)
}

// prepare reads the functions and prepares routing.
func (p *Planner) prepare(cfg config.Config) error {
	silent := slog.New(slog.DiscardHandler)
	scripts, err := readScripts(cfg.Functions, silent)
	if err == nil {
		// What does not compile makes nothing of a URL, and explain says so.
		err = addDescribed(scripts, p.loaded.Functions, func(string) bool { return false }, silent)
	}
	if err != nil {
		return err
	}
	p.scripts = newScripts(scripts)
	if p.Router, err = route.NewWith(p.Distributions, cfg.Routing(), p.scripts.routing()); err != nil {
		return fmt.Errorf("prepare routing: %w", err)
	}
	return nil
}

// Holds takes in what a bucket holds, keys and sizes, as what is live at the
// distributions.
func (p *Planner) Holds(bucket string, objects iter.Seq2[string, int64]) {
	p.HoldsTagged(bucket, objects, nil)
}

// HoldsTagged also knows by key which cache tags an object's copies may carry.
func (p *Planner) HoldsTagged(bucket string, objects iter.Seq2[string, int64], tags map[string][]string) {
	b := &stocking{planner: p, builders: make(map[string]*inventory.Builder)}
	for key, size := range objects {
		b.add(listing.Object{Bucket: bucket, Key: key, Size: size, Tags: tags[key]})
	}
	b.finish()
}

func (p *Planner) load(files []config.DistributionFile) (err error) {
	p.loaded, err = loadFiles(files, "")
	for _, w := range p.loaded.Warnings {
		p.Warnings = append(p.Warnings, w.String())
	}
	p.Distributions = p.loaded.Distributions
	return err
}

// loadFiles reads the distributions' files, in which there is at least one. A
// bucket, if there is one, stands for those whose names only CloudFormation knows.
// The files and what was odd are known after an error as well.
func loadFiles(files []config.DistributionFile, bucket string) (load.Result, error) {
	var sources []load.Source
	for _, f := range files {
		sources = append(sources, load.Source{Path: f.File, Options: load.Options{
			ID: f.ID, DomainName: f.DomainName, Parameters: f.Parameters, Resources: f.Resources,
			Region: f.Region, AccountID: f.Account, StackName: f.Stack, KeyValueStores: f.KVS, Bucket: bucket,
		}})
	}
	loaded, err := load.Sources(sources)
	if err == nil && len(loaded.Distributions) == 0 {
		err = errors.New("no distribution is in " + names(files))
	}
	return loaded, err
}

func names(files []config.DistributionFile) string {
	var list []string
	for _, f := range files {
		list = append(list, f.File)
	}
	return strings.Join(list, ", ")
}

// Make plans changes, as freshet up would if live is set.
func (p *Planner) Make(changes []freshet.Change, live bool) (freshet.Plan, error) {
	in := plan.Input{Terms: &p.Terms, Inventories: p.Inventories, Sure: p.Sure, Live: live, Attempt: p.Attempt}
	for _, d := range p.Distributions {
		profile := cloudfront.ProfileOf(d.ID, d.Hosts())
		profile.Tags = d.Config.CacheTagConfig != nil
		in.Profiles = append(in.Profiles, profile)
	}
	in.Changes, in.Superseded = freshet.Latest(changes)
	var seen func(origin, key string) bool
	if p.Inventories != nil && !p.logsOnly {
		seen = func(origin, key string) bool { return changed(in.Superseded, origin, key) || p.seen(origin, key) }
	}
	in.Targets, in.Unrouted = p.Router.Targets(in.Changes, seen)
	return plan.Make(in)
}

// changed reports whether one of changes, which are sorted by origin and key, is
// of the object: then something was under its key.
func changed(changes []freshet.Change, origin, key string) bool {
	_, found := slices.BinarySearchFunc(changes, [2]string{origin, key}, func(c freshet.Change, o [2]string) int {
		return cmp.Or(strings.Compare(c.Origin, o[0]), strings.Compare(c.Key, o[1]))
	})
	return found
}

// seen reports whether an inventory has the object, or there is none where it
// would be.
func (p *Planner) seen(origin, key string) bool {
	own := p.Router.Own(origin, key)
	for _, o := range own {
		live := p.Inventories[o.Distribution]
		if live == nil {
			return true
		}
		if _, ok := live.Find(o.URL); ok {
			return true
		}
	}
	return len(own) == 0
}
