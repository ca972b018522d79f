package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/server"
)

// ExplainURL says what the distributions do with a request, and which objects
// are behind it, by the configuration alone. A distribution that the edge would
// not serve has a note in place of a way.
func (p *Planner) ExplainURL(q edge.Question) (server.Explained, error) {
	if err := q.Check(); err != nil {
		return server.Explained{}, err
	}
	var all server.Explained
	notes := make(map[string]string)
	for _, id := range p.Router.Answering(hostOf(q)) {
		way, err := p.way(id, q)
		if err != nil {
			notes[id] = "what the edge does with the request is not known: " + err.Error()
			continue
		}
		all.Ways = append(all.Ways, way)
	}
	all.Explanation = explanation(p.Router, q, all.Ways, "")
	for i := range all.Distributions {
		if stop := &all.Distributions[i]; notes[stop.Distribution] != "" {
			stop.Notes = append(stop.Notes, notes[stop.Distribution])
		}
	}
	return all, nil
}

// way asks an edge that serves one distribution and nobody.
func (p *Planner) way(id string, q edge.Question) (edge.Way, error) {
	for _, d := range p.Distributions {
		if d.ID != id {
			continue
		}
		e, err := edge.New(edge.Config{Distributions: []distribution.Distribution{d}, Function: p.scripts.find, MemoryLimit: 1 << 20})
		if err != nil {
			return edge.Way{}, err
		}
		defer func() { _ = e.Close() }()
		q.Distribution = id
		return e.Explain(q, false)
	}
	return edge.Way{}, fmt.Errorf("there is no distribution %q", id)
}

// explanation is that of the URL of a request, with what is known of the
// functions that it meets.
func explanation(r *route.Router, q edge.Question, ways []edge.Way, only string) route.Explanation {
	return r.ExplainURL(route.Question{Host: hostOf(q), URL: q.Target, Only: only, Rewritten: func(id string) (string, bool) {
		for i := range ways {
			if f := ways[i].Function; ways[i].Distribution == id && f != nil && f.URL != "" {
				return f.URL, true
			}
		}
		return "", false
	}})
}

// hostOf is the host that a request is for; empty where that is left open.
func hostOf(q edge.Question) string {
	if host := q.Header.Get("Host"); host != "" {
		return host
	}
	return q.Host
}

// explain is server.Config.Explain. Without a host it is about the distribution
// of the configuration, as the edge's own address is.
func (u *Up) explain(q edge.Question) (server.Explained, error) {
	if q.Distribution == "" {
		id, ok := u.edge.Answering(hostOf(q))
		if !ok {
			return server.Explained{}, fmt.Errorf("explain a request: %w: none answers to %q", edge.ErrUnknownDistribution, hostOf(q))
		}
		q.Distribution = id
	}
	way, err := u.edge.Explain(q, true)
	if err != nil {
		return server.Explained{}, err
	}
	ways := []edge.Way{way}
	return server.Explained{Explanation: explanation(u.routing.Load(), q, ways, q.Distribution), Ways: ways}, nil
}

// ErrNotRunning is what Explain fails with where no freshet runs on the data
// directory.
var ErrNotRunning = errors.New("no freshet is running")

// Explain asks the freshet that runs on the data directory about a request.
func Explain(ctx context.Context, data string, q edge.Question) (server.Explained, error) {
	d := DataDir(data)
	running, err := d.Running()
	if errors.Is(err, fs.ErrNotExist) {
		return server.Explained{}, fmt.Errorf("%w on %s; start one with freshet up", ErrNotRunning, d)
	}
	if err != nil {
		return server.Explained{}, err
	}
	return server.Client{URL: running.API, Token: running.Token}.Explain(ctx, q)
}
