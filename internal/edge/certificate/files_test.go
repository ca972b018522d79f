package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// written puts a certificate for name into the files of p.
func written(t *testing.T, p Pair, a *Authority, name string) []byte {
	t.Helper()
	c, err := a.For(name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{p.Certificate: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, p.Key: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c.Certificate[0]
}

// Certificates are read again when their files change; what cannot be read does
// not take the place of what could.
func TestFiles(t *testing.T) {
	dir, a := t.TempDir(), made(t)
	one := Pair{filepath.Join(dir, "1.pem"), filepath.Join(dir, "1.key")}
	two := Pair{filepath.Join(dir, "2.pem"), filepath.Join(dir, "2.key")}
	first, second := written(t, one, a, "one.example"), written(t, two, a, "two.example")
	f, err := Load([]Pair{one, two}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now()
	has := func(want ...[]byte) {
		t.Helper()
		later = later.Add(time.Minute)
		for _, p := range []Pair{one, two} {
			_ = os.Chtimes(p.Certificate, later, later) // which may be gone
		}
		f.looked = time.Time{}
		got := f.Certificates()
		for i := range want {
			if len(got) != len(want) || !bytes.Equal(got[i].Certificate[0], want[i]) {
				t.Errorf("certificate %d is another", i)
			}
		}
	}
	has(first, second)
	third := written(t, two, a, "three.example")
	has(first, third)
	if err := os.WriteFile(two.Key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	has(first, third)
	if err := os.Remove(one.Certificate); err != nil {
		t.Fatal(err)
	}
	has(first, third)
	fourth := written(t, one, a, "four.example")
	has(fourth, third)
}

func TestLoadRefuses(t *testing.T) {
	dir, a := t.TempDir(), made(t)
	p, q := Pair{filepath.Join(dir, "p.pem"), filepath.Join(dir, "p.key")}, Pair{filepath.Join(dir, "q.pem"), filepath.Join(dir, "q.key")}
	written(t, p, a, "p.example")
	written(t, q, a, "q.example")
	for name, pair := range map[string]Pair{
		"no files": {filepath.Join(dir, "x"), filepath.Join(dir, "y")}, "no key": {p.Certificate, filepath.Join(dir, "y")},
		"the key of another": {p.Certificate, q.Key}, "the wrong way round": {p.Key, p.Certificate},
	} {
		if _, err := Load([]Pair{pair}, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
