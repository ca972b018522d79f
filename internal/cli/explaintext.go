package cli

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/server"
)

// explanationText shows an explanation to people.
type explanationText struct{ b strings.Builder }

func showExplanation(w io.Writer, e server.Explained) error {
	t := new(explanationText)
	t.subject(e.Explanation)
	for _, w := range e.Work {
		t.printf(1, "%s", w)
	}
	for _, d := range e.Distributions {
		i := slices.IndexFunc(e.Ways, func(w edge.Way) bool { return w.Distribution == d.Distribution })
		if i < 0 {
			t.distribution(d, nil)
		} else {
			t.distribution(d, &e.Ways[i])
		}
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

func (t *explanationText) printf(indent int, format string, args ...any) {
	t.b.WriteString(strings.Repeat("   ", indent))
	t.b.WriteString(visible(fmt.Sprintf(format, args...)) + "\n")
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

// distribution shows one distribution. w is what it does with the request; nil
// where that is not known, or an object was asked about.
func (t *explanationText) distribution(d route.Stop, w *edge.Way) {
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
		t.url(u, last, w)
		last = u
	}
}

// url shows one URL. What is the same as at the URL before is not said again.
func (t *explanationText) url(u, last route.URLStop, w *edge.Way) {
	t.printf(1, "%s", u.URL)
	if u.Reason != "" {
		t.printf(2, "%s", u.Reason)
	}
	if w != nil {
		t.request(w)
		t.live(w.Live)
	}
	if reflect.DeepEqual(u.Tried, last.Tried) && u.Target == last.Target && reflect.DeepEqual(u.TTL, last.TTL) && last.URL != "" {
		t.printf(2, "answered and kept as the URL before")
	} else {
		t.behavior(u, w)
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
	if w != nil {
		t.key(w)
		t.answer(w)
		u.Notes = append(slices.Clone(u.Notes), w.Notes...)
	}
	for _, n := range u.Notes {
		t.printf(2, "note: %s", n)
	}
	t.removals(u)
}

// removals shows what removes a URL from the cache, each pattern once.
func (t *explanationText) removals(u route.URLStop) {
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

// behavior shows which behavior answers, and why not those before it, and what it
// does with the request.
func (t *explanationText) behavior(u route.URLStop, w *edge.Way) {
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
	if w != nil {
		t.viewer(w)
	}
	if u.Target != "" {
		t.printf(2, "asks %s", u.Target)
	}
	if w != nil && w.Ask != nil {
		t.ask(w.Ask)
	}
	if u.TTL != nil {
		t.ttl(*u.TTL)
	}
	if w != nil {
		t.lifetimes(w)
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
