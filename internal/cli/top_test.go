package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/metrics"
)

func snapshot() metrics.Snapshot {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	done, ratio, waiting := at.Add(12*time.Millisecond), 0.925, uint64(3)
	return metrics.Snapshot{
		Time: at, Seconds: 1, Requests: 1234.5, Results: map[string]float64{"Miss": 92.5, "Hit": 1142}, HitRatio: &ratio, Bytes: 2.5e6, Fetches: 93,
		StoredObjects: 17, StoredBytes: 4096, Capacity: 64e6, Evictions: 0.25, Waiting: &waiting,
		Hottest: []metrics.Path{{Distribution: "E1", Path: "/a%20b", Requests: 1000, HitRatio: 1, Bytes: 2e6}, {Path: "/nobody", Requests: 0.1}},
		Invalidations: []metrics.Invalidation{
			{ID: "I2", Distribution: "E1", Status: "InProgress", Paths: []string{"/b", "/c*"}, Created: at},
			{ID: "I1", Distribution: "E1", Status: "Completed", Paths: []string{"/a"}, Created: at, Completed: &done},
		},
		Changes: []metrics.Change{
			{Key: "k\t\x1b[2J", Op: "put", State: "verified", ChangedAt: at, VerifiedAt: &done},
			{Key: "b", Op: "delete", State: "dead", ChangedAt: at, Reason: "why"},
		},
	}
}

func TestPicture(t *testing.T) {
	want := `03:04:05  1234.5 requests/s  hit ratio 92.5%  2.5 MB/s to viewers  93.0 fetches/s from origins
stored 17 objects, 4.1 kB of 64.0 MB  evicted 0.2/s  changes under way 3
Hit 1142.0/s  Miss 92.5/s

REQUESTS/S  HITS    BYTES/S  DISTRIBUTION  PATH
1000.0      100.0%  2.0 MB   E1            /a%20b
0.1         0.0%    0 B      -             /nobody

INVALIDATED   STATUS      TOOK    ID  PATHS
03:04:05.000  InProgress  -       I2  /b /c*
03:04:05.000  Completed   12ms    I1  /a

CHANGED       STATE     FRESH WITHIN  OP      KEY     REASON
03:04:05.000  verified  12ms          put     k��[2J
03:04:05.000  dead      -             delete  b       why`
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	got := picture(snapshot())
	for i, line := range strings.Split(want, "\n") {
		if i >= len(got) || squeeze(got[i]) != squeeze(line) {
			t.Errorf("line %d of\n%s\nwant %s", i, strings.Join(got, "\n"), line)
		}
	}
	quiet := picture(metrics.Snapshot{Time: time.Now()})
	if len(quiet) != 2 || !strings.Contains(quiet[0], "hit ratio -") || !strings.Contains(quiet[1], "under way ?") {
		t.Errorf("nothing happens: %q", quiet)
	}
}

// One picture covers the one before, on a screen of any size.
func TestRedraw(t *testing.T) {
	text, drawn := redraw([]string{"one", "two"}, 0, 80, 24)
	if text != "\rone\x1b[K\ntwo\x1b[K\n\x1b[J" || drawn != 2 {
		t.Errorf("%q, %d", text, drawn)
	}
	if text, drawn = redraw([]string{"three"}, 2, 80, 24); text != "\x1b[2A\rthree\x1b[K\n\x1b[J" || drawn != 1 {
		t.Errorf("%q, %d", text, drawn)
	}
	if text, drawn = redraw([]string{"äöüäöü", "b", "c"}, 9, 4, 3); text != "\x1b[2A\räöü…\x1b[K\nb\x1b[K\n\x1b[J" || drawn != 2 {
		t.Errorf("a small screen: %q, %d", text, drawn)
	}
	if text, drawn = redraw([]string{"a", "b"}, 5, 0, 0); drawn != 1 || strings.Count(text, "\n") != 1 {
		t.Errorf("no screen: %q, %d", text, drawn)
	}
}

func TestTopOfNothing(t *testing.T) {
	for dir, want := range map[string]string{t.TempDir(): "no freshet is running on", t.TempDir() + "/none": "there is no data directory"} {
		var out, err strings.Builder
		if code := Main(t.Context(), []string{"top", "--data", dir}, strings.NewReader(""), &out, &err); code != exitFailed || out.Len() > 0 || !strings.Contains(err.String(), want) {
			t.Errorf("exit code %d, %q, %q", code, out.String(), err.String())
		}
	}
}
