package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/probe"
)

// View is one way in which viewers see a URL: one variant of it at one place.
type View struct {
	Ask     probe.Ask
	Variant string // that Ask asks for, as it is shown
	Source  *Source
}

// Finding is what was concluded about a view.
type Finding struct {
	URL      string
	Variant  string
	Place    probe.Place // that was to be asked; zero: wherever the name leads
	State    freshet.VerdictState
	Reason   string // empty where there is nothing to say beside fresh
	Seen     probe.Answer
	Expected Expected
	At       time.Time
}

// MarshalJSON writes what people and scripts want to know of it.
func (f Finding) MarshalJSON() ([]byte, error) { return json.Marshal(f.shown()) }

// MarshalJSON adds what the state was before.
func (t Turn) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		findingJSON
		Was freshet.VerdictState `json:"was,omitempty"`
	}{t.shown(), t.Was})
}

func (f Finding) shown() findingJSON {
	age, aged := f.Seen.Age()
	out := findingJSON{
		URL: f.URL, Variant: f.Variant, State: f.State, Reason: f.Reason, Status: f.Seen.Status, PoP: f.Seen.PoP(), Cache: f.Seen.Cache(),
		Proto: f.Seen.Proto, Address: f.Place.String(), Via: f.Seen.Via, Location: f.Seen.Location, At: f.At, Took: float64(f.Seen.Took.Microseconds()) / 1000,
	}
	if f.Seen.Remote.IsValid() {
		out.Address = f.Seen.Remote.String()
	}
	if aged {
		seconds := int64(age / time.Second)
		out.Age = &seconds
	}
	if f.Seen.Status != 0 {
		tag, weak := f.Seen.ETag()
		out.Seen = &contentJSON{ETag: tag, Weak: weak, Size: &f.Seen.Size, SHA256: f.Seen.Decoded.SHA256, Modified: f.Seen.Modified(), Encoding: f.Seen.Header.Get("Content-Encoding")}
	}
	if w := f.Expected; w.From != "" {
		out.Expected = &contentJSON{From: w.From, Gone: w.Gone, Status: w.Status, ETag: w.ETag, SHA256: w.SHA256, Modified: w.Modified, Since: w.Since, Location: w.Location}
		if w.Size > 0 {
			out.Expected.Size = &w.Size
		}
	}
	return out
}

type findingJSON struct {
	URL      string               `json:"url"`
	Variant  string               `json:"variant"`
	Address  string               `json:"address,omitempty"`
	State    freshet.VerdictState `json:"state"`
	Reason   string               `json:"reason,omitempty"`
	Status   int                  `json:"status,omitempty"`
	Age      *int64               `json:"age,omitempty"` // seconds
	PoP      string               `json:"pop,omitempty"`
	Cache    string               `json:"cache,omitempty"`
	Proto    string               `json:"proto,omitempty"`
	Via      []string             `json:"redirected_from,omitempty"`
	Location string               `json:"location,omitempty"`
	Seen     *contentJSON         `json:"seen,omitempty"`
	Expected *contentJSON         `json:"expected,omitempty"`
	At       time.Time            `json:"at"`
	Took     float64              `json:"took_ms"`
}

type contentJSON struct {
	From     string    `json:"from,omitempty"`
	Gone     bool      `json:"gone,omitempty"`
	Status   int       `json:"status,omitempty"`
	Location string    `json:"location,omitempty"`
	ETag     string    `json:"etag,omitempty"`
	Weak     bool      `json:"weak,omitempty"`
	Size     *int64    `json:"size,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
	Encoding string    `json:"encoding,omitempty"`
	Modified time.Time `json:"last_modified,omitzero"`
	Since    time.Time `json:"since,omitzero"`
}

// Fetcher is what *probe.Client does.
type Fetcher interface {
	Fetch(context.Context, probe.Ask) (probe.Answer, error)
}

// Views looks at views. Client alone is needed.
type Views struct {
	Client      Fetcher
	Concurrency int           // looks at a time; 0: 16
	Patience    time.Duration // how long a view that is not fresh is looked at again
}

// Look returns a finding for each view, in their order. Views that ctx does not
// leave time for are unreachable.
func (v Views) Look(ctx context.Context, views []View) []Finding {
	findings := make([]Finding, len(views))
	next := make(chan int)
	var workers sync.WaitGroup
	began := time.Now()
	for range min(cmp.Or(max(v.Concurrency, 0), 16), len(views)) {
		workers.Go(func() {
			for i := range next {
				findings[i] = v.one(ctx, views[i], began)
			}
		})
	}
	for i := range views {
		next <- i
	}
	close(next)
	workers.Wait()
	return findings
}

// one looks until the view is fresh or patience is over.
func (v Views) one(ctx context.Context, view View, began time.Time) Finding {
	deadline := time.Now().Add(v.Patience)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		f := v.look(ctx, view, began)
		if f.State == freshet.Fresh || f.State == Unverified && f.Expected.From == "" || time.Now().Add(wait).After(deadline) {
			return f
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return f
		}
		began = time.Now()
	}
}

// look fetches a view once. What is expected is asked for after the edge when it
// says something else than before: an edge that has what the origin got meanwhile
// is not stale.
func (v Views) look(ctx context.Context, view View, began time.Time) Finding {
	f := Finding{URL: view.Ask.URL.String(), Variant: view.Variant, Place: view.Ask.At}
	ask := view.Ask
	ask.Sums = true
	var err error
	f.Seen, err = v.Client.Fetch(ctx, ask)
	f.At = time.Now()
	if err != nil {
		f.State, f.Reason = freshet.Unreachable, err.Error()
		return f
	}
	for _, after := range []time.Time{began, f.At} {
		if f.Expected, err = view.Source.Expected(ctx, after); err != nil {
			f.State, f.Reason = Unverified, "what is expected is not known: "+err.Error()
			return f
		}
		if f.State, f.Reason = Judge(f.Seen, f.Expected); f.State != freshet.Stale {
			break
		}
	}
	return f
}

// Turn is a finding that differs from that of the look before.
type Turn struct {
	Finding
	Was freshet.VerdictState // empty at the first look
}

// Watched sums up a view that was watched.
type Watched struct {
	URL, Variant string
	Place        probe.Place
	Looks        map[freshet.VerdictState]int
	Turns        int
	Last         Finding
}

// Watch looks again and again, every so often from the beginning of one look to
// that of the next, until ctx is done or it has done so for that long. each is
// told of the first findings and of those whose state is another than before; an
// error of it ends the watch. A round that the end cut short does not count.
func (v Views) Watch(ctx context.Context, views []View, every, during time.Duration, each func(Turn) error) ([]Watched, error) {
	sums := make([]Watched, len(views))
	for i, view := range views {
		sums[i] = Watched{URL: view.Ask.URL.String(), Variant: view.Variant, Place: view.Ask.At, Looks: make(map[freshet.VerdictState]int)}
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for end := time.Now().Add(during); ; {
		findings := v.Look(ctx, views)
		if ctx.Err() != nil {
			return sums, nil
		}
		for i, f := range findings {
			if err := sums[i].add(f, each); err != nil {
				return sums, err
			}
		}
		if !time.Now().Add(every).Before(end.Add(time.Millisecond)) {
			return sums, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sums, nil
		}
	}
}

func (w *Watched) add(f Finding, each func(Turn) error) error {
	was := w.Last.State
	w.Last = f
	w.Looks[f.State]++
	if f.State == was {
		return nil
	}
	if was != "" {
		w.Turns++
	}
	return each(Turn{f, was})
}
