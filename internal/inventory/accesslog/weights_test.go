package accesslog

import (
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func hits(all ...Hit) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		for _, h := range all {
			if !yield(h, nil) {
				return
			}
		}
	}
}

func get(path, location string, bytes int64) Hit {
	return Hit{Host: "h", Method: "GET", Path: path, Status: 200, Bytes: bytes, Location: location}
}

func TestWeights(t *testing.T) {
	var w Weights
	with := func(h Hit, edit func(*Hit)) Hit { edit(&h); return h }
	log := hits(
		get("/a", "LHR50-C1", 10), get("/a", "FRA56-P4", 20), get("/a", "LHR50-C1", 30), get("/b", "", 1),
		with(get("/b", "LHR50-C1", 2), func(h *Hit) { h.Method = "HEAD" }),
		with(get("/b", "LHR50-C1", 2), func(h *Hit) { h.Host = "other" }),
		with(get("/b", "LHR50-C1", 2), func(h *Hit) { h.Query = "v=1"; h.Status = 304 }),
		with(get("/c", "LHR50-C1", 2), func(h *Hit) { h.Status = 399 }),

		with(get("/a", "LHR50-C1", 2), func(h *Hit) { h.Status = 400 }),
		with(get("/a", "LHR50-C1", 2), func(h *Hit) { h.Status = 0 }),
		with(get("/a", "LHR50-C1", 2), func(h *Hit) { h.Method = "POST" }),
		with(get("/a", "LHR50-C1", 2), func(h *Hit) { h.Path = "" }),
	)
	if err := w.AddLog("", log); err != nil {
		t.Fatal(err)
	}
	want := []Weight{{"h", "/a", 3, 60, 2}, {"h", "/b", 3, 5, 1}, {"h", "/c", 1, 2, 1}, {"other", "/b", 1, 2, 1}}
	if got := slices.Collect(w.All()); !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got, want := w.Tally(), (Tally{Counted: 8, Ignored: 4}); got != want {
		t.Errorf("tally %+v, want %+v", got, want)
	}
	if got := w.Of("h", "/a"); got != want[0] {
		t.Errorf("got %+v", got)
	}
	if got := w.Of("h", "/none"); got != (Weight{Host: "h", URL: "/none"}) {
		t.Errorf("got %+v", got)
	}
	for range w.All() {
		break
	}
}

func TestWeightsByURL(t *testing.T) {
	w := Weights{Under: func(h Hit) (string, string) {
		if h.Query == "" {
			return "E1", h.Path
		}
		return "E1", h.Path + "?" + h.Query
	}}
	for _, query := range []string{"", "v=1", "v=1", "v=2"} {
		w.Add(Hit{Host: "h", Method: "GET", Path: "/a", Query: query, Status: 200})
	}
	w.Add(Hit{Host: "h", Method: "GET", Status: 200}) // no path, nothing to count it for
	var got []string
	for weight := range w.All() {
		got = append(got, fmt.Sprint(weight.Host, weight.URL, " ", weight.Requests))
	}
	if want := []string{"E1/a?v=1 2", "E1/a 1", "E1/a?v=2 1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAddLogCountsBadLines(t *testing.T) {
	var w Weights
	const header = "#Fields: cs-method cs-uri-stem sc-status\n"
	if err := w.AddLog("one.gz", Read(strings.NewReader(header+"GET /a 200\nGET /b\nGET /c x\nGET /a 200\n"))); err != nil {
		t.Fatal(err)
	}
	if err := w.AddLog("two.gz", Read(strings.NewReader(header+"GET\nGET /a 200\n"))); err != nil {
		t.Fatal(err)
	}
	tally := w.Tally()
	if tally.Bad != 3 || tally.Counted != 3 || tally.FirstBad.Error() != "one.gz: line 3: the line has 2 fields instead of 3" {
		t.Errorf("tally %+v", tally)
	}
	bad, ok := errors.AsType[*LineError](tally.FirstBad)
	if !ok || bad.Line != 3 {
		t.Errorf("first bad line %+v", bad)
	}
	err := w.AddLog("three.gz", Read(strings.NewReader(header+"GET /a 200\n#Fields: date\nGET /a 200\n")))
	if err == nil || !strings.HasPrefix(err.Error(), "three.gz: read access log: line 3: the log has no column cs-method") || w.Tally().Counted != 4 {
		t.Errorf("%v, tally %+v", err, w.Tally())
	}
}

// However many URLs there are, those kept are within the bound, the sums add up,
// and no URL counts for more, or for less than Tally admits.
func TestWeightsAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 6).Draw(t, "most")
		paths := rapid.SliceOfN(rapid.SampledFrom([]string{"/a", "/a", "/a", "/b", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i"}), 0, 80).Draw(t, "paths")
		w := Weights{MaxURLs: most}
		asked := make(map[string]int64)
		for _, p := range paths {
			w.Add(get(p, "LHR", 7))
			asked[p]++
		}
		forgotten := w.Tally().Forgotten
		kept, sum := make(map[string]bool), forgotten.Requests
		for weight := range w.All() {
			kept[weight.URL] = true
			sum += weight.Requests
			if weight.Requests > asked[weight.URL] || weight.Requests+forgotten.Most < asked[weight.URL] || weight.Bytes != 7*weight.Requests {
				t.Errorf("%+v, asked for %d times, forgotten %+v", weight, asked[weight.URL], forgotten)
			}
		}
		if len(kept) > most || sum != int64(len(paths)) || forgotten.Bytes != 7*forgotten.Requests {
			t.Errorf("%d URLs of %d, %d requests of %d, forgotten %+v", len(kept), most, sum, len(paths), forgotten)
		}
		for url, n := range asked {
			if n > forgotten.Most && !kept[url] {
				t.Errorf("%s was asked for %d times and is gone, forgotten %+v", url, n, forgotten)
			}
		}
		if len(asked) <= most && forgotten != (Forgotten{}) {
			t.Errorf("forgotten %+v without need", forgotten)
		}
	})
}

func TestLocationsAreBounded(t *testing.T) {
	var w Weights
	for i := range MaxLocations + 10 {
		w.Add(get("/a", fmt.Sprint("X", i), 1))
	}
	if got := w.Of("h", "/a").Locations; got != MaxLocations {
		t.Errorf("%d locations", got)
	}
	if got := w.Tally().Unplaced; got != 11 {
		t.Errorf("%d hits unplaced", got)
	}
}

func TestSee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w weight
		seen := make(map[int]bool)
		for _, n := range rapid.SliceOf(rapid.IntRange(0, MaxLocations-1)).Draw(t, "locations") {
			w.see(n)
			seen[n] = true
		}
		got := 0
		for _, word := range w.seen {
			got += bits.OnesCount64(word)
		}
		if got != len(seen) {
			t.Errorf("%d instead of %d", got, len(seen))
		}
	})
}

// Names that an attacker chooses do not fill the memory of the reader.
func TestNamesAreBounded(t *testing.T) {
	l := &log{names: make(map[string]string)}
	for i := range maxNames + 100 {
		if got := l.name([]byte(fmt.Sprint(i))); got != fmt.Sprint(i) {
			t.Fatal(got)
		}
	}
	l.name([]byte(strings.Repeat("x", maxName+1)))
	if len(l.names) != maxNames {
		t.Errorf("%d names are kept", len(l.names))
	}
}
