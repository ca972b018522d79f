package edge

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

// urls has few letters, so that prefixes are shared often.
var urls = rapid.Custom(func(t *rapid.T) string {
	return "/" + rapid.StringMatching(`[ab/]{0,6}`).Draw(t, "url")
})

var patterns = rapid.Custom(func(t *rapid.T) freshet.Pattern {
	p := urls.Draw(t, "prefix")
	if rapid.Bool().Draw(t, "wild") {
		p += "*"
	}
	return freshet.Pattern(p)
})

// dated is a list of patterns as a judge of the tree would keep it.
type dated []struct {
	pattern freshet.Pattern
	epoch   uint64
}

func (d dated) invalidated(url string) (newest uint64) {
	for _, r := range d {
		if r.pattern.Covers(url) {
			newest = max(newest, r.epoch)
		}
	}
	return newest
}

// grown builds a tree and its judge from the same patterns, several to an epoch.
func grown(t *rapid.T) (*node, dated, uint64) {
	root, judge, epoch := newNode("", 0, 0, nil), dated(nil), uint64(1)
	for _, p := range rapid.SliceOfN(patterns, 0, 40).Draw(t, "patterns") {
		if rapid.Bool().Draw(t, "next epoch") {
			epoch++
		}
		root = root.with(p.Prefix(), p.IsWildcard(), epoch)
		judge = append(judge, struct {
			pattern freshet.Pattern
			epoch   uint64
		}{p, epoch})
	}
	return root, judge, epoch
}

func TestTrieAgreesWithPatterns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, judge, _ := grown(t)
		checkShape(t, root)
		for _, url := range rapid.SliceOfN(urls, 20, 20).Draw(t, "urls") {
			if got, want := root.invalidated(url), judge.invalidated(url); got != want {
				t.Errorf("invalidated(%q) = %d, want %d", url, got, want)
			}
		}
	})
}

func TestTrieForgetsOnlyOldRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, judge, epoch := grown(t)
		horizon := rapid.Uint64Range(0, epoch).Draw(t, "horizon")
		kept := root.after(horizon)
		for _, url := range rapid.SliceOfN(urls, 20, 20).Draw(t, "urls") {
			want := judge.invalidated(url)
			if want <= horizon {
				want = 0
			}
			if got := kept.invalidated(url); got != want {
				t.Errorf("after %d invalidated(%q) = %d, want %d", horizon, url, got, want)
			}
		}
		if kept != nil {
			checkShape(t, kept)
		}
	})
}

func TestTrieCapInvalidatesMoreNeverLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, judge, _ := grown(t)
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		small := root.atMost(limit)
		checkShape(t, small)
		if small.records > limit {
			t.Fatalf("%d records, at most %d wanted", small.records, limit)
		}
		if root.records <= limit && small != root {
			t.Error("a tree within the limit was changed")
		}
		for _, url := range rapid.SliceOfN(urls, 20, 20).Draw(t, "urls") {
			if got, least := small.invalidated(url), judge.invalidated(url); got < least {
				t.Errorf("invalidated(%q) = %d, want at least %d", url, got, least)
			}
		}
	})
}

// The cap takes the deepest siblings first, and leaves the rest exact.
func TestTrieCapKeepsWhatIsApart(t *testing.T) {
	root := newNode("", 0, 0, nil)
	for i, p := range []string{"/css/a", "/css/b", "/deep/down/x", "/deep/down/y", "/z"} {
		root = root.with(p, false, uint64(i+1))
	}
	root = root.atMost(4)
	for url, want := range map[string]uint64{"/css/a": 1, "/css/c": 0, "/deep/down/other": 4, "/deep/": 0, "/z": 5} {
		if got := root.invalidated(url); got != want {
			t.Errorf("invalidated(%q) = %d, want %d", url, got, want)
		}
	}
}

// A cap on bytes invalidates more, never less, and ends with one record at least.
func TestTrieRoomInvalidatesMoreNeverLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root, judge, _ := grown(t)
		room := rapid.IntRange(0, 4000).Draw(t, "room")
		small := root.within(maxRecords, room)
		checkShape(t, small)
		if small.size > room && small.records > 1 {
			t.Fatalf("%d records of %d bytes, at most %d wanted", small.records, small.size, room)
		}
		if root.size <= room && small != root {
			t.Error("a tree within its room was changed")
		}
		for _, url := range rapid.SliceOfN(urls, 20, 20).Draw(t, "urls") {
			if got, least := small.invalidated(url), judge.invalidated(url); got < least {
				t.Errorf("invalidated(%q) = %d, want at least %d", url, got, least)
			}
		}
	})
}

// checkShape holds the tree against what its code relies on.
func checkShape(t *rapid.T, n *node) {
	again := newNode(n.label, n.exact, n.wild, n.children)
	if again.records != n.records || again.newest != n.newest || again.size != n.size {
		t.Fatalf("node %q knows %d records up to %d and %d bytes, has %d up to %d and %d", n.label, n.records, n.newest, n.size, again.records, again.newest, again.size)
	}
	for i, c := range n.children {
		if c.label == "" || i > 0 && n.children[i-1].label[0] >= c.label[0] {
			t.Fatalf("children of %q are out of order", n.label)
		}
		if c.records == 0 {
			t.Fatalf("node %q below %q says nothing", c.label, n.label)
		}
		checkShape(t, c)
	}
}

// A fetch that no sweep has seen must not outlive the records it was never held
// against.
func TestForgettingDistrustsWhatWasNotChecked(t *testing.T) {
	e := newEpochs(maxRecords)
	var unseen, seen stamp
	e.begin(&unseen)
	e.begin(&seen)
	e.invalidate([]freshet.Pattern{"/a"})
	if e.valid(&unseen, []string{"/a"}) {
		t.Error("valid before the sweep")
	}
	if !e.valid(&seen, []string{"/b"}) {
		t.Error("an invalidation reached a path it does not cover")
	}
	e.forget(1, 1)
	if e.valid(&unseen, []string{"/a"}) {
		t.Error("valid again after the record was dropped")
	}
	if !e.valid(&seen, []string{"/b"}) {
		t.Error("invalid although it was checked before the record was dropped")
	}
}

// What is invalidated while a sweep is under way is not forgotten by it, though
// the sweep may have seen the copy before.
func TestForgettingSparesWhatCameSince(t *testing.T) {
	for _, p := range []freshet.Pattern{"/a", "/*", "#a"} {
		e := newEpochs(maxRecords)
		var s stamp
		e.begin(&s)
		names := []string{"/a", "#a"}
		e.invalidate([]freshet.Pattern{"/elsewhere"})
		began := e.counter.Load()
		if !e.valid(&s, names) {
			t.Error("invalid before the sweep")
		}
		e.invalidate([]freshet.Pattern{p})
		e.forget(began, began)
		if e.valid(&s, names) {
			t.Errorf("%s was forgotten although the copy was looked at before", p)
		}
	}
}

// An invalidation that arrives while a copy is being checked is seen by the next
// check at the latest. Many names make the check long enough to be interrupted.
func TestInvalidationDuringACheckIsSeen(t *testing.T) {
	names := make([]string, 100_000)
	for i := range names {
		names[i] = "/a/" + strconv.Itoa(i)
	}
	for range 20 {
		e := newEpochs(maxRecords)
		var s stamp
		e.begin(&s)
		e.invalidate([]freshet.Pattern{"/elsewhere"})
		started, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); close(started); e.valid(&s, names) }()
		<-started
		e.invalidate([]freshet.Pattern{"/a/0"})
		<-done
		if e.valid(&s, names) {
			t.Fatal("still valid after an invalidation has returned")
		}
	}
}
