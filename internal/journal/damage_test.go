package journal_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/stream"
)

// cutShort takes bytes from the end of every block of messages below dir.
func cutShort(t *testing.T, dir string) (blocks int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".blk" {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() < 10 {
			return err
		}
		blocks++
		return os.Truncate(path, info.Size()-10)
	})
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

func TestADamagedJournalIsAnErrorAndNoEndlessWait(t *testing.T) {
	dir := t.TempDir()
	e, err := stream.Open(stream.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), e.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := j.Append(t.Context(), []journal.Record{{Key: "some"}}); err != nil {
			t.Fatal(err)
		}
	}
	e.Close()
	if cutShort(t, dir) == 0 {
		t.Fatal("no block to damage")
	}
	e, err = stream.Open(stream.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if j, err = journal.Open(t.Context(), e.JetStream()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	read := 0
	err = j.Read(ctx, func(journal.Record) error { read++; return nil })
	if err == nil && read == 3 {
		t.Fatal("the damage went unnoticed: nothing was tested")
	}
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("%d entries and %v, want an error that says that it is damaged", read, err)
	}
}
