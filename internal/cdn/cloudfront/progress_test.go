package cloudfront_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestSince(t *testing.T) {
	register, _ := edgetest.Open(t)
	d := driver(t, edge(t, register).URL, nil)
	before := time.Now().Add(-time.Second)
	for i, pattern := range []freshet.Pattern{"/a", "/b*", "/c"} {
		if _, err := d.Invalidate(t.Context(), freshet.Invalidation{Distribution: "E1PLAIN", CallerReference: fmt.Sprint(i), Patterns: []freshet.Pattern{pattern}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		from time.Time
		most int
		want int
	}{
		{before, 100, 3},
		{before, 2, 2},
		{time.Now().Add(time.Minute), 100, 0},
	} {
		known := make(map[string][]freshet.Pattern)
		sent, err := d.Since(t.Context(), "E1PLAIN", c.from, c.most, known)
		got := make(map[freshet.Pattern]bool)
		for _, s := range sent {
			got[s.Patterns[0]] = true
			if s.At.Before(c.from) || s.ID == "" {
				t.Errorf("%+v is older than %v", s, c.from)
			}
		}
		if err != nil || len(got) != c.want {
			t.Errorf("got %v, %v, want %d", got, err, c.want)
		}
		if len(known) != c.want {
			t.Errorf("known are %v, want %d", known, c.want)
		}
		for id := range known {
			known[id] = []freshet.Pattern{"/known"} // and is not asked for
		}
		sent, err = d.Since(t.Context(), "E1PLAIN", c.from, c.most, known)
		for _, s := range sent {
			if s.Patterns[0] != "/known" {
				t.Errorf("%s was asked for again: %v", s.ID, s.Patterns)
			}
		}
		if err != nil || len(sent) != c.want {
			t.Errorf("again: %v, %v", sent, err)
		}
	}
}

// Tenants have operations of their own; all else is the same.
func TestTenants(t *testing.T) {
	const tenant = "dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB"
	const one = `<Invalidation xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Id>I1</Id><Status>InProgress</Status><CreateTime>2999-01-01T00:00:00Z</CreateTime><InvalidationBatch><Paths><Quantity>2</Quantity><Items><Path>/a</Path><Path>/b*</Path></Items></Paths><CallerReference>r</CallerReference></InvalidationBatch></Invalidation>`
	var asked []string
	s := answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, one)
		case strings.HasSuffix(r.URL.Path, "/I1"):
			_, _ = io.WriteString(w, one)
		case strings.HasSuffix(r.URL.Path, "/gone"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `<ErrorResponse xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Error><Type>Sender</Type><Code>EntityNotFound</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>`)
		default:
			_, _ = io.WriteString(w, `<InvalidationList xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Marker></Marker><MaxItems>100</MaxItems><IsTruncated>false</IsTruncated><Quantity>1</Quantity><Items><InvalidationSummary><Id>I1</Id><CreateTime>2999-01-01T00:00:00Z</CreateTime><Status>InProgress</Status></InvalidationSummary></Items></InvalidationList>`)
		}
	})
	d := driver(t, s.URL, nil)
	r, err := d.Invalidate(t.Context(), freshet.Invalidation{Distribution: tenant, CallerReference: "r", Patterns: []freshet.Pattern{"/a", "/b*"}})
	if err != nil || r.ID != "I1" || r.Distribution != tenant || r.State != freshet.Accepted {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = d.Status(t.Context(), tenant, "I1"); err != nil || r.CallerReference != "r" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err = d.Status(t.Context(), tenant, "gone"); cdn.ClassOf(err) != cdn.NotFound {
		t.Errorf("got %v, want that there is none", err)
	}
	found, err := d.InProgress(t.Context(), tenant, nil)
	if err != nil || len(found) != 1 || found[0].Patterns != 2 || found[0].Wildcards != 1 {
		t.Errorf("got %+v, %v", found, err)
	}
	at := "/2020-05-31/distribution-tenant/" + tenant + "/invalidation"
	if want := []string{"POST " + at, "GET " + at + "/I1", "GET " + at + "/gone", "GET " + at, "GET " + at + "/I1"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// Moto says COMPLETED.
func TestCompletedInCapitals(t *testing.T) {
	for _, status := range []string{"Completed", "COMPLETED"} {
		s := answering(t, func(w http.ResponseWriter, r *http.Request) {
			summary := `<Id>I1</Id><CreateTime>2999-01-01T00:00:00Z</CreateTime><Status>` + status + `</Status>`
			if strings.HasSuffix(r.URL.Path, "/I1") {
				_, _ = io.WriteString(w, `<Invalidation>`+summary+`<InvalidationBatch><CallerReference>r</CallerReference></InvalidationBatch></Invalidation>`)
				return
			}
			_, _ = io.WriteString(w, `<InvalidationList><Marker></Marker><MaxItems>100</MaxItems><IsTruncated>false</IsTruncated><Quantity>1</Quantity><Items><InvalidationSummary>`+summary+`</InvalidationSummary></Items></InvalidationList>`)
		})
		d := driver(t, s.URL, nil)
		if r, err := d.Status(t.Context(), "E1", "I1"); err != nil || r.State != freshet.Completed {
			t.Errorf("%s: %+v, %v", status, r, err)
		}
		if found, err := d.InProgress(t.Context(), "E1", nil); err != nil || len(found) > 0 {
			t.Errorf("%s: in progress are %+v, %v", status, found, err)
		}
	}
}
