package app

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/edge/accesslog"
	reader "github.com/freshet/freshet/internal/inventory/accesslog"
)

// Each distribution has a file for each hour, which can be followed, and what is
// in it is what our own reader reads.
func TestAccessLogs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	paths := func(id, hour string) []string {
		var found []string
		files, err := filepath.Glob(filepath.Join(dir, id+"."+hour+".*.log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			file, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			for h, err := range reader.Read(file) {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				found = append(found, h.Path)
			}
			file.Close()
		}
		return found
	}
	synctest.Test(t, func(t *testing.T) {
		l, err := newAccessLogs(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 2, 3, 59, 59, 0, time.UTC)
		add := func(id, path string, at time.Time) {
			l.add(id, &accesslog.Record{End: at, Method: "GET", Path: path, Status: 200, Host: "h", ContentLength: -1, RangeStart: -1, RangeEnd: -1})
		}
		add("E1", "/a", at)
		add("E2", "/b", at)
		add("", "/nobody", at)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := paths("E1", "2026-01-02-03"); !slices.Equal(got, []string{"/a"}) {
			t.Errorf("after a second: %v", got)
		}
		add("E1", "/c", at.Add(time.Second))
		add("E1", "/late", at)
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		id, hour string
		want     []string
	}{{"E1", "2026-01-02-03", []string{"/a"}}, {"E1", "2026-01-02-04", []string{"/c", "/late"}}, {"E2", "2026-01-02-03", []string{"/b"}}} {
		if got := paths(tt.id, tt.hour); !slices.Equal(got, tt.want) {
			t.Errorf("%s in %s: %v, want %v", tt.id, tt.hour, got, tt.want)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}
	for _, f := range files {
		if !regexp.MustCompile(`^E\d\.2026-01-02-0[34]\.[0-9A-Z]{8}\.log$`).MatchString(f.Name()) {
			t.Errorf("a file is called %s", f.Name())
		}
	}
}
