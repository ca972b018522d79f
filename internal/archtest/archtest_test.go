package archtest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHouse(t *testing.T) {
	violations, err := Check(os.DirFS("../.."), Module, House)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

func TestTableNamesEachRoomOnce(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range House {
		if seen[r.Dir] {
			t.Errorf("%s has two lines", r.Dir)
		}
		seen[r.Dir] = true
	}
	for _, r := range House {
		for _, dir := range slices.Concat(r.May, r.Not, r.Doors) {
			if !strings.HasSuffix(dir, "*") && !seen[dir] {
				t.Errorf("the line of %s names %s, which has none", r.Dir, dir)
			}
		}
	}
}

// A small house of each kind of room.
var small = []Room{
	{Dir: ".", Kind: Pure},
	{Dir: "route", Kind: Pure, May: []string{"."}},
	{Dir: "cdn", May: []string{"."}},
	{Dir: "cdn/all", May: []string{".", "cdn", "cdn/*"}},
	{Dir: "cdn/one", May: []string{".", "cdn"}},
	{Dir: "config", Kind: Door, May: []string{"*"}, Not: []string{"cdn/*"}, Doors: []string{"cli"}},
	{Dir: "cli", Kind: Door, May: []string{"*"}, Doors: []string{"cmd/x"}},
	{Dir: "cmd/x", Kind: Door, May: []string{"cli"}},
}

// sources returns a house that keeps all rules.
func sources() fstest.MapFS {
	house := fstest.MapFS{}
	for name, source := range map[string]string{
		"x.go":                "package x\n\nimport (\n\t\"net/url\"\n\t\"time\"\n)\n\nvar _ url.URL\nvar _ time.Duration\n",
		"x_test.go":           "package x_test\n\nimport _ \"os\"\n\nfunc init() {}\n",
		"route/route.go":      "package route\n\nimport \"m.test/x\"\n\nvar _ = x.X\n\ntype T struct{}\n\nfunc (T) init() {}\n",
		"cdn/cdn.go":          "package cdn\n\nimport (\n\t_ \"net/http\"\n\t_ \"m.test/x\"\n\t_ \"example.com/sdk\"\n)\n",
		"cdn/one/one.go":      "package one\n\nimport _ \"m.test/x/cdn\"\n",
		"cdn/all/all.go":      "package all\n\nimport _ \"m.test/x/cdn/one\"\n",
		"config/config.go":    "package config\n\nimport _ \"m.test/x/cdn\"\n",
		"cli/cli.go":          "package cli\n\nimport (\n\t_ \"m.test/x/config\"\n\t_ \"m.test/x/cdn/all\"\n)\n",
		"cmd/x/main.go":       "package main\n\nimport _ \"m.test/x/cli\"\n\nfunc main() {}\n",
		"cmd/x/testdata/x.go": "package util\n",
		".hidden/x.go":        "package util\n",
		"_old/x.go":           "package util\n",
		"notes/readme.txt":    "func init",
	} {
		house[name] = &fstest.MapFile{Data: []byte(source)}
	}
	return house
}

func check(t *testing.T, house fstest.MapFS, rooms []Room) []string {
	t.Helper()
	violations, err := Check(house, "m.test/x", rooms)
	if err != nil {
		t.Fatal(err)
	}
	return violations
}

func TestCheckFindsNothingWrong(t *testing.T) {
	if got := check(t, sources(), small); len(got) != 0 {
		t.Errorf("violations of a good house: %q", got)
	}
}

func TestCheckFindsViolations(t *testing.T) {
	tests := []struct {
		name, file, source string
		want               string // the one violation
	}{
		{"room not in the table", "attic/attic.go", "package attic", "attic is not in the table: add it to House"},
		{"pure room with I/O", "route/r.go", `package route; import _ "net/http"`, "route/r.go imports net/http: a pure room does not"},
		{"pure room with files", "route/r.go", `package route; import _ "os"`, "route/r.go imports os: a pure room does not"},
		{"words with I/O", "y.go", `package x; import _ "os/exec"`, "y.go imports os/exec: a pure room does not"},
		{"pure room with chance", "route/r.go", `package route; import _ "math/rand/v2"`, "imports math/rand/v2"},
		{"pure room with a module", "route/r.go", `package route; import _ "golang.org/x/sync/errgroup"`, "standard library only"},
		{"pure room with a clock", "route/r.go", `package route; import "time"; var t = time.Now()`, "route/r.go uses time.Now"},
		{"a clock by another name", "route/r.go", `package route; import clock "time"; var now = clock.Now`, "route/r.go uses time.Now"},
		{"a clock without a name", "route/r.go", `package route; import . "time"; var t = Now()`, "without its name"},
		{"pure room that prints", "route/r.go", `package route; import "fmt"; func f() { fmt.Println() }`, "uses fmt.Println"},
		{"pure room imports the rim", "route/r.go", `package route; import _ "m.test/x/cdn"`, "route imports cdn, which its line"},
		{"words import a room", "y.go", `package x; import _ "m.test/x/cdn"`, "which its line in House does not allow"},
		{"a driver imports its neighbour", "cdn/one/o.go", `package one; import _ "m.test/x/route"`, "cdn/one imports route, which its line"},
		{"the rim imports a door", "cdn/c.go", `package cdn; import _ "m.test/x/config"`, "cdn imports config, which is a door: only cli may"},
		{"a door nobody may enter", "config/c.go", `package config; import _ "m.test/x/cmd/x"`, "config imports cmd/x, which is a door: only nobody may"},
		{"config imports a driver", "config/c.go", `package config; import _ "m.test/x/cdn/one"`, "config imports cdn/one, which its line"},
		{"main imports more than cli", "cmd/x/m.go", `package main; import _ "m.test/x/cdn"`, "cmd/x imports cdn, which its line"},
		{"init", "cdn/c.go", "package cdn; func init() {}", "cdn/c.go has an init function"},
		{"empty name", "cdn/c.go", "package helpers", "cdn/c.go: package helpers says nothing"},
		{"long file", "cdn/c.go", "package cdn" + strings.Repeat("\n", maxFileLines+1), "cdn/c.go has 601 lines"},
		{"long test", "cdn/c_test.go", "package cdn" + strings.Repeat("\n", maxFileLines+1), "cdn/c_test.go has 601 lines"},
		{"long main", "cmd/x/m.go", "package main" + strings.Repeat("\n", maxMainLines+1), "cmd/x/m.go has 41 lines: a main"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			house := sources()
			house[tt.file] = &fstest.MapFile{Data: []byte(tt.source)}
			got := check(t, house, small)
			if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, tt.want) }) {
				t.Errorf("violations %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckFindsStaleLines(t *testing.T) {
	got := check(t, sources(), append(slices.Clone(small), Room{Dir: "gone"}))
	if len(got) != 1 || !strings.Contains(got[0], "gone is in the table, but not in the house") {
		t.Errorf("violations %q", got)
	}
}

func TestCheckFindsCirclesAndDepth(t *testing.T) {
	house, rooms := fstest.MapFS{}, []Room{}
	for i := range maxDepth + 1 {
		next := fmt.Sprintf("package p; import _ %q", fmt.Sprintf("m.test/x/p%d", i+1))
		if i == maxDepth {
			next = "package p"
		}
		house[fmt.Sprintf("p%d/p.go", i)] = &fstest.MapFile{Data: []byte(next)}
		rooms = append(rooms, Room{Dir: fmt.Sprintf("p%d", i), May: []string{"*"}})
	}
	got := check(t, house, rooms)
	if len(got) != 1 || !strings.Contains(got[0], "imports are 9 deep, at most 8: p0 → p1") {
		t.Errorf("violations %q", got)
	}

	house["p1/q.go"] = &fstest.MapFile{Data: []byte(`package p; import _ "m.test/x/p0"`)}
	got = check(t, house, rooms)
	if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, "in a circle: p0 → p1 → p0") }) {
		t.Errorf("violations %q", got)
	}
}

func TestCheckReportsBrokenFiles(t *testing.T) {
	house := sources()
	house["cdn/broken.go"] = &fstest.MapFile{Data: []byte("package")}
	if _, err := Check(house, "m.test/x", small); err == nil || !strings.Contains(err.Error(), "cdn/broken.go") {
		t.Errorf("error %v, want the file's name", err)
	}
}
