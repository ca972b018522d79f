// Package server is the control API of a running freshet: what the other
// commands ask it. It is spoken over the CloudFront API's address, under a path
// of its own, and wants the token that lies in the data directory.
package server

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net/http"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/metrics"
	"github.com/freshet/freshet/internal/pipeline"
	"github.com/freshet/freshet/internal/route"
)

// Prefix begins the path of every request.
const Prefix = "/_freshet/v1/"

// Metrics is the path of the metrics, which is where Prometheus looks for them.
const Metrics = "/metrics"

// Config is what the control API works on.
type Config struct {
	Token   string
	Read    func(ctx context.Context, follow bool, each func(journal.Record) error) error
	Retry   func(context.Context, Selection) (changes int, err error)
	Objects func() iter.Seq[Object]

	// What goes wrong on purpose in the CloudFront API.
	Chaos    func() Chaos
	SetChaos func(spec string) error

	// Explain says what is done with a request at the moment.
	Explain func(edge.Question) (Explained, error)

	// Holds are the leases during which changes gather.
	Hold    func(context.Context, Hold) (pipeline.Lease, error)
	Release func(ctx context.Context, name string) (held bool, err error)
	Waits   func() []pipeline.Wait

	Metrics http.Handler                                                       // nil for none
	Watch   func(ctx context.Context, each func(metrics.Snapshot) error) error // until ctx is done or each fails

	Log *slog.Logger
}

// Explained is the way from a URL to the objects behind it, and what the edge
// does with a request for it, or the way from an object to its URLs.
type Explained struct {
	route.Explanation

	Ways []edge.Way `json:"ways,omitempty"` // of a URL: at the distributions that can be asked, in their order
	Work []string   `json:"work,omitempty"` // of an object: what is done after its changes, and what makes it
}

// Chaos is what goes wrong on purpose, and how often it did since it was set.
type Chaos struct {
	Spec   string         `json:"spec"` // as freshet up --chaos takes it; empty is nothing
	Counts map[string]int `json:"counts,omitempty"`
}

// Selection says which dead letters are meant: those with one of the keys, or
// all of them if there is none.
type Selection struct {
	Keys []string `json:"keys,omitempty"`
}

// Object is one that was verified and is there.
type Object struct {
	Origin string `json:"origin"`
	Key    string `json:"key"`
	Size   int64  `json:"size,omitempty"` // bytes
}

// Retried is the answer to a retry.
type Retried struct {
	Changes int `json:"changes"`
}

type problem struct {
	Error string `json:"error"`
}

// New returns the handler for everything under Prefix, and for Metrics.
func New(c Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"log", c.log)
	mux.HandleFunc("POST "+Prefix+"retry", c.retry)
	mux.HandleFunc("GET "+Prefix+"objects", c.objects)
	mux.HandleFunc("GET "+Prefix+"chaos", c.chaos)
	mux.HandleFunc("PUT "+Prefix+"chaos", c.setChaos)
	mux.HandleFunc("DELETE "+Prefix+"chaos", c.setChaos)
	mux.HandleFunc("GET "+Prefix+"top", c.top)
	mux.HandleFunc("POST "+Prefix+"explain", c.explain)
	mux.HandleFunc("GET "+Prefix+"hold", c.holds)
	mux.HandleFunc("POST "+Prefix+"hold", c.hold)
	mux.HandleFunc("POST "+Prefix+"hold/release", c.release)
	if c.Metrics != nil {
		mux.Handle("GET "+Metrics, c.Metrics)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+c.Token)) != 1 {
			fail(w, http.StatusUnauthorized, "the token is not the one in the data directory")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem{message})
}

// log writes one line per record.
func (c Config) log(w http.ResponseWriter, r *http.Request) {
	follow := r.URL.Query().Get("follow") != ""
	c.lines(w, r, follow, func(line func(any) error) error {
		return c.Read(r.Context(), follow, func(record journal.Record) error { return line(record) })
	})
}

// objects writes one line per object.
func (c Config) objects(w http.ResponseWriter, r *http.Request) {
	c.lines(w, r, false, func(line func(any) error) error {
		for o := range c.Objects() {
			if err := line(o); err != nil {
				return err
			}
		}
		return nil
	})
}

// top writes a line every second.
func (c Config) top(w http.ResponseWriter, r *http.Request) {
	began := false
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	err := c.Watch(r.Context(), func(s metrics.Snapshot) error {
		if !began {
			began = true
			w.Header().Set("Content-Type", "application/jsonl")
		}
		return errors.Join(lines.Encode(s), flush.Flush())
	})
	if !began && err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
	}
}

// lines answers in JSON lines, at once if live is set. The last line of a
// complete answer is empty, so that the reader can tell it from one that was cut
// off.
func (c Config) lines(w http.ResponseWriter, r *http.Request, live bool, write func(line func(any) error) error) {
	w.Header().Set("Content-Type", "application/jsonl")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	lines := json.NewEncoder(w)
	if live {
		_ = flush.Flush()
	}
	err := write(func(v any) error {
		if err := lines.Encode(v); err != nil || !live {
			return err
		}
		return flush.Flush()
	})
	if err == nil {
		_, err = w.Write([]byte("\n"))
	}
	if err != nil && r.Context().Err() == nil {
		c.Log.Warn("answer "+r.URL.Path, "err", err)
	}
}

func (c Config) retry(w http.ResponseWriter, r *http.Request) {
	var s Selection
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&s); err != nil {
		fail(w, http.StatusBadRequest, "read the selection: "+err.Error())
		return
	}
	n, err := c.Retry(r.Context(), s)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(Retried{n})
}

func (c Config) explain(w http.ResponseWriter, r *http.Request) {
	var q edge.Question
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&q); err != nil {
		fail(w, http.StatusBadRequest, "read the question: "+err.Error())
		return
	}
	answer, err := c.Explain(q)
	switch {
	case errors.Is(err, edge.ErrQuestion) || errors.Is(err, edge.ErrUnknownDistribution):
		fail(w, http.StatusBadRequest, err.Error())
		return
	case err != nil:
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (c Config) chaos(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.Chaos())
}

// setChaos replaces the chaos, or with DELETE ends it.
func (c Config) setChaos(w http.ResponseWriter, r *http.Request) {
	var wanted Chaos
	if r.Method == http.MethodPut {
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&wanted); err != nil {
			fail(w, http.StatusBadRequest, "read the chaos: "+err.Error())
			return
		}
	}
	if err := c.SetChaos(wanted.Spec); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	c.chaos(w, r)
}
