package gitdiff_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/source/gitdiff"
)

const (
	one   = "1111111111111111111111111111111111111111"
	two   = "2222222222222222222222222222222222222222"
	zeros = "0000000000000000000000000000000000000000"
	long  = "3333333333333333333333333333333333333333333333333333333333333333"
	none  = "0000000000000000000000000000000000000000000000000000000000000000"
)

func raw(lines ...string) []byte { return []byte(strings.Join(lines, "\x00") + "\x00") }

func TestParse(t *testing.T) {
	got, err := gitdiff.Parse(raw(
		":100644 100644 "+one+" "+two+" M", "a b",
		":000000 100755 "+zeros+" "+one+" A", "tab\there\nand\"so on",
		":100644 000000 "+one+" "+zeros+" D", "caf\xe9",
		":100644 120000 "+one+" "+two+" T", "kind",
		":160000 160000 "+one+" "+two+" M", ":100644",
		":000000 100644 "+none+" "+long+" A", "sha256",
	))
	want := []gitdiff.Entry{
		{"a b", gitdiff.Modified, gitdiff.File, gitdiff.File, one, two},
		{"tab\there\nand\"so on", gitdiff.Added, 0, gitdiff.Executable, "", one},
		{"caf\xe9", gitdiff.Deleted, gitdiff.File, 0, one, ""},
		{"kind", gitdiff.Retyped, gitdiff.File, gitdiff.Link, one, two},
		{":100644", gitdiff.Modified, gitdiff.Submodule, gitdiff.Submodule, one, two},
		{"sha256", gitdiff.Added, 0, gitdiff.File, "", long},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	if got, err := gitdiff.Parse(nil); err != nil || got != nil {
		t.Errorf("nothing is %+v, %v", got, err)
	}
}

// What is cut short, abbreviated or made with other flags is refused: a part of
// what changed would pass for all of it.
func TestParseRefuses(t *testing.T) {
	good := string(raw(":100644 100644 "+one+" "+two+" M", "a"))
	for name, text := range map[string]string{
		"no NUL":               ":100644 100644 " + one + " " + two + " M\ta\n",
		"abbreviated":          string(raw(":100644 100644 1111111 2222222 M", "a")),
		"a rename":             string(raw(":100644 100644 "+one+" "+one+" R100", "a", "b")),
		"unmerged":             string(raw(":000000 000000 "+zeros+" "+zeros+" U", "a")),
		"a merge's":            string(raw("::100644 100644 100644 "+one+" "+one+" "+two+" MM", "a")),
		"names only":           string(raw("a", "b")),
		"added, but was there": string(raw(":100644 100644 "+one+" "+two+" A", "a")),
		"deleted, but is":      string(raw(":100644 100644 "+one+" "+two+" D", "a")),
		"a mode":               string(raw(":10064x 100644 "+one+" "+two+" M", "a")),
		"no path":              string(raw(":100644 100644 "+one+" "+two+" M", "")),
		"upper case":           string(raw(":100644 100644 "+strings.Repeat("A", 40)+" "+two+" M", "a")),
	} {
		if got, err := gitdiff.Parse([]byte(good + text)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for end := 1; end < len(good); end++ {
		if got, err := gitdiff.Parse([]byte(good[:end])); !errors.Is(err, gitdiff.ErrCutShort) {
			t.Errorf("%q: %+v, %v", good[:end], got, err)
		}
	}
}

// FuzzParse writes what it has read, and reads that again.
func FuzzParse(f *testing.F) {
	f.Add(raw(":100644 100644 "+one+" "+two+" M", "a"))
	f.Add(raw(":000000 160000 "+none+" "+long+" A", "é\n"))
	f.Add([]byte(":100644 000000 " + one + " " + zeros + " D\x00x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := gitdiff.Parse(text)
		if err != nil {
			return
		}
		var again []string
		id := func(id, other string) string {
			if id == "" {
				return strings.Repeat("0", len(other))
			}
			return id
		}
		for _, e := range entries {
			again = append(again, ":"+octal(e.OldMode)+" "+octal(e.NewMode)+" "+id(e.OldBlob, e.NewBlob)+" "+id(e.NewBlob, e.OldBlob)+" "+e.Status.String(), e.Path)
		}
		if len(again) == 0 {
			return
		}
		// A path of a whole tree is never lost or made up.
		reread, err := gitdiff.Parse(raw(again...))
		if err != nil || !reflect.DeepEqual(reread, entries) {
			t.Errorf("%q\nread %+v\nagain %+v, %v", text, entries, reread, err)
		}
	})
}

func octal(m gitdiff.Mode) string {
	digits := ""
	for range 6 {
		digits, m = string(rune('0'+m&7))+digits, m>>3
	}
	return digits
}

func TestParseTree(t *testing.T) {
	got, err := gitdiff.ParseTree(raw("100644 blob "+one+"      12\tb c", "120000 blob "+two+"       0\ta\tb", "160000 commit "+one+"       -\tsub", "100644 blob "+long+"\tz"))
	want := []gitdiff.Leaf{
		{Path: "a\tb", Mode: gitdiff.Link, Blob: two}, {Path: "b c", Mode: gitdiff.File, Blob: one, Size: 12},
		{Path: "sub", Mode: gitdiff.Submodule, Blob: one}, {Path: "z", Mode: gitdiff.File, Blob: long},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v", got, err)
	}
	for _, text := range []string{"100644 blob " + one + "\ta", "x\x00", "100644 blob " + one + " x\ta\x00", "100644 blob " + one + " -\ta\x00", "100644 blob " + one + " -1\ta\x00", "100644 blob 1 1\ta\x00", "100644 blob " + one + " 1\t\x00"} {
		if got, err := gitdiff.ParseTree([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string][2]bool{one: {true, false}, zeros: {true, true}, none: {true, true}, long: {true, false}, "0000": {}, "": {}, "HEAD": {}, strings.ToUpper("a" + one[1:]): {}} {
		if got := [2]bool{gitdiff.IsID(id), gitdiff.IsZero(id)}; got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

// Links that lead into a ring stay links, however they are nested.
func TestExpandEnds(t *testing.T) {
	link := func(path, blob string) gitdiff.Leaf { return gitdiff.Leaf{Path: path, Mode: gitdiff.Link, Blob: blob} }
	file := func(path string) gitdiff.Leaf { return gitdiff.Leaf{Path: path, Mode: gitdiff.File, Blob: one} }
	targets := map[string]string{"up": "..", "self": "self", "y": "../y", "x": "../x", "a": "a", "slashes": "d//./../d/f", "trailing": "d/", "through": "d/f/g", "abs": "/d", "d": "d"}
	leaves := []gitdiff.Leaf{
		link("abs", "abs"), file("d/f"), link("loop", "self-is-not-known"), link("ring/up", "up"), link("self", "self"), link("slashes", "slashes"),
		link("through", "through"), link("to", "d"), link("to2", "trailing"), file("x/1"), link("x/y", "y"), file("y/2"), link("y/x", "x"),
	}
	gitdiff.SortLeaves(leaves)
	all, err := gitdiff.Expand(leaves, targets)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range all {
		kind := "link "
		if l.Mode.IsFile() {
			kind = "file "
		}
		got = append(got, kind+l.Path)
	}
	want := []string{"link abs", "file d/f", "link loop", "link ring/up", "link self", "file slashes", "link through", "file to/f", "file to2/f",
		"file x/1", "file x/y/2", "link x/y/x", "file y/2", "file y/x/1", "link y/x/y"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("expanded to %q\nwant %q", got, want)
	}
}

// Many links to each other's folders make no more files than can be held.
func TestExpandIsBounded(t *testing.T) {
	var leaves []gitdiff.Leaf
	targets := make(map[string]string)
	folders := "abcdefghijklmnopqrstuvwxyz"
	for i := range len(folders) {
		leaves = append(leaves, gitdiff.Leaf{Path: folders[i:i+1] + "/f", Mode: gitdiff.File, Blob: one})
		for j := i + 1; j < len(folders); j++ {
			leaves = append(leaves, gitdiff.Leaf{Path: folders[i:i+1] + "/" + folders[j:j+1], Mode: gitdiff.Link, Blob: folders[j : j+1]})
			targets[folders[j:j+1]] = "../" + folders[j:j+1]
		}
	}
	gitdiff.SortLeaves(leaves)
	if all, err := gitdiff.Expand(leaves, targets); err == nil {
		t.Errorf("made %d files", len(all))
	}
}
