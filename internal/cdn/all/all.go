// Package all lists the CDNs that freshet knows.
package all

import (
	"context"
	"fmt"
	"strings"

	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/cdn/local"
)

// Setup is what a driver is made from.
type Setup struct {
	// Decode reads the driver's own part of the configuration into the value it
	// is given and fails on keys that the value does not have. Nil stands for an
	// empty part.
	Decode func(into any) error

	// Edge is the register of the edge in this process; nil where none runs.
	Edge local.Register
}

// Driver is a kind of CDN under the name that configurations use.
type Driver struct {
	Name string
	Open func(context.Context, Setup) (cdn.Driver, error)
}

// Drivers returns all drivers, sorted by name. A new CDN is one more line here.
func Drivers() []Driver {
	return []Driver{
		{"cloudfront", openCloudFront},
		{"edge", openEdge},
	}
}

// Open makes the driver of the given name. The error for an unknown one names
// those there are.
func Open(ctx context.Context, name string, setup Setup) (cdn.Driver, error) {
	var names []string
	for _, d := range Drivers() {
		if d.Name == name {
			driver, err := d.Open(ctx, setup)
			if err != nil {
				return nil, fmt.Errorf("open the CDN driver %s: %w", name, err)
			}
			return driver, nil
		}
		names = append(names, d.Name)
	}
	return nil, fmt.Errorf("there is no CDN driver %q, only %s", name, strings.Join(names, ", "))
}

func openCloudFront(ctx context.Context, setup Setup) (cdn.Driver, error) {
	var cfg cloudfront.Config
	if err := setup.decode(&cfg); err != nil {
		return nil, err
	}
	return cloudfront.New(ctx, cfg)
}

func openEdge(_ context.Context, setup Setup) (cdn.Driver, error) {
	if err := setup.decode(&struct{}{}); err != nil {
		return nil, err
	}
	if setup.Edge == nil {
		return nil, fmt.Errorf("no edge runs in this process: use the driver cloudfront with the edge's URL as its endpoint")
	}
	return local.New(setup.Edge), nil
}

func (s Setup) decode(into any) error {
	if s.Decode == nil {
		return nil
	}
	if err := s.Decode(into); err != nil {
		return fmt.Errorf("read its configuration: %w", err)
	}
	return nil
}
