package benchedge

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"

	"github.com/freshet/freshet/internal/edge/certificate"
)

// identity is by what all contenders are known over TLS.
type identity struct {
	file   string // with the certificate of 127.0.0.1, and its key
	client *http.Client
}

// newIdentity makes one, in a file in folder.
func newIdentity(folder string) (*identity, error) {
	a, err := certificate.New()
	if err != nil {
		return nil, err
	}
	leaf, err := a.For("127.0.0.1")
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Leaf.Raw})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	f, err := os.CreateTemp(folder, "bench-edge-*.pem")
	if err != nil {
		return nil, fmt.Errorf("make a file for the certificate: %w", err)
	}
	i := &identity{file: f.Name(), client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool()}}}}
	if _, err = f.Write(text); err == nil {
		err = f.Chmod(0o644) // some of the programs give their rights up
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		i.remove()
		return nil, fmt.Errorf("write the certificate: %w", err)
	}
	return i, nil
}

func (i *identity) remove() { _ = os.Remove(i.file) }
