package app

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestTheAuthorityIsMadeOnceAndForTheOwnerOnly(t *testing.T) {
	d := DataDir(t.TempDir())
	first, err := d.authority()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(d.path(authorityFile), 0o644); err != nil {
		t.Fatal(err)
	}
	second, err := d.authority()
	if err != nil || !bytes.Equal(first.CertificatePEM(), second.CertificatePEM()) {
		t.Errorf("another authority, %v", err)
	}
	if info, err := os.Stat(d.path(authorityFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	if text, err := os.ReadFile(d.path(trustFile)); err != nil || !bytes.Equal(text, first.CertificatePEM()) {
		t.Errorf("%s, %v", text, err)
	}
	if err := os.WriteFile(d.path(authorityFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.authority(); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a damaged authority: %v", err)
	}
}
