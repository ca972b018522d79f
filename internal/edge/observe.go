package edge

import (
	"strings"
	"time"
)

// Observer is told what an edge does. Its methods are called from many
// goroutines, on the way of every request: they must neither block nor take
// long.
type Observer interface {
	// Served tells of a request that was answered, or that broke off. The strings
	// in s are not to be kept: they may be those of the request.
	Served(s Served)

	// Fetched tells of one attempt to have something from an origin: with its
	// status, or 502, 503 or 504 where none came, and the time until the header
	// was there.
	Fetched(distributionID string, status int, took time.Duration)
}

// Served is a request that is over.
type Served struct {
	Distribution string // its ID; empty where none was found
	Method       string // as the viewer sent it
	Path         string // as the viewer spelled it
	Result       string // such as Hit, as in X-Cache; Error if the answer broke off
	Status       int    // 0 if the viewer left before there was one
	Bytes        int64  // of the body that were sent
	Took         time.Duration
}

// over tells whoever wants to know of an exchange that is over. An incomplete
// one ended with a panic.
func (e *Edge) over(x *exchange, complete bool) {
	if e.accessLog != nil {
		e.record(x, x.site, complete)
	}
	if e.observer == nil {
		return
	}
	s := Served{Method: x.r.Method, Path: targetOf(x.r).path, Status: x.status, Bytes: x.bytes, Took: time.Since(x.began)}
	if x.site != nil {
		s.Distribution = x.site.config.ID
	}
	s.Result, _, _ = strings.Cut(x.Header().Get("X-Cache"), " ")
	if !complete {
		s.Result = string(failed)
	}
	e.observer.Served(s)
}

// fetched tells of an attempt that began at a time.
func (e *Edge) fetched(q *query, began time.Time, resp *response, err error) {
	if e.observer == nil {
		return
	}
	e.observer.Fetched(q.site.config.ID, outcomeOf(resp, err), time.Since(began))
}
