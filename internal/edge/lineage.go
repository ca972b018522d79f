package edge

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// lineage is one distribution as it is configured, whatever process serves it: what
// is on disk belongs to one, and with it goes what was invalidated. A distribution
// that is configured otherwise, or was gone in between, begins another.
type lineage struct {
	number  uint64
	id      string  // of the distribution
	print   string  // of what decides what viewers get
	history *epochs // what was invalidated and may be on disk; its counter counts for nothing
}

// formOnDisk changes whenever something that is written down means something else,
// keys included.
const formOnDisk = "1"

// printOf is alike for configurations that decide alike what a viewer gets.
func printOf(d distribution.Distribution) (string, error) {
	text, err := json.Marshal(deciding(d))
	if err != nil {
		return "", fmt.Errorf("write down the configuration of %s: %w", d.ID, err)
	}
	sum := sha256.Sum256(append(text, formOnDisk...))
	return hex.EncodeToString(sum[:16]), nil
}

// What an entry of the ledger is.
const (
	noteSession     = 1 // a process has begun
	noteLineage     = 2 // one begins, in the place of the distribution's last one
	noteEnd         = 3 // one is served no more
	noteInvalidated = 4 // patterns of one were invalidated
)

// struck is one pattern of a history.
type struck struct {
	text  string
	wild  bool
	epoch uint64
}

func (l *lineage) noteBegin() []byte {
	b := binary.AppendUvarint([]byte{noteLineage}, l.number)
	return appendText(appendText(b, l.id), l.print)
}

func (l *lineage) noteEnd() []byte { return binary.AppendUvarint([]byte{noteEnd}, l.number) }

func noteOfSession(n uint64, token, before string) []byte {
	return appendText(appendText(binary.AppendUvarint([]byte{noteSession}, n), token), before)
}

// noteOf is the entry for patterns of one lineage.
func (l *lineage) noteOf(patterns []struck) []byte {
	b := binary.AppendUvarint([]byte{noteInvalidated}, l.number)
	b = binary.AppendUvarint(b, uint64(len(patterns)))
	for _, p := range patterns {
		b = appendText(b, p.text)
		wild := uint64(0)
		if p.wild {
			wild = 1
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, p.epoch), wild)
	}
	return b
}

// annals is what the ledger says.
type annals struct {
	session uint64 // the last one
	token   string // of that
	before  string // of the one that it went on from
	last    uint64 // number of a lineage
	living  map[string]*lineage
	byLine  map[uint64]*lineage
	told    map[*lineage][]struck
}

// readLedger returns what the entries of a ledger say, and an error if one of them
// is none.
func readLedger(entries [][]byte) (*annals, error) {
	c := &annals{living: make(map[string]*lineage), byLine: make(map[uint64]*lineage), told: make(map[*lineage][]struck)}
	for _, entry := range entries {
		if err := c.read(entry); err != nil {
			return nil, err
		}
	}
	for l, patterns := range c.told {
		if c.byLine[l.number] == l {
			l.history.restore(patterns)
		}
	}
	return c, nil
}

func (c *annals) read(entry []byte) error {
	if len(entry) == 0 {
		return errUnreadable
	}
	u := unpacking{rest: entry[1:]}
	number := u.number()
	switch entry[0] {
	case noteSession:
		c.session, c.token, c.before = max(c.session, number), u.text(), u.text()
	case noteLineage:
		l := &lineage{number: number, id: u.text(), print: u.text(), history: newEpochs(maxRecords)}
		if before := c.living[l.id]; before != nil {
			delete(c.byLine, before.number)
		}
		c.living[l.id], c.byLine[number] = l, l
		c.last = max(c.last, number)
	case noteEnd:
		if l := c.byLine[number]; l != nil {
			delete(c.byLine, number)
			delete(c.living, l.id)
		}
	case noteInvalidated:
		c.readPatterns(&u, c.byLine[number])
	default:
		return errUnreadable
	}
	if u.bad || len(u.rest) > 0 {
		return errUnreadable
	}
	return nil
}

func (c *annals) readPatterns(u *unpacking, l *lineage) {
	for range u.count() {
		p := struck{text: u.text(), epoch: u.number()}
		p.wild = u.number() == 1
		if l != nil {
			c.told[l] = append(c.told[l], p)
		}
	}
}

// struckBy is what invalidate makes of patterns.
func struckBy(patterns []freshet.Pattern, epoch uint64) []struck {
	made := make([]struck, 0, len(patterns))
	for _, p := range patterns {
		switch {
		case p.IsTag():
			made = append(made, struck{strings.ToLower(string(p)), false, epoch})
		case !matchesNothing(p):
			made = append(made, struck{noted(p), p.IsWildcard(), epoch})
		}
	}
	return made
}

// record writes patterns down that were invalidated elsewhere, at an epoch as high
// as any. Whoever asks afterwards finds them.
func (e *epochs) record(patterns []struck) {
	e.writing.Lock()
	defer e.writing.Unlock()
	old := e.records.Load()
	root := old.root
	for _, p := range patterns {
		root = root.with(p.text, p.wild, p.epoch)
	}
	e.records.Store(&records{root: root.within(e.limit, e.room), floor: old.floor})
}

// restore is record for patterns in any order.
func (e *epochs) restore(patterns []struck) {
	slices.SortStableFunc(patterns, func(a, b struck) int { return cmp.Compare(a.epoch, b.epoch) })
	e.record(patterns)
}

// known is what is recorded now, of which nothing is forgotten later.
func (e *epochs) known() *node { return e.records.Load().root }

// covered reports whether something that covers one of the names was struck
// after an epoch.
func (n *node) covered(names []string, since uint64) bool {
	return slices.ContainsFunc(names, func(name string) bool { return n.invalidated(name) > since })
}

// all returns what is recorded.
func (e *epochs) all() []struck {
	return e.records.Load().root.appendAll("", nil)
}

func (n *node) appendAll(before string, all []struck) []struck {
	text := before + n.label
	if n.wild != 0 {
		all = append(all, struck{text, true, n.wild})
	}
	if n.exact != 0 {
		all = append(all, struck{text, false, n.exact})
	}
	for _, c := range n.children {
		all = c.appendAll(text, all)
	}
	return all
}

// shrink merges records until there are a quarter less, and reports whether there
// was something to merge.
func (e *epochs) shrink() bool {
	e.writing.Lock()
	defer e.writing.Unlock()
	old := e.records.Load()
	if old.root.records < 2 {
		return false
	}
	e.records.Store(&records{root: old.root.atMost(max(1, old.root.records*3/4)), floor: old.floor})
	return true
}
