package probe

import (
	"fmt"
	"net/netip"

	"github.com/freshet/freshet/internal/whither"
)

func whyNever(a netip.Addr) string {
	return fmt.Sprintf("%s is a link-local, metadata or multicast address, or no host's", a)
}

// dialable returns nil, or a *Refused, for an address that the host of d was
// found at. pinned addresses were configured for it one by one.
func (d Destination) dialable(a netip.Addr, pinned bool) error {
	switch s := whither.Of(a); {
	case s == whither.Never:
		return &Refused{d.URL.Redacted(), d.Host + " leads to " + whyNever(a)}
	case s == whither.Inward && !pinned && !d.inward:
		return &Refused{d.URL.Redacted(), fmt.Sprintf("%s leads to %s, a loopback or private address, and is not configured to", d.Host, a)}
	}
	return nil
}
