package bench_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet/freshet"
)

// deploy is one deploy of a real site: what it changed, and what the site held
// before it.
type deploy struct {
	number  int
	changes []freshet.Change
	before  map[string]int64 // sizes in bytes by key
}

// replay calls each for every deploy after the first, which published the site.
// before is only valid during the call.
func replay(tb testing.TB, file string, each func(deploy)) {
	tb.Helper()
	f, err := os.Open(file)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	text, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	site := make(map[string]int64)
	d := deploy{number: -1, before: site}
	finish := func() {
		if d.number > 0 {
			each(d)
		}
		for _, c := range d.changes {
			if c.Op == freshet.OpDelete {
				delete(site, c.Key)
			} else {
				site[c.Key] = c.Size
			}
		}
	}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if fields, ok := strings.CutPrefix(lines.Text(), "deploy "); ok {
			finish()
			number, _, _ := strings.Cut(fields, " ")
			d = deploy{number: atoi(tb, number), before: site}
			continue
		}
		fields := strings.SplitN(lines.Text(), "\t", 3)
		if len(fields) != 3 {
			tb.Fatalf("%s: line %q", file, lines.Text())
		}
		c := freshet.Change{Origin: "site", Key: fields[2], Op: freshet.OpPut, Size: int64(atoi(tb, fields[1])), Sequencer: freshet.Sequencer(fmt.Sprintf("%08X", d.number+1))}
		if fields[0] == "D" {
			c.Op = freshet.OpDelete
		}
		d.changes = append(d.changes, c)
	}
	finish()
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
}

func atoi(tb testing.TB, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}
