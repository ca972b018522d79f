package edge

import (
	"net"
	"runtime"
	"sync"
)

// bundle is the connection below TLS. It sends several records in one piece,
// where crypto/tls would send each by itself.
type bundle struct {
	net.Conn

	left func() // called once it is closed; nil for nothing
	once sync.Once

	mu      sync.Mutex
	holding bool
	held    []byte

	turn int // bytes that may yet be read before others have their turn
}

// A connection of which so much was read lets others go before it. Who sends for
// ever never waits, and would go on until the scheduler ends the turn, milliseconds
// later. A call counts as so many bytes, be it for fewer.
const (
	oneTurn = 16 << 10
	oneRead = 1 << 10
)

// Read must not be called by two at once.
func (b *bundle) Read(p []byte) (int, error) {
	if b.turn <= 0 {
		b.turn = oneTurn
		runtime.Gosched()
	}
	n, err := b.Conn.Read(p)
	b.turn -= max(n, oneRead)
	return n, err
}

// Write keeps p while the bundle is held together.
func (b *bundle) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.holding {
		return b.Conn.Write(p)
	}
	b.held = append(b.held, p...)
	return len(p), nil
}

// together has all that write writes sent in one piece, made in buf, which is
// returned grown. It must not be called by two at once.
func (b *bundle) together(buf []byte, write func() error) ([]byte, error) {
	b.mu.Lock()
	b.holding, b.held = true, buf[:0]
	b.mu.Unlock()
	err := write()
	b.mu.Lock()
	defer b.mu.Unlock()
	buf, b.holding, b.held = b.held, false, nil
	if len(buf) > 0 {
		if _, broken := b.Conn.Write(buf); err == nil {
			err = broken
		}
	}
	return buf, err
}

// Close may be called twice.
func (b *bundle) Close() error {
	if b.left != nil {
		b.once.Do(b.left)
	}
	return b.Conn.Close()
}

// CloseWrite tells the other end that there is no more to come.
func (b *bundle) CloseWrite() error { return closeWrite(b.Conn) }
