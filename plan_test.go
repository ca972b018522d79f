package freshet_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

func patterns() *rapid.Generator[[]freshet.Pattern] {
	return rapid.SliceOfN(rapid.SampledFrom([]freshet.Pattern{"/a", "/b", "/a/*", "/*", "#tag", "/a\n/b"}), 0, 4)
}

// The reference depends on what a request is for and on nothing else: not on
// the order of arrival, nor on how often a change arrived.
func TestPromiseNothingIsDoubledReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch, paths := changes().Draw(t, "changes"), patterns().Draw(t, "patterns")
		attempt := rapid.IntRange(0, 2).Draw(t, "attempt")
		ref := freshet.CallerReference("E1", batch, paths, attempt)

		moreChanges := rapid.Permutation(append(slices.Clone(batch), batch...)).Draw(t, "changes again")
		morePaths := rapid.Permutation(append(slices.Clone(paths), paths...)).Draw(t, "patterns again")
		if again := freshet.CallerReference("E1", moreChanges, morePaths, attempt); again != ref {
			t.Errorf("the same request has two references, %s and %s", ref, again)
		}
		if rest, ok := strings.CutPrefix(ref, "freshet-"); !ok || len(rest) != 32 {
			t.Errorf("reference %q is not of the form freshet-<32 hex digits>", ref)
		}
	})
}

// Two requests have one reference only if they are for the same changes and
// patterns, at the same distribution and attempt.
func TestPromiseNothingIsDoubledDistinct(t *testing.T) {
	type request struct {
		distribution string
		changes      []freshet.Change
		patterns     []freshet.Pattern
		attempt      int
	}
	requests := rapid.Custom(func(t *rapid.T) request {
		return request{rapid.SampledFrom([]string{"E1", "E2"}).Draw(t, "distribution"), changes().Draw(t, "changes"), patterns().Draw(t, "patterns"), rapid.IntRange(0, 1).Draw(t, "attempt")}
	})
	set := func(list []string) string {
		slices.Sort(list)
		return strings.Join(slices.Compact(list), "\x00")
	}
	names := func(list []freshet.Pattern) (out []string) {
		for _, p := range list {
			out = append(out, string(p))
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := requests.Draw(t, "a"), requests.Draw(t, "b")
		if rapid.Bool().Draw(t, "same changes") {
			b.changes = a.changes
		}
		if rapid.Bool().Draw(t, "same distribution and attempt") {
			b.distribution, b.attempt = a.distribution, a.attempt
		}
		same := a.distribution == b.distribution && a.attempt == b.attempt &&
			set(ids(a.changes)) == set(ids(b.changes)) && set(names(a.patterns)) == set(names(b.patterns))
		refA := freshet.CallerReference(a.distribution, a.changes, a.patterns, a.attempt)
		refB := freshet.CallerReference(b.distribution, b.changes, b.patterns, b.attempt)
		if (refA == refB) != same {
			t.Errorf("equal requests: %v, equal references: %v", same, refA == refB)
		}
	})
}

func TestCallerReferenceKnowsNothingFromNothing(t *testing.T) {
	seen := map[string]string{}
	for name, patterns := range map[string][]freshet.Pattern{"two": {"/a", "/b"}, "one with a line break": {"/a\n/b"}, "none": nil} {
		ref := freshet.CallerReference("E1", nil, patterns, 0)
		if other, taken := seen[ref]; taken {
			t.Errorf("%s and %s have the same reference", name, other)
		}
		seen[ref] = name
	}
}
