package freshet

import "strings"

// Sequencer orders the changes of one object key: S3's hexadecimal event
// sequencer, meaningful only among events of the same key.
type Sequencer string

// Compare orders two sequencers of the same key as S3 documents it: the shorter
// is padded on the right with zeros, then they compare as text. Letter case
// does not matter, since MinIO writes upper case.
func (s Sequencer) Compare(t Sequencer) int {
	a, b := s.normal(), t.normal()
	if n := len(a) - len(b); n > 0 {
		b += strings.Repeat("0", n)
	} else {
		a += strings.Repeat("0", -n)
	}
	return strings.Compare(a, b)
}

// Valid reports whether s consists of hexadecimal digits and is not empty.
func (s Sequencer) Valid() bool {
	return s != "" && strings.Trim(string(s), "0123456789abcdefABCDEF") == ""
}

// normal is the spelling two equal sequencers share.
func (s Sequencer) normal() string { return strings.TrimRight(strings.ToLower(string(s)), "0") }
