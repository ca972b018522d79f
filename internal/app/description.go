package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/distribution"
)

// description is what the files of a configuration say: distributions, under
// names that lead here, and functions.
type description struct {
	distributions []distribution.Distribution
	scripts       map[string]script // by ARN
	notes         []string          // about what was odd, or does not happen here
	files         []string          // that were read, or would have been
}

// describe reads the files that a configuration names. After an error the files
// and notes are known, and nothing else.
func describe(cfg config.Config, log *slog.Logger) (d description, err error) {
	for _, f := range cfg.Functions {
		d.files = append(d.files, f.File)
		if f.KVS != "" {
			d.files = append(d.files, f.KVS)
		}
	}
	scripts, err := readScripts(cfg.Functions, log)
	if err != nil || len(cfg.Distributions) == 0 {
		d.scripts = scripts
		return d, err
	}
	loaded, err := loadFiles(cfg.Distributions, cfg.Bucket)
	d.files = append(d.files, loaded.Files...)
	for _, w := range slices.Concat(loaded.Warnings, loaded.Gaps) {
		d.notes = append(d.notes, w.String())
	}
	if err != nil {
		return d, err
	}
	local(loaded.Distributions)
	if err := addDescribed(scripts, loaded.Functions, runBy(loaded.Distributions), log); err != nil {
		return d, err
	}
	d.distributions, d.scripts = loaded.Distributions, scripts
	return d, nil
}

// local gives distributions names that lead here, and those of files without an
// ID one by their place.
func local(all []distribution.Distribution) {
	for i := range all {
		d := &all[i]
		if d.ID == "" {
			d.ID = fmt.Sprintf("LOCAL%d", i+1)
		}
		d.DomainName = strings.ToLower(d.ID) + distribution.LocalSuffix
	}
}

// runBy returns the test for the functions that distributions run.
func runBy(all []distribution.Distribution) func(arn string) bool {
	used := make(map[string]bool)
	for i := range all {
		c := &all[i].Config
		for j := range len(c.CacheBehaviors) + 1 {
			for _, a := range c.BehaviorAt(j).FunctionAssociations {
				used[a.FunctionARN] = true
			}
		}
	}
	return func(arn string) bool { return used[arn] }
}

// openDescription comes before everything else, so that a mistake in a file costs
// nothing.
func (u *Up) openDescription(context.Context) (err error) {
	if u.described, err = describe(u.cfg, u.opts.Log); err != nil {
		return err
	}
	if all := u.described.distributions; u.opts.FilesFirst && len(all) > 0 {
		u.First = all[0].ID
	}
	u.scripts = newScripts(u.described.scripts)
	u.note(description{}, u.described)
	return nil
}

// note logs what was not said before.
func (u *Up) note(before, now description) {
	for _, n := range now.notes {
		if !slices.Contains(before.notes, n) {
			u.opts.Log.Warn("read the distributions", slog.String("note", n))
		}
	}
}

// builtIn are the distributions of the configuration: the one in front of the
// bucket, and those that its files describe.
func (u *Up) builtIn(d description) []distribution.Distribution {
	return append([]distribution.Distribution{u.distribution}, d.distributions...)
}
