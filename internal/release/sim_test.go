package release_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/release"
	"github.com/freshet/freshet/internal/release/lambdatest"
)

// world is a function, an edge in front of it, and a release of it that can be
// killed: after so many moments, each of them a call or a write, nothing of what
// it does has any effect.
type world struct {
	lambda *lambdatest.Lambda
	alias  string
	zip    []byte

	mu      sync.Mutex
	kill    context.CancelFunc
	left    int // moments until the release is killed; negative: never
	journal release.Journal
	receipt map[string]freshet.Receipt // by caller reference
	polls   map[string]int
	sent    int  // invalidations that removed something
	early   bool // one of them came while the old code answered
	events  []string
}

var errKilled = errors.New("killed")

func newWorld(alias string) *world {
	w := &world{lambda: lambdatest.New(), alias: alias, zip: []byte("new code"), left: -1, receipt: make(map[string]freshet.Receipt), polls: make(map[string]int)}
	w.lambda.Create("site", alias, []byte("old code"))
	return w
}

// moment reports whether the release still lives. The one in which it is killed
// is the last that has an effect, but nobody hears of it.
func (w *world) moment() (lives, heard bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left < 0 {
		return true, true
	}
	if w.left == 0 {
		return false, false
	}
	if w.left--; w.left == 0 {
		w.kill()
	}
	return true, w.left > 0
}

// Do is a call over the network.
func (w *world) Do(r *http.Request) (resp *http.Response, err error) {
	lives, heard := w.moment()
	if !lives {
		return nil, errKilled
	}
	defer func() {
		if recover() != nil || !heard {
			resp, err = nil, errors.New("the connection was cut")
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	w.lambda.ServeHTTP(recorder, r)
	resp = recorder.Result()
	resp.Request = r
	return resp, nil
}

func (w *world) Load() (release.Journal, error) { return w.journal, nil }

func (w *world) Save(j release.Journal) error {
	lives, heard := w.moment()
	if lives {
		w.journal = j
		w.journal.Receipts = append([]freshet.Receipt(nil), j.Receipts...)
	}
	if !heard {
		return errKilled
	}
	return nil
}

// Invalidate removes, and remembers whether it was too early.
func (w *world) Invalidate(_ context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	lives, heard := w.moment()
	if !lives {
		return freshet.Receipt{}, errKilled
	}
	r, known := w.receipt[inv.CallerReference]
	if !known {
		w.sent++
		if sha, _ := w.lambda.Answers("site", w.alias); sha != lambdatest.SHA256(w.zip) {
			w.early = true
		}
		r = freshet.Receipt{Distribution: inv.Distribution, CallerReference: inv.CallerReference, ID: fmt.Sprintf("I%d", w.sent), State: freshet.Accepted}
		w.receipt[inv.CallerReference] = r
	}
	if !heard {
		return freshet.Receipt{}, errKilled
	}
	return r, nil
}

func (w *world) Status(_ context.Context, distribution, id string) (freshet.Receipt, error) {
	if _, heard := w.moment(); !heard {
		return freshet.Receipt{}, errKilled
	}
	w.polls[id]++
	r := freshet.Receipt{Distribution: distribution, ID: id, State: freshet.Accepted}
	if w.polls[id] > 2 {
		r.State = freshet.Completed
	}
	return r, nil
}

func (w *world) Profiles(context.Context) ([]freshet.Profile, error) {
	return nil, errors.ErrUnsupported
}

// RoundTrip is a request to the origin.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, heard := w.moment(); !heard {
		return nil, errKilled
	}
	recorder := httptest.NewRecorder()
	w.lambda.ServeOrigin("site", w.alias).ServeHTTP(recorder, r)
	resp := recorder.Result()
	resp.Request = r
	return resp, nil
}

// release is one run of the program.
func (w *world) release(change func(*release.Release)) *release.Release {
	client := lambda.New(lambda.Options{
		Region: "eu-west-1", HTTPClient: w, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
	})
	r := &release.Release{
		Wanted: release.Wanted{
			Function: "site", Alias: w.alias, Code: lambdatest.SHA256(w.zip), Probe: true,
			Distribution: "E2EXAMPLE1234", Patterns: []freshet.Pattern{"/*", "/a", "/b"},
		},
		Zip: w.zip, Lambda: client, Keep: w, Driver: w,
		Profile: freshet.Profile{Distribution: "E2EXAMPLE1234", MaxPatterns: 10, MaxWildcards: 1, PollEvery: time.Second},
		Facts:   []string{"url https://origin.example.com/ matches 'code {sha256} answers' times 3"},
		Waiter:  &barrier.Waiter{HTTP: w},
		Within:  5 * time.Minute,
		Each: func(e release.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, string(e.Step)+": "+e.Text)
		},
	}
	if change != nil {
		change(r)
	}
	return r
}

// run runs it, killed after so many moments.
func (w *world) run(t *testing.T, moments int, change func(*release.Release)) error {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	w.mu.Lock()
	w.left, w.kill, w.events = moments, kill, nil
	w.mu.Unlock()
	_, err := w.release(change).Run(ctx)
	return err
}
