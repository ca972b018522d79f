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
	Busy        Trouble = "busy"        // TooManyInvalidationsInProgress of CreateInvalidation, HTTP 400, and nothing is done
	Lose        Trouble = "lose"        // the call is carried out and the connection breaks
	Complete    Trouble = "complete"    // the invalidation stays in progress for a while
	Stuck       Trouble = "stuck"       // and until the chaos is changed
)

// ChaosGrammar explains the text of a ChaosSpec.
const ChaosGrammar = `SPEC is a list of rules with commas in between:
  throttle[=SHARE]       the call is answered Throttling (400) and not carried out
  unavailable[=SHARE]    the call is answered ServiceUnavailable (503) and not carried out
  busy[=SHARE]           CreateInvalidation is answered TooManyInvalidationsInProgress (400)
  slow=TIME[@SHARE]      the call begins TIME later
  lose[=SHARE]           the call is carried out, and then the connection breaks
  complete=TIME[@SHARE]  an invalidation stays in progress for TIME
  stuck[=SHARE]          an invalidation stays in progress until the chaos is changed
  only=OPERATION[+...]   which calls are meant, such as CreateInvalidation; all if missing
  RULE:OPERATION[+...]   which calls one of the rules on calls means
  seed=NUMBER            decides which calls a percentage means; the same ones each time
SHARE is N for every Nth, or P% for so many of a hundred; all if missing. TIME is 2s or 150ms.
Example: throttle=5:CreateInvalidation,slow=200ms@30%,complete=20s,seed=7`

// ChaosRule says how much of what goes wrong. With neither Every nor Percent it
// is all.
type ChaosRule struct {
	Only    []string      // operations whose calls are meant; empty: those of the spec
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

// concerns reports whether the calls of an operation are among those that the
// rule of a trouble means.
func (s ChaosSpec) concerns(t Trouble, operation string) bool {
	if t == Busy && operation != "CreateInvalidation" {
		return false
	}
	for _, only := range [][]string{s.Only, s.Rules[t].Only} {
		if len(only) > 0 && !slices.Contains(only, operation) {
			return false
		}
	}
	return true
}

// troubleForm is how a trouble is written.
type troubleForm struct {
	name   Trouble
	timed  bool // it takes a time
	called bool // it befalls calls, whose operations can be named
}

// troubles are all of them, in the order in which they are written.
func troubles() []troubleForm {
	return []troubleForm{
		{Throttle, false, true}, {Unavailable, false, true}, {Busy, false, false}, {Slow, true, true}, {Lose, false, true},
		{Complete, true, false}, {Stuck, false, false},
	}
}

// ParseChaos reads a spec. An empty text is the zero spec.
func ParseChaos(text string) (ChaosSpec, error) {
	spec := ChaosSpec{Rules: make(map[Trouble]ChaosRule)}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if err := spec.read(part); err != nil {
			return ChaosSpec{}, fmt.Errorf("read chaos %q: %w", part, err)
		}
	}
	return spec, nil
}

func (s *ChaosSpec) read(part string) (err error) {
	rule, operations, meant := strings.Cut(part, ":")
	name, value, given := strings.Cut(rule, "=")
	switch {
	case meant && (name == "seed" || name == "only"):
		return fmt.Errorf("%s takes no operations behind a colon", name)
	case name == "seed":
		s.Seed, err = strconv.ParseUint(value, 10, 64)
		return err
	case name == "only":
		s.Only, err = readOnly(value)
		return err
	}
	for _, t := range troubles() {
		if string(t.name) != name {
			continue
		}
		if _, twice := s.Rules[t.name]; twice {
			return fmt.Errorf("%s is there already", name)
		}
		r, err := readRule(value, given, t.timed)
		if meant && err == nil {
			r.Only, err = t.readOnly(operations)
		}
		s.Rules[t.name] = r
		return err
	}
	return fmt.Errorf("%q is none of throttle, unavailable, busy, slow, lose, complete, stuck, only and seed", name)
}

func (t troubleForm) readOnly(value string) ([]string, error) {
	if !t.called {
		return nil, fmt.Errorf("%s takes no operations: it is about invalidations", t.name)
	}
	return readOnly(value)
}

func readOnly(value string) (names []string, err error) {
	known := operations()
	for name := range strings.SplitSeq(value, "+") {
		if !slices.ContainsFunc(known, func(o operation) bool { return o.name == name }) {
			return nil, fmt.Errorf("there is no operation %q", name)
		}
		names = append(names, name)
	}
	return names, nil
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
	meant := ""
	if len(r.Only) > 0 {
		meant = ":" + strings.Join(r.Only, "+")
	}
	switch {
	case timed && share != "":
		return string(t) + "=" + r.For.String() + "@" + share + meant
	case timed:
		return string(t) + "=" + r.For.String() + meant
	case share != "":
		return string(t) + "=" + share + meant
	}
	return string(t) + meant
}
