package cloudfront_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cdntest/edgetest"
)

// What is in progress at our own API is found with its size, and what is
// completed or known is not asked for.
func TestInProgress(t *testing.T) {
	register, fixture := edgetest.Open(t)
	s := edge(t, register)
	d := driver(t, s.URL, nil)
	send := func(reference string, patterns ...freshet.Pattern) string {
		r, err := d.Invalidate(t.Context(), freshet.Invalidation{Distribution: "E1PLAIN", CallerReference: reference, Patterns: patterns})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	if found, err := d.InProgress(t.Context(), "E1PLAIN", nil); err != nil || len(found) != 0 {
		t.Fatalf("found %v, %v where nothing is", found, err)
	}
	release := fixture.Hold()
	defer release()
	a, b := send("a", "/x", "/y", "/z/*"), send("b", "/only")
	found, err := d.InProgress(t.Context(), "E1PLAIN", map[string]cdn.Progress{b: {ID: b, Patterns: 77}})
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string][2]int)
	for _, p := range found {
		sizes[p.ID] = [2]int{p.Patterns, p.Wildcards}
		if p.ID == a && p.Since.IsZero() {
			t.Error("it does not say since when")
		}
	}
	if want := map[string][2]int{a: {3, 1}, b: {77, 0}}; fmt.Sprint(sizes) != fmt.Sprint(want) {
		t.Errorf("found %v, want %v", sizes, want)
	}
}

// A look at thousands of foreign invalidations costs few questions.
func TestInProgressOfManyOthers(t *testing.T) {
	asked := 0
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if _, id, one := strings.Cut(r.URL.Path, "/invalidation/"); one {
			asked++
			_, _ = fmt.Fprintf(w, `<Invalidation xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Id>%s</Id><Status>InProgress</Status><CreateTime>2026-01-01T00:00:00Z</CreateTime><InvalidationBatch><Paths><Quantity>3</Quantity><Items><Path>/a</Path><Path>/b</Path><Path>/c*</Path></Items></Paths><CallerReference>x</CallerReference></InvalidationBatch></Invalidation>`, id)
			return
		}
		var items []string
		for i := range 100 {
			items = append(items, fmt.Sprintf(`<InvalidationSummary><Id>I%d</Id><CreateTime>2999-01-01T00:00:00Z</CreateTime><Status>InProgress</Status></InvalidationSummary>`, i))
		}
		_, _ = fmt.Fprintf(w, `<InvalidationList xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Marker></Marker><MaxItems>100</MaxItems><IsTruncated>false</IsTruncated><Quantity>100</Quantity><Items>%s</Items></InvalidationList>`, strings.Join(items, ""))
	})
	found, err := driver(t, s.URL, nil).InProgress(t.Context(), "E1", nil)
	if err != nil || len(found) != 100 || asked > 25 {
		t.Fatalf("found %d, %v, by %d questions", len(found), err, asked)
	}
	if i := slices.IndexFunc(found, func(p cdn.Progress) bool { return p.Patterns != 3 || p.Wildcards != 1 }); i >= 0 {
		t.Errorf("the size of %+v was taken for another than the mean", found[i])
	}
}
