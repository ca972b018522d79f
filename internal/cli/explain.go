package cli

import (
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/route"
)

type explainCmd struct {
	What      string `arg:"" name:"key-or-url" help:"Object key such as blog/index.html or s3://bucket/blog/index.html, or URL such as /blog/ or https://www.example.com/blog/."`
	Key       bool   `help:"Take the argument for an object key even if it begins like a URL."`
	Bucket    string `placeholder:"NAME" help:"Bucket of the key (default site, or what the configuration says)."`
	JSON      bool   `name:"json" help:"Print JSON."`
	described `embed:""`
}

// Help is shown below the flags.
func (explainCmd) Help() string {
	return `Of a key: which distributions and origins have it, under which URLs viewers reach it, which
behavior answers each and why not the ones before it, what is in the cache key, how long it
is kept and why, and which patterns remove it. Of a URL: the same from the other end, with
the objects that may answer it. Nothing is fetched and nothing has to run.

Examples:
  freshet explain blog/index.html
  freshet explain --distribution site.json https://www.example.com/blog/
  freshet explain --distribution template.yaml --bucket www s3://www/img/logo.png`
}

// Run prints an explanation.
func (c *explainCmd) Run(t terminal, r *root) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if c.Bucket != "" {
		cfg.Bucket = c.Bucket
	}
	c.describe(&cfg)
	subject, err := c.subject(&cfg)
	if err != nil {
		return exitError{exitUsage, err}
	}
	if err := cfg.Check(); err != nil {
		return exitError{exitUsage, err}
	}
	p, err := planner(t, cfg)
	if err != nil {
		return err
	}
	e := subject(p.Router)
	if c.JSON {
		return printJSON(t.out, e)
	}
	return showExplanation(t.out, e)
}

// subject finds out whether a key or a URL is meant.
func (c *explainCmd) subject(cfg *config.Config) (func(*route.Router) route.Explanation, error) {
	if rest, ok := strings.CutPrefix(c.What, "s3://"); ok && !c.Key {
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" || key == "" {
			return nil, fmt.Errorf("%q names no object: write s3://bucket/key", c.What)
		}
		if len(cfg.Distributions) == 0 {
			cfg.Bucket = bucket
		}
		return func(r *route.Router) route.Explanation { return r.ExplainKey(bucket, key) }, nil
	}
	scheme, rest, absolute := strings.Cut(c.What, "://")
	switch {
	case c.What == "":
		return nil, fmt.Errorf("a key or URL is needed")
	case c.Key || !absolute && !strings.HasPrefix(c.What, "/"):
		return func(r *route.Router) route.Explanation { return r.ExplainKey(cfg.Bucket, c.What) }, nil
	case !absolute:
		return func(r *route.Router) route.Explanation { return r.ExplainURL("", c.What) }, nil
	case scheme != "http" && scheme != "https":
		return nil, fmt.Errorf("%q is no http or https URL; --key takes it for an object key", c.What)
	}
	host, path := rest, "/"
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	path, _, _ = strings.Cut(path, "#")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if u, err := url.Parse("http://" + host); err == nil {
		host = u.Hostname()
	}
	return func(r *route.Router) route.Explanation { return r.ExplainURL(host, path) }, nil
}

// explanationText shows an explanation to people.
type explanationText struct{ b strings.Builder }

func showExplanation(w io.Writer, e route.Explanation) error {
	t := new(explanationText)
	t.subject(e)
	for _, d := range e.Distributions {
		t.distribution(d)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

func (t *explanationText) printf(indent int, format string, args ...any) {
	t.b.WriteString(strings.Repeat("   ", indent))
	fmt.Fprintf(&t.b, format+"\n", args...)
}

func (t *explanationText) subject(e route.Explanation) {
	if e.Key != "" {
		t.printf(0, "object %s in bucket %s", visible(e.Key), e.Origin)
	} else {
		t.printf(0, "URL %s%s", e.Host, e.URL)
	}
	if e.Given != "" {
		t.printf(1, "that is how invalidation patterns spell %s", e.Given)
	}
	if e.Group != "" {
		t.printf(1, "consistency group %s: what changes of it together is invalidated in one request", e.Group)
	}
	if e.Reason != "" {
		t.printf(1, "nothing is invalidated: %s", e.Reason)
	}
	for _, n := range e.Notes {
		t.printf(1, "%s", n)
	}
}

func (t *explanationText) distribution(d route.Stop) {
	t.printf(0, "")
	title := "distribution " + d.Distribution
	if len(d.Hosts) > 0 {
		title += " (" + strings.Join(d.Hosts, ", ") + ")"
	}
	t.printf(0, "%s", title)
	for _, n := range d.Notes {
		t.printf(1, "%s", n)
	}
	for _, o := range d.Origins {
		mark := "origin"
		if !o.Feeds {
			mark = "not origin"
		}
		t.printf(1, "%s %s at %s%s: %s", mark, o.ID, o.DomainName, o.OriginPath, o.Reason)
	}
	var last route.URLStop
	for _, u := range d.URLs {
		t.url(u, last)
		last = u
	}
}

// url shows one URL. What is the same as at the URL before is not said again.
func (t *explanationText) url(u, last route.URLStop) {
	t.printf(1, "%s", u.URL)
	if u.Reason != "" {
		t.printf(2, "%s", u.Reason)
	}
	if reflect.DeepEqual(u.Tried, last.Tried) && u.Target == last.Target && reflect.DeepEqual(u.TTL, last.TTL) && last.URL != "" {
		t.printf(2, "answered and kept as the URL before")
	} else {
		t.behavior(u)
	}
	for _, k := range u.Keys {
		t.printf(2, "may be %s: %s", object(k), k.Reason)
	}
	if u.Why != "" {
		t.printf(2, "%s", u.Why)
	}
	if len(u.CacheKey) > 0 {
		t.printf(2, "cache key: %s", strings.Join(u.CacheKey, "; "))
	}
	for _, n := range u.Notes {
		t.printf(2, "note: %s", n)
	}
	var order []string
	reasons := make(map[string][]string)
	for _, p := range u.Patterns {
		if reasons[p.Pattern] == nil {
			order = append(order, p.Pattern)
		}
		if !slices.Contains(reasons[p.Pattern], p.Reason) {
			reasons[p.Pattern] = append(reasons[p.Pattern], p.Reason)
		}
	}
	for _, p := range order {
		t.printf(2, "removed by %s: %s", p, strings.Join(reasons[p], "; "))
	}
}

// object names a candidate as explain takes it.
func object(k route.Candidate) string {
	if k.Bucket == "" {
		return visible(k.Key) + " in any bucket"
	}
	return "s3://" + k.Bucket + "/" + visible(k.Key)
}

// behavior shows which behavior answers, and why not those before it.
func (t *explanationText) behavior(u route.URLStop) {
	for _, matches := range []bool{false, true} {
		for _, b := range u.Tried {
			if b.Matches == matches {
				t.printf(2, "%s", strings.TrimSuffix(fmt.Sprintf("behavior %s %s: %s", b.PathPattern, map[bool]string{false: "does not match", true: "matches"}[matches], b.Reason), ": matches"))
			}
		}
	}
	if len(u.Tried) == 0 && u.Behavior != "" {
		t.printf(2, "behavior %s", u.Behavior)
	}
	if u.Target != "" {
		t.printf(2, "asks %s", u.Target)
	}
	if u.TTL != nil {
		t.ttl(*u.TTL)
	}
}

func (t *explanationText) ttl(ttl route.TTL) {
	t.printf(2, "kept for at least %s, at most %s, and %s if the origin does not say: %s", seconds(ttl.Min), seconds(ttl.Max), seconds(ttl.Default), ttl.Source)
	for _, r := range ttl.Rules {
		t.printf(3, "%s", r)
	}
}

// seconds writes a number of seconds the way people say it.
func seconds(n int64) string {
	const minute, hour, day, year = 60, 60 * 60, 24 * 60 * 60, 365 * 24 * 60 * 60
	for _, u := range []struct {
		length int64
		name   string
	}{{year, "year"}, {day, "day"}, {hour, "hour"}, {minute, "minute"}} {
		if n >= u.length && n%u.length == 0 {
			return count(int(n/u.length), u.name)
		}
	}
	return count(int(n), "second")
}
