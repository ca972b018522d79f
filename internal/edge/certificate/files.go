package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Pair names the PEM files of a certificate, with those that lead to its
// authority after it, and of its key.
type Pair struct{ Certificate, Key string }

// Files are certificates from files, which are read again when they change. Its
// methods may be called concurrently.
type Files struct {
	pairs []Pair
	log   *slog.Logger

	mu     sync.Mutex
	looked time.Time
	seen   []stamp
	loaded []tls.Certificate
}

// stamp is by what a changed pair is known.
type stamp struct {
	certificate, key         time.Time
	certificateSize, keySize int64
}

// lookAgain is how long files are taken for unchanged without looking.
const lookAgain = time.Second

// Load reads the pairs. A certificate that has expired is an error.
func Load(pairs []Pair, log *slog.Logger) (*Files, error) {
	f := &Files{pairs: pairs, log: log, looked: time.Now()}
	for _, p := range pairs {
		s, err := p.stamp()
		if err != nil {
			return nil, err
		}
		c, err := p.load()
		if err != nil {
			return nil, err
		}
		f.seen, f.loaded = append(f.seen, s), append(f.loaded, c)
	}
	return f, nil
}

// Certificates returns what the files held when they were last looked at, which
// is no longer ago than a second. A pair that cannot be read any more, as while
// one file of it is written and the other is not yet, stays what it was. The
// result is not to be changed.
func (f *Files) Certificates() []tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= lookAgain {
		f.looked = now
		f.reload()
	}
	return f.loaded
}

// reload leaves alone the slice that was handed out. f.mu is held.
func (f *Files) reload() {
	next := append([]tls.Certificate(nil), f.loaded...)
	for i, p := range f.pairs {
		s, err := p.stamp()
		if err == nil && s == f.seen[i] {
			continue
		}
		var c tls.Certificate
		if err == nil {
			c, err = p.load()
		}
		if err != nil {
			f.log.Warn("a certificate stays in use that is not in its file any more", slog.Any("error", err))
			continue
		}
		f.log.Info("certificate read again", slog.String("file", p.Certificate), slog.Time("until", c.Leaf.NotAfter))
		next[i], f.seen[i] = c, s
	}
	f.loaded = next
}

func (p Pair) stamp() (stamp, error) {
	c, err := os.Stat(p.Certificate)
	if err != nil {
		return stamp{}, fmt.Errorf("certificate: %w", err)
	}
	k, err := os.Stat(p.Key)
	if err != nil {
		return stamp{}, fmt.Errorf("key of a certificate: %w", err)
	}
	return stamp{c.ModTime(), k.ModTime(), c.Size(), k.Size()}, nil
}

var errExpired = errors.New("it has expired")

func (p Pair) load() (tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err == nil && time.Now().After(c.Leaf.NotAfter) {
		err = fmt.Errorf("%w at %s", errExpired, c.Leaf.NotAfter.Format(time.RFC3339))
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s with key %s: %w", p.Certificate, p.Key, err)
	}
	return c, nil
}
