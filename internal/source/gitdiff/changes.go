package gitdiff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/source/batch"
)

// Cause is the Cause of every change that comes from commits.
const Cause = "commit"

// mostKey is the longest object key that S3 allows, in bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const mostKey = 1024

// Version tells the changes of one range of commits from those of another.
type Version struct {
	Origin string    // bucket
	Name   string    // ID of the commit that is published, and what else tells the occasion from others
	Time   time.Time // of the commit
}

// Changes makes changes of what differs: one for each key, sorted by key, with
// the time of the commit. The same entries, rules and version give the same
// changes, under the same IDs. A key that is made of several paths is deleted
// when all of those are that differ; it may be there all the same, made of one
// that does not.
//
// What makes no object stale is among the skipped, with the reason: paths that
// no rule maps, and files of which only the mode differs. A path of which nobody
// can say what it makes stale is a problem.
func (r Rules) Changes(entries []Entry, v Version) (res batch.Result) {
	made := make(map[string]*batch.Change)
	entries = slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	for _, e := range entries {
		at := batch.Place{Path: e.Path}
		if !utf8.ValidString(e.Path) || strings.ContainsFunc(e.Path, func(c rune) bool { return c < ' ' || c == 0x7F }) {
			at.Path = fmt.Sprintf("%q", e.Path)
		}
		keys, none, err := r.meaning(e)
		switch {
		case err != nil:
			res.Problems = append(res.Problems, batch.Problem{At: at, Err: err})
		case none != "":
			res.Skipped = append(res.Skipped, batch.Skipped{At: at, Event: e.Status.String(), Reason: none})
		}
		for _, key := range keys {
			v.add(made, key, e, at)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(made)) {
		res.Changes = append(res.Changes, *made[key])
	}
	return res
}

// meaning finds the keys that an entry makes stale, or why there are none.
func (r Rules) meaning(e Entry) (keys []string, none string, err error) {
	if e.OldMode == Submodule || e.NewMode == Submodule {
		if e.Status == Retyped && len(r.Keys(e.Path)) > 0 {
			keys = r.Keys(e.Path) // the file that was there, or is
		}
		if !r.About(e.Path) {
			return keys, "no rule maps what is in this submodule", nil
		}
		return keys, "", fmt.Errorf("this submodule went from %s to %s and is not checked out here, so that nobody knows which of its files differ: git submodule update --init %s", cmp.Or(short(e.OldBlob, e.OldMode), "nothing"), cmp.Or(short(e.NewBlob, e.NewMode), "nothing"), e.Path)
	}
	keys = r.Keys(e.Path)
	if len(keys) == 0 {
		return nil, "no rule maps it", nil
	}
	if e.OldBlob == e.NewBlob && e.Status == Modified {
		return nil, fmt.Sprintf("only its mode differs, %06o and %06o, which is not served", e.OldMode, e.NewMode), nil
	}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, "", err
		}
	}
	return keys, "", nil
}

func short(id string, m Mode) string {
	if m != Submodule || len(id) < 12 {
		return ""
	}
	return id[:12]
}

func checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("the key would be empty")
	case len(key) > mostKey:
		return fmt.Errorf("key %q has %d bytes, at most %d are allowed", clip(key), len(key), mostKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("key %q is not UTF-8, and objects have such keys only: rename the file", clip(key))
	}
	return nil
}

// add notes that an entry makes a key stale.
func (v Version) add(made map[string]*batch.Change, key string, e Entry, at batch.Place) {
	op := freshet.OpPut
	if e.Status == Deleted {
		op = freshet.OpDelete
	}
	if known := made[key]; known != nil {
		known.Version += " " + blob(e)
		if op == freshet.OpPut {
			known.Op = op
		}
		return
	}
	made[key] = &batch.Change{At: at, Change: freshet.Change{
		Origin: v.Origin, Key: key, Op: op, Version: v.Name + " " + blob(e), Time: v.Time.UTC(), Cause: Cause,
	}}
}

// blob is what the object is made of now.
func blob(e Entry) string { return cmp.Or(e.NewBlob, "-") }
