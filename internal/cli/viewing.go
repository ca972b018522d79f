package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/variant"
)

// viewing is how viewers are imitated.
type viewing struct {
	Site        string        `placeholder:"URL" help:"Scheme and host that paths are asked of, such as https://www.example.com; it may be asked (default: the first name of the distribution)."`
	AllowHost   []string      `placeholder:"HOST[:PORT]" sep:"none" help:"Host that may be asked beside those of the distributions; *.example.com is all names below. May be given several times."`
	PrivateHost []string      `placeholder:"HOST[:PORT]" sep:"none" help:"The same for a host that may be at a loopback or private address. May be given several times."`
	Resolve     []string      `placeholder:"HOST:PORT:ADDR[,ADDR]" sep:"none" help:"Ask HOST at each of these addresses, as curl --resolve does at the first that answers; * is all hosts. May be given several times."`
	Address     []string      `placeholder:"ADDR[:PORT]" help:"Ask every host at this address, or at those in @FILE, one a line. May be given several times."`
	Encoding    []string      `placeholder:"VALUE" sep:"none" help:"Accept-Encoding to send in place of those that the cache key tells apart, such as 'br, gzip'. May be given several times."`
	Header      []string      `short:"H" placeholder:"'NAME: VALUE'" sep:"none" help:"Header that viewers send. Where it is in the cache key, each value is a variant. May be given several times."`
	Cookie      []string      `placeholder:"NAME=VALUE" sep:"none" help:"Likewise a cookie."`
	Query       []string      `placeholder:"NAME=VALUE" sep:"none" help:"Likewise a parameter of the query string."`
	CACert      string        `name:"cacert" placeholder:"FILE" type:"path" help:"Certificates to trust beside the system's."`
	Timeout     time.Duration `default:"30s" help:"How long one fetch may take; a body has a second more for each 64 KiB."`
	MaxBody     config.Size   `placeholder:"SIZE" help:"Read no more of a body (default 64MiB; freshet warm 1GiB)."`
	Live        *bool         `negatable:"" help:"Ask the running freshet (default where one runs on the data directory, unless --distribution, --site, --resolve or --address says otherwise)."`
	JSON        bool          `name:"json" help:"Print a JSON line for each."`
	described   `embed:""`
}

// check refuses what contradicts itself.
func (c *viewing) check() error {
	if c.Timeout <= 0 {
		return fmt.Errorf("--timeout=%v: a time such as 30s is needed", c.Timeout)
	}
	if c.Live != nil && *c.Live && len(c.Distribution) > 0 {
		return errors.New("--live asks the running freshet, which does not know --distribution")
	}
	if slices.ContainsFunc(c.Distribution, accountID.MatchString) && slices.ContainsFunc(c.Distribution, func(d string) bool { return !accountID.MatchString(d) }) {
		return errors.New("--distribution: give IDs or files, not both")
	}
	return nil
}

// viewers reads what the flags and the configuration say.
func (c *viewing) viewers(ctx context.Context, t terminal, r *root, more app.ViewersOptions) (*app.Viewers, config.Config, error) {
	cfg, err := r.load()
	if err != nil {
		return nil, cfg, err
	}
	more.IDs = c.takeIDs()
	c.describe(&cfg)
	if err := cfg.Check(); err != nil {
		return nil, cfg, exitError{exitUsage, err}
	}
	o, err := c.options(more)
	if err != nil {
		return nil, cfg, exitError{exitUsage, err}
	}
	if o.Roots, err = app.Trusting(c.CACert); err != nil {
		return nil, cfg, err
	}
	v, err := app.NewViewers(ctx, cfg, o)
	if err != nil {
		return nil, cfg, err
	}
	if v.Planner != nil {
		warn(t, v.Planner.Warnings)
	}
	return v, cfg, nil
}

// takeIDs takes the IDs out of what was given as distributions, which are files
// where there is one of that name.
func (c *viewing) takeIDs() (ids []string) {
	c.Distribution = slices.DeleteFunc(c.Distribution, func(given string) bool {
		if !accountID.MatchString(given) {
			return false
		}
		if _, err := os.Stat(given); err == nil {
			return false
		}
		ids = append(ids, given)
		return true
	})
	return ids
}

// accountID is what an ID of a distribution looks like. CloudFront's begin with an
// E; those of programs that play CloudFront need not.
var accountID = regexp.MustCompile(`^[0-9A-Z]{6,32}$`)

func (c *viewing) options(o app.ViewersOptions) (app.ViewersOptions, error) {
	o.Live, o.Timeout = c.Live, c.Timeout
	if c.MaxBody > 0 {
		o.MaxBody = int64(c.MaxBody)
	}
	o.NotLive = len(c.Distribution)+len(c.Resolve)+len(c.Address) > 0 || c.Site != ""
	for i, list := range [][]string{c.AllowHost, c.PrivateHost} {
		for _, text := range list {
			s, err := probe.ParseSite(text)
			if err != nil {
				return o, err
			}
			s.Inward = s.Inward || i == 1
			o.Hosts = append(o.Hosts, s)
		}
	}
	if c.Site != "" {
		u, err := probe.ParseURL(c.Site)
		if err != nil {
			return o, fmt.Errorf("--site: %w", err)
		}
		if u.RequestURI() != "/" {
			return o, fmt.Errorf("--site=%s: it has scheme and host, and no path", c.Site)
		}
		o.Site = u
	}
	err := c.places(&o)
	if err == nil {
		err = c.given(&o.Given)
	}
	return o, err
}

// places reads where hosts are to be asked.
func (c *viewing) places(o *app.ViewersOptions) error {
	for _, text := range c.Resolve {
		rule, err := probe.ParseRule(text)
		if err != nil {
			return fmt.Errorf("--resolve: %w", err)
		}
		o.Rules = append(o.Rules, rule)
	}
	everywhere := probe.Rule{Host: "*"}
	for _, text := range c.Address {
		list := []string{text}
		if name, ok := strings.CutPrefix(text, "@"); ok {
			content, err := os.ReadFile(name)
			if err != nil {
				return fmt.Errorf("--address: %w", err)
			}
			list = strings.Split(string(content), "\n")
		}
		for _, line := range list {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			p, err := probe.ParsePlace(line)
			if err != nil {
				return fmt.Errorf("--address: %w", err)
			}
			everywhere.Places = append(everywhere.Places, p)
		}
	}
	if len(everywhere.Places) > 0 {
		o.Rules = append(o.Rules, everywhere)
	}
	return nil
}

// given reads what viewers send.
func (c *viewing) given(g *variant.Given) error {
	g.Encodings = slices.Clone(c.Encoding)
	for _, line := range c.Header {
		h, err := headers("--header", []string{line})
		if err != nil {
			return err
		}
		for name, values := range h {
			if strings.EqualFold(name, "Accept-Encoding") {
				g.Encodings = append(g.Encodings, values...)
				continue
			}
			if strings.EqualFold(name, "Host") {
				return errors.New("--header=Host: the host is that of the URL")
			}
			g.Headers = append(g.Headers, variant.Field{Name: name, Value: values[0]})
		}
	}
	for _, list := range []struct {
		flag string
		text []string
		to   *[]variant.Field
	}{{"--cookie", c.Cookie, &g.Cookies}, {"--query", c.Query, &g.Query}} {
		for _, text := range list.text {
			name, value, ok := strings.Cut(text, "=")
			if !ok || name == "" {
				return fmt.Errorf("%s=%q: write NAME=VALUE", list.flag, text)
			}
			*list.to = append(*list.to, variant.Field{Name: name, Value: value})
		}
	}
	return nil
}

// urls reads URLs and paths of the command line, of which all must be allowed.
func urls(v *app.Viewers, texts []string) ([]*url.URL, error) {
	var all []*url.URL
	for _, text := range texts {
		u, err := v.URL(text)
		if app.IsRefused(err) {
			err = fmt.Errorf("%w; only hosts of configured distributions are asked, and those of --allow-host", err)
		}
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		all = append(all, u)
	}
	return all, nil
}
