package barrier

import (
	"errors"
	"strings"
)

// split cuts text into words as a shell does: at white space, but for what is
// quoted. Within single quotes everything stands for itself; elsewhere, a
// backslash before a quote, a backslash or white space takes its meaning away,
// and stands for itself before anything else, as regular expressions want it.
func split(text string) (words []string, err error) {
	var s splitter
	for _, r := range text {
		s.take(r)
	}
	if s.escaped {
		s.word.WriteByte('\\')
	}
	if s.quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	s.end()
	return s.words, nil
}

type splitter struct {
	words   []string
	word    strings.Builder
	begun   bool // a word, which may be empty
	quote   rune // that is open; 0 is none
	escaped bool // by a backslash just before
}

func (s *splitter) take(r rune) {
	switch {
	case s.escaped:
		s.escaped = false
		if !strings.ContainsRune("'\"\\ \t\n", r) {
			s.word.WriteByte('\\')
		}
		s.word.WriteRune(r)
	case r == '\\' && s.quote != '\'':
		s.escaped, s.begun = true, true
	case s.quote != 0 && r == s.quote:
		s.quote = 0
	case s.quote != 0:
		s.word.WriteRune(r)
	case r == '\'' || r == '"':
		s.quote, s.begun = r, true
	case strings.ContainsRune(" \t\n\r", r):
		s.end()
	default:
		s.word.WriteRune(r)
		s.begun = true
	}
}

func (s *splitter) end() {
	if s.begun {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.begun = false
}

// join writes words so that split finds them again.
func join(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n\r'\"\\") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'"'"'`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}
