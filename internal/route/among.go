package route

import (
	"fmt"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
)

// Among returns the rules as far as they are about the given distributions, and
// which ones are left out because they name others only.
func (r Rules) Among(distributions []distribution.Distribution) (about Rules, idle []string) {
	here := func(ids []string) ([]string, bool) {
		known := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			return !slices.ContainsFunc(distributions, func(d distribution.Distribution) bool { return d.ID == id })
		})
		return known, len(known) > 0 || len(ids) == 0
	}
	about = r
	about.Rewrites, about.Derived = nil, nil
	for i, w := range r.Rewrites {
		var ok bool
		if w.Distributions, ok = here(w.Distributions); ok {
			about.Rewrites = append(about.Rewrites, w)
		} else {
			idle = append(idle, fmt.Sprintf("rewrites[%d] (%s)", i, w.URL))
		}
	}
	for i, d := range r.Derived {
		var ok bool
		if d.Distributions, ok = here(d.Distributions); ok {
			about.Derived = append(about.Derived, d)
		} else {
			idle = append(idle, fmt.Sprintf("derived[%d] (%s)", i, d.Key))
		}
	}
	return about, idle
}
