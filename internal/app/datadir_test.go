package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAreMadeOnceAndStayPrivate(t *testing.T) {
	d := DataDir(t.TempDir())
	first, err := d.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.path("keys.json"), 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := d.Identity()
	if err != nil || again != first {
		t.Fatalf("second time %+v, %v; first %+v", again, err, first)
	}
	if info, err := os.Stat(d.path("keys.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestDamagedKeysAreAnError(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"access_key":"a","secret_key":"b"}`, `{"access_key":"a","secret_key":"b","distribution":"../x"}`} {
		dir := t.TempDir()
		file := filepath.Join(dir, "keys.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := DataDir(dir).Identity(); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
