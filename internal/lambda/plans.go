package lambda

import (
	"errors"
	"slices"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/plan"
)

// plans makes one plan, unless that is against the guard rails: then one for each
// half, so that what is refused does not take the rest with it. What can only be
// refused goes to failed.
func plans(in plan.Input, failed func([]freshet.Change, error)) ([]freshet.Plan, error) {
	made, err := plan.Make(in)
	var refused *plan.Refused
	switch {
	case err == nil:
		return []freshet.Plan{made}, nil
	case !errors.As(err, &refused):
		return nil, err
	case len(in.Changes) == 1:
		failed(in.Changes, err)
		return nil, nil
	}
	var all []freshet.Plan
	for _, half := range halves(in) {
		plans, err := plans(half, failed)
		if err != nil {
			return nil, err
		}
		all = append(all, plans...)
	}
	return all, nil
}

// halves divides two changes at least, and none of their consistency groups
// unless one is all there is.
func halves(in plan.Input) (parts [2]plan.Input) {
	whole := together(in)
	if len(whole) == 1 {
		whole = slices.Collect(slices.Chunk(in.Changes, 1))
	}
	for i, list := range [][][]freshet.Change{whole[:len(whole)/2], whole[len(whole)/2:]} {
		parts[i] = in
		parts[i].Changes, parts[i].Targets, parts[i].Superseded, parts[i].Unrouted = slices.Concat(list...), nil, nil, nil
	}
	first := make(map[object]bool, len(parts[0].Changes))
	for _, c := range parts[0].Changes {
		first[object{c.Origin, c.Key}] = true
	}
	for _, t := range in.Targets {
		i := 1
		if first[object{t.Origin, t.Key}] {
			i = 0
		}
		parts[i].Targets = append(parts[i].Targets, t)
	}
	return parts
}

// together are the changes of each consistency group, and every other by itself.
func together(in plan.Input) (whole [][]freshet.Change) {
	groups := make(map[object]string)
	for _, t := range in.Targets {
		if t.Group != "" {
			groups[object{t.Origin, t.Key}] = t.Group
		}
	}
	places := make(map[string]int)
	for _, c := range in.Changes {
		group := groups[object{c.Origin, c.Key}]
		place, known := places[group]
		if group == "" || !known {
			place, places[group] = len(whole), len(whole)
			whole = append(whole, nil)
		}
		whole[place] = append(whole[place], c)
	}
	return whole
}
