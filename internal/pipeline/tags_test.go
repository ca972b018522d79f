package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/pipeline"
)

const tagHeader = "x-amz-meta-cache-tag"

// taggedLine is a pipeline in front of a distribution with cache tags, with many
// objects that have none, so that no wildcard is cheap.
func taggedLine(t *testing.T) *line {
	l := newLine(t)
	l.stop()
	l.tagging = pipeline.Tagging{Headers: map[string]string{"E1": tagHeader}, Era: "one"}
	l.start()
	var others []freshet.Change
	for i := range 100 {
		others = append(others, put(fmt.Sprintf("%c/other%d", 'a'+i%3, i), 1))
	}
	l.together(others...)
	return l
}

// together has changes planned in one batch, and waits until they are verified.
func (l *line) together(cs ...freshet.Change) {
	l.t.Helper()
	l.take("together", time.Hour)
	l.put(cs...)
	l.held(len(cs))
	l.release("together")
	for _, c := range cs {
		l.last(c, journal.Verified)
	}
	l.settled()
}

var tagPages = []string{"a/page", "b/page", "c/page"}

// pages are a version of all pages, with tags.
func pages(version int, tags string) (cs []freshet.Change) {
	for _, key := range tagPages {
		c := put(key, version)
		if tags != "" {
			c.Tags = freshet.TagLine(tagHeader, tags)
		}
		cs = append(cs, c)
	}
	return cs
}

func (l *line) wantBy(when string, cs []freshet.Change, tag freshet.Pattern) {
	l.t.Helper()
	for _, c := range cs {
		by := l.sent(c)
		path := !slices.ContainsFunc(by, func(p freshet.Pattern) bool { return p.IsTag() })
		if tag == "" && !path || tag != "" && !slices.Equal(by, []freshet.Pattern{tag}) {
			l.t.Errorf("%s: %s was invalidated by %q, want %q", when, c.Key, by, tag)
		}
	}
}

func TestTagsFromTheSecondChangeOn(t *testing.T) {
	l := taggedLine(t)
	first, second := pages(2, "t"), pages(3, "t")
	l.together(first...)
	l.wantBy("never seen with tags", first, "")
	l.together(second...)
	l.wantBy("seen with tags", second, "#t")

	l.stop() // and after a restart
	l.start()
	third := pages(4, "t")
	l.together(third...)
	l.wantBy("after a restart", third, "#t")

	l.stop() // and after one with another configuration
	l.tagging.Era = "two"
	l.start()
	fourth, fifth := pages(5, "t"), pages(6, "t")
	l.together(fourth...)
	l.wantBy("configured anew while nobody looked", fourth, "")
	l.together(fifth...)
	l.wantBy("invalidated since", fifth, "#t")

	l.run.Retag(pipeline.Tagging{Headers: l.tagging.Headers, Era: "three"})
	sixth, seventh := pages(7, "t"), pages(8, "t")
	l.together(sixth...)
	l.wantBy("configured anew", sixth, "")
	l.together(seventh...)
	l.wantBy("invalidated since", seventh, "#t")
}

// TestADeadVersionIsNotForgotten: it lacked the tag, and was perhaps cached.
func TestADeadVersionIsNotForgotten(t *testing.T) {
	l := taggedLine(t)
	l.together(pages(2, "t")...)
	refused := &cdn.Error{Class: cdn.Rejected, Err: errors.New("no")}
	l.network.set(func() { l.network.refuse = func(freshet.Invalidation) error { return refused } })
	lost := put(tagPages[0], 3)
	l.put(lost)
	l.last(lost, journal.Dead)
	l.settled()
	l.network.set(func() { l.network.refuse = nil })
	after := pages(4, "t")
	l.together(after...)
	l.wantBy("a dead version lacks the tag", after[:1], "")
	l.wantBy("beside it", after[1:], "#t")

	l.network.set(func() { l.network.refuse = func(freshet.Invalidation) error { return refused } })
	again := put(tagPages[1], 5)
	l.put(again)
	l.last(again, journal.Dead)
	l.settled()
	l.network.set(func() { l.network.refuse = nil })
	l.stop() // the dead letter is found again
	l.start()
	restarted := pages(6, "t")
	l.together(restarted...)
	l.wantBy("a dead version of the last run", restarted[1:2], "")
}

// TestWhatATagLeftStaleIsInvalidatedByPath, once more and no more.
func TestWhatATagLeftStaleIsInvalidatedByPath(t *testing.T) {
	l := taggedLine(t)
	l.together(pages(2, "t")...)
	var mu sync.Mutex
	looks := make(map[string]int)
	l.network.set(func() {
		l.network.check = func(c freshet.Change) freshet.Verdict {
			mu.Lock()
			defer mu.Unlock()
			if looks[c.ID()]++; strings.HasSuffix(c.Key, "page") && looks[c.ID()] == 1 {
				return freshet.Verdict{State: freshet.Stale, Reason: "the old bytes"}
			}
			return freshet.Verdict{State: freshet.Fresh}
		}
	})
	stale := pages(3, "t")
	l.together(stale...)
	l.wantBy("tried again", stale, "")
	sentTag := false
	for _, inv := range l.requests() {
		sentTag = sentTag || slices.Contains(inv.Patterns, freshet.Pattern("#t"))
	}
	if !sentTag {
		t.Error("no tag was tried before")
	}
}

// TestATagCoversAllURLsOfAnObject where the object itself is served: the default
// root object has two, and a tag is cheaper than two paths.
func TestATagCoversAllURLsOfAnObject(t *testing.T) {
	l := taggedLine(t)
	for version, want := range [][]freshet.Pattern{{"/", "/index.html"}, {"#t"}} {
		c := put("index.html", version+2)
		c.Tags = freshet.TagLine(tagHeader, "t")
		l.together(c)
		if got := l.sent(c); !slices.Equal(got, want) {
			t.Errorf("version %d was invalidated by %q, want %q", version, got, want)
		}
	}
}
