package edge

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/signed"
)

// newKeys returns the public keys that may have signed what a behavior answers,
// or nil if it answers everybody. Of a key group that nobody described, and of
// accounts, no key is known: then nothing is answered.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html
func newKeys(d *distribution.Distribution, b *distribution.CacheBehavior, log *slog.Logger) (*signed.Keys, error) {
	if len(b.TrustedKeyGroups) == 0 && len(b.TrustedSigners) == 0 {
		return nil, nil
	}
	texts := make(map[string]string)
	for _, id := range b.TrustedKeyGroups {
		i := slices.IndexFunc(d.KeyGroups, func(g distribution.KeyGroup) bool { return g.ID == id })
		if i < 0 {
			log.Warn("the keys of a key group are not known: nobody who signs with them is answered", slog.String("distribution", d.ID), slog.String("key group", id))
			continue
		}
		for _, key := range d.KeyGroups[i].Keys {
			texts[key.ID] = key.EncodedKey
		}
	}
	return signed.NewKeys(texts)
}

// denial says why a request to a behavior with private content is not answered.
func (q *query) denial(r *http.Request, t target) *refusal {
	keys := q.behavior.keys
	if keys == nil {
		return nil
	}
	d := keys.Check(signed.Request{URLs: signable(r, t), Query: t.text, Cookies: r.Header["Cookie"], Viewer: viewerAddr(r), Now: time.Now()})
	if d == nil {
		return nil
	}
	return &refusal{status: http.StatusForbidden, reason: d.Message, xml: d.XML()}
}

// signable are the URLs that may have been signed for a request: with the host
// as the viewer sent it, and without its port, which CloudFront's names have
// none of.
func signable(r *http.Request, t target) []string {
	rest := t.path
	if text := signed.StripQuery(t.text); text != "" {
		rest += "?" + text
	}
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	urls := []string{scheme + r.Host + rest}
	if bare, _, err := net.SplitHostPort(r.Host); err == nil {
		urls = append(urls, scheme+bare+rest)
	}
	return urls
}

func viewerAddr(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // an address that is none is within no range
	return at.Addr()
}

// unsigned returns r without the cookies of a signature. What is left is all that
// the cache and the origin see.
func unsigned(r *http.Request) *http.Request {
	lines := r.Header["Cookie"]
	if len(lines) == 0 {
		return r
	}
	bare := r.WithContext(r.Context())
	bare.Header = r.Header.Clone()
	delete(bare.Header, "Cookie")
	for _, line := range lines {
		if line = signed.StripCookie(line); line != "" {
			bare.Header.Add("Cookie", line)
		}
	}
	return bare
}

// unsigned is a target without the parameters of a signature.
func (t target) unsigned() target {
	text := signed.StripQuery(t.text)
	switch text {
	case t.text:
		return t
	case "":
		return target{url: t.path, path: t.path}
	}
	return splitTarget(t.path + "?" + text)
}
