package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/route"
)

// TestWhatIsNotCountedIsAskedForOnce: a listing that does not say how often its
// objects are asked for does not make them free to refill, whatever stands in
// another.
func TestWhatIsNotCountedIsAskedForOnce(t *testing.T) {
	dir := t.TempDir()
	counted, plain := filepath.Join(dir, "counted.jsonl"), filepath.Join(dir, "plain.txt")
	write(t, counted, `{"key":"often","size":10,"requests":7}`+"\n"+`{"key":"never","size":10,"requests":0}`+"\n"+`{"key":"perhaps","size":10}`+"\n")
	write(t, plain, "unknown\n")
	for name, listings := range map[string][]string{
		"counted first": {counted, plain},
		"counted last":  {plain, counted},
	} {
		p := mustPlanner(t, func(*config.Config) {})
		if notes, err := p.Know(t.Context(), app.Stock{Listings: listings, Bucket: "site"}); err != nil || len(notes) > 0 {
			t.Fatalf("%s: %q, %v", name, notes, err)
		}
		live := p.Inventories[p.Distributions[0].ID]
		for url, want := range map[string]int64{"/often": 7, "/never": 0, "/perhaps": 1, "/unknown": 1} {
			if got := live.Under(url); got.Objects != 1 || got.Refills != want {
				t.Errorf("%s: %s: %+v, want %d refills", name, url, got, want)
			}
		}
	}
}

// TestADistributionWithoutLogsIsNotFree: logs of one distribution say nothing of
// another.
func TestADistributionWithoutLogsIsNotFree(t *testing.T) {
	dir := t.TempDir()
	keys, log := filepath.Join(dir, "keys.txt"), filepath.Join(dir, "log")
	write(t, keys, "hot\ncold\n")
	write(t, log, "#Version: 1.0\n#Fields: date time x-edge-location cs-method cs(Host) cs-uri-stem sc-status sc-bytes\n"+
		"2026-01-01\t00:00:00\tFRA1\tGET\td1.cloudfront.net\t/hot\t200\t10\n"+
		"2026-01-01\t00:00:00\tLHR1\tGET\td1.cloudfront.net\t/hot\t200\t10\n")
	var files []config.DistributionFile
	for _, id := range []string{"1", "2"} {
		file := filepath.Join(dir, id+".yaml")
		write(t, file, "Id: E"+id+"\nDomainName: d"+id+".cloudfront.net\nDistributionConfig:\n  Enabled: true\n  Origins: [{Id: o, DomainName: site.s3.amazonaws.com}]\n  DefaultCacheBehavior: {TargetOriginId: o, ForwardedValues: {QueryString: false}}\n")
		files = append(files, config.DistributionFile{File: file})
	}
	p := mustPlanner(t, func(c *config.Config) { c.Distributions = files })
	if notes, err := p.Know(t.Context(), app.Stock{Listings: []string{keys}, Logs: []string{log}, Bucket: "site"}); err != nil || len(notes) > 0 {
		t.Fatalf("%q, %v", notes, err)
	}
	for id, refills := range map[string][2]int64{"E1": {2, 0}, "E2": {1, 1}} {
		live := p.Inventories[id]
		if got := [2]int64{live.Under("/hot").Refills, live.Under("/cold").Refills}; got != refills {
			t.Errorf("%s: %v, want %v", id, got, refills)
		}
	}
}

// TestAHitCountsWhereItsHostIsAnswered: the longest name wins, whichever
// distribution comes first.
func TestAHitCountsWhereItsHostIsAnswered(t *testing.T) {
	dir := t.TempDir()
	keys, log := filepath.Join(dir, "keys.txt"), filepath.Join(dir, "log")
	write(t, keys, "a\n")
	write(t, log, "#Version: 1.0\n#Fields: date time x-edge-location cs-method x-host-header cs-uri-stem sc-status sc-bytes\n"+
		"2026-01-01\t00:00:00\tFRA1\tGET\twww.example.com\t/a\t200\t10\n"+
		"2026-01-01\t00:00:00\tLHR1\tGET\tWWW.example.com\t/a\t200\t10\n")
	var files []config.DistributionFile
	for id, alias := range []string{"*.example.com", "www.example.com", "*.com"} {
		file := filepath.Join(dir, fmt.Sprint(id, ".yaml"))
		write(t, file, fmt.Sprintf("Id: E%d\nDistributionConfig:\n  Enabled: true\n  Aliases: ['%s']\n  Origins: [{Id: o, DomainName: site.s3.amazonaws.com}]\n  DefaultCacheBehavior: {TargetOriginId: o, ForwardedValues: {QueryString: false}}\n", id, alias))
		files = append(files, config.DistributionFile{File: file})
	}
	p := mustPlanner(t, func(c *config.Config) { c.Distributions = files })
	if notes, err := p.Know(t.Context(), app.Stock{Listings: []string{keys}, Logs: []string{log}, Bucket: "site"}); err != nil || len(notes) > 0 {
		t.Fatalf("%q, %v", notes, err)
	}
	for id, want := range map[string]int64{"E0": 1, "E1": 2, "E2": 1} {
		if got := p.Inventories[id].Under("/a").Refills; got != want {
			t.Errorf("%s: %d refills, want %d", id, got, want)
		}
	}
}

// TestLogsAloneMakeNothingNew: what nobody asked for while they were written may
// be cached all the same.
func TestLogsAloneMakeNothingNew(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	write(t, log, "#Version: 1.0\n#Fields: date time x-edge-location cs-method x-host-header cs-uri-stem sc-status sc-bytes\n"+
		"2026-01-01\t00:00:00\tFRA1\tGET\twww.example.com\t/a\t200\t10\n")
	p := mustPlanner(t, func(c *config.Config) { c.Routes.NewObjects = route.Skip })
	if notes, err := p.Know(t.Context(), app.Stock{Logs: []string{log}, Bucket: "site"}); err != nil || len(notes) > 0 {
		t.Fatalf("%q, %v", notes, err)
	}
	made, err := p.Make([]freshet.Change{changeOf("b", 1)}, false)
	if err != nil || len(made.Invalidations) != 1 {
		t.Errorf("%+v, %v", made, err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAnObjectThatTwoListingsHaveIsCountedAsLogged: what one listing had of the
// logs is there for the next one.
func TestAnObjectThatTwoListingsHaveIsCountedAsLogged(t *testing.T) {
	dir := t.TempDir()
	keys, log := filepath.Join(dir, "keys.txt"), filepath.Join(dir, "log")
	write(t, keys, "hot\ncold\n")
	write(t, log, "#Version: 1.0\n#Fields: date time x-edge-location cs-method cs(Host) cs-uri-stem sc-status sc-bytes\n"+
		"2026-01-01\t00:00:00\tFRA1\tGET\td1.cloudfront.net\t/hot\t200\t10\n"+
		"2026-01-01\t00:00:00\tLHR1\tGET\td1.cloudfront.net\t/other\t200\t10\n")
	p := mustPlanner(t, func(*config.Config) {})
	if notes, err := p.Know(t.Context(), app.Stock{Listings: []string{keys, keys}, Logs: []string{log}, Bucket: "site"}); err != nil || len(notes) > 0 {
		t.Fatalf("%q, %v", notes, err)
	}
	live := p.Inventories[p.Distributions[0].ID]
	for url, want := range map[string]int64{"/hot": 1, "/cold": 0, "/other": 1} {
		if got := live.Under(url); got.Objects != 1 || got.Refills != want {
			t.Errorf("%s: %+v, want %d refills", url, got, want)
		}
	}
}

// TestAListingOfSomethingElseIsNoted: of the wrong bucket, nothing is known, and
// somebody should hear of it.
func TestAListingOfSomethingElseIsNoted(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.txt")
	write(t, keys, "a\nb\n")
	p := mustPlanner(t, func(*config.Config) {})
	notes, err := p.Know(t.Context(), app.Stock{Listings: []string{keys}, Bucket: "elsewhere"})
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "of its 2 objects no distribution here caches one: is their bucket elsewhere") {
		t.Errorf("%q, %v", notes, err)
	}
}
