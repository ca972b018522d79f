//go:build amd64 || arm64

package arena

// fetch has the processor bring lines of its cache, from an address on, while the
// program goes on. Nothing need be there.
//
//go:noescape
func fetch(from *byte, lines int)
