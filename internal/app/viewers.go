package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/server"
	"github.com/freshet/freshet/internal/survey"
	"github.com/freshet/freshet/internal/variant"
	"github.com/freshet/freshet/internal/verify"
	"github.com/freshet/freshet/internal/warm"
)

// ViewersOptions are what one command adds to the configuration.
type ViewersOptions struct {
	Live     *bool            // ask the running freshet; nil: where one runs, and NotLive is not set
	NotLive  bool             // something else than the running freshet was named
	IDs      []string         // of distributions: of the running freshet where it has all of them, and of the AWS account otherwise
	Site     *url.URL         // scheme and host that paths are asked of; nil: a name of the distribution
	Hosts    []probe.Site     // that may be asked beside those of the distributions
	Rules    probe.Rules      // where they are asked
	Given    variant.Given    // what viewers are known to send
	Roots    *x509.CertPool   // nil: the system's, and the running freshet's
	Timeout  time.Duration    // of a fetch; 0: the default of probe
	MaxBody  int64            // likewise
	Expected *verify.Expected // of every URL; nil: what the origins hold
	Origin   *url.URL         // that says what is expected; nil: the buckets do
	Agent    string           // User-Agent; empty: freshet
}

// Viewers knows how viewers reach what is configured, and what they should see
// there. Nothing is fetched but what belongs to the distributions that are
// configured, to those of the running freshet, or to hosts that the options
// allow.
type Viewers struct {
	Client        *probe.Client
	Distributions []distribution.Distribution
	Planner       *Planner // nil where no distribution is known

	opts    ViewersOptions
	data    string
	running *Running // nil: not asked
	router  *route.Router
	guard   *probe.Guard
	buckets *buckets
	sources map[string]*verify.Source // by what is asked for
}

// NewViewers reads the configuration, or asks the running freshet. Close ends it.
func NewViewers(ctx context.Context, cfg config.Config, o ViewersOptions) (*Viewers, error) {
	v := &Viewers{opts: o, data: cfg.Data, sources: make(map[string]*verify.Source)}
	err := v.findRunning(cfg)
	if err == nil && v.running != nil {
		err = v.askRunning(ctx, cfg)
	}
	switch {
	case err != nil || v.running != nil:
	case len(o.IDs) > 0:
		err = v.askAccount(ctx, cfg)
	case len(cfg.Distributions) > 0:
		if v.Planner, err = NewPlanner(cfg); err == nil {
			v.Distributions, v.router = v.Planner.Distributions, v.Planner.Router
		}
	}
	if err != nil {
		return nil, err
	}
	v.buckets = &buckets{running: v.running}
	if err := v.allow(); err != nil {
		return nil, err
	}
	return v, nil
}

// ViewersOf is for what a planner knows. edge is where all of its distributions
// are answered; nil leaves that to their names.
func ViewersOf(p *Planner, edge *Running, o ViewersOptions) (*Viewers, error) {
	v := &Viewers{
		Distributions: p.Distributions, Planner: p, opts: o, running: edge, router: p.Router,
		buckets: &buckets{running: edge}, sources: make(map[string]*verify.Source),
	}
	return v, v.allow()
}

// Close ends what keeps connections. It may be called twice.
func (v *Viewers) Close() { v.Client.Close() }

// Running reports whether it is the running freshet that is looked at.
func (v *Viewers) Running() bool { return v.running != nil }

func (v *Viewers) findRunning(cfg config.Config) error {
	live := v.opts.Live
	if live != nil && !*live || live == nil && v.opts.NotLive {
		return nil
	}
	running, err := DataDir(cfg.Data).Running()
	switch {
	case errors.Is(err, fs.ErrNotExist) && live == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w on %s; start one with freshet up", ErrNotRunning, cfg.Data)
	case err != nil:
		return err
	}
	v.running = &running
	return nil
}

// askRunning reads what the running freshet serves, which its API may have
// changed since it began.
func (v *Viewers) askRunning(ctx context.Context, cfg config.Config) error {
	api := cloudfront.New(cloudfront.Options{
		BaseEndpoint: &v.running.API, Region: v.running.Region,
		Credentials: credentials.NewStaticCredentialsProvider(v.running.AccessKey, v.running.SecretKey, ""),
	})
	var ids []string
	for pages := cloudfront.NewListDistributionsPaginator(api, &cloudfront.ListDistributionsInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("ask the running freshet for its distributions: %w", err)
		}
		for _, d := range page.DistributionList.Items {
			ids = append(ids, aws.ToString(d.Id))
		}
	}
	if named := v.opts.IDs; slices.ContainsFunc(named, func(id string) bool { return !slices.Contains(ids, id) }) {
		v.running = nil
		return nil
	} else if len(named) > 0 {
		ids = named
	}
	return v.read(ctx, api, cfg, ids)
}

// askAccount reads the distributions that were named from the AWS account.
func (v *Viewers) askAccount(ctx context.Context, cfg config.Config) error {
	c, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("read the AWS configuration: %w", err)
	}
	if c.Region == "" {
		c.Region = "us-east-1" // where CloudFront's API is
	}
	return v.read(ctx, cloudfront.NewFromConfig(c), cfg, v.opts.IDs)
}

func (v *Viewers) read(ctx context.Context, api survey.API, cfg config.Config, ids []string) error {
	found, err := survey.Read(ctx, api, slices.Clone(ids)...)
	if err != nil {
		return err
	}
	v.Distributions = found.Distributions
	for i := range v.Distributions {
		v.Distributions[i].CachePolicies = found.CachePolicies
	}
	if v.router, err = route.New(v.Distributions, cfg.Routes); err != nil {
		return fmt.Errorf("prepare routing: %w", err)
	}
	v.Planner = &Planner{Distributions: v.Distributions, Router: v.router, Terms: cfg.Plan}
	return nil
}

// allow makes the client.
func (v *Viewers) allow() error {
	sites := slices.Clone(v.opts.Hosts)
	rules := slices.Clone(v.opts.Rules)
	for _, d := range v.Distributions {
		for _, host := range d.Hosts() {
			s, err := probe.ParseSite(host)
			if err != nil {
				return fmt.Errorf("distribution %s: %w", d.ID, err)
			}
			if v.running != nil {
				s.Inward, s.Ports = true, v.doors()
			}
			sites = append(sites, s)
		}
	}
	roots := v.opts.Roots
	if v.running != nil {
		own, more, err := v.ownDoors()
		if err != nil {
			return err
		}
		sites, rules = append(sites, own...), append(rules, more...)
		if roots, err = trusting(roots, v.running.Authority); err != nil {
			return err
		}
	}
	if v.opts.Site != nil {
		s, err := siteOf(v.opts.Site)
		if err != nil {
			return err
		}
		sites = append(sites, s)
	}
	if v.opts.Origin != nil {
		s, err := siteOf(v.opts.Origin)
		if err != nil {
			return err
		}
		s.Inward = true // who names an origin means where it is
		sites = append(sites, s)
	}
	v.guard = probe.NewGuard(sites...)
	v.Client = probe.New(probe.Config{
		Guard: v.guard, Rules: rules, Roots: roots, Timeout: v.opts.Timeout, MaxBody: v.opts.MaxBody, UserAgent: v.opts.Agent,
	})
	v.opts.Rules = rules
	return nil
}

// doors are the ports that URLs of the running freshet's distributions may have:
// the usual ones, and those that it listens at.
// Where it has no door for TLS, nobody is asked who answers to the same name
// elsewhere.
func (v *Viewers) doors() []uint16 {
	ports := []uint16{80}
	for _, r := range v.opts.Rules {
		ports = append(ports, r.Port)
	}
	if v.running.EdgeTLS != "" {
		ports = append(ports, 443)
	}
	for _, door := range []string{v.running.Edge, v.running.EdgeTLS} {
		if u, err := url.Parse(door); err == nil {
			if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
				ports = append(ports, uint16(n))
			}
		}
	}
	return ports
}

func siteOf(u *url.URL) (probe.Site, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return probe.ParseSite(host + ":" + port)
}

// ownDoors are the addresses of the running edge, and the rules that lead there
// whatever host of its distributions is asked for.
func (v *Viewers) ownDoors() (sites []probe.Site, rules probe.Rules, err error) {
	for _, door := range []struct {
		url  string
		port uint16
	}{{v.running.Edge, 80}, {v.running.EdgeTLS, 443}} {
		if door.url == "" {
			continue
		}
		u, err := url.Parse(door.url)
		if err != nil {
			return nil, nil, fmt.Errorf("the running edge: %w", err)
		}
		at, err := netip.ParseAddrPort(u.Host)
		if err != nil {
			continue // under a name, which then has to lead there by itself
		}
		if at.Addr().IsUnspecified() {
			loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			if at.Addr().Is6() && !at.Addr().Is4In6() {
				loopback = netip.IPv6Loopback()
			}
			at = netip.AddrPortFrom(loopback, at.Port())
		}
		place, err := probe.ParsePlace(at.String())
		if err != nil {
			return nil, nil, fmt.Errorf("the running edge: %w", err)
		}
		own, err := probe.ParseSite(at.String())
		if err != nil {
			return nil, nil, fmt.Errorf("the running edge: %w", err)
		}
		own.Inward = true
		sites = append(sites, own)
		for _, d := range v.Distributions {
			for _, host := range d.Hosts() {
				for _, port := range []uint16{door.port, at.Port()} { // the edge redirects to its own
					r := probe.Rule{Host: strings.ToLower(host), Port: port, Places: []probe.Place{place}}
					if !slices.ContainsFunc(v.opts.Rules, r.Overlaps) {
						rules = append(rules, r)
					}
				}
			}
		}
	}
	return sites, rules, nil
}

// trusting adds the certificates in a file to roots, or to the system's.
func trusting(roots *x509.CertPool, file string) (*x509.CertPool, error) {
	if file == "" {
		return roots, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authority to trust: %w", err)
	}
	if roots == nil {
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
	} else {
		roots = roots.Clone()
	}
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the authority to trust: %s holds no certificate", file)
	}
	return roots, nil
}

// Trusting is what TLS certificates must lead to where the certificates in a file
// count beside the system's. Without a file it is nil.
func Trusting(file string) (*x509.CertPool, error) { return trusting(nil, file) }

// ErrNoSite is what URL fails with for a path that could be of any distribution.
var ErrNoSite = errors.New("nobody says of which site")

// URL reads a URL or a path. A path is one of the site that was named, of the
// running freshet's first distribution, or of the only one that is configured.
func (v *Viewers) URL(text string) (*url.URL, error) {
	if !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") {
		u, err := probe.ParseURL(text)
		if err != nil {
			return nil, err
		}
		if plain := *u; v.running != nil && v.running.EdgeTLS == "" && u.Scheme == "https" && u.Port() == "" {
			// Published URLs, such as those of sitemaps, as the running edge has them.
			if plain.Scheme = "http"; v.router != nil && len(v.router.Answering(u.Host)) > 0 {
				u = &plain
			}
		}
		_, err = v.guard.Allow(u)
		return u, err
	}
	d, ok := v.first()
	switch {
	case v.opts.Site != nil:
		return v.at(v.opts.Site, text)
	case !ok:
		return nil, fmt.Errorf("%s: %w: name it with --site https://www.example.com", text, ErrNoSite)
	}
	return v.On(d, text)
}

// first is the distribution that paths are of.
func (v *Viewers) first() (*distribution.Distribution, bool) {
	if v.running != nil && len(v.opts.IDs) == 0 {
		return v.byID(cmp.Or(v.running.First, v.running.Distribution))
	}
	if len(v.Distributions) != 1 {
		return nil, false
	}
	return &v.Distributions[0], true
}

func (v *Viewers) byID(id string) (*distribution.Distribution, bool) {
	for i := range v.Distributions {
		if v.Distributions[i].ID == id {
			return &v.Distributions[i], true
		}
	}
	return nil, false
}

// On is the URL of a path, with or without a query string, under a name of a
// distribution: its first that stands for one host.
func (v *Viewers) On(d *distribution.Distribution, path string) (*url.URL, error) {
	names := namesOf(d)
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: distribution %s has no host name: name a --site", path, d.ID)
	}
	return v.at(v.siteNamed(names[0]), path)
}

// OnAll are the URLs under which a distribution keeps responses of their own for
// a path: one, or, where the name is in the cache key, one for each name.
func (v *Viewers) OnAll(d *distribution.Distribution, path string) ([]*url.URL, error) {
	one, err := v.On(d, path)
	if v.opts.Site != nil {
		one, err = v.at(v.opts.Site, path)
	}
	if err != nil || v.opts.Site != nil || !keysHost(d, one) {
		return []*url.URL{one}, err
	}
	var all []*url.URL
	for _, name := range namesOf(d) {
		u, err := v.at(v.siteNamed(name), path)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// namesOf are the names of a distribution that stand for one host.
func namesOf(d *distribution.Distribution) []string {
	return slices.DeleteFunc(d.Hosts(), func(h string) bool { return strings.HasPrefix(h, "*") })
}

// keysHost reports whether the name that is asked for is in the cache key of a URL.
func keysHost(d *distribution.Distribution, u *url.URL) bool {
	c, err := d.Caching(d.Config.Behavior(canonical(u)))
	return err == nil && c.Headers.Mode == distribution.Listed && slices.ContainsFunc(c.Headers.Names, func(n string) bool { return strings.EqualFold(n, "Host") })
}

func (v *Viewers) siteNamed(name string) *url.URL {
	if v.running != nil && v.running.EdgeTLS == "" {
		return &url.URL{Scheme: "http", Host: name}
	}
	return &url.URL{Scheme: "https", Host: name}
}

func (v *Viewers) at(site *url.URL, path string) (*url.URL, error) {
	u, err := probe.ParseURL(site.Scheme + "://" + site.Host + path)
	if err != nil {
		return nil, err
	}
	_, err = v.guard.Allow(u)
	return u, err
}

// answering is the distribution that answers a URL; nil where none is configured
// that does.
func (v *Viewers) answering(u *url.URL) *distribution.Distribution {
	if v.router == nil {
		return nil
	}
	if ids := v.router.Answering(u.Host); len(ids) > 0 {
		d, _ := v.byID(ids[0])
		return d
	}
	if v.running != nil {
		d, _ := v.first() // under the edge's own address
		return d
	}
	return nil
}

// Way is a request for a URL at one place, with its variant.
type Way struct {
	Ask     probe.Ask
	Variant variant.Variant
}

// Ways lists what the cache of a URL tells apart, at each place where it is to be
// asked for. Notes say what could not be listed.
func (v *Viewers) Ways(u *url.URL) (ways []Way, notes []string, err error) {
	var set variant.Set
	if d := v.answering(u); d == nil {
		set, err = variant.Unconfigured(v.opts.Given)
	} else {
		var c distribution.Caching
		if c, err = d.Caching(d.Config.Behavior(canonical(u))); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", u, err)
		}
		set, err = variant.Of(c, v.opts.Given)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", u, err)
	}
	if d := v.answering(u); d != nil && len(d.Hosts()) > 1 && keysHost(d, u) {
		set.Unknown = append(set.Unknown, "the host is in the cache key: each name of distribution "+d.ID+" has responses of its own, and is looked at where it is asked for")
	}
	for _, place := range v.opts.Rules.Places(u) {
		for _, one := range set.Variants {
			w := Way{Ask: probe.AskFor(u, one), Variant: one}
			w.Ask.At = place
			ways = append(ways, w)
		}
	}
	return ways, set.Unknown, nil
}

// Views are the ways in which viewers see a URL, with what they should see.
func (v *Viewers) Views(u *url.URL) ([]verify.View, []string, error) {
	return v.views(u, func(one variant.Variant) *verify.Source { return v.source(u, one) })
}

func (v *Viewers) views(u *url.URL, source func(variant.Variant) *verify.Source) ([]verify.View, []string, error) {
	ways, notes, err := v.Ways(u)
	if err != nil {
		return nil, nil, err
	}
	views := make([]verify.View, len(ways))
	for i, w := range ways {
		w.Ask.Follow = probe.FollowUpgrade
		views[i] = verify.View{Ask: w.Ask, Variant: w.Variant.String(), Source: source(w.Variant)}
	}
	return views, notes, nil
}

// AllViews are the views of several URLs, and what was noted of any of them.
func (v *Viewers) AllViews(urls []*url.URL) (views []verify.View, notes []string, err error) {
	for _, u := range urls {
		some, more, err := v.Views(u)
		if err != nil {
			return nil, nil, err
		}
		views, notes = append(views, some...), addNotes(notes, more)
	}
	return views, notes, nil
}

// File is one that a site should have.
type File struct {
	Key      string // object key
	Expected verify.Expected
}

// FileViews are the views of the files of a site, each under its own path.
func (v *Viewers) FileViews(files []File) (views []verify.View, notes []string, err error) {
	for _, f := range files {
		u, err := v.URL(freshet.KeyPaths(f.Key)[0])
		if err != nil {
			return nil, nil, err
		}
		some, more, err := v.views(u, func(variant.Variant) *verify.Source { return always(f.Expected) })
		if err != nil {
			return nil, nil, err
		}
		views, notes = append(views, some...), addNotes(notes, more)
	}
	return views, notes, nil
}

// Requests are the ways in which a URL is to be made warm. Redirects are followed
// within what may be asked.
func (v *Viewers) Requests(u *url.URL, weight int64) ([]warm.Request, []string, error) {
	ways, notes, err := v.Ways(u)
	if err != nil {
		return nil, nil, err
	}
	requests := make([]warm.Request, len(ways))
	for i, w := range ways {
		w.Ask.Follow = probe.FollowAll
		requests[i] = warm.Request{Ask: w.Ask, Variant: w.Variant.String(), Weight: weight}
	}
	return requests, notes, nil
}

// explain is the way from a URL to the objects behind it.
func (v *Viewers) explain(ctx context.Context, u *url.URL) (server.Explained, error) {
	q := edge.Question{Host: u.Host, Target: u.RequestURI(), Secure: u.Scheme == "https"}
	if v.running != nil {
		return Explain(ctx, v.data, q)
	}
	return v.Planner.ExplainURL(q)
}
