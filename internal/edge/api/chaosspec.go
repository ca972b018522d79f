package api

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Trouble is one way in which something goes wrong.
type Trouble string

// The troubles of calls, in the order in which they count, and those of
// invalidations.
const (
	Slow        Trouble = "slow"        // the call begins later
	Throttle    Trouble = "throttle"    // Throttling, HTTP 400, and nothing is done
	Unavailable Trouble = "unavailable" // ServiceUnavailable, HTTP 503, and nothing is done
	Lose        Trouble = "lose"        // the call is carried out and the connection breaks
	Complete    Trouble = "complete"    // the invalidation stays in progress for a while
	Stuck       Trouble = "stuck"       // and until the chaos is changed
)

// ChaosGrammar explains the text of a ChaosSpec.
const ChaosGrammar = `SPEC is a list of rules with commas in between:
  throttle[=SHARE]       the call is answered Throttling (400) and not carried out
  unavailable[=SHARE]    the call is answered ServiceUnavailable (503) and not carried out
  slow=TIME[@SHARE]      the call begins TIME later
  lose[=SHARE]           the call is carried out, and then the connection breaks
  complete=TIME[@SHARE]  an invalidation stays in progress for TIME
  stuck[=SHARE]          an invalidation stays in progress until the chaos is changed
  only=OPERATION[+...]   which calls are meant, such as CreateInvalidation; all if missing
  seed=NUMBER            decides which calls a percentage means; the same ones each time
SHARE is N for every Nth, or P% for so many of a hundred; all if missing. TIME is 2s or 150ms.
Example: throttle=5,slow=200ms@30%,complete=20s,only=CreateInvalidation,seed=7`

// ChaosRule says how much of what goes wrong. With neither Every nor Percent it
// is all.
type ChaosRule struct {
	Every   int           // the nth, 2nth, ...
	Percent float64       // of a hundred
	For     time.Duration // of Slow and Complete
}

// ChaosSpec is a list of rules, one for each trouble at most. The zero value is
// none.
type ChaosSpec struct {
	Rules map[Trouble]ChaosRule
	Only  []string // operations whose calls are meant; empty: all
	Seed  uint64
}

func (s ChaosSpec) concerns(operation string) bool {
	return len(s.Only) == 0 || slices.Contains(s.Only, operation)
}

// troubles are all of them, as they are written, and whether they take a time.
func troubles() []struct {
	name  Trouble
	timed bool
} {
	return []struct {
		name  Trouble
		timed bool
	}{{Throttle, false}, {Unavailable, false}, {Slow, true}, {Lose, false}, {Complete, true}, {Stuck, false}}
}

// ParseChaos reads a spec. An empty text is the zero spec.
func ParseChaos(text string) (ChaosSpec, error) {
	spec := ChaosSpec{Rules: make(map[Trouble]ChaosRule)}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, given := strings.Cut(part, "=")
		if err := spec.read(name, value, given); err != nil {
			return ChaosSpec{}, fmt.Errorf("read chaos %q: %w", part, err)
		}
	}
	return spec, nil
}

func (s *ChaosSpec) read(name, value string, given bool) (err error) {
	switch name {
	case "seed":
		s.Seed, err = strconv.ParseUint(value, 10, 64)
		return err
	case "only":
		return s.readOnly(value)
	}
	for _, t := range troubles() {
		if string(t.name) != name {
			continue
		}
		if _, twice := s.Rules[t.name]; twice {
			return fmt.Errorf("%s is there already", name)
		}
		s.Rules[t.name], err = readRule(value, given, t.timed)
		return err
	}
	return fmt.Errorf("%q is none of throttle, unavailable, slow, lose, complete, stuck, only and seed", name)
}

func (s *ChaosSpec) readOnly(value string) error {
	known := operations()
	for name := range strings.SplitSeq(value, "+") {
		if !slices.ContainsFunc(known, func(o operation) bool { return o.name == name }) {
			return fmt.Errorf("there is no operation %q", name)
		}
		s.Only = append(s.Only, name)
	}
	return nil
}

func readRule(value string, given, timed bool) (r ChaosRule, err error) {
	if timed {
		var span string
		span, value, given = strings.Cut(value, "@")
		if r.For, err = time.ParseDuration(span); err != nil || r.For <= 0 {
			return ChaosRule{}, fmt.Errorf("%q is no time such as 2s or 150ms", span)
		}
	}
	if !given {
		return r, nil
	}
	if percent, ok := strings.CutSuffix(value, "%"); ok {
		r.Percent, err = strconv.ParseFloat(percent, 64)
		if err != nil || !(r.Percent > 0 && r.Percent <= 100) {
			return ChaosRule{}, fmt.Errorf("%q is not between 0%% and 100%%", value)
		}
		return r, nil
	}
	if r.Every, err = strconv.Atoi(value); err != nil || r.Every < 1 {
		return ChaosRule{}, fmt.Errorf("%q is neither a number such as 5, for every fifth, nor a percentage such as 20%%", value)
	}
	return r, nil
}

// String is a text that ParseChaos reads as s.
func (s ChaosSpec) String() string {
	var parts []string
	for _, t := range troubles() {
		if r, ok := s.Rules[t.name]; ok {
			parts = append(parts, r.text(t.name, t.timed))
		}
	}
	if len(s.Only) > 0 {
		parts = append(parts, "only="+strings.Join(s.Only, "+"))
	}
	if s.Seed != 0 {
		parts = append(parts, "seed="+strconv.FormatUint(s.Seed, 10))
	}
	return strings.Join(parts, ",")
}

func (r ChaosRule) text(t Trouble, timed bool) string {
	share := ""
	switch {
	case r.Every > 0:
		share = strconv.Itoa(r.Every)
	case r.Percent > 0:
		share = strconv.FormatFloat(r.Percent, 'f', -1, 64) + "%"
	}
	switch {
	case timed && share != "":
		return string(t) + "=" + r.For.String() + "@" + share
	case timed:
		return string(t) + "=" + r.For.String()
	case share != "":
		return string(t) + "=" + share
	}
	return string(t)
}
