package work

import "strings"

// token is a part of a glob or of a template of keys.
type token struct {
	one     rune // exactly this, unless any is set
	any     bool // any one character
	many    bool // any number of them, also none; any is set
	noSlash bool // among any
}

// meets reports whether there is a character that both take.
func (t token) meets(u token) bool {
	switch {
	case t.any && u.any:
		return true
	case t.any:
		return !t.noSlash || u.one != '/'
	case u.any:
		return !u.noSlash || t.one != '/'
	}
	return t.one == u.one
}

func globTokens(glob string) (ts []token) {
	for _, c := range glob {
		switch c {
		case '*':
			ts = append(ts, token{any: true, many: true})
		case '?':
			ts = append(ts, token{any: true})
		default:
			ts = append(ts, token{one: c})
		}
	}
	return ts
}

// templateTokens are all keys that a template can become.
func templateTokens(template string) (ts []token) {
	_ = eachPart(template, func(literal string) {
		for _, c := range literal {
			ts = append(ts, token{one: c})
		}
	}, func(hole string) error {
		noSlash := hole == holeStem || hole == holeName || hole == holeExt
		if hole != holeExt {
			ts = append(ts, token{any: true, noSlash: noSlash})
		}
		ts = append(ts, token{any: true, many: true, noSlash: noSlash})
		return nil
	})
	return ts
}

// keysOf are the keys that the template of an output can become. That of an
// object in no folder has none either.
func keysOf(template string) [][]token {
	all := [][]token{templateTokens(template)}
	if rest, ok := strings.CutPrefix(template, "{"+holeDir+"}/"); ok {
		all = append(all, templateTokens(rest))
	}
	return all
}

func literalTokens(key string) (ts []token) {
	for _, c := range key {
		ts = append(ts, token{one: c})
	}
	return ts
}

func globMatches(glob, key string) bool { return meet(globTokens(glob), literalTokens(key)) }

// meet reports whether there is a text that both describe.
func meet(a, b []token) bool {
	width := len(b) + 1
	seen := make([]bool, (len(a)+1)*width) // places from which there is no way, or which are on one
	type place struct{ i, j int }
	for left := []place{{}}; len(left) > 0; {
		p := left[len(left)-1]
		left = left[:len(left)-1]
		if seen[p.i*width+p.j] {
			continue
		}
		seen[p.i*width+p.j] = true
		if p.i == len(a) && p.j == len(b) {
			return true
		}
		if p.i < len(a) && a[p.i].many {
			left = append(left, place{p.i + 1, p.j})
		}
		if p.j < len(b) && b[p.j].many {
			left = append(left, place{p.i, p.j + 1})
		}
		if p.i == len(a) || p.j == len(b) || !a[p.i].meets(b[p.j]) {
			continue
		}
		i, j := p.i+1, p.j+1
		left = append(left, place{i, j})
		if a[p.i].many {
			left = append(left, place{p.i, j})
		}
		if b[p.j].many {
			left = append(left, place{i, p.j})
		}
	}
	return false
}

// covers reports whether every text that ts describes matches the glob, as far
// as can be told without looking at what placeholders stand for.
func covers(glob string, ts []token) bool {
	g := globTokens(glob)
	width := len(ts) + 1
	seen := make([]bool, (len(g)+1)*width)
	var from func(i, j int) bool
	from = func(i, j int) bool {
		if seen[i*width+j] {
			return false // it did not lead there before
		}
		seen[i*width+j] = true
		switch {
		case i == len(g):
			return j == len(ts)
		case g[i].many:
			return from(i+1, j) || j < len(ts) && from(i, j+1)
		case j == len(ts) || ts[j].many:
			return false
		case g[i].any:
			return from(i+1, j+1)
		}
		return !ts[j].any && ts[j].one == g[i].one && from(i+1, j+1)
	}
	return from(0, 0)
}
