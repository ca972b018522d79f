// Package ignore matches paths against lines as .gitignore has them.
// https://git-scm.com/docs/gitignore
package ignore

import "strings"

// Lines are patterns in the order in which they stand; the last one that matches
// decides.
type Lines []pattern

// pattern is one line.
type pattern struct {
	segments []string // of the path that it matches; ** stands for any number of them
	negated  bool
	dirOnly  bool
}

// Parse reads lines. What is no pattern, such as a comment, is none.
func Parse(text string) Lines {
	var all Lines
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\ufeff"), "\n") {
		if p, ok := parse(strings.TrimSuffix(line, "\r")); ok {
			all = append(all, p)
		}
	}
	return all
}

func parse(line string) (p pattern, ok bool) {
	line = trimSpaces(line)
	if line == "" || line[0] == '#' {
		return pattern{}, false
	}
	if line[0] == '!' {
		p.negated, line = true, line[1:]
	}
	if rest, is := strings.CutSuffix(line, "/"); is {
		p.dirOnly, line = true, rest
	}
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return pattern{}, false
	}
	p.segments = strings.Split(line, "/")
	if !anchored {
		p.segments = append([]string{"**"}, p.segments...)
	}
	return p, true
}

// trimSpaces takes spaces at the end away that no backslash keeps.
func trimSpaces(line string) string {
	end := len(line)
	for end > 0 && line[end-1] == ' ' {
		backslashes := 0
		for i := end - 2; i >= 0 && line[i] == '\\'; i-- {
			backslashes++
		}
		if backslashes%2 == 1 {
			break
		}
		end--
	}
	return line[:end]
}

// Match reports whether the lines ignore the file or directory at path, with
// slashes and without one in front. Whether a directory around it is ignored,
// which nothing below can undo, is asked apart.
func (l Lines) Match(path string, dir bool) bool {
	names := strings.Split(path, "/")
	for i := len(l) - 1; i >= 0; i-- {
		if p := &l[i]; (dir || !p.dirOnly) && matchAll(p.segments, names) {
			return !p.negated
		}
	}
	return false
}

// matchAll matches names against segments, whole lists.
func matchAll(segments, names []string) bool {
	for len(segments) > 0 {
		if segments[0] == "**" {
			rest := segments[1:]
			if len(rest) == 0 {
				return len(names) > 0 // everything inside
			}
			for i := range names {
				if matchAll(rest, names[i:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 || !matchName(segments[0], names[0]) {
			return false
		}
		segments, names = segments[1:], names[1:]
	}
	return len(names) == 0
}

// matchName matches one name: *, ?, [classes] and backslashes. Stars in a row are
// one.
func matchName(glob, name string) bool {
	for len(glob) > 0 {
		switch glob[0] {
		case '*':
			glob = strings.TrimLeft(glob, "*")
			for i := 0; i <= len(name); i++ {
				if matchName(glob, name[i:]) {
					return true
				}
			}
			return false
		case '?':
			if name == "" {
				return false
			}
			glob, name = glob[1:], name[1:]
		case '[':
			if name == "" {
				return false
			}
			in, rest, ok := class(glob, name[0])
			if !ok || !in {
				return false
			}
			glob, name = rest, name[1:]
		case '\\':
			if glob = glob[1:]; glob == "" {
				return false
			}
			fallthrough
		default:
			if name == "" || glob[0] != name[0] {
				return false
			}
			glob, name = glob[1:], name[1:]
		}
	}
	return name == ""
}

// class reads a bracket expression and says whether c is in it. ok is false
// where it does not end.
func class(glob string, c byte) (in bool, rest string, ok bool) {
	i := 1
	negated := i < len(glob) && (glob[i] == '!' || glob[i] == '^')
	if negated {
		i++
	}
	for first := true; ; first = false {
		if i >= len(glob) {
			return false, "", false
		}
		if glob[i] == ']' && !first {
			return in != negated, glob[i+1:], true
		}
		if name, after, is := posix(glob[i:]); is {
			in = in || name(c)
			i = len(glob) - len(after)
			continue
		}
		low, next, ok := one(glob, i)
		if !ok {
			return false, "", false
		}
		high := low
		if next+1 < len(glob) && glob[next] == '-' && glob[next+1] != ']' {
			if high, next, ok = one(glob, next+1); !ok {
				return false, "", false
			}
		}
		in = in || low <= c && c <= high
		i = next
	}
}

// one reads a character of a class.
func one(glob string, i int) (c byte, next int, ok bool) {
	if glob[i] == '\\' {
		i++
	}
	if i >= len(glob) {
		return 0, i, false
	}
	return glob[i], i + 1, true
}

// posix reads a named class such as [:alpha:].
func posix(glob string) (is func(byte) bool, rest string, ok bool) {
	body, found := strings.CutPrefix(glob, "[:")
	if !found {
		return nil, "", false
	}
	name, rest, found := strings.Cut(body, ":]")
	if !found {
		return nil, "", false
	}
	is, ok = classes()[name]
	if !ok {
		is = func(byte) bool { return false }
	}
	return is, rest, true
}

// classes are the named ones, in ASCII.
func classes() map[string]func(byte) bool {
	lower := func(c byte) bool { return 'a' <= c && c <= 'z' }
	upper := func(c byte) bool { return 'A' <= c && c <= 'Z' }
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	graph := func(c byte) bool { return '!' <= c && c <= '~' }
	alnum := func(c byte) bool { return lower(c) || upper(c) || digit(c) }
	return map[string]func(byte) bool{
		"lower": lower, "upper": upper, "digit": digit, "graph": graph, "alnum": alnum,
		"alpha":  func(c byte) bool { return lower(c) || upper(c) },
		"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
		"cntrl":  func(c byte) bool { return c < ' ' || c == 0x7f },
		"print":  func(c byte) bool { return ' ' <= c && c <= '~' },
		"punct":  func(c byte) bool { return graph(c) && !alnum(c) },
		"space":  func(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' },
		"xdigit": func(c byte) bool { return digit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' },
	}
}
