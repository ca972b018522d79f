package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/edge/certificate"
)

// The files of the authority: with its key, and what clients are to trust.
const (
	authorityFile = "authority.pem"
	trustFile     = "ca.pem"
)

// authority reads what signs the edge's certificates, or makes it if there is
// none yet.
func (d DataDir) authority() (*certificate.Authority, error) {
	text, err := os.ReadFile(d.path(authorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d.newAuthority()
	}
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	if err := d.keepPrivate(authorityFile); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	a, err := certificate.Read(text)
	if err != nil {
		return nil, fmt.Errorf("certificates: %s: %w; move it away to have a new one made", d.path(authorityFile), err)
	}
	return a, d.write(trustFile, a.CertificatePEM())
}

func (d DataDir) newAuthority() (*certificate.Authority, error) {
	a, err := certificate.New()
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	text, err := a.PEM()
	if err == nil {
		err = errors.Join(d.write(authorityFile, text), d.write(trustFile, a.CertificatePEM()))
	}
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	return a, nil
}

// openTLS prepares the edge's door for TLS, if there is one.
func (u *Up) openTLS() error {
	if u.tlsListener == nil {
		return nil
	}
	a, err := u.data.authority()
	if err != nil {
		return err
	}
	pairs := make([]certificate.Pair, len(u.cfg.Certificates))
	for i, c := range u.cfg.Certificates {
		pairs[i] = certificate.Pair{Certificate: c.File, Key: c.Key}
	}
	own, err := certificate.Load(pairs, u.opts.Log)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	u.tlsServer = edge.Server(u.edge)
	u.tlsDoor = u.edge.Door(u.tlsListener, u.edge.TLS(own.Certificates, a))
	u.onClose(u.closeTLS)
	return nil
}

// closeTLS ends the door where Run did not, or nobody has called it.
func (u *Up) closeTLS() error {
	if err := u.tlsDoor.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// portOf returns 0 for no listener.
func portOf(l net.Listener) int {
	if l == nil {
		return 0
	}
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return at.Port
}
