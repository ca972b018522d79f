package ignore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/deploy/ignore"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		lines, path string
		dir, want   bool
	}{
		{"*.map", "a/b.map", false, true},
		{"/a.txt", "a.txt", false, true},
		{"/a.txt", "b/a.txt", false, false},
		{"build/", "build", true, true},
		{"build/", "build", false, false},
		{"*.txt\n!keep.txt", "keep.txt", false, false},
		{"!keep.txt\n*.txt", "keep.txt", false, true},
		{"a/**/b", "a/b", false, true},
		{"a/**/b", "a/x/y/b", false, true},
		{"a/**", "a", true, false},
		{"a/**", "a/x", false, true},
		{"**/x", "x", false, true},
		{"# not", "# not", false, false},
		{`\# not`, "# not", false, true},
		{"a\\ ", "a ", false, true},
		{"a ", "a", false, true},
		{"[!a-c]x", "dx", false, true},
		{"[]x]", "]", false, true},
		{"[[:digit:]]", "7", false, true},
		{"doc/*.html", "doc/a/b.html", false, false},
		{"a\r\nb", "a", false, true},
		{"", "a", false, false},
		{"/", "a", true, false},
	} {
		if got := ignore.Parse(c.lines).Match(c.path, c.dir); got != c.want {
			t.Errorf("%q, %q (directory: %v): %v", c.lines, c.path, c.dir, got)
		}
	}
}

// Git is the judge, over lines and paths of few letters, so that they meet.
func TestLikeGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("git is not installed")
		}
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	run := func(stdin string, args ...string) string {
		c := exec.Command(git, args...)
		c.Dir, c.Stdin = dir, strings.NewReader(stdin)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := c.Output()
		if exit, is := err.(*exec.ExitError); err != nil && (!is || exit.ExitCode() != 1) { //nolint:errorlint // as exec returns it
			t.Fatalf("git %v: %v", args, err)
		}
		return string(out)
	}
	run("", "init", "-q")
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(from string, most int) string {
		words := strings.Fields(from)
		var s strings.Builder
		for range 1 + random.IntN(most) {
			s.WriteString(words[random.IntN(len(words))])
		}
		return s.String()
	}
	for range 60 {
		var lines, paths []string
		for range 1 + random.IntN(4) {
			// What git makes of a ** beside other letters differs from what it documents.
			line := strings.Repeat("!", random.IntN(4)/3) + strings.Repeat("/", random.IntN(3)/2)
			for i := range 1 + random.IntN(3) {
				if i > 0 {
					line += "/"
				}
				if random.IntN(3) == 0 {
					line += "**"
				} else {
					line += strings.ReplaceAll(pick("a b a * ? [ab] [!a] \\a \\* b# . [a-] [^b-c]", 3), "**", "*")
				}
			}
			lines = append(lines, line+strings.Repeat("/", random.IntN(3)/2))
		}
		for range 40 {
			names := make([]string, 1+random.IntN(4))
			for i := range names {
				names[i] = pick("a b ab . * # - c", 2)
				if strings.Trim(names[i], ".") == "" {
					names[i] = "c" + names[i]
				}
			}
			paths = append(paths, strings.Join(names, "/"))
		}
		text := strings.Join(lines, "\n") + "\n"
		if err := os.WriteFile(dir+"/.gitignore", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ignored := make(map[string]bool)
		for line := range strings.SplitSeq(run(strings.Join(paths, "\x00")+"\x00", "check-ignore", "--stdin", "-z"), "\x00") {
			ignored[line] = true
		}
		for _, p := range paths {
			if got := within(ignore.Parse(text), p); got != ignored[p] {
				t.Errorf("seed %d: lines %q, path %q: %v, git says %v", seed, text, p, got, ignored[p])
			}
		}
	}
}

// within asks about the directories around a path as well.
func within(l ignore.Lines, path string) bool {
	for i, c := range path {
		if c == '/' && l.Match(path[:i], true) {
			return true
		}
	}
	return l.Match(path, false)
}

func ExampleLines_Match() {
	l := ignore.Parse("*.map\n!app.js.map\n/drafts/\n")
	fmt.Println(l.Match("js/x.js.map", false), l.Match("js/app.js.map", false), l.Match("drafts", true))
	// Output: true false true
}

func FuzzMatch(f *testing.F) {
	f.Add("*.map\n![a-\n", "a/b.map")
	f.Fuzz(func(t *testing.T, lines, path string) {
		if len(lines) > 200 || len(path) > 200 || strings.Count(lines, "*") > 6 {
			t.Skip()
		}
		l := ignore.Parse(lines)
		if l.Match(path, false) && !l.Match(path, true) && !strings.Contains(lines, "/") {
			t.Errorf("%q ignores the file %q and not the directory", lines, path)
		}
	})
}
