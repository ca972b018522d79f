package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/work"
)

// Work says what is run after a change.
type Work struct {
	Name        string            `yaml:"name,omitempty" json:"name,omitempty"` // by which it is known; empty: Match
	Match       string            `yaml:"match" json:"match"`                   // glob of object keys; * is any run of characters, slashes included
	Except      []string          `yaml:"except,omitempty" json:"except,omitempty"`
	Run         []string          `yaml:"run" json:"run"` // program and arguments; no shell
	Environment map[string]string `yaml:"environment,omitempty" json:"environment,omitempty"`
	Path        string            `yaml:"path,omitempty" json:"path,omitempty"` // where the program is looked for
	Timeout     Duration          `yaml:"timeout,omitempty" json:"timeout,omitzero"`
	Outputs     []Output          `yaml:"outputs" json:"outputs"`
	Also        []string          `yaml:"also,omitempty" json:"also,omitempty"` // URLs of what shows the outputs
	MaxOutput   Size              `yaml:"max_output,omitempty" json:"max_output,omitzero"`
	Retries     *int              `yaml:"retries,omitempty" json:"retries,omitempty"` // nil: the usual
	OnDelete    string            `yaml:"on_delete,omitempty" json:"on_delete,omitempty"`
}

// Output is a file that work makes, and the object that it becomes.
type Output struct {
	File         string `yaml:"file" json:"file"`
	Key          string `yaml:"key" json:"key"`
	Type         string `yaml:"type,omitempty" json:"type,omitempty"` // empty: by the key's ending
	CacheControl string `yaml:"cache_control,omitempty" json:"cache_control,omitempty"`
	Optional     bool   `yaml:"optional,omitempty" json:"optional,omitempty"` // it need not be there
}

// What becomes of outputs when the object is deleted.
const (
	onDeleteDelete = "delete" // the default
	onDeleteKeep   = "keep"
)

// WorkRules are the rules of work, with everything that holds.
func (c Config) WorkRules() (rules []work.Rule) {
	for _, w := range c.Work {
		r := work.Rule{
			Name: w.Name, Match: w.Match, Except: w.Except, Run: w.Run, Environment: w.Environment, Also: w.Also,
			Path: cmp.Or(w.Path, work.DefaultPath), Timeout: cmp.Or(time.Duration(w.Timeout), work.DefaultTimeout),
			MaxOutput: cmp.Or(int64(w.MaxOutput), work.DefaultMaxOutput), Retries: work.DefaultRetries, Keep: w.OnDelete == onDeleteKeep,
		}
		if w.Retries != nil {
			r.Retries = *w.Retries
		}
		for _, o := range w.Outputs {
			r.Outputs = append(r.Outputs, work.Output(o))
		}
		rules = append(rules, r)
	}
	return rules
}

// Routing are the rules of routing: those of the file, and what shows the outputs
// of work.
func (c Config) Routing() route.Rules {
	rules := c.Routes
	rules.Derived = slices.Clone(rules.Derived)
	for _, s := range work.Also(c.WorkRules()) {
		rules.Derived = append(rules.Derived, route.Derived{Key: s.Key, URLs: s.URLs})
	}
	return rules
}

func (c Config) checkWork() error {
	var problems []error
	if c.Workers < 0 {
		problems = append(problems, errors.New("workers: must not be negative"))
	}
	for i, w := range c.Work {
		if !slices.Contains([]string{"", onDeleteDelete, onDeleteKeep}, w.OnDelete) {
			problems = append(problems, fmt.Errorf("work[%d].on_delete: %q is neither %s nor %s", i, w.OnDelete, onDeleteDelete, onDeleteKeep))
		}
	}
	if err := work.Check(c.WorkRules()); err != nil {
		problems = append(problems, fmt.Errorf("work: %w", err))
	} else if len(c.Work) > 0 && c.Routes.Check() == nil {
		if err := c.Routing().Check(); err != nil {
			problems = append(problems, fmt.Errorf("work, also: %w", err))
		}
	}
	return errors.Join(problems...)
}
