package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/sitemap"
)

// Listed is a URL of a sitemap.
type Listed struct {
	URL      *url.URL
	Priority float64
}

// Sitemaps reads sitemaps and what their indexes lead to, and returns up to most
// of the URLs that may be asked for, each once. A name that is neither a URL nor a
// path of a site is that of a file. An index that leads to an index is an error, as
// the protocol has it.
func (v *Viewers) Sitemaps(ctx context.Context, names []string, most int) (all []Listed, notes []string, err error) {
	r := &sitemaps{v: v, most: most, seen: make(map[string]bool)}
	for _, name := range names {
		s, from, err := r.read(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		r.add(s)
		for _, child := range s.Children {
			if len(r.all) >= most {
				break
			}
			if err := r.child(ctx, from, child); err != nil {
				return nil, nil, err
			}
		}
	}
	return r.all, r.notes(), nil
}

type sitemaps struct {
	v     *Viewers
	most  int
	all   []Listed
	seen  map[string]bool
	odd   int   // entries without a URL
	away  int   // that may not be asked for
	first error // of those
	more  bool  // there are more than most
}

// read returns a sitemap, and the URL that it was found at; nil for a file.
func (r *sitemaps) read(ctx context.Context, name string) (sitemap.Sitemap, *url.URL, error) {
	if _, err := os.Stat(name); err == nil && !strings.Contains(name, "://") {
		f, err := os.Open(name)
		if err != nil {
			return sitemap.Sitemap{}, nil, fmt.Errorf("read sitemap: %w", err)
		}
		defer func() { _ = f.Close() }()
		s, err := sitemap.Read(f)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return s, nil, err
	}
	u, err := r.v.URL(name)
	if err != nil {
		return sitemap.Sitemap{}, nil, err
	}
	s, err := r.fetch(ctx, u)
	return s, u, err
}

func (r *sitemaps) fetch(ctx context.Context, u *url.URL) (sitemap.Sitemap, error) {
	var text bytes.Buffer
	ask := probe.Ask{URL: u, At: r.v.opts.Rules.Places(u)[0], Follow: probe.FollowAll, Into: &limited{&text}}
	a, err := r.v.Client.Fetch(ctx, ask)
	switch {
	case text.Len() > sitemap.MaxBytes:
		return sitemap.Sitemap{}, fmt.Errorf("%s: %w", u, sitemap.ErrTooLarge)
	case err != nil:
		return sitemap.Sitemap{}, err
	case a.Location != "":
		return sitemap.Sitemap{}, fmt.Errorf("%s leads to %s: %s", u, a.Location, a.Stopped)
	case a.Status != http.StatusOK:
		return sitemap.Sitemap{}, fmt.Errorf("%s is answered with %d", u, a.Status)
	case !a.Whole:
		return sitemap.Sitemap{}, fmt.Errorf("%s: %w", u, sitemap.ErrTooLarge)
	}
	s, err := sitemap.Read(&text)
	if err != nil {
		return s, fmt.Errorf("%s: %w", u, err)
	}
	return s, nil
}

// limited takes no more than a sitemap may have.
type limited struct{ to *bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	if l.to.Len()+len(b) > sitemap.MaxBytes {
		n, _ := l.to.Write(b[:sitemap.MaxBytes+1-l.to.Len()])
		return n, io.ErrShortWrite
	}
	return l.to.Write(b)
}

// child reads a sitemap of an index. Those of other hosts are left out.
func (r *sitemaps) child(ctx context.Context, from *url.URL, location string) error {
	u, err := r.v.URL(location)
	if from != nil && err != nil && !strings.Contains(location, "://") {
		if rel, bad := from.Parse(location); bad == nil {
			u, err = r.v.URL(rel.String())
		}
	}
	if err != nil {
		r.leave(err)
		return nil
	}
	s, err := r.fetch(ctx, u)
	if err != nil {
		return err
	}
	if len(s.Children) > 0 {
		return fmt.Errorf("%s is an index, and so is what led there, which sitemaps do not allow", u)
	}
	r.add(s)
	return nil
}

func (r *sitemaps) leave(err error) {
	r.away++
	if r.first == nil {
		r.first = err
	}
}

func (r *sitemaps) add(s sitemap.Sitemap) {
	r.odd += s.Odd
	for _, listed := range s.URLs {
		u, err := r.v.URL(listed.Location)
		switch {
		case err != nil:
			r.leave(err)
		case r.seen[u.String()]:
		case len(r.all) >= r.most:
			r.more = true
			return
		default:
			r.seen[u.String()] = true
			r.all = append(r.all, Listed{u, listed.Priority})
		}
	}
}

func (r *sitemaps) notes() (notes []string) {
	if r.away > 0 {
		notes = append(notes, fmt.Sprintf("%d URLs of the sitemaps may not be asked for; the first: %v", r.away, r.first))
	}
	if r.odd > 0 {
		notes = append(notes, fmt.Sprintf("%d entries of the sitemaps have no URL, or one that is too long", r.odd))
	}
	if r.more {
		notes = append(notes, fmt.Sprintf("the sitemaps list more than %d URLs; --max-urls allows for more", r.most))
	}
	return notes
}
