// Package whither knows how far inwards an address leads: to hosts of anybody, to
// this machine or a private network, or to where clouds hand out credentials.
package whither

import "net/netip"

// Stance is how far inwards an address leads.
type Stance int

// The stances, the harmless first.
const (
	Outward Stance = iota
	Inward         // this machine or a private network: only for hosts that are configured so
	Never          // nothing that a cache for viewers can be at
)

// nevers are networks that nothing is fetched from whatever is configured: of
// link-local addresses and those at which clouds hand out credentials to whoever
// asks, and addresses that are no host's.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/inStancedata-data-retrieval.html
// https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16
// https://cloud.google.com/compute/docs/metadata/querying-metadata
// https://www.alibabacloud.com/help/en/ecs/user-guide/view-inStance-metadata
// https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/gettingmetadata.htm
func nevers() []netip.Prefix {
	return prefixes(
		"0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "255.255.255.255/32", "224.0.0.0/4",
		"::/128", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/32", "fd00:42::/32",
	)
}

// inwards are networks that are somebody's own.
// https://www.iana.org/assignments/iana-ipv4-special-registry/
// https://www.iana.org/assignments/iana-ipv6-special-registry/
func inwards() []netip.Prefix {
	return prefixes(
		"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4",
		"::1/128", "fc00::/7", "64:ff9b:1::/48",
	)
}

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		all[i] = netip.MustParsePrefix(t)
	}
	return all
}

// Of judges an address, and with it every IPv4 address that it carries.
func Of(a netip.Addr) Stance {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return Never
	}
	s := Outward
	for _, p := range inwards() {
		if p.Contains(a) {
			s = Inward
		}
	}
	for _, p := range nevers() {
		if p.Contains(a) {
			return Never
		}
	}
	for _, carried := range carries(a) {
		s = max(s, Of(carried))
	}
	return s
}

// carries lists the IPv4 addresses that packets to an IPv6 address may be sent on
// to: NAT64, 6to4, Teredo, ISATAP and the deprecated IPv4-compatible form.
// https://www.rfc-editor.org/rfc/rfc6052 and 3056, 4380, 5214, 4291
func carries(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	v4 := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case a.IsLoopback() || a.IsUnspecified():
		return nil
	case within(a, "64:ff9b::/96", "64:ff9b:1::/48", "::/96"):
		return []netip.Addr{v4(12)}
	case within(a, "2002::/16"):
		return []netip.Addr{v4(2)}
	case within(a, "2001::/32"):
		return []netip.Addr{v4(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		return []netip.Addr{v4(12)}
	}
	return nil
}

func within(a netip.Addr, networks ...string) bool {
	for _, p := range prefixes(networks...) {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
