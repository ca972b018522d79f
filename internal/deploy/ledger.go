package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet/freshet"
)

const ledgerFormat = "freshet-cleared/1"

// Ledger remembers of which objects no version is cached but the one that was
// sent last: deploys sent it, and invalidated what was older, until the CDN said
// that this was completed. So every cached copy carries the cache tags of that
// version. It lies beside the manifest; what it has not is not known.
type Ledger struct {
	Format string `json:"format"`
	// Era is how distributions were configured all the while; of another one
	// nothing is known.
	Era     string    `json:"era"`
	Cleared []Cleared `json:"cleared"` // sorted by key
}

// Cleared is such an object, of those that have cache tags.
type Cleared struct {
	Key  string `json:"k"`
	ETag string `json:"e"`
	At   int64  `json:"t"` // when it was stored, as listings say
	Tags string `json:"g"` // lines of freshet.TagLine
}

// Lines are what an object that is served so has in headers that may hold cache
// tags, which come in lower case.
func (s Served) Lines(headers []string) (lines string) {
	for _, h := range headers {
		if name, own := strings.CutPrefix(h, "x-amz-meta-"); own && s.Metadata[name] != "" {
			lines += freshet.TagLine(h, s.Metadata[name])
		}
	}
	return lines
}

// Sure returns what every cached copy has in headers that may hold cache tags, by
// key: of the objects that nobody has stored anew since. A nil Ledger knows
// nothing.
func (l *Ledger) Sure(era string, have []Present) map[string]string {
	if l == nil || era == "" || l.Era != era {
		return nil
	}
	cleared := make(map[string]Cleared, len(l.Cleared))
	for _, c := range l.Cleared {
		cleared[c.Key] = c
	}
	sure := make(map[string]string)
	for i := range have {
		if c, ok := cleared[have[i].Key]; ok && c.ETag == have[i].ETag && c.At == have[i].Modified {
			sure[c.Key] = c.Tags
		}
	}
	return sure
}

// After is the Ledger once a deploy is completed, whose manifest is m and after
// which the bucket has what was listed. everywhere reports whether something of a
// key was invalidated wherever it is cached with tags. l may be nil.
func (l *Ledger) After(era string, d *Deploy, m *Manifest, listed []Present, headers []string, everywhere func(key string) bool) *Ledger {
	cleared := make(map[string]Cleared)
	if l != nil && l.Era == era {
		for _, c := range l.Cleared {
			cleared[c.Key] = c
		}
	}
	known, there := m.Index(), make(map[string]*Present, len(listed))
	for i := range listed {
		there[listed[i].Key] = &listed[i]
	}
	for _, c := range d.Changes { // of deploys that died, too
		delete(cleared, c.Key)
	}
	for _, s := range d.Steps {
		r, p := known[s.Object.Key], there[s.Object.Key]
		if s.Op == Delete || r == nil || p == nil || p.ETag != r.ETag || !everywhere(r.Key) {
			continue
		}
		if tags := r.Served.Lines(headers); tags != "" {
			cleared[r.Key] = Cleared{r.Key, r.ETag, p.Modified, tags}
		}
	}
	after := &Ledger{Format: ledgerFormat, Era: era}
	for _, key := range slices.Sorted(maps.Keys(cleared)) {
		after.Cleared = append(after.Cleared, cleared[key])
	}
	return after
}

// DecodeLedger reads what Encode wrote of a Ledger.
func DecodeLedger(text []byte) (*Ledger, error) {
	l := new(Ledger)
	if err := decode(text, ledgerFormat, l); err != nil {
		return nil, fmt.Errorf("read what is known of cache tags: %w", err)
	}
	return l, nil
}
