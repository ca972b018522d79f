package edge

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// served is what an edge serves at one moment. It is never changed.
type served struct {
	sites    []*site
	byID     map[string]*site
	byNumber map[uint32]*site
	hosts    hosts
}

// serving is what the edge serves now. A request that began with an earlier one
// is answered by that.
func (e *Edge) serving() *served { return e.served.Load() }

// Apply has the edge serve exactly the given distributions, none included. When
// it returns, requests that arrive later are answered by them. On an error
// everything stays as it was.
//
// What is cached of a distribution stays if nothing changed that could decide
// what a viewer gets: its name, aliases, comment or certificate may change, for
// example. Otherwise the distribution begins with an empty cache, other than
// CloudFront's, which goes on with what it has: so nobody sees what the former
// configuration would have answered.
func (e *Edge) Apply(distributions []distribution.Distribution) error {
	e.applying.Lock()
	defer e.applying.Unlock()
	old := e.serving()
	next := &served{byID: make(map[string]*site), byNumber: make(map[uint32]*site)}
	for _, d := range distributions {
		s, err := e.renewed(old.byID[d.ID], d)
		if err != nil {
			return err
		}
		if next.byID[d.ID] != nil {
			return fmt.Errorf("two distributions have the ID %q", d.ID)
		}
		next.add(s)
	}
	var err error
	if next.hosts, err = newHosts(next.sites); err != nil {
		return err
	}
	if next.hosts.only == nil {
		next.hosts.only = next.byID[e.first]
	}
	if err := e.tier.adoptAll(next); err != nil {
		return err
	}
	e.served.Store(next)
	e.retire(old, next)
	e.requestSweep()
	return nil
}

func (s *served) add(added *site) {
	s.sites = append(s.sites, added)
	s.byID[added.config.ID] = added
	s.byNumber[added.number] = added
}

// renewed returns the site of d: old itself if nothing changed, one that goes on
// with old's cache, or a new one.
func (e *Edge) renewed(old *site, d distribution.Distribution) (*site, error) {
	if old != nil && reflect.DeepEqual(old.config, d) {
		return old, nil
	}
	made, err := newSite(e.nextNumber, d, &e.config, e.store)
	if err != nil {
		return nil, err
	}
	if old != nil && reflect.DeepEqual(deciding(old.config), deciding(d)) {
		made.number, made.epochs, made.underway = old.number, old.epochs, old.underway
		made.tier, made.lineage = old.tier, old.lineage
		return made, nil
	}
	e.nextNumber++
	return made, nil
}

// deciding is d without what decides nothing of what a viewer gets.
func deciding(d distribution.Distribution) distribution.Distribution {
	d.DomainName, d.LastModified = "", time.Time{}
	c := &d.Config
	c.CallerReference, c.Comment, c.Enabled, c.Staging, c.Aliases = "", "", false, false, nil
	c.PriceClass, c.HTTPVersion, c.IsIPV6Enabled, c.WebACLID = "", "", false, ""
	c.ViewerCertificate, c.Logging = nil, nil
	return d
}

// retire keeps the counts of sites that are served no more, and lets go of their
// connections. Those that are in use end soon after they were.
func (e *Edge) retire(old, next *served) {
	for _, s := range old.sites {
		if next.byNumber[s.number] == nil {
			e.retired.Add(s.epochs.invalidations())
		}
		if next.byID[s.config.ID] != s {
			s.close()
		}
	}
}

// firstServed is Apply for a new edge.
func (e *Edge) firstServed(c Config) error {
	if len(c.Distributions) == 0 {
		return errors.New("an edge needs distributions")
	}
	e.config = c
	if e.first = c.First; e.first == "" && len(c.Distributions) == 1 {
		e.first = c.Distributions[0].ID
	}
	return e.Apply(c.Distributions)
}
