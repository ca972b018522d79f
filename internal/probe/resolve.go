package probe

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/whither"
)

// Place is an address that a host is asked at. Without a port it is that of the
// URL. The zero value is wherever the host's name leads.
type Place struct {
	Addr netip.Addr
	Port uint16
}

// String is the address, with the port where it has one of its own; empty for the
// zero value.
func (p Place) String() string {
	switch {
	case !p.Addr.IsValid():
		return ""
	case p.Port == 0:
		return p.Addr.String()
	}
	return netip.AddrPortFrom(p.Addr, p.Port).String()
}

// MarshalText writes what String says.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// ParsePlace reads ADDRESS or ADDRESS:PORT, IPv6 addresses in brackets or, without
// a port, without.
func ParsePlace(text string) (Place, error) {
	if at, err := netip.ParseAddrPort(text); err == nil && at.Port() != 0 {
		return checkedPlace(text, Place{at.Addr().Unmap(), at.Port()})
	}
	bare := text
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil {
		return Place{}, fmt.Errorf("%q is no IP address", text)
	}
	return checkedPlace(text, Place{Addr: addr.Unmap()})
}

func checkedPlace(text string, p Place) (Place, error) {
	if p.Addr.Zone() != "" || whither.Of(p.Addr) == whither.Never {
		return Place{}, fmt.Errorf("address %q is never fetched from: %s", text, whyNever(p.Addr))
	}
	return p, nil
}

// Rule has a host, at one port of its URLs, asked at some places instead of
// wherever its name leads.
type Rule struct {
	Host   string // canonical; * for all
	Port   uint16 // 0 for all
	Places []Place
}

// ParseRule reads HOST:PORT:ADDRESS[,ADDRESS]… as curl's --resolve does. Each of
// several addresses is a place of its own, where curl would take the first that
// answers. An address may have a port of its own, which curl has not.
func ParseRule(text string) (Rule, error) {
	bad := func(why string) error {
		return fmt.Errorf("%q is no HOST:PORT:ADDRESS such as www.example.com:443:192.0.2.1: %s", text, why)
	}
	if strings.HasPrefix(text, "-") {
		return Rule{}, bad("there is nothing to take back")
	}
	rest := strings.TrimPrefix(text, "+") // where curl would forget it after a while
	end := strings.IndexByte(rest, ':')
	if strings.HasPrefix(rest, "[") {
		end = strings.IndexByte(rest, ']') + 1
	}
	if end <= 0 || end >= len(rest) || rest[end] != ':' {
		return Rule{}, bad("it has no port")
	}
	host, rest := rest[:end], rest[end+1:]
	port, list, found := strings.Cut(rest, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	if !found || err != nil || n == 0 {
		return Rule{}, bad(fmt.Sprintf("%q is no port, or nothing follows it", port))
	}
	r := Rule{Host: host, Port: uint16(n)}
	if host != "*" {
		if r.Host, err = canonicalHost(strings.Trim(host, "[]")); err != nil {
			return Rule{}, bad(err.Error())
		}
	}
	for part := range strings.SplitSeq(list, ",") {
		p, err := ParsePlace(part)
		if err != nil {
			return Rule{}, bad(err.Error())
		}
		r.Places = append(r.Places, p)
	}
	return r, nil
}

// Overlaps reports whether a URL may be of both rules.
func (r Rule) Overlaps(other Rule) bool {
	return (r.Host == other.Host || r.Host == "*" || other.Host == "*") && (r.Port == other.Port || r.Port == 0 || other.Port == 0)
}

// Rules are looked through in order; all that are of a host and port count, those
// of * where no other is.
type Rules []Rule

// Places returns where a URL is to be asked: one zero place where no rule is of
// it.
func (r Rules) Places(u *url.URL) []Place {
	d, err := destination(u)
	if err != nil {
		return []Place{{}}
	}
	for _, host := range []string{d.Host, "*"} {
		var all []Place
		for _, rule := range r {
			if (rule.Port == 0 || rule.Port == d.Port) && rule.Host == host {
				all = append(all, rule.Places...)
			}
		}
		if len(all) > 0 {
			return distinct(all)
		}
	}
	return []Place{{}}
}

func distinct(all []Place) []Place {
	seen := make(map[Place]bool, len(all))
	var kept []Place
	for _, p := range all {
		if !seen[p] {
			seen[p] = true
			kept = append(kept, p)
		}
	}
	return kept
}
