package git_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/git"
	"github.com/freshet/freshet/internal/source/gitdiff"
)

// realDeploys makes a repository of what was deployed of a real site, a commit
// for each deploy, below public. It returns what changed with each.
func realDeploys(tb testing.TB, most int) (r repo, changes []map[string]string) {
	tb.Helper()
	f, err := os.Open("../bench/testdata/flink-web.deploys.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	text, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	r = repo{tb, tb.TempDir()}
	r.git("init", "-q", "-b", "main")
	var in bytes.Buffer
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "deploy ") {
			if len(changes) == most {
				break
			}
			n := len(changes)
			fmt.Fprintf(&in, "commit refs/heads/main\nmark :%d\ncommitter c <c@example.com> %d +0000\ndata 1\nm\n", n+1, 1700000000+n)
			if n > 0 {
				fmt.Fprintf(&in, "from :%d\n", n)
			}
			changes = append(changes, make(map[string]string))
			continue
		}
		fields := strings.SplitN(line, "\t", 3)
		if len(fields) != 3 {
			continue
		}
		n := len(changes) - 1
		changes[n][fields[2]] = fields[0]
		if path := cQuoted("public/" + fields[2]); fields[0] == "D" {
			fmt.Fprintf(&in, "D %s\n", path)
		} else {
			content := fmt.Sprintf("%s of deploy %d", fields[2], n)
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
		}
	}
	for n := range changes {
		fmt.Fprintf(&in, "reset refs/tags/d%d\nfrom :%d\n\n", n, n+1)
	}
	r.feed(in.String(), "fast-import", "--quiet")
	return r, changes
}

// keysOf are the keys of what a range changed, with git's letters.
func keysOf(tb testing.TB, g *git.Repository, base, head string) map[string]string {
	tb.Helper()
	s, err := g.Span(tb.Context(), base, head)
	if err != nil {
		tb.Fatal(err)
	}
	entries, err := g.Entries(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	rules, keys := gitdiff.Rules{Folder: "public"}, make(map[string]string)
	for _, e := range entries {
		for _, key := range rules.Keys(e.Path) {
			keys[key] = e.Status.String()
		}
	}
	return keys
}

// What is found between two deploys of a real site is what was recorded, and
// between any two what comparing the two whole trees finds.
func TestRealDeploys(t *testing.T) {
	needGit(t)
	r, changes := realDeploys(t, 80)
	g := r.open()
	for n := 1; n < len(changes); n++ {
		want := maps.Clone(changes[n])
		if got := keysOf(t, g, fmt.Sprintf("d%d", n-1), fmt.Sprintf("d%d", n)); !maps.Equal(got, want) {
			t.Errorf("deploy %d: %d keys, recorded are %d", n, len(got), len(want))
		}
	}
	for n := 0; n+7 < len(changes); n += 9 {
		base, head := fmt.Sprintf("d%d", n), fmt.Sprintf("d%d", n+7)
		if got, want := keysOf(t, g, base, head), wholeTrees(t, g, base, head); !maps.Equal(got, want) {
			t.Errorf("%s..%s: %d keys, of whole trees %d", base, head, len(got), len(want))
		}
	}
}

func wholeTrees(tb testing.TB, g *git.Repository, base, head string) map[string]string {
	tb.Helper()
	content := func(rev string) map[string]string {
		c, err := g.Commit(tb.Context(), rev)
		if err != nil {
			tb.Fatal(err)
		}
		all, err := g.Tree(tb.Context(), c.ID)
		if err != nil {
			tb.Fatal(err)
		}
		blobs := make(map[string]string)
		for _, l := range all {
			blobs[strings.TrimPrefix(l.Path, "public/")] = l.Blob
		}
		return blobs
	}
	return compareDisks(content(base), content(head))
}

// BenchmarkRealDeploys finds what a deploy of a real site changed, as plan --git
// does, and beside it by comparing its two trees file by file.
func BenchmarkRealDeploys(b *testing.B) {
	r, changes := realDeploys(b, 1000)
	g, err := git.Open(b.Context(), r.dir)
	if err != nil {
		b.Fatal(err)
	}
	for name, find := range map[string]func(testing.TB, *git.Repository, string, string) map[string]string{"range": keysOf, "trees": wholeTrees} {
		b.Run(name, func(b *testing.B) {
			keys := 0
			for n := 0; b.Loop(); n++ {
				at := n%(len(changes)-1) + 1
				keys += len(find(b, g, fmt.Sprintf("d%d", at-1), fmt.Sprintf("d%d", at)))
			}
			b.ReportMetric(float64(keys)/float64(b.N), "keys/op")
		})
	}
}
