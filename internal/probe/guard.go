// Package probe fetches URLs as viewers do, and only those that it may: of hosts
// that were configured, at addresses that do not lead inwards.
package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/freshet/freshet/internal/whither"
)

// Site is a host that may be asked.
type Site struct {
	Host   string   // a name, *.example.com for all names below one, or an address; as ParseSite makes it
	Ports  []uint16 // empty: 80 and 443
	Inward bool     // its addresses may be loopback or private ones
}

// Guard says what may be fetched. Nothing may where it has no sites. It may be
// used by several goroutines.
type Guard struct {
	sites []Site
}

// NewGuard allows sites. Of a host that is given several times all ports count,
// and it is inward if one of them is.
func NewGuard(sites ...Site) *Guard { return &Guard{slices.Clone(sites)} }

// Refused is why something is not fetched. Trying again changes nothing.
type Refused struct {
	What string // URL or address
	Why  string
}

func (r *Refused) Error() string { return fmt.Sprintf("%s is not fetched: %s", r.What, r.Why) }

// ParseSite reads HOST or HOST:PORT. Names that mean this machine by themselves
// (localhost and what ends in it) and addresses that lead inwards are inward: who
// writes them down means them.
func ParseSite(text string) (Site, error) {
	u, err := url.Parse("//" + text)
	if err != nil || u.Host != text || text == "" {
		return Site{}, fmt.Errorf("%q is no host such as www.example.com, *.example.com or localhost:8080", text)
	}
	name := u.Hostname()
	below, wild := strings.CutPrefix(name, "*.")
	host, err := canonicalHost(below)
	if err != nil {
		return Site{}, fmt.Errorf("host %q: %w", text, err)
	}
	s := Site{Host: host, Inward: inwardName(host)}
	if addr, err := netip.ParseAddr(host); err == nil {
		if wild || whither.Of(addr) == whither.Never {
			return Site{}, fmt.Errorf("host %q is never fetched: %s", text, whyNever(addr))
		}
		s.Inward = whither.Of(addr) == whither.Inward
	}
	if wild {
		s.Host = "*." + host
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Site{}, fmt.Errorf("host %q: port %q is none", text, port)
		}
		s.Ports = []uint16{uint16(n)}
	}
	return s, nil
}

// inwardName reports whether a name stands for this machine wherever it is
// looked up. https://www.rfc-editor.org/rfc/rfc6761#section-6.3
func inwardName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// takes reports whether s is meant by a canonical host and a port.
func (s Site) takes(host string, port uint16) bool {
	if suffix, wild := strings.CutPrefix(s.Host, "*"); wild {
		if !strings.HasSuffix(host, suffix) || len(host) == len(suffix) {
			return false
		}
	} else if s.Host != host {
		return false
	}
	if len(s.Ports) == 0 {
		return port == 80 || port == 443
	}
	return slices.Contains(s.Ports, port)
}

// Allow returns what u means where it may be fetched; any error is a *Refused.
// Whether the addresses of its host may be is seen when they are dialed.
func (g *Guard) Allow(u *url.URL) (Destination, error) {
	d, err := destination(u)
	if err != nil {
		return Destination{}, err
	}
	found := false
	for _, s := range g.sites {
		if s.takes(d.Host, d.Port) {
			found, d.inward = true, d.inward || s.Inward
		}
	}
	if !found {
		return Destination{}, &Refused{d.URL.Redacted(), fmt.Sprintf("%s:%d is not among the configured hosts", d.Host, d.Port)}
	}
	return d, nil
}

// Destination is where a URL leads.
type Destination struct {
	URL    *url.URL // with the host in its canonical spelling, and without a fragment
	Host   string   // without brackets and port
	Port   uint16
	inward bool // its addresses may be loopback or private ones
}

// destination reads a URL without deciding on its host.
func destination(u *url.URL) (Destination, error) {
	refuse := func(format string, args ...any) (Destination, error) {
		return Destination{}, &Refused{u.Redacted(), fmt.Sprintf(format, args...)}
	}
	to := *u
	to.Scheme, to.Fragment, to.RawFragment = strings.ToLower(u.Scheme), "", ""
	if to.Path != "" && to.Path[0] != '/' && to.Host != "" { // as URL.JoinPath may leave it
		to.Path = "/" + to.Path
		if to.RawPath != "" {
			to.RawPath = "/" + to.RawPath
		}
	}
	d := Destination{URL: &to}
	switch to.Scheme {
	case "http":
		d.Port = 80
	case "https":
		d.Port = 443
	default:
		return refuse("it is neither http nor https")
	}
	if u.User != nil {
		return refuse("it holds a user name")
	}
	if u.Opaque != "" || u.Host == "" {
		return refuse("it has no host")
	}
	if strings.ContainsFunc(to.RequestURI(), func(r rune) bool { return r <= ' ' || r == 0x7F }) {
		return refuse("it holds control characters or spaces")
	}
	port := u.Port()
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return refuse("port %q is none", port)
		}
		if d.Port == uint16(n) {
			port = ""
		}
		d.Port = uint16(n)
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return refuse("%v", err)
	}
	d.Host, to.Host = host, host
	if strings.Contains(host, ":") {
		to.Host = "[" + host + "]"
	}
	if port != "" {
		to.Host += ":" + strconv.Itoa(int(d.Port))
	}
	return d, nil
}

// canonicalHost brings a host to its one spelling: names in lower case, in ASCII
// and without the root's dot, addresses as netip writes them, with IPv4 in IPv6
// taken out. Spellings of addresses that only some resolvers understand (decimal
// numbers, hexadecimal, octal, fewer than four parts) are refused, since what is
// asked for would depend on who asks.
func canonicalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", fmt.Errorf("address %s has a zone", host)
		}
		return addr.Unmap().String(), nil
	}
	if len(host) > 4*253 {
		return "", errors.New("its host is longer than names are")
	}
	ascii := strings.ToLower(strings.TrimSuffix(host, "."))
	if strings.ContainsFunc(ascii, func(r rune) bool { return r >= 0x80 }) {
		var err error
		if ascii, err = idna.Lookup.ToASCII(ascii); err != nil {
			return "", fmt.Errorf("host %q is no name: %w", host, err)
		}
	}
	if len(ascii) > 253 {
		return "", errors.New("its host is longer than names are")
	}
	for label := range strings.SplitSeq(ascii, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("host %q is no name", host)
		}
	}
	if isNumber(ascii[strings.LastIndexByte(ascii, '.')+1:]) {
		return "", fmt.Errorf("host %q is neither a name nor an address as it is usually written", host)
	}
	return ascii, nil
}

// isNumber reports whether the last label of a host makes it an address for some
// resolvers. https://url.spec.whatwg.org/#ends-in-a-number-checker
func isNumber(label string) bool {
	if strings.Trim(label, "0123456789") == "" {
		return true
	}
	digits, hex := strings.CutPrefix(label, "0x")
	return hex && strings.Trim(digits, "0123456789abcdef") == ""
}
