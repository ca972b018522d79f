package mirror

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
)

func TestProblemIsToldOnce(t *testing.T) {
	for name, heard := range map[string]bool{"by OnProblem": true, "by the log": false} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			told := 0
			config := Config{
				Dir: t.TempDir(), Store: newMemory(nil), Manifest: filepath.Join(t.TempDir(), "manifest"),
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}
			if heard {
				config.OnProblem = func(error) { told++ }
			}
			m, err := newMirror(config)
			if err != nil {
				t.Fatal(err)
			}
			m.problem(errors.New("no room"))
			if lines := bytes.Count(log.Bytes(), []byte("\n")); told+lines != 1 || heard != (told == 1) {
				t.Errorf("OnProblem heard it %d times and the log %d times", told, lines)
			}
		})
	}
}
