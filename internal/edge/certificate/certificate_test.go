package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"testing"
)

func made(t *testing.T) *Authority {
	t.Helper()
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What was kept signs as before, and who trusts the authority trusts what it
// signed.
func TestAuthorityIsKept(t *testing.T) {
	first := made(t)
	text, err := first.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.CertificatePEM(), again.CertificatePEM()) || bytes.Contains(first.CertificatePEM(), []byte("PRIVATE")) {
		t.Errorf("certificate %s", again.CertificatePEM())
	}
	for name, host := range map[string]string{"a.example": "a.example", "*.b.example": "x.b.example", "127.0.0.1": "127.0.0.1", "::1": "::1"} {
		c, err := again.For(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: first.Pool()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: made(t).Pool()}); err == nil {
			t.Errorf("%s: any authority will do", name)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	a := made(t)
	leaf, err := a.For("a.example")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	noAuthority := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	for name, text := range map[string][]byte{"nothing": nil, "no key": a.CertificatePEM(), "no authority": noAuthority} {
		if _, err := Read(text); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestForIsBoundedAndConcurrent(t *testing.T) {
	a := made(t)
	one, err := a.For("same")
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := a.For("same"); one != two {
		t.Error("a name's certificate was made twice")
	}
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for j := range 300 {
				if _, err := a.For(fmt.Sprint(i, "-", j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if len(a.leaves) > maxLeaves {
		t.Errorf("%d are kept", len(a.leaves))
	}
}
