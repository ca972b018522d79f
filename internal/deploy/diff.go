package deploy

import (
	"fmt"
	"slices"
	"strings"
)

// Present is what the bucket holds under a key.
type Present struct {
	Key      string
	Size     int64
	ETag     string  // without quotes
	Modified int64   // seconds since 1970
	Hash     Hash    // of the file it was made from; zero where it is not known
	Form     string  // see Object
	Served   *Served // nil where it is not known
}

func (p Present) before() Before { return Before{ETag: p.ETag, Modified: p.Modified, Size: p.Size} }

// holds reports whether p is made of what want is made of, whatever is served
// along with it.
func (p Present) holds(want Object) bool {
	if p.Hash != (Hash{}) {
		return p.Hash == want.Hash && p.Form == want.Form
	}
	return want.ETag != "" && p.ETag == want.ETag
}

// Options limit a comparison.
type Options struct {
	Keep   bool              // objects that nobody wants stay
	Select func(string) bool // keys that the deploy is about; nil: all
}

func (o Options) about(key string) bool { return o.Select == nil || o.Select(key) }

// Unknown are the keys of objects that hold what is wanted and of which nobody
// knows what is served along with them. Once that is known they can be compared.
func Unknown(want []Object, have []Present, o Options) (keys []string) {
	held := byKey(have)
	for _, w := range want {
		if p, ok := held[w.Key]; ok && o.about(w.Key) && p.Served == nil && p.holds(w) {
			keys = append(keys, w.Key)
		}
	}
	return keys
}

func byKey(have []Present) map[string]*Present {
	held := make(map[string]*Present, len(have))
	for i := range have {
		held[have[i].Key] = &have[i]
	}
	return held
}

// Compare returns the steps that make the bucket hold what is wanted, sorted by
// key. What holds the same and is served as nobody knows is replaced.
func Compare(want []Object, have []Present, o Options) []Step {
	held := byKey(have)
	var steps []Step
	wanted := make(map[string]bool, len(want))
	for _, w := range want {
		wanted[w.Key] = true
		if !o.about(w.Key) {
			continue
		}
		p, ok := held[w.Key]
		switch {
		case !ok:
			steps = append(steps, Step{Op: Put, Reason: New, Object: w})
		case !p.holds(w):
			steps = append(steps, Step{Op: Put, Reason: Content, Object: w, Before: p.before()})
		case p.Served == nil || !p.Served.Equal(w.Served):
			steps = append(steps, replacing(w, *p))
		}
	}
	for _, p := range have {
		if !wanted[p.Key] && !o.Keep && o.about(p.Key) {
			steps = append(steps, Step{Op: Delete, Reason: Vanished, Object: Object{Key: p.Key}, Before: p.before()})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return strings.Compare(a.Object.Key, b.Object.Key) })
	return steps
}

// mostCopied is the largest object that one request can copy onto itself.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
const mostCopied = 5 << 30

// replacing replaces what is served along with an object. What is small is sent
// again, which costs one request as well and needs no permission to read.
func replacing(w Object, p Present) Step {
	const small = 16 << 10
	if p.Size <= small || p.Size > mostCopied {
		return Step{Op: Put, Reason: Headers, Object: w, Before: p.before()}
	}
	return Step{Op: Copy, Reason: Headers, Object: w, Before: p.before()}
}

// Limit is how much a deploy may delete without being told to.
type Limit struct {
	Objects int     // at most
	Share   float64 // of what is there, at most; 1 is all of it
}

// DefaultLimit is a quarter of a site, and a thousand objects.
func DefaultLimit() Limit { return Limit{Objects: 1000, Share: 0.25} }

// least is how many objects may always be deleted: a share of a small site is
// soon reached.
const least = 10

// Check returns a *TooMany when more would be deleted than the limit allows.
// there is how many objects the bucket holds.
func (l Limit) Check(deletes, there int) error {
	allowed := l.Objects
	if l.Share < 1 {
		share := int(l.Share * float64(there))
		if l.Share > 0 {
			share = max(share, least)
		}
		allowed = min(allowed, share)
	}
	if deletes > allowed {
		return &TooMany{deletes, there, allowed}
	}
	return nil
}

// TooMany is the error of a deploy that would delete more than it may.
type TooMany struct{ Deletes, There, Allowed int }

func (e *TooMany) Error() string {
	return fmt.Sprintf("%d of the %d objects there would be deleted, and at most %d may be: is this the right directory, and was it built? --max-delete %d allows it, --keep-extra deletes nothing", e.Deletes, e.There, e.Allowed, e.Deletes)
}
