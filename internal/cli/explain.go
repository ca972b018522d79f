package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet/freshet/internal/app"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/server"
	"github.com/freshet/freshet/internal/work"
)

type explainCmd struct {
	What   string `arg:"" name:"key-or-url" help:"Object key such as blog/index.html or s3://bucket/blog/index.html, or URL such as /blog/ or https://www.example.com/blog/."`
	Key    bool   `help:"Take the argument for an object key even if it begins like a URL."`
	Bucket string `placeholder:"NAME" help:"Bucket of the key (default site, or what the configuration says)."`

	asked `embed:""`

	Live      *bool `negatable:"" help:"Of a URL: ask the running freshet, which also says what it has stored (default where one runs on the data directory, unless --distribution is given)."`
	JSON      bool  `name:"json" help:"Print JSON."`
	described `embed:""`
}

// asked is what is said of a request beside its URL.
type asked struct {
	Method        string   `short:"X" placeholder:"METHOD" help:"Method of the request (default GET)."`
	Header        []string `short:"H" placeholder:"'NAME: VALUE'" sep:"none" help:"Header of the request. May be given several times."`
	Cookie        []string `placeholder:"NAME=VALUE" sep:"none" help:"Cookie of the request. May be given several times."`
	Scheme        string   `enum:",http,https" default:"" help:"How the viewer comes: http or https (default: as the URL says, or else https)."`
	ViewerAddress string   `placeholder:"IP" help:"Address of the viewer (default 127.0.0.1)."`
	OriginStatus  int      `placeholder:"N" help:"Judge an answer of the origin with this status, in place of the usual ones."`
	OriginHeader  []string `placeholder:"'NAME: VALUE'" sep:"none" help:"Header of that answer, such as 'Cache-Control: max-age=60'. May be given several times."`
}

// Help is shown below the flags.
func (explainCmd) Help() string {
	return `Of a key: which distributions and origins have it, under which URLs viewers reach it, which
behavior answers each and why not the ones before it, what is in the cache key, how long it
is kept and why, and which patterns remove it.

Of a URL: the same from the other end, with the objects that may answer it, and what becomes
of one request: whether it is admitted, what the function before the cache makes of it, its
cache key and what of it is not in there, what the origin is sent, for how long which answer
is kept, error pages, added headers, compression. Nothing is fetched. What is said is decided
by the same code that serves requests.

Where freshet up runs on the data directory and no --distribution is given, it is the running
edge that answers, with whatever was configured through its API, and it says whether it has
the response, how old that is and how long it will be kept; --no-live goes by the files alone.

Examples:
  freshet explain blog/index.html
  freshet explain --distribution site.json https://www.example.com/blog/
  freshet explain '/search?q=tide&utm_source=mail' -H 'Accept-Encoding: gzip' --cookie session=1
  freshet explain /api/orders -X POST --scheme http
  freshet explain /logo.png --origin-status 404 --origin-header 'Cache-Control: max-age=60'
  freshet explain --live --json /blog/ | jq .ways[].live
  freshet explain --distribution template.yaml --bucket www s3://www/img/logo.png`
}

// Run prints an explanation.
func (c *explainCmd) Run(ctx context.Context, t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if c.Bucket != "" {
		cfg.Bucket = c.Bucket
	}
	c.describe(&cfg)
	about, err := c.subject(&cfg)
	if err != nil {
		return exitError{exitUsage, err}
	}
	if err := cfg.Check(); err != nil {
		return exitError{exitUsage, err}
	}
	e, err := c.explain(ctx, t, cfg, about)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t.out, e)
	}
	return showExplanation(t.out, e)
}

// subject is an object, or else a request.
type subject struct {
	bucket, key string
	request     *edge.Question
}

// explain asks the running freshet where it is to be asked, and the
// configuration otherwise.
func (c *explainCmd) explain(ctx context.Context, t terminal, cfg config.Config, about subject) (server.Explained, error) {
	if about.request != nil && (c.Live == nil && len(c.Distribution) == 0 || c.Live != nil && *c.Live) {
		e, err := app.Explain(ctx, cfg.Data, *about.request)
		if err == nil || c.Live != nil || !errors.Is(err, app.ErrNotRunning) {
			return e, err
		}
	}
	p, err := planner(t, cfg)
	if err != nil {
		return server.Explained{}, err
	}
	if about.request != nil {
		return p.ExplainURL(*about.request)
	}
	e := server.Explained{Explanation: p.Router.ExplainKey(about.bucket, about.key)}
	if about.bucket == cfg.Bucket {
		e.Work = work.Describe(cfg.WorkRules(), about.key)
	}
	return e, nil
}

// subject finds out whether a key or a URL is meant.
func (c *explainCmd) subject(cfg *config.Config) (subject, error) {
	if rest, ok := strings.CutPrefix(c.What, "s3://"); ok && !c.Key {
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" || key == "" {
			return subject{}, fmt.Errorf("%q names no object: write s3://bucket/key", c.What)
		}
		if len(cfg.Distributions) == 0 {
			cfg.Bucket = bucket
		}
		return subject{bucket: bucket, key: key}, c.onlyOfURLs()
	}
	scheme, rest, absolute := strings.Cut(c.What, "://")
	switch {
	case c.What == "":
		return subject{}, fmt.Errorf("a key or URL is needed")
	case c.Key || !absolute && !strings.HasPrefix(c.What, "/"):
		return subject{bucket: cfg.Bucket, key: c.What}, c.onlyOfURLs()
	case c.Live != nil && *c.Live && len(c.Distribution) > 0:
		return subject{}, errors.New("--live asks the running freshet, which does not know --distribution")
	case !absolute:
		return c.request("", c.What, c.Scheme != "http")
	case scheme != "http" && scheme != "https":
		return subject{}, fmt.Errorf("%q is no http or https URL; --key takes it for an object key", c.What)
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if u, err := url.Parse("http://" + host); err == nil {
		host = u.Host
	}
	return c.request(host, path, scheme == "https" && c.Scheme == "" || c.Scheme == "https")
}

// onlyOfURLs refuses what says something of a request where an object is asked
// about.
func (c *explainCmd) onlyOfURLs() error {
	a := c.asked
	if c.Live != nil && *c.Live || a.Method+a.Scheme+a.ViewerAddress != "" || len(a.Header)+len(a.Cookie)+len(a.OriginHeader)+a.OriginStatus > 0 {
		return fmt.Errorf("%q is an object, and what was said of a request is about URLs only", c.What)
	}
	return nil
}

func (a *asked) request(host, path string, secure bool) (subject, error) {
	path, _, _ = strings.Cut(path, "#")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	q := &edge.Question{Host: host, Target: path, Method: a.Method, Secure: secure, Viewer: a.ViewerAddress}
	var err error
	if q.Header, err = headers("--header", a.Header); err != nil {
		return subject{}, err
	}
	if len(a.Cookie) > 0 {
		q.Header.Add("Cookie", strings.Join(a.Cookie, "; "))
	}
	if a.OriginStatus != 0 || len(a.OriginHeader) > 0 {
		answer := edge.Answer{Status: a.OriginStatus}
		if answer.Status == 0 {
			answer.Status = http.StatusOK
		}
		if answer.Header, err = headers("--origin-header", a.OriginHeader); err != nil {
			return subject{}, err
		}
		q.Answers = []edge.Answer{answer}
	}
	return subject{request: q}, q.Check()
}

// notInName and notInValue are what HTTP allows in neither.
// https://www.rfc-editor.org/rfc/rfc9110#section-5.1
func notInName(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

func notInValue(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// headers reads headers as curl takes them.
func headers(flag string, lines []string) (http.Header, error) {
	h := make(http.Header)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%s=%q: write 'Name: value'", flag, line)
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if name == "" || strings.ContainsFunc(name, notInName) || strings.ContainsFunc(value, notInValue) {
			return nil, fmt.Errorf("%s=%q: this is no header that can be sent", flag, line)
		}
		h.Add(name, value)
	}
	return h, nil
}
