// Package doctor looks at a bucket, the distributions in front of it and what
// stands between them, and says for each thing that people get wrong what was
// seen and what to do.
//
// What is looked at is gathered first and judged afterwards, by functions that
// know neither the network nor the clock.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Level is how much a finding matters.
type Level int

// The levels, the harmless first.
const (
	OK      Level = iota // as it should be
	Note                 // good to know, not looked at, or does not apply
	Warning              // content may be stale, or more than needed is invalidated
	Error                // does not work
)

var _ json.Marshaler = OK

// String is the level in lower case.
func (l Level) String() string {
	if names := [...]string{"ok", "note", "warning", "error"}; l >= 0 && int(l) < len(names) {
		return names[l]
	}
	return fmt.Sprintf("level %d", int(l))
}

// MarshalJSON writes the level's name.
func (l Level) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// Finding is what one check has to say.
type Finding struct {
	Level        Level  `json:"level"`
	Check        string `json:"check"`
	Distribution string `json:"distribution,omitempty"` // ID; empty where it is about the account or the bucket
	Saw          string `json:"saw"`
	Do           string `json:"do,omitempty"` // empty where there is nothing to do
}

// Worst is the highest level among findings, and OK where there are none.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// Examine gathers and judges. It always returns findings: what cannot be looked
// at is one.
func Examine(ctx context.Context, cfg Config) []Finding {
	return Judge(gather(ctx, cfg.withDefaults()))
}

// Judge says what is to be said about what was seen. Every check says something
// about every distribution.
func Judge(s Seen) []Finding {
	findings := slices.Concat(s.credentials(), s.region(), s.found())
	for i := range s.Sites {
		site := &s.Sites[i]
		if site.Err != nil {
			findings = append(findings, s.unreadableSite(site))
			continue
		}
		for _, check := range [...]func(*Site) []Finding{
			s.distribution, s.reach, s.origins, s.caching, s.errorsKept, s.functions, s.quota, s.canary,
		} {
			for _, f := range check(site) {
				f.Distribution = site.ID
				findings = append(findings, f)
			}
		}
	}
	return slices.Concat(findings, s.events(), s.worker(), s.keys(), s.browsers())
}
