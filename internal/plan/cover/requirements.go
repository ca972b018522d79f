package cover

import (
	"fmt"
	"strings"

	"github.com/freshet/freshet"
)

// requirements are the needs without repetition, sorted: the leaves of the tree.
// Needs with the same pattern are one requirement.
type requirements struct {
	keys   []string // what the URLs to be removed begin with, or are
	forced []bool   // only a wildcard will do
	shared []int32  // how much of a key its predecessor has, cut where a wildcard may end
	order  []int32  // needs, sorted by requirement
	start  []int32  // where in order the needs of a requirement begin, and the end
}

func (r *requirements) len() int { return len(r.keys) }

// needs returns the positions of the needs of requirement i.
func (r *requirements) needs(i int) []int32 { return r.order[r.start[i]:r.start[i+1]] }

// pattern is what covers requirement i and no more.
func (r *requirements) pattern(i int) freshet.Pattern {
	if r.forced[i] {
		return freshet.Pattern(r.keys[i] + "*")
	}
	return freshet.Pattern(r.keys[i])
}

// newRequirements also returns the needs whose pattern had to be widened.
func newRequirements(needs []Need) (requirements, []int32, error) {
	keys := make([]string, len(needs))
	forced := make([]bool, len(needs))
	var widened []int32
	for i := range needs {
		key, wild, asked, err := keyOf(needs[i].Pattern)
		if err != nil {
			return requirements{}, nil, fmt.Errorf("need %d: %w", i, err)
		}
		keys[i], forced[i] = key, wild
		if !asked {
			widened = append(widened, int32(i))
		}
	}
	order, shared := sorted(keys)
	r := requirements{order: order}
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && keys[order[to]] == keys[order[from]] {
			to++
		}
		r.addRun(keys[order[from]], from, exactFirst(order[from:to], forced), to, int(shared[from]))
		from = to
	}
	r.start = append(r.start, int32(len(order)))
	return r, widened, nil
}

// addRun adds the needs order[from:to], all of one key: first those that are
// exact, from middle on those that are not.
func (r *requirements) addRun(key string, from, middle, to, shared int) {
	if middle > 0 {
		r.add(key, false, from, shared)
		shared = len(key)
	}
	if from+middle < to {
		r.add(key, true, from+middle, shared)
	}
}

func (r *requirements) add(key string, forced bool, start, shared int) {
	if r.keys == nil {
		n := len(r.order)
		r.keys, r.forced = make([]string, 0, n), make([]bool, 0, n)
		r.shared, r.start = make([]int32, 0, n), make([]int32, 0, n+1)
	}
	r.keys = append(r.keys, key)
	r.forced = append(r.forced, forced)
	r.shared = append(r.shared, int32(mayEnd(key, shared)))
	r.start = append(r.start, int32(start))
}

// exactFirst moves the exact needs to the front and returns how many they are.
func exactFirst(order []int32, forced []bool) int {
	n := 0
	for i, need := range order {
		if !forced[need] {
			order[n], order[i] = order[i], order[n]
			n++
		}
	}
	return n
}

// keyOf returns what has to be covered for p. asked is false when p is not a
// pattern that CloudFront takes, so that the longest wildcard before the fault
// has to do.
func keyOf(p freshet.Pattern) (key string, wild, asked bool, err error) {
	if len(p) == 0 || p[0] != '/' {
		return "", false, false, fmt.Errorf("pattern %.80q must begin with /", string(p))
	}
	if plain(string(p)) {
		return p.Prefix(), p.IsWildcard(), true, nil
	}
	if _, err := freshet.ParsePattern(string(p)); err == nil {
		return p.Prefix(), p.IsWildcard(), true, nil
	}
	return string(p[:validLength(string(p))]), true, false, nil
}

// Characters that need no second look in a pattern, as a set of bits: visible
// ASCII without those that are escaped, escape, or cannot be matched.
const (
	plainLow  = 1<<64 - 1 - (1<<33 - 1) - 1<<'"' - 1<<'#' - 1<<'%' - 1<<'<' - 1<<'>'
	plainHigh = 1<<62 - 1 - 1<<('['-64) - 1<<('\\'-64) - 1<<(']'-64) - 1<<('^'-64) - 1<<('`'-64) - 1<<('{'-64) - 1<<('|'-64) - 1<<('}'-64)
)

// plain reports whether s is surely a pattern, being short and of characters
// that raise no question.
func plain(s string) bool {
	set, all := [4]uint64{plainLow, plainHigh}, uint64(1)
	for i := range len(s) {
		all &= set[s[i]>>6] >> (s[i] & 63)
	}
	return all == 1 && len(s) <= freshet.MaxPatternLength
}

// mayEnd is the longest length up to n at which a prefix of the pattern s may
// be cut for a wildcard: not within an escape, and with room for the asterisk.
func mayEnd(s string, n int) int {
	n = min(n, freshet.MaxPatternLength-1)
	if i := strings.LastIndexByte(s[max(0, n-2):n], '%'); i >= 0 {
		return max(0, n-2) + i
	}
	return n
}

// validLength is the length of the longest prefix of s that makes a wildcard.
// s begins with /.
func validLength(s string) int {
	s = s[:min(len(s), freshet.MaxPatternLength-1)]
	n := 1
	for n < len(s) {
		step := 1
		if s[n] == '%' {
			step = min(3, len(s)-n)
		}
		if _, err := freshet.ParsePattern("/" + s[n:n+step]); err != nil {
			break
		}
		n += step
	}
	return n
}
