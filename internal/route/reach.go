package route

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// stretch is a run of URLs that one invalidation pattern covers.
type stretch struct {
	url      string // the one, or what all of them begin with
	many     bool
	behavior int
}

// reach returns the fewest and shortest stretches that cover all URLs of l that
// a wanted behavior answers, and nothing where there are none. All of l begins
// with prefix. Dot segments and repeated slashes are left out of account: what
// viewers send has none.
func (s *site) reach(l language, prefix string, wanted func(behavior int) bool) []stretch {
	var found []stretch
	var before []language
	for i := range s.behaviors {
		b := &s.behaviors[i]
		if b.never {
			continue
		}
		if _, ok := meet(l, b.language); !ok {
			continue
		}
		if wanted(i) && among([]language{l, b.language}, before) {
			found = append(found, b.stretch(prefix, i))
		}
		if b.answersAll(prefix) {
			break
		}
		before = append(before, b.language)
	}
	return merge(found)
}

// stretch is what URLs that begin with prefix and are answered by b have in
// common.
func (b *behavior) stretch(prefix string, i int) stretch {
	if b.literal {
		return stretch{url: b.head, behavior: i}
	}
	if len(b.head) > len(prefix) {
		prefix = b.head
	}
	return stretch{url: prefix, many: true, behavior: i}
}

// answersAll reports whether b matches everything that begins with prefix.
func (b *behavior) answersAll(prefix string) bool {
	return b.plain && b.tail == "" && strings.HasPrefix(prefix, b.head)
}

// merge drops the stretches that others cover.
func merge(all []stretch) []stretch {
	slices.SortStableFunc(all, func(a, b stretch) int { return cmp.Compare(len(a.url), len(b.url)) })
	var kept []stretch
	for _, s := range all {
		if !slices.ContainsFunc(kept, func(k stretch) bool { return k.many && strings.HasPrefix(s.url, k.url) }) {
			kept = append(kept, s)
		}
	}
	return kept
}

// mostStates bounds the search of among. Beyond it the answer is yes, which at
// worst invalidates what nothing had cached.
const mostStates = 1 << 14

// among reports whether some text is matched by all of in and by none of out.
func among(in, out []language) bool {
	if len(out) == 0 && len(in) == 2 {
		_, ok := meet(in[0], in[1])
		return ok
	}
	all := slices.Concat(in, out)
	symbols := symbolsOf(all)
	start := make([]states, len(all))
	for i, l := range all {
		start[i] = l.start()
	}
	queue := [][]states{start}
	seen := map[string]bool{keyOf(start): true}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if accepts(all, at, len(in)) {
			return true
		}
		if len(seen) > mostStates {
			return true
		}
		for _, c := range symbols {
			next, alive := advanceAll(all, at, len(in), c)
			if !alive {
				continue
			}
			if key := keyOf(next); !seen[key] {
				seen[key] = true
				queue = append(queue, next)
			}
		}
	}
	return false
}

// symbolsOf lists the symbols that the languages tell apart.
func symbolsOf(all []language) []symbol {
	symbols := []symbol{other, '/'}
	for _, l := range all {
		for _, s := range l {
			if s.class == exactly {
				symbols = append(symbols, s.c)
			}
		}
	}
	slices.Sort(symbols)
	return slices.Compact(symbols)
}

// states are the positions of a language that a text may have led to, as bits.
type states []uint64

func (s states) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s states) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

func (l language) none() states { return make(states, len(l)>>6+1) }

// reached adds position i and those that loops let a text skip to.
func (l language) reached(s states, i int) {
	s.add(i)
	for i < len(l) && l[i].loop {
		i++
		s.add(i)
	}
}

func (l language) start() states {
	s := l.none()
	l.reached(s, 0)
	return s
}

func (l language) next(s states, c symbol) (next states, alive bool) {
	next = l.none()
	for i, step := range l {
		if s.has(i) && step.takes(c) {
			l.reached(next, i+advance(step))
			alive = true
		}
	}
	return next, alive
}

// advanceAll follows c in all languages. alive is false once one of the first in
// languages can match no longer.
func advanceAll(all []language, at []states, in int, c symbol) (next []states, alive bool) {
	next = make([]states, len(all))
	for i, l := range all {
		if next[i], alive = l.next(at[i], c); !alive && i < in {
			return nil, false
		}
	}
	return next, true
}

// accepts reports whether the first in languages match and the others do not.
func accepts(all []language, at []states, in int) bool {
	for i, l := range all {
		if at[i].has(len(l)) != (i < in) {
			return false
		}
	}
	return true
}

func keyOf(all []states) string {
	var key []byte
	for _, s := range all {
		for _, word := range s {
			key = binary.LittleEndian.AppendUint64(key, word)
		}
	}
	return string(key)
}
