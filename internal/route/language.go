package route

import (
	"slices"
	"strings"

	"github.com/freshet/freshet"
)

// language is the set of texts that a template or a behavior's path pattern
// matches, as a chain of steps that are taken one after the other. Whether two
// such sets meet is decided on the chains, not on samples.
type language []step

// step takes one symbol of its class, or any number of them where it loops.
type step struct {
	class class
	c     symbol // that exactly takes
	loop  bool
}

// symbol is a byte of a text, or 0x100 more than the byte that an escape of a URL
// stands for, so that no placeholder ends within an escape.
type symbol uint16

const (
	escaped symbol = 0x100
	other   symbol = 0x200 // any symbol that no step names
)

// class says which symbols a step takes.
type class uint8

const (
	exactly class = iota // exactly c
	every                // every symbol
	segment              // every symbol but the slash
)

func (s step) takes(c symbol) bool {
	return s.class == every || s.class == exactly && s.c == c || s.class == segment && c != '/'
}

// literal appends text byte by byte.
func (l language) literal(text string) language {
	for i := range len(text) {
		l = append(l, step{c: symbol(text[i])})
	}
	return l
}

// urlLiteral appends canonical text, an escape as one symbol.
func (l language) urlLiteral(text string) language {
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			l = append(l, step{c: escaped | symbol(unhex(text[i+1])<<4|unhex(text[i+2]))})
			i += 2
			continue
		}
		l = append(l, step{c: symbol(text[i])})
	}
	return l
}

// unhex reads a digit of a canonical escape.
func unhex(c byte) byte {
	if c >= 'A' {
		return c - 'A' + 10
	}
	return c - '0'
}

// hole appends what a placeholder stands for.
func (l language) hole(h hole) language {
	if h.rest {
		return append(l, step{class: every, loop: true})
	}
	return append(l, step{class: segment}, step{class: segment, loop: true})
}

// language is what t matches, with each literal appended by literal.
func (t *template) language(literal func(language, string) language) language {
	var l language
	for i, h := range t.holes {
		l = literal(l, t.literals[i]).hole(h)
	}
	return literal(l, t.literals[len(t.holes)])
}

// patternLanguage is what a behavior's path pattern matches. ok is false for a
// pattern with characters that never stand in a canonical path.
func patternLanguage(pattern string) (l language, ok bool) {
	l = language{}.literal("/")
	for _, c := range []byte(strings.TrimPrefix(pattern, "/")) {
		switch {
		case c == '*':
			l = append(l, step{class: every, loop: true})
		case c == '?':
			l = append(l, step{class: every})
		case c != '%' && freshet.CanonicalPath(string(rune(c))) != string(rune(c)):
			return nil, false
		default:
			l = append(l, step{c: symbol(c)})
		}
	}
	return l, true
}

// meet returns a text that both a and b match. It walks all pairs of positions
// once, so it takes at most len(a)*len(b) steps.
func meet(a, b language) (text []symbol, ok bool) {
	width := len(b) + 1
	came := make([]arrival, (len(a)+1)*width)
	came[0].seen = true
	queue := []int{0}
	goal := len(came) - 1
	for len(queue) > 0 && !came[goal].seen {
		at := queue[0]
		queue = queue[1:]
		i, j := at/width, at%width
		visit := func(to int, c symbol, took bool) {
			if !came[to].seen {
				came[to] = arrival{seen: true, from: at, c: c, took: took}
				queue = append(queue, to)
			}
		}
		if i < len(a) && a[i].loop {
			visit(at+width, 0, false)
		}
		if j < len(b) && b[j].loop {
			visit(at+1, 0, false)
		}
		if i < len(a) && j < len(b) {
			if c, ok := shared(a[i], b[j]); ok {
				visit((i+advance(a[i]))*width+j+advance(b[j]), c, true)
			}
		}
	}
	if !came[goal].seen {
		return nil, false
	}
	for at := goal; at != 0; at = came[at].from {
		if came[at].took {
			text = append(text, came[at].c)
		}
	}
	slices.Reverse(text)
	return text, true
}

// arrival is how meet reached a pair of positions.
type arrival struct {
	seen, took bool
	from       int
	c          symbol
}

func advance(s step) int {
	if s.loop {
		return 0
	}
	return 1
}

// shared returns a symbol that both steps take.
func shared(a, b step) (symbol, bool) {
	switch {
	case a.class == exactly:
		return a.c, b.takes(a.c)
	case b.class == exactly:
		return b.c, a.takes(b.c)
	default:
		return other, true
	}
}

// spelled writes text down. For other it takes a letter.
func spelled(text []symbol) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == other:
			b.WriteByte('x')
		case c&escaped != 0:
			b.Write([]byte{'%', hex[c>>4&15], hex[c&15]})
		default:
			b.WriteByte(byte(c))
		}
	}
	return b.String()
}
