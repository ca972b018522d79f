package load

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/distribution/cloudformation"
)

// name gives the ID and the domain name of the options to the distribution that
// they are meant for, and warns of those that have none.
func (r *reader) name() {
	for asked, o := range r.asked {
		if f := r.meant(asked, o); f != nil {
			f.ID, f.named = cmp.Or(o.ID, f.ID), f.named || o.ID != ""
			f.DomainName = cmp.Or(o.DomainName, f.DomainName)
		}
	}
	for _, f := range r.found {
		switch {
		case f.named:
		case f.ID == "":
			r.warn(f.file, f.path, "the distribution has no ID in the file, and none was given, as by ID=%s", filepath.Base(f.file))
		default:
			r.warn(f.file, f.path, "CloudFormation alone knows the distribution's ID, and %s stands for it: give it as resource %s", f.ID, f.ID)
		}
	}
}

// meant returns the distribution that options name among those of their files,
// nil where they name none. Where they name one that is not there the error is noted.
func (r *reader) meant(asked int, o Options) *found {
	var all, nameless []*found
	for i := range r.found {
		f := &r.found[i]
		if f.asked != asked {
			continue
		}
		all = append(all, f)
		if f.named && f.ID == o.ID {
			return f
		}
		if !f.named {
			nameless = append(nameless, f)
		}
	}
	switch {
	case o.ID == "" && o.DomainName == "" || len(all) == 0:
		return nil
	case o.ID == "" && len(all) == 1:
		return all[0]
	case o.ID != "" && len(nameless) == 1:
		return nameless[0]
	}
	r.errs = append(r.errs, fmt.Errorf("distribution %s was asked for: %d were found, none has that ID, and %d have no ID",
		cmp.Or(o.ID, o.DomainName), len(all), len(nameless)))
	return nil
}

// compare refuses two of one ID that are not the same, and leaves out those
// that are, and summaries of what is there in full. What has its ID from a
// template only is told apart by its stack.
func (r *reader) compare() {
	full, count := make(map[string]found), make(map[string]int)
	for _, f := range r.found {
		count[f.ID]++
		if first, there := full[f.ID]; f.named && (!there || first.summary && !f.summary) {
			full[f.ID] = f
		}
	}
	kept := make(map[string]bool)
	r.found = slices.DeleteFunc(r.found, func(f found) bool {
		if !f.named {
			return false
		}
		best := full[f.ID]
		switch {
		case f.summary && !best.summary:
			return true
		case !same(best.Distribution, f.Distribution):
			r.errs = append(r.errs, fmt.Errorf("distribution %s is in %s and, otherwise, in %s", f.ID, best.file, f.file))
		}
		again := kept[f.ID]
		kept[f.ID] = true
		return again
	})
	for i := range r.found {
		if f := &r.found[i]; !f.named && f.ID != "" && count[f.ID] > 1 {
			f.ID = f.stack + "." + f.ID
			f.DomainName = cloudformation.Host(f.ID)
		}
	}
}

// same compares what is left of how it was written.
func same(a, b distribution.Distribution) bool {
	a.Normalize()
	b.Normalize()
	return reflect.DeepEqual(a.Config, b.Config)
}

// finish attaches what a distribution uses, checks it and
// normalizes it.
func (r *reader) finish(f *found) distribution.Distribution {
	r.attach(f)
	warnings, err := f.Check(f.path)
	for _, w := range warnings {
		r.warn(f.file, f.where(w.Path), "%s", w.Text)
	}
	for _, e := range separate(err) {
		var found *distribution.Error
		if errors.As(e, &found) {
			found.Path = f.where(found.Path)
		}
	}
	r.fail(f.file, err)
	f.Normalize()
	return f.Distribution
}

// where returns the path of what Check found, as it is in the file.
func (f *found) where(path string) string {
	config := below(f.path, "DistributionConfig")
	if rest, ok := strings.CutPrefix(path, config); ok && f.inline {
		return strings.TrimPrefix(f.path+rest, ".")
	}
	return path
}
