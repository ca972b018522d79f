package deploy_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
)

const tagHeader = "x-amz-meta-cache-tag"

func tagged(tags string) deploy.Served {
	return deploy.Served{Metadata: map[string]string{"cache-tag": tags, "other": "x"}}
}

func TestLines(t *testing.T) {
	if got := tagged("a,b").Lines([]string{"cache-tag", tagHeader}); got != tagHeader+":a,b\n" {
		t.Errorf("%q", got)
	}
	if got := (deploy.Served{}).Lines([]string{tagHeader}); got != "" {
		t.Errorf("%q", got)
	}
}

func TestLedgersSurviveTheirShelf(t *testing.T) {
	l := &deploy.Ledger{Format: "freshet-cleared/1", Era: "e", Cleared: []deploy.Cleared{{Key: "a", ETag: "1", At: 7, Tags: "x-amz-meta-cache-tag:t\n"}}}
	text, err := deploy.Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := deploy.DecodeLedger(text); err != nil || !reflect.DeepEqual(got, l) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := deploy.DecodeLedger([]byte("{}")); err == nil {
		t.Error("what is no ledger is taken for one")
	}
}

// site is one object, caches that fetch it when they like, somebody who deploys,
// and others who write into the bucket at any time but during a deploy.
type siteOfOne struct {
	clock   int64
	etag    int
	served  deploy.Served
	copies  [][]string // the tags of each copy that is cached and not of the version that is stored
	current [][]string // and of those that are
	era     int
	ledger  *deploy.Ledger
	byTag   int
	headers []string // from which caches take tags
}

func (s *siteOfOne) store(served deploy.Served, same bool) {
	s.clock++
	if !same {
		s.etag++
	}
	s.served = served
	s.copies = append(s.copies, s.current...)
	s.current = nil
}

func (s *siteOfOne) present() []deploy.Present {
	return []deploy.Present{{Key: "k", ETag: fmt.Sprint(s.etag), Modified: s.clock}}
}

// deploy sends another version and invalidates by a tag where the ledger is sure;
// it may die, or not wait, and then nothing is written down.
func (s *siteOfOne) deploy(t *rapid.T, served deploy.Served) {
	era := fmt.Sprint("era ", s.era)
	sure := freshet.TagsIn(s.ledger.Sure(era, s.present())["k"], tagHeader)
	same := rapid.Bool().Draw(t, "only headers")
	s.store(served, same)
	d := &deploy.Deploy{Steps: []deploy.Step{{Op: deploy.Put, Object: deploy.Object{Key: "k", Served: served}}}, Changes: []freshet.Change{{Key: "k"}}}
	if rapid.IntRange(0, 4).Draw(t, "dies") == 0 {
		return
	}
	path, tag := len(sure) == 0, ""
	if !path {
		s.byTag++
		tag = rapid.SampledFrom(sure).Draw(t, "tag")
	}
	gone := func(tags []string) bool { return path || slices.Contains(tags, tag) }
	s.copies, s.current = slices.DeleteFunc(s.copies, gone), slices.DeleteFunc(s.current, gone)
	if len(s.copies) > 0 {
		t.Fatalf("copies with the tags %q are older, and survived #%s", s.copies, tag)
	}
	if rapid.IntRange(0, 4).Draw(t, "not waited for") == 0 {
		return
	}
	m := &deploy.Manifest{Records: []deploy.Record{{Key: "k", ETag: fmt.Sprint(s.etag), At: s.clock, Served: served}}}
	s.ledger = s.ledger.After(era, d, m, s.present(), s.headers, func(string) bool { return true })
}

// TestNoDeployLeavesAStaleCopy in small worlds of every kind.
func TestNoDeployLeavesAStaleCopy(t *testing.T) {
	byTag := 0
	rapid.Check(t, func(t *rapid.T) {
		s := &siteOfOne{headers: []string{tagHeader}}
		kinds := []deploy.Served{{}, tagged("a"), tagged("a,b"), tagged("b")}
		for range rapid.IntRange(10, 150).Draw(t, "steps") {
			served := rapid.SampledFrom(kinds).Draw(t, "served")
			switch rapid.SampledFrom([]string{"deploy", "deploy", "fetch", "fetch", "write", "configure"}).Draw(t, "step") {
			case "deploy":
				s.deploy(t, served)
			case "fetch":
				s.current = append(s.current, freshet.TagsIn(s.served.Lines(s.headers), tagHeader))
			case "write":
				s.store(served, rapid.Bool().Draw(t, "same"))
			case "configure":
				if rapid.IntRange(0, 9).Draw(t, "often") == 0 {
					s.era++
					if s.headers = nil; s.era%2 == 0 {
						s.headers = []string{tagHeader}
					}
				}
			}
		}
		byTag += s.byTag
	})
	if byTag < 20 {
		t.Errorf("only %d deploys by tag: the worlds are too small", byTag)
	}
}

func TestOnlyWhatWasInvalidatedEverywhereIsCleared(t *testing.T) {
	d := &deploy.Deploy{
		Steps: []deploy.Step{
			{Op: deploy.Put, Object: deploy.Object{Key: "here"}}, {Op: deploy.Put, Object: deploy.Object{Key: "elsewhere"}},
			{Op: deploy.Put, Object: deploy.Object{Key: "plain"}}, {Op: deploy.Delete, Object: deploy.Object{Key: "gone"}},
			{Op: deploy.Put, Object: deploy.Object{Key: "overwritten"}}, {Op: deploy.Put, Object: deploy.Object{Key: "lost"}},
		},
		Changes: []freshet.Change{{Key: "here"}, {Key: "elsewhere"}, {Key: "plain"}, {Key: "gone"}, {Key: "left behind"}},
	}
	m := &deploy.Manifest{Records: []deploy.Record{
		{Key: "here", ETag: "1", At: 1, Served: tagged("t")}, {Key: "elsewhere", ETag: "1", At: 1, Served: tagged("t")},
		{Key: "plain", ETag: "1", At: 1}, {Key: "kept", ETag: "0", At: 0, Served: tagged("t")}, {Key: "gone", ETag: "1", At: 1, Served: tagged("t")},
		{Key: "overwritten", ETag: "1", At: 1, Served: tagged("t")}, {Key: "lost", ETag: "1", At: 1, Served: tagged("t")},
	}}
	listed := []deploy.Present{{Key: "here", ETag: "1"}, {Key: "elsewhere", ETag: "1"}, {Key: "plain", ETag: "1"}, {Key: "kept", ETag: "0"}, {Key: "overwritten", ETag: "2"}}
	var before *deploy.Ledger
	old := &deploy.Ledger{Era: "e", Cleared: []deploy.Cleared{{Key: "kept", ETag: "0"}, {Key: "gone"}, {Key: "left behind"}, {Key: "plain"}}}
	everywhere := func(key string) bool { return key != "elsewhere" }
	keys := func(l *deploy.Ledger) (keys []string) {
		for _, c := range l.Cleared {
			keys = append(keys, c.Key)
		}
		return keys
	}
	for era, want := range map[string][]string{"e": {"here", "kept"}, "another": {"here"}} {
		if got := keys(old.After(era, d, m, listed, []string{tagHeader}, everywhere)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", era, got, want)
		}
	}
	if got := keys(before.After("e", d, m, listed, []string{tagHeader}, everywhere)); !slices.Equal(got, []string{"here"}) {
		t.Errorf("the first: %q", got)
	}
	if got := old.Sure("", []deploy.Present{{Key: "kept", ETag: "0"}}); len(got) > 0 {
		t.Errorf("sure of %q without an era", got)
	}
}
