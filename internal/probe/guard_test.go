package probe

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func site(t testing.TB, text string) Site {
	t.Helper()
	s, err := ParseSite(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAllow(t *testing.T) {
	g := NewGuard(site(t, "www.example.com"), site(t, "*.shop.example"), site(t, "example.org:8443"), site(t, "127.0.0.1:8080"), site(t, "bücher.example"), site(t, "[::1]:80"))
	for url, want := range map[string]string{
		"https://www.example.com/a":           "https://www.example.com/a",
		"HTTP://WWW.Example.COM./a?b#c":       "http://www.example.com/a?b",
		"https://www.example.com:443/":        "https://www.example.com/",
		"http://www.example.com:443/":         "http://www.example.com:443/",
		"http://www.example.com:80/":          "http://www.example.com/",
		"http://a.shop.example/":              "http://a.shop.example/",
		"http://a.b.shop.example/":            "http://a.b.shop.example/",
		"https://example.org:8443/":           "https://example.org:8443/",
		"http://127.0.0.1:8080/":              "http://127.0.0.1:8080/",
		"http://[::ffff:127.0.0.1]:8080/":     "http://127.0.0.1:8080/",
		"http://[::ffff:7f00:1]:8080/":        "http://127.0.0.1:8080/",
		"http://[0:0::1]/":                    "http://[::1]/",
		"http://BÜCHER.example/":              "http://xn--bcher-kva.example/",
		"http://www.example.com":              "http://www.example.com",
		"http://www.example.com/a%2Fb/..//c;": "http://www.example.com/a%2Fb/..//c;",
	} {
		if got := allow(t, g, url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
	for url, why := range map[string]string{
		"http://example.com/":                    "not among the configured hosts",
		"http://www.example.com.evil.example/":   "not among",
		"http://evil-www.example.com/":           "not among",
		"http://shop.example/":                   "not among",
		"http://ashop.example/":                  "not among",
		"http://www.example.com:8080/":           "not among",
		"https://example.org/":                   "not among",
		"http://127.0.0.1/":                      "not among",
		"http://127.0.0.2:8080/":                 "not among",
		"http://localhost:8080/":                 "not among",
		"http://2130706433:8080/":                "as it is usually written",
		"http://0x7f000001:8080/":                "as it is usually written",
		"http://0x7f.0.0.1:8080/":                "as it is usually written",
		"http://017700000001:8080/":              "as it is usually written",
		"http://0177.0.0.1:8080/":                "as it is usually written",
		"http://127.1:8080/":                     "as it is usually written",
		"http://127.0.0.1.:8080/":                "as it is usually written",
		"http://127.0.0.0x1:8080/":               "as it is usually written",
		"http://127.0.0.01:8080/":                "as it is usually written",
		"http://①②⑦.0.0.1:8080/":                 "as it is usually written",
		"http://[::1%25lo]/":                     "has a zone",
		"ftp://www.example.com/":                 "neither http nor https",
		"file:///etc/passwd":                     "neither http nor https",
		"gopher://www.example.com/":              "neither http nor https",
		"//www.example.com/":                     "neither http nor https",
		"/a.html":                                "neither http nor https",
		"http:www.example.com/":                  "has no host",
		"http:///a":                              "has no host",
		"http://user@www.example.com/":           "user name",
		"http://www.example.com@evil.example/":   "user name",
		"http://www.example.com:0/":              "port",
		"http://www.example.com:65536/":          "port",
		"http://www..example.com/":               "is no name",
		"http://www.example.com../":              "is no name",
		"http://www.exa mple.com/":               "",
		"http://www.example.com%00.evil.example": "",
		"http://www.example.com%2F.evil.example": "",
		"http://" + strings.Repeat("a.", 200):    "longer than names",
	} {
		got := allow(t, g, url)
		if !strings.HasPrefix(got, "refused: ") || !strings.Contains(got, why) {
			t.Errorf("%s: %s, want a refusal with %q", url, got, why)
		}
	}
	if got := allow(t, NewGuard(), "http://www.example.com/"); !strings.HasPrefix(got, "refused: ") {
		t.Errorf("a guard without sites: %s", got)
	}
}

// allow returns what is fetched, or the refusal.
func allow(t *testing.T, g *Guard, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		return "refused: no URL"
	}
	d, err := g.Allow(u)
	var r *Refused
	if err != nil && !errors.As(err, &r) {
		t.Errorf("%s: %v is no *Refused", text, err)
	}
	if err != nil {
		return "refused: " + err.Error()
	}
	return d.URL.String()
}

func TestParseSite(t *testing.T) {
	for text, want := range map[string]Site{
		"www.Example.com":   {Host: "www.example.com"},
		"*.example.com":     {Host: "*.example.com"},
		"localhost":         {Host: "localhost", Inward: true},
		"e1.localhost:8080": {Host: "e1.localhost", Ports: []uint16{8080}, Inward: true},
		"10.0.0.1":          {Host: "10.0.0.1", Inward: true},
		"[fd00::1]:81":      {Host: "fd00::1", Ports: []uint16{81}, Inward: true},
		"192.0.2.1":         {Host: "192.0.2.1"},
		"notlocalhost":      {Host: "notlocalhost"},
	} {
		got, err := ParseSite(text)
		if err != nil || got.Host != want.Host || got.Inward != want.Inward || len(got.Ports) != len(want.Ports) || len(want.Ports) > 0 && got.Ports[0] != want.Ports[0] {
			t.Errorf("%s: %+v (%v), want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "http://x", "a/b", "a b", "a:b", "a:0", "a:70000", "169.254.169.254", "[fe80::1]", "0.0.0.0", "*.127.0.0.1", "*", "*.", "x@y", "0x7f.1", "a?b", "[fd00:ec2::254]"} {
		if s, err := ParseSite(text); err == nil {
			t.Errorf("%q is taken as %+v", text, s)
		}
	}
}

// TestEverySpellingOfAnInwardAddress: however IPv4 addresses are hidden, what is
// allowed is what was configured, and otherwise nothing.
func TestEverySpellingOfAnInwardAddress(t *testing.T) {
	g := NewGuard(site(t, "www.example.com"), site(t, "*.example.net"))
	rapid.Check(t, func(r *rapid.T) {
		a := rapid.SampledFrom([][4]byte{{169, 254, 169, 254}, {127, 0, 0, 1}, {10, 0, 0, 1}, {0, 0, 0, 0}, {192, 168, 0, 1}}).Draw(r, "address")
		host := spelled(r, a)
		u, err := url.Parse(rapid.SampledFrom([]string{"http://", "https://", "HTTP://", "http://www.example.com@", "//", "http:/"}).Draw(r, "scheme") + host + rapid.SampledFrom([]string{"", ":80", ":443", "."}).Draw(r, "end") + "/")
		if err != nil {
			return
		}
		if d, err := g.Allow(u); err == nil {
			r.Fatalf("%s is allowed as %s", u, d.URL)
		}
	})
}

func spelled(r *rapid.T, a [4]byte) string {
	part := func(b byte) string {
		return rapid.SampledFrom([]string{itoa(uint64(b), 10), "0x" + itoa(uint64(b), 16), "0" + itoa(uint64(b), 8), "00" + itoa(uint64(b), 10)}).Draw(r, "part")
	}
	whole := uint64(a[0])<<24 | uint64(a[1])<<16 | uint64(a[2])<<8 | uint64(a[3])
	return rapid.SampledFrom([]string{
		netip.AddrFrom4(a).String(), itoa(whole, 10), "0x" + itoa(whole, 16), "0" + itoa(whole, 8),
		part(a[0]) + "." + part(a[1]) + "." + part(a[2]) + "." + part(a[3]),
		part(a[0]) + "." + itoa(whole&0xFFFFFF, 10),
		"[::ffff:" + netip.AddrFrom4(a).String() + "]", "[64:ff9b::" + netip.AddrFrom4(a).String() + "]", "[::" + netip.AddrFrom4(a).String() + "]",
	}).Draw(r, "host")
}

func itoa(n uint64, base int) string {
	const digits = "0123456789abcdef"
	if n == 0 {
		return "0"
	}
	var b []byte
	for ; n > 0; n /= uint64(base) {
		b = append([]byte{digits[n%uint64(base)]}, b...)
	}
	return string(b)
}

// FuzzAllow: what is allowed is a URL of a configured host, and stays so when it
// is read again by anybody.
func FuzzAllow(f *testing.F) {
	for _, s := range []string{"http://www.example.com/", "https://www.example.com:443/a?b#c", "http://www.example.com@evil/", "http://2130706433/", "http://[::ffff:127.0.0.1]/", "//www.example.com", "http://www.example.com\\@evil/", "http://www.example.com%2f@evil", "http://a.example.net./"} {
		f.Add(s)
	}
	g := NewGuard(site(f, "www.example.com"), site(f, "*.example.net"), site(f, "127.0.0.1:8080"))
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		d, err := g.Allow(u)
		if err != nil {
			return
		}
		again, err := url.Parse(d.URL.String())
		if err != nil {
			t.Fatalf("%q is allowed as %q, which is no URL", text, d.URL)
		}
		host, port := again.Hostname(), again.Port()
		named := host == "www.example.com" || strings.HasSuffix(host, ".example.net")
		meant := named && (port == "" || port == "80" || port == "443") || host == "127.0.0.1" && port == "8080"
		if again.User != nil || again.Fragment != "" || !meant {
			t.Fatalf("%q is allowed as %q", text, d.URL)
		}
		if e, err := g.Allow(again); err != nil || e.URL.String() != d.URL.String() || e.Host != d.Host || e.Port != d.Port {
			t.Fatalf("%q is allowed as %q, and that as %v (%v)", text, d.URL, e.URL, err)
		}
	})
}

func TestParseRule(t *testing.T) {
	for text, want := range map[string]string{
		"www.example.com:443:192.0.2.1":                    "www.example.com 443 192.0.2.1",
		"+www.example.com:443:192.0.2.1":                   "www.example.com 443 192.0.2.1",
		"WWW.example.com.:80:192.0.2.1,192.0.2.2":          "www.example.com 80 192.0.2.1 192.0.2.2",
		"*:443:2600:9000::1":                               "* 443 2600:9000::1",
		"www.example.com:443:[2600:9000::1]":               "www.example.com 443 2600:9000::1",
		"www.example.com:443:[::1],[::1]:8443,10.0.0.1:81": "www.example.com 443 ::1 [::1]:8443 10.0.0.1:81",
		"[::1]:80:127.0.0.1":                               "::1 80 127.0.0.1",
	} {
		r, err := ParseRule(text)
		got := r.Host + " " + itoa(uint64(r.Port), 10)
		for _, p := range r.Places {
			got += " " + p.String()
		}
		if err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "a:443", "a:443:", "a:x:192.0.2.1", "a:0:192.0.2.1", "a:443:b", "-a:443", "a:443:169.254.169.254", "a:443:fe80::1", "a:443:[fe80::1%eth0]", "a:443:0.0.0.0", ":443:192.0.2.1", "[::1:80:127.0.0.1", "0x7f.1:80:127.0.0.1", "a:443:192.0.2.1,", "a:443:::ffff:169.254.1.1"} {
		if r, err := ParseRule(text); err == nil {
			t.Errorf("%q is taken as %+v", text, r)
		}
	}
}

func TestPlacesOfRules(t *testing.T) {
	var rules Rules
	for _, text := range []string{"*:443:192.0.2.9", "a.example:443:192.0.2.1,192.0.2.2", "a.example:443:192.0.2.2,192.0.2.3", "a.example:80:192.0.2.4"} {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	for text, want := range map[string]string{
		"https://a.example/": "192.0.2.1 192.0.2.2 192.0.2.3", "http://a.example/": "192.0.2.4", "https://b.example/": "192.0.2.9", "http://b.example/": "", "https://a.example:8443/": "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range rules.Places(u) {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is asked at %q, want %q", text, got, want)
		}
	}
}
