package route_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/route"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// TestGolden runs each file in testdata. Its sections are distributions (a JSON
// list; E1 before bucket site where there is none), rules (JSON), ask and want.
// A line of ask is one of
//
//	put|new|delete BUCKET KEY
//	own BUCKET KEY
//	key BUCKET KEY
//	url HOST URL
//
// where new is a put under a key never seen, key and url ask for explanations,
// and "" is no host. A KEY or URL in double quotes is read as Go does.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { golden(t, name) })
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	section := func(name string) []byte {
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
		if i < 0 {
			return nil
		}
		return archive.Files[i].Data
	}
	distributions := []distribution.Distribution{distribution.ForBucket("E1", "site")}
	if text := section("distributions"); text != nil {
		distributions = nil
		decode(t, text, &distributions)
	}
	var rules route.Rules
	if text := section("rules"); text != nil {
		decode(t, text, &rules)
	}
	var out bytes.Buffer
	if r, err := route.New(distributions, rules); err != nil {
		fmt.Fprintln(&out, err)
	} else {
		answer(t, &out, r, string(section("ask")))
	}
	if *update {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: out.Bytes()})
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(section("want")); out.String() != want && !*update {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func decode(t *testing.T, text []byte, into any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// answer writes the answers to all questions, each under its question.
func answer(t *testing.T, out *bytes.Buffer, r *route.Router, ask string) {
	for line := range strings.Lines(ask) {
		line = strings.TrimSuffix(line, "\n")
		words := strings.SplitN(line, " ", 3)
		if len(words) != 3 {
			t.Fatalf("no question: %q", line)
		}
		for i, w := range words {
			if strings.HasPrefix(w, `"`) {
				var err error
				if words[i], err = strconv.Unquote(w); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
		}
		fmt.Fprintf(out, "# %s\n", line)
		switch words[0] {
		case "put", "new", "delete":
			c := freshet.Change{Origin: words[1], Key: words[2], Op: freshet.OpPut}
			if words[0] == "delete" {
				c.Op = freshet.OpDelete
			}
			write(t, out, r, c, words[0] != "new")
		case "own":
			for _, o := range r.Own(words[1], words[2]) {
				fmt.Fprintf(out, "%s %s\n", o.Distribution, o.URL)
			}
		case "key":
			encode(t, out, r.ExplainKey(words[1], words[2]))
		case "url":
			encode(t, out, r.ExplainURL(route.Question{Host: words[1], URL: words[2]}))
		default:
			t.Fatalf("no question: %q", line)
		}
	}
}

// write prints targets as distribution and URL, pattern where it differs, marks,
// and reason.
func write(t *testing.T, out *bytes.Buffer, r *route.Router, c freshet.Change, seen bool) {
	targets, unrouted := r.Targets([]freshet.Change{c}, func(string, string) bool { return seen })
	for _, target := range targets {
		if _, err := freshet.ParsePattern(string(target.Pattern)); err != nil || target.Key != c.Key || target.Origin != c.Origin {
			t.Errorf("%+v: %v", target, err)
		}
		marks := ""
		if string(target.Pattern) != target.URL {
			marks += " by " + string(target.Pattern)
		}
		if target.Served {
			marks += " served"
		}
		if target.Group != "" {
			marks += " in group " + target.Group
		}
		fmt.Fprintf(out, "%s %s%s: %s\n", target.Distribution, target.URL, marks, target.Reason)
	}
	for _, u := range unrouted {
		fmt.Fprintf(out, "nothing: %s\n", u.Reason)
	}
	if (len(targets) == 0) != (len(unrouted) == 1) {
		t.Errorf("%d targets and %d unrouted changes", len(targets), len(unrouted))
	}
}

func encode(t *testing.T, out *bytes.Buffer, v any) {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
}
