package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet/freshet/internal/distribution"
)

// Rebuild puts what the configuration file says now in the place of what it said
// before. What it says as before stays as it is, with what the API has made of
// it; what it says otherwise gives that up. On an error, as one of Apply,
// everything stays as it was.
func (c *Catalog) Rebuild(ctx context.Context, built []distribution.Distribution) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	now := c.state.Load()
	resources := make(map[resourceKey]*resource)
	if err := c.build(resources, built, c.cfg.Now().UTC()); err != nil {
		return err
	}
	var given []resourceKey // up, although the API had made something else of them
	for key, was := range now.resources {
		said := resources[key]
		switch {
		case said == nil && was.builtFrom == "", said != nil && said.builtFrom == was.builtFrom:
			resources[key] = was
			continue
		case said != nil:
			said.version, said.created = was.version+1, was.created
		}
		if was.builtFrom != "" {
			given = append(given, key)
		}
	}
	next := c.newState(resources, built)
	if err := c.cfg.Apply(next.distributions); err != nil {
		return fmt.Errorf("the edge cannot serve this configuration: %w", err)
	}
	if err := c.forget(ctx, given); err != nil {
		return errors.Join(err, c.cfg.Apply(now.distributions))
	}
	c.state.Store(next)
	return nil
}

// forget removes what the shelf keeps of resources.
func (c *Catalog) forget(ctx context.Context, keys []resourceKey) error {
	if c.cfg.Shelf == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendWithin)
	defer cancel()
	for _, key := range keys {
		if err := c.cfg.Shelf.Delete(ctx, key.shelfKey()); err != nil {
			return fmt.Errorf("forget what was configured of %s %s: %w", key.kind, key.id, err)
		}
	}
	return nil
}
