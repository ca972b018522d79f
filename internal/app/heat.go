package app

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/freshet/freshet/internal/inventory/accesslog"
	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/warm"
)

// Heat is how often each URL is asked for, by access logs.
type Heat struct {
	v       *Viewers
	weights accesslog.Weights
}

// Hot is a URL and how often it was asked for.
type Hot struct {
	URL      *url.URL
	Requests int64
}

// Heat reads access logs: files, or directories of them. Requests are summed up by
// what the cache of their distribution tells apart of a query string.
func (v *Viewers) Heat(logs []string) (*Heat, []string, error) {
	h := &Heat{v: v}
	h.weights.Under = h.under
	for _, name := range logs {
		if err := eachFile(name, func(f *os.File) error { return h.weights.AddLog(f.Name(), accesslog.Read(f)) }); err != nil {
			return nil, nil, err
		}
	}
	var notes []string
	t := h.weights.Tally()
	if t.Bad > 0 {
		notes = append(notes, fmt.Sprintf("%d lines of the access logs could not be read; the first: %v", t.Bad, t.FirstBad))
	}
	if t.Forgotten.Requests > 0 {
		notes = append(notes, fmt.Sprintf("%d requests of rarely used URLs were left out of the access logs' sums", t.Forgotten.Requests))
	}
	return h, notes, nil
}

// under says under which site and URL a hit counts. Sites are distributions, with
// a # before their ID, and hosts that none answers.
func (h *Heat) under(hit accesslog.Hit) (site, u string) {
	if id := h.v.distributionOf(hit); id != "" {
		return "#" + id, h.keyed(id, hit.Path, hit.Query)
	}
	u = hit.Path
	if hit.Query != "" {
		u += "?" + hit.Query
	}
	host := hit.Host
	if host == "" && h.v.opts.Site != nil {
		host = h.v.opts.Site.Hostname()
	}
	return host, u
}

// keyed is a URL without the part of its query string that is not in the cache
// key.
func (h *Heat) keyed(id, path, query string) string {
	d, ok := h.v.byID(id)
	if !ok || query == "" {
		return path
	}
	c, err := d.Caching(d.Config.Behavior(path))
	if err != nil {
		return path
	}
	if kept := route.KeptQuery(query, c.QueryStrings); kept != "" {
		return path + "?" + kept
	}
	return path
}

// distributionOf finds the distribution that a hit is of. Of a log without hosts
// it is the one that paths are of.
func (v *Viewers) distributionOf(hit accesslog.Hit) string {
	for _, host := range []string{hit.Domain, hit.Host} {
		if host == "" || v.router == nil {
			continue
		}
		if ids := v.router.Answering(host); len(ids) > 0 {
			return ids[0]
		}
	}
	own := v.running != nil && (strings.HasPrefix(hit.Host, "127.") || hit.Host == "localhost")
	if hit.Host != "" && !own {
		return ""
	}
	if v.opts.Site != nil {
		if d := v.answering(v.opts.Site); d != nil {
			return d.ID
		}
		return ""
	}
	if d, ok := v.first(); ok {
		return d.ID
	}
	return ""
}

// Of is how often a URL was asked for.
func (h *Heat) Of(u *url.URL) int64 {
	if h == nil {
		return 0
	}
	site, at := h.under(accesslog.Hit{Host: u.Hostname(), Path: canonical(u), Query: u.RawQuery})
	return h.weights.Of(site, at).Requests
}

// Top is the n URLs that are asked for most, hottest first. Those that may not be
// asked for are counted in the notes.
func (h *Heat) Top(n int) (top []Hot, notes []string) {
	var refused error
	left := int64(0)
	for w := range h.weights.All() {
		if len(top) == n {
			break
		}
		u, err := h.url(w)
		if err != nil {
			refused = cmp.Or(refused, err)
			left += w.Requests
			continue
		}
		top = append(top, Hot{u, w.Requests})
	}
	if left > 0 {
		notes = append(notes, fmt.Sprintf("%d requests in the access logs are for what may not be asked for; the first: %v", left, refused))
	}
	return top, notes
}

func (h *Heat) url(w accesslog.Weight) (*url.URL, error) {
	id, of := strings.CutPrefix(w.Host, "#")
	switch {
	case of && h.v.opts.Site == nil:
		d, _ := h.v.byID(id)
		return h.v.On(d, w.URL)
	case of || h.v.opts.Site != nil && w.Host == h.v.opts.Site.Hostname():
		return h.v.at(h.v.opts.Site, w.URL)
	case w.Host == "":
		return nil, fmt.Errorf("%s: %w: name it with --site https://www.example.com", w.URL, ErrNoSite)
	case h.v.opts.Site != nil:
		return h.v.at(&url.URL{Scheme: h.v.opts.Site.Scheme, Host: w.Host}, w.URL)
	}
	return h.v.at(&url.URL{Scheme: "https", Host: w.Host}, w.URL)
}

// HotRequests are the ways in which URLs are to be made warm, each URL once.
func (v *Viewers) HotRequests(hot []Hot) (requests []warm.Request, notes []string, err error) {
	seen := make(map[string]bool, len(hot))
	for _, h := range hot {
		if seen[h.URL.String()] {
			continue
		}
		seen[h.URL.String()] = true
		some, more, err := v.Requests(h.URL, h.Requests)
		if err != nil {
			return nil, nil, err
		}
		requests, notes = append(requests, some...), addNotes(notes, more)
	}
	return requests, notes, nil
}

// IsRefused reports whether err says that something may not be fetched.
func IsRefused(err error) bool {
	_, refused := errors.AsType[*probe.Refused](err)
	return refused
}
