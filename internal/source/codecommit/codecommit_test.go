package codecommit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/source/codecommit"
	"github.com/freshet/freshet/internal/source/codecommit/codecommittest"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

func serve(t *testing.T, s *codecommittest.Server) codecommit.Repository {
	t.Helper()
	at := httptest.NewServer(s)
	t.Cleanup(at.Close)
	return codecommit.Repository{API: codecommittest.Client(at.URL), Name: s.Name}
}

func lines(entries []gitdiff.Entry) (all []string) {
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%s %s", e.Status, e.Path))
	}
	return all
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A range is several commits, and more than one page.
func TestEntries(t *testing.T) {
	s := codecommittest.New("pages")
	a := s.Add("main", "a", nil, "index.html=1", "old=1", "same=1", "x y+é=1")
	b := s.Add("main", "b", []string{a}, "index.html=2", "old=1", "same=1", "x y+é=1")
	c := s.Add("main", "c", []string{b}, "index.html=2", "new=1", "same=1", "x y+é=2")
	r := serve(t, s)
	entries, lost, err := r.Entries(t.Context(), a, c)
	if err != nil || lost {
		t.Fatal(lost, err)
	}
	expect(t, "two commits", lines(entries), "M index.html", "A new", "D old", "M x y+é")
	if e := entries[0]; e.OldMode != gitdiff.File || e.NewMode != gitdiff.File || e.OldBlob == e.NewBlob || e.OldBlob == "" {
		t.Errorf("entry %+v", e)
	}
	calls := s.Calls()
	if len(calls) != 2 || !strings.Contains(calls[1], `"NextToken":"`) || strings.Contains(calls[0], "oken") {
		t.Errorf("asked %q", calls)
	}
	for _, base := range []string{"", strings.Repeat("0", 40)} {
		if entries, lost, err = r.Entries(t.Context(), base, a); err != nil || lost {
			t.Fatal(lost, err)
		}
		expect(t, "a first deploy", lines(entries), "A index.html", "A old", "A same", "A x y+é")
	}
	if entries, _, err = r.Entries(t.Context(), c, c); err != nil || len(entries) > 0 {
		t.Errorf("nothing is %q, %v", lines(entries), err)
	}
}

func TestLostAndUnknown(t *testing.T) {
	s := codecommittest.New("pages")
	a := s.Add("main", "a", nil, "index.html=1")
	r := serve(t, s)
	gone := strings.Repeat("9", 40)
	entries, lost, err := r.Entries(t.Context(), gone, a)
	if err != nil || !lost {
		t.Fatal(lost, err)
	}
	expect(t, "without the base", lines(entries), "A index.html")
	if _, _, err := r.Entries(t.Context(), a, gone); !errors.Is(err, codecommit.ErrUnknown) {
		t.Errorf("without the head: %v", err)
	}
	if _, err := r.Branch(t.Context(), "other"); !errors.Is(err, codecommit.ErrUnknown) {
		t.Errorf("another branch: %v", err)
	}
	if _, err := r.Commit(t.Context(), gone); !errors.Is(err, codecommit.ErrUnknown) {
		t.Errorf("another commit: %v", err)
	}
	if id, err := r.Resolve(t.Context(), "main"); err != nil || id != a {
		t.Errorf("main is %s, %v", id, err)
	}
	if c, err := r.Commit(t.Context(), a); err != nil || !c.Time.Equal(time.Unix(1700000000, 0)) || len(c.Parents) != 0 {
		t.Errorf("commit %+v, %v", c, err)
	}
	other := codecommit.Repository{API: r.API, Name: "other"}
	if _, _, err := other.Entries(t.Context(), "", a); err == nil || errors.Is(err, codecommit.ErrUnknown) {
		t.Errorf("another repository: %v", err)
	}
}

// Throttling is borne for a while, and no part of the pages passes for all of
// them when it goes on.
func TestThrottling(t *testing.T) {
	s := codecommittest.New("pages")
	a := s.Add("main", "a", nil, "1=1", "2=1", "3=1", "4=1", "5=1")
	failing := map[int]bool{1: true, 3: true, 4: true}
	s.Refuse = func(_ string, n int) (string, string) {
		if failing[n] {
			return "ThrottlingException", "Rate exceeded"
		}
		return "", ""
	}
	r := serve(t, s)
	entries, _, err := r.Entries(t.Context(), "", a)
	if err != nil || len(entries) != 5 {
		t.Errorf("%q, %v", lines(entries), err)
	}
	s.Do(func() {
		s.Refuse = func(_ string, n int) (string, string) {
			if n > 8 {
				return "ThrottlingException", "Rate exceeded"
			}
			return "", ""
		}
	})
	if entries, _, err := r.Entries(t.Context(), "", a); err == nil {
		t.Errorf("a part of it: %q", lines(entries))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Entries(ctx, "", a); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// What was touched and taken back was touched, and merges bring what they bring.
func TestTouched(t *testing.T) {
	s := codecommittest.New("pages")
	a := s.Add("main", "a", nil, "x=1", "y=1")
	b := s.Add("main", "b", []string{a}, "x=2", "y=1")
	c := s.Add("main", "c", []string{b}, "x=1", "y=1")
	side := s.Add("side", "side", []string{a}, "x=1", "y=1", "z=1")
	d := s.Add("main", "d", []string{c, side}, "x=1", "y=1", "z=1")
	w := codecommit.Walk{Repository: serve(t, s)}
	entries, complete, err := w.Touched(t.Context(), a, d)
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	expect(t, "touched", lines(entries), "A z", "M x", "M x")
	asked := len(s.Calls())
	if _, complete, err = w.Touched(t.Context(), a, d); err != nil || !complete || len(s.Calls()) > 0 {
		t.Errorf("the second time, after %d calls: %v, %v", asked, complete, err)
	}
	if entries, complete, err = w.Touched(t.Context(), d, d); err != nil || !complete || len(entries) > 0 {
		t.Errorf("nothing: %q, %v, %v", lines(entries), complete, err)
	}
	for what, base := range map[string]string{"rewritten": strings.Repeat("9", 40), "another branch": side} {
		if entries, complete, err := w.Touched(t.Context(), base, d); err != nil || complete || len(entries) > 0 {
			t.Errorf("%s: %q, %v, %v", what, lines(entries), complete, err)
		}
	}
}

// What CodeCommit could only say by mistake is not guessed about.
func TestKindsOfDifferences(t *testing.T) {
	s := codecommittest.New("pages")
	a := s.Add("main", "a", nil, "kind=1")
	b := s.Add("main", "b", []string{a}, "kind=1", "sub=1")
	s.Commits[b].Files["kind"] = codecommittest.File{Blob: codecommittest.ID("blob1"), Mode: "120000"}
	s.Commits[b].Files["sub"] = codecommittest.File{Blob: codecommittest.ID("blob1"), Mode: "160000"}
	r := serve(t, s)
	entries, _, err := r.Entries(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "kinds", lines(entries), "T kind", "A sub")
	s.Do(func() { s.Commits[b].Files["sub"] = codecommittest.File{Blob: "x", Mode: "folder"} })
	if entries, _, err := r.Entries(t.Context(), a, b); err == nil {
		t.Errorf("an unknown mode is %+v", entries)
	}
}
