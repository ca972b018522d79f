package api_test

import (
	"context"
	"encoding/json"
	"errors"

	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/edge/api"
)

func wantCode(t *testing.T, err error, code string, status int) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || e.Status != status || e.Message == "" {
		t.Errorf("got error %v, want %d %s", err, status, code)
	}
}

func TestCreateAppliesToTheEdge(t *testing.T) {
	e := &edge{}
	release := e.hold()
	r := open(t, e, nil)
	i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/b", "/a/*", "/b"}})
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^I[A-Z0-9]{13}$`).MatchString(i.ID) || i.Distribution != "E1PLAIN" || i.CallerReference != "r" ||
		i.Created.IsZero() || i.Status() != api.StatusInProgress || !slices.Equal(i.Paths, []string{"/b", "/a/*", "/b"}) {
		t.Errorf("created %+v", i)
	}
	if got, _ := r.Get("E1PLAIN", i.ID); got.Status() != api.StatusInProgress || r.InProgress("E1PLAIN") != 1 {
		t.Errorf("while the edge is at it: %+v, %d in progress", got, r.InProgress("E1PLAIN"))
	}
	release()
	eventually(t, "completion", completed(r, "E1PLAIN", i.ID))
	if n := r.InProgress("E1PLAIN"); n != 0 {
		t.Errorf("%d in progress after completion", n)
	}
	if got := e.seen(); len(got) != 1 || got[0].distribution != "E1PLAIN" || !slices.Equal(got[0].patterns, []freshet.Pattern{"/a/*", "/b"}) {
		t.Errorf("the edge was told %v", got)
	}
}

// Whoever has got an answer finds nothing at the edge any more of what was
// invalidated, if that is wanted; and the edge is told of what is durable only.
func TestCreateAppliesAtOnce(t *testing.T) {
	e := &edge{}
	log := &slowLog{entered: make(chan struct{}, 1), gate: make(chan struct{})}
	r := open(t, e, func(c *api.RegisterConfig) { c.AtOnce, c.Log = true, log })
	created := make(chan error, 1)
	go func() {
		_, err := r.Create(context.Background(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/b", "/a/*"}})
		created <- err
	}()
	<-log.entered
	if got := e.seen(); len(got) != 0 {
		t.Errorf("the edge was told %v before it was durable", got)
	}
	close(log.gate)
	if err := <-created; err != nil {
		t.Fatal(err)
	}
	if got := e.seen(); len(got) != 1 || !slices.Equal(got[0].patterns, []freshet.Pattern{"/a/*", "/b"}) {
		t.Errorf("when it is answered the edge was told %v", got)
	}
	// Not a second time, also when it is asked for once more.
	again, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/b", "/a/*"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "completion", completed(r, "E1PLAIN", again.ID))
	if got := e.seen(); len(got) != 1 {
		t.Errorf("the edge was told %v", got)
	}
}

// An edge that fails is no reason to fail the client: what is durable will be
// applied.
func TestCreateAppliesAtOnceOrLater(t *testing.T) {
	e := &edge{fail: 2}
	r := open(t, e, func(c *api.RegisterConfig) { c.AtOnce = true })
	i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/b"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := e.seen(); len(got) != 0 || i.Status() != api.StatusInProgress {
		t.Errorf("the edge was told %v, %+v", got, i)
	}
	eventually(t, "completion", completed(r, "E1PLAIN", i.ID))
	if got := e.seen(); len(got) != 1 {
		t.Errorf("the edge was told %v", got)
	}
}

// Everybody who wants to know is told of each invalidation twice, in order, and
// not again of one that was there already.
func TestChangedIsToldTwice(t *testing.T) {
	told := make(chan api.Invalidation, 10)
	e := &edge{}
	r := open(t, e, func(c *api.RegisterConfig) { c.Changed = func(i api.Invalidation) { told <- i } })
	batch := api.Batch{CallerReference: "r", Paths: []string{"/a"}}
	i, err := r.Create(t.Context(), "E1PLAIN", batch)
	if err != nil {
		t.Fatal(err)
	}
	first, second := <-told, <-told
	if first.ID != i.ID || first.Status() != api.StatusInProgress || second.ID != i.ID || second.Status() != api.StatusCompleted || len(second.Paths) != 1 {
		t.Errorf("told of %+v, then %+v", first, second)
	}
	if _, err := r.Create(t.Context(), "E1PLAIN", batch); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if len(told) != 0 {
		t.Errorf("a repetition was told of: %+v", <-told)
	}
}

func TestCreateRules(t *testing.T) {
	many := func(n int, suffix string) []string {
		paths := make([]string, n)
		for i := range paths {
			paths[i] = "/" + strconv.Itoa(i) + suffix
		}
		return paths
	}
	for name, tt := range map[string]struct {
		distribution string
		batch        api.Batch
		code         string // empty: accepted
		status       int
	}{
		"unknown distribution": {"ENONE", api.Batch{CallerReference: "r", Paths: []string{"/a"}}, api.NoSuchDistribution, 404},
		"no reference":         {"E1PLAIN", api.Batch{Paths: []string{"/a"}}, api.InvalidArgument, 400},
		"long reference":       {"E1PLAIN", api.Batch{CallerReference: strings.Repeat("r", api.MaxReferenceLength+1), Paths: []string{"/a"}}, api.InvalidArgument, 400},
		"longest reference":    {"E1PLAIN", api.Batch{CallerReference: strings.Repeat("r", api.MaxReferenceLength), Paths: []string{"/a"}}, "", 0},
		"binary reference":     {"E1PLAIN", api.Batch{CallerReference: "\xff", Paths: []string{"/a"}}, api.InvalidArgument, 400},
		"no paths":             {"E1PLAIN", api.Batch{CallerReference: "r"}, api.InvalidArgument, 400},
		"no slash":             {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a", "b"}}, api.InvalidArgument, 400},
		"empty path":           {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{""}}, api.InvalidArgument, 400},
		"raw space":            {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a b"}}, api.InvalidArgument, 400},
		"raw tilde":            {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/~a"}}, api.InvalidArgument, 400},
		"encoded tilde":        {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/%7Ea"}}, "", 0},
		"not ASCII":            {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/é"}}, api.InvalidArgument, 400},
		"escaped":              {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/%C3%A9"}}, "", 0},
		"query":                {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a?b=c"}}, "", 0},
		"star in the middle":   {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a*b"}}, "", 0},
		"4,000 characters":     {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/" + strings.Repeat("a", 3999)}}, "", 0},
		"4,001 characters":     {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/" + strings.Repeat("a", 4000)}}, api.InvalidArgument, 400},
		"tag":                  {"E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"#tag"}}, api.InvalidArgument, 400},
		"3,000 paths":          {"E1PLAIN", api.Batch{CallerReference: "r", Paths: many(3000, "")}, "", 0},
		"3,001 paths":          {"E1PLAIN", api.Batch{CallerReference: "r", Paths: many(3001, "")}, api.BatchTooLarge, 413},
		"15 wildcards":         {"E1PLAIN", api.Batch{CallerReference: "r", Paths: many(15, "*")}, "", 0},
		"16 wildcards":         {"E1PLAIN", api.Batch{CallerReference: "r", Paths: many(16, "*")}, api.TooManyInvalidationsInProgress, 400},
	} {
		t.Run(name, func(t *testing.T) {
			e := &edge{}
			r := open(t, e, nil)
			i, err := r.Create(t.Context(), tt.distribution, tt.batch)
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				eventually(t, "completion", completed(r, tt.distribution, i.ID))
				return
			}
			wantCode(t, err, tt.code, tt.status)
			if page, _ := r.List("E1PLAIN", "", 10); len(page.Invalidations) > 0 || len(e.seen()) > 0 {
				t.Errorf("a refused batch left %v and %v", page, e.seen())
			}
		})
	}
}

func TestCallerReference(t *testing.T) {
	e := &edge{}
	r := open(t, e, nil)
	first, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a", "/b"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "completion", completed(r, "E1PLAIN", first.ID))
	for _, paths := range [][]string{{"/a", "/b"}, {"/b", "/a"}, {"/b", "/a", "/a"}} {
		again, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: paths})
		if err != nil || again.ID != first.ID || again.Status() != api.StatusCompleted || !again.Created.Equal(first.Created) || !slices.Equal(again.Paths, first.Paths) {
			t.Errorf("%v: %+v, %v", paths, again, err)
		}
	}
	for _, paths := range [][]string{{"/a"}, {"/a", "/b", "/c"}, {"/A", "/b"}, {"/a", "/b*"}} {
		_, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: paths})
		wantCode(t, err, api.InvalidArgument, 400)
		if !errors.Is(err, api.ErrReferenceUsed) {
			t.Errorf("%v: %v is no ErrReferenceUsed", paths, err)
		}
	}
	// Letter case counts, and each distribution has references of its own.
	for _, other := range []struct{ distribution, reference string }{{"E1PLAIN", "R"}, {"E2RICH", "r"}} {
		i, err := r.Create(t.Context(), other.distribution, api.Batch{CallerReference: other.reference, Paths: []string{"/c"}})
		if err != nil || i.ID == first.ID {
			t.Errorf("%v: %+v, %v", other, i, err)
		}
		eventually(t, "completion", completed(r, other.distribution, i.ID))
	}
	if n := len(e.seen()); n != 3 {
		t.Errorf("the edge was told %d times, want 3", n)
	}
}

// Whatever order N requests with the same reference come in, one invalidation
// comes of them; requests with other references are not disturbed.
func TestConcurrentCreates(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		references := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 24).Draw(rt, "references")
		e := &edge{}
		log := &failingLog{failures: rapid.IntRange(0, 2).Draw(rt, "failing appends"), kept: rapid.Bool().Draw(rt, "kept all the same")}
		r, err := api.Open(context.Background(), api.RegisterConfig{Distributions: distributions, Invalidator: e, Log: log})
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		ids := make([]string, len(references))
		var all sync.WaitGroup
		for n, reference := range references {
			all.Go(func() {
				for {
					i, err := r.Create(context.Background(), "E1PLAIN", api.Batch{CallerReference: reference, Paths: []string{"/" + reference}})
					var refused *api.Error
					if errors.As(err, &refused) && refused.Code == api.ServiceUnavailable {
						continue
					}
					ids[n] = i.ID
					return
				}
			})
		}
		all.Wait()
		byReference := make(map[string]string)
		for n, reference := range references {
			if known, ok := byReference[reference]; ok && known != ids[n] || ids[n] == "" {
				rt.Fatalf("reference %s has IDs %s and %s", reference, known, ids[n])
			}
			byReference[reference] = ids[n]
		}
		for _, id := range byReference {
			eventually(t, "completion", completed(r, "E1PLAIN", id))
		}
		page, err := r.List("E1PLAIN", "", 100)
		if err != nil || len(page.Invalidations) != len(byReference) || len(e.seen()) != len(byReference) {
			rt.Fatalf("%d invalidations, %d at the edge, %d references, %v", len(page.Invalidations), len(e.seen()), len(byReference), err)
		}
		// A restart reads the same from the log, doubtful appends included.
		reopened, err := api.Open(context.Background(), api.RegisterConfig{Distributions: distributions, Invalidator: e, Log: log})
		if err != nil {
			rt.Fatal(err)
		}
		defer reopened.Close()
		again, err := reopened.List("E1PLAIN", "", 100)
		if err != nil || len(again.Invalidations) != len(page.Invalidations) {
			rt.Fatalf("after a restart %d of %d, %v", len(again.Invalidations), len(page.Invalidations), err)
		}
	})
}

// failingLog fails the first appends, with or without keeping their entries.
type failingLog struct {
	api.MemoryLog
	mu       sync.Mutex
	failures int
	kept     bool
}

func (l *failingLog) Append(ctx context.Context, e ...api.Entry) error {
	l.mu.Lock()
	fails, keeps := l.failures > 0, l.failures == 0 || l.kept
	if fails {
		l.failures--
	}
	l.mu.Unlock()
	if keeps {
		if err := l.MemoryLog.Append(ctx, e...); err != nil {
			return err
		}
	}
	if fails {
		return errors.New("no space left on device")
	}
	return nil
}

func (l *failingLog) failNext(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = n
}

func TestNothingIsInvalidatedWithoutARecord(t *testing.T) {
	e := &edge{}
	r := open(t, e, func(c *api.RegisterConfig) { c.Log = &failingLog{failures: 1} })
	batch := api.Batch{CallerReference: "r", Paths: []string{"/a"}}
	_, err := r.Create(t.Context(), "E1PLAIN", batch)
	wantCode(t, err, api.ServiceUnavailable, 503)
	if page, _ := r.List("E1PLAIN", "", 1); len(page.Invalidations) != 0 || r.InProgress("E1PLAIN") != 0 || len(e.seen()) != 0 {
		t.Errorf("left %v, %d in progress, %v at the edge", page, r.InProgress("E1PLAIN"), e.seen())
	}
	i, err := r.Create(t.Context(), "E1PLAIN", batch)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "completion", completed(r, "E1PLAIN", i.ID))
}

// After a create whose append failed, and yet was kept, the client may come back
// with other paths; a restart must believe what the client was told last.
func TestReplayBelievesTheLastWord(t *testing.T) {
	log := &failingLog{failures: 1, kept: true}
	e := &edge{}
	r := open(t, e, func(c *api.RegisterConfig) { c.Log = log })
	_, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/never-acknowledged"}})
	wantCode(t, err, api.ServiceUnavailable, 503)
	i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/acknowledged"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "completion", completed(r, "E1PLAIN", i.ID))
	r.Close()
	again := open(t, e, func(c *api.RegisterConfig) { c.Log = log })
	got, err := again.Get("E1PLAIN", i.ID)
	if err != nil || !slices.Equal(got.Paths, []string{"/acknowledged"}) || got.Status() != api.StatusCompleted {
		t.Errorf("after a restart %+v, %v", got, err)
	}
	if n := again.InProgress("E1PLAIN"); n != 0 {
		t.Errorf("%d in progress after the restart, want none", n)
	}
}

func TestRestart(t *testing.T) {
	log := &api.MemoryLog{}
	e := &edge{}
	r := open(t, e, func(c *api.RegisterConfig) { c.Log = log })
	done, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "done", Paths: []string{"/done"}})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "completion", completed(r, "E1PLAIN", done.ID))
	e.mu.Lock()
	e.fail = 1 << 30
	e.mu.Unlock()
	under, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "under way", Paths: []string{"/under/way*"}})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "late", Paths: []string{"/late"}}); err == nil {
		t.Error("a closed register accepted an invalidation")
	}

	fresh := &edge{}
	release := fresh.hold()
	again := open(t, fresh, func(c *api.RegisterConfig) { c.Log = log })
	if n := again.InProgress("E1PLAIN"); n != 1 {
		t.Errorf("%d in progress after the restart, want 1", n)
	}
	if i, err := again.Get("E1PLAIN", done.ID); err != nil || i.Status() != api.StatusCompleted || !i.Created.Equal(done.Created) || !slices.Equal(i.Paths, done.Paths) {
		t.Errorf("the completed one is now %+v, %v", i, err)
	}
	if i, err := again.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "done", Paths: []string{"/done"}}); err != nil || i.ID != done.ID {
		t.Errorf("its reference gives %+v, %v", i, err)
	}
	if _, err := again.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "done", Paths: []string{"/other"}}); !errors.Is(err, api.ErrReferenceUsed) {
		t.Errorf("its reference with other paths gives %v", err)
	}
	release()
	eventually(t, "completion of what was under way", completed(again, "E1PLAIN", under.ID))
	if got := fresh.seen(); len(got) != 1 || !slices.Equal(got[0].patterns, []freshet.Pattern{"/under/way*"}) {
		t.Errorf("the new edge was told %v", got)
	}
}

// A register remembers so many and not more, however young they are and whatever
// stands in the way, and nor does one that is opened on the same log.
func TestTheRegisterIsBounded(t *testing.T) {
	const keep, all = 80, 250
	log := &api.MemoryLog{}
	e := &edge{}
	bounded := func(c *api.RegisterConfig) {
		c.Log, c.Keep = log, keep
		c.Hold = func(ctx context.Context, i api.Invalidation) {
			if i.CallerReference == "held" {
				<-ctx.Done()
			}
		}
	}
	r := open(t, e, bounded)
	held, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "held", Paths: []string{"/held"}})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for n := range all {
		i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: strconv.Itoa(n), Paths: []string{"/" + strconv.Itoa(n)}})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "completion", completed(r, "E1PLAIN", i.ID))
		ids = append(ids, i.ID)
	}
	check := func(r *api.Register) {
		t.Helper()
		n, marker := 0, ""
		for {
			page, err := r.List("E1PLAIN", marker, 50)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Invalidations)
			if marker = page.Next; marker == "" {
				break
			}
		}
		if n < keep || n > keep+keep/8+2 {
			t.Errorf("%d are remembered, want about %d", n, keep)
		}
		if _, err := r.Get("E1PLAIN", ids[0]); err == nil {
			t.Error("the oldest completed one is remembered")
		}
		if i, err := r.Get("E1PLAIN", held.ID); err != nil || i.Status() != api.StatusInProgress {
			t.Errorf("what is in progress is %+v, %v", i, err)
		}
		if i, err := r.Get("E1PLAIN", ids[all-1]); err != nil || i.Status() != api.StatusCompleted {
			t.Errorf("the newest is %+v, %v", i, err)
		}
	}
	check(r)
	r.Close()
	check(open(t, e, bounded))
}

func TestWindowsOfWhatIsInProgress(t *testing.T) {
	e := &edge{}
	release := e.hold()
	defer release()
	r := open(t, e, func(c *api.RegisterConfig) { c.Limits = api.Limits{Paths: 5, Wildcards: 2} })
	create := func(reference string, paths ...string) error {
		_, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: reference, Paths: paths})
		return err
	}
	if err := create("1", "/a*", "/b*", "/c"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, create("2", "/d", "/e", "/f"), api.TooManyInvalidationsInProgress, 400)
	wantCode(t, create("3", "/d*"), api.TooManyInvalidationsInProgress, 400)
	if err := create("1", "/a*", "/b*", "/c"); err != nil {
		t.Errorf("a repeated request counts against the window: %v", err)
	}
	if err := create("4", "/d", "/e"); err != nil {
		t.Errorf("the window is not full yet: %v", err)
	}
	wantCode(t, create("5", "/g"), api.TooManyInvalidationsInProgress, 400)
	if _, err := r.Create(t.Context(), "E2RICH", api.Batch{CallerReference: "1", Paths: []string{"/a*"}}); err != nil {
		t.Errorf("the window of another distribution is full: %v", err)
	}
	release()
	eventually(t, "the end of all", func() bool { return r.InProgress("E1PLAIN") == 0 })
	if err := create("5", "/g*", "/h*", "/i", "/j", "/k"); err != nil {
		t.Errorf("the window does not open again: %v", err)
	}
}

func TestCreateHonoursItsContext(t *testing.T) {
	r := open(t, &edge{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Create(ctx, "E1PLAIN", api.Batch{CallerReference: "r", Paths: []string{"/a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A client that hangs up while its record is written gets its invalidation all
// the same, and one that waits for it may leave.
func TestHangingUpDoesNotAbortAnAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowLog{entered: make(chan struct{}, 1), gate: make(chan struct{})}
		r, err := api.Open(context.Background(), api.RegisterConfig{Distributions: distributions, Invalidator: &edge{}, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		batch := api.Batch{CallerReference: "r", Paths: []string{"/a"}}
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() { _, err := r.Create(ctx, "E1PLAIN", batch); first <- err }()
		<-log.entered
		impatient, leave := context.WithCancel(context.Background())
		second := make(chan error, 1)
		go func() { _, err := r.Create(impatient, "E1PLAIN", batch); second <- err }()
		synctest.Wait()
		leave()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the waiting request got %v", err)
		}
		cancel()
		synctest.Wait()
		close(log.gate)
		if err := <-first; err != nil {
			t.Errorf("the first request got %v", err)
		}
		synctest.Wait()
		if page, _ := r.List("E1PLAIN", "", 10); len(page.Invalidations) != 1 {
			t.Errorf("%d invalidations", len(page.Invalidations))
		}
	})
}

// slowLog holds appends at a gate and honours their context.
type slowLog struct {
	api.MemoryLog
	entered chan struct{}
	gate    chan struct{}
}

func (l *slowLog) Append(ctx context.Context, e ...api.Entry) error {
	select {
	case l.entered <- struct{}{}:
	default:
	}
	select {
	case <-l.gate:
		return l.MemoryLog.Append(ctx, e...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestOpenReportsWhatItLacks(t *testing.T) {
	if _, err := api.Open(t.Context(), api.RegisterConfig{}); err == nil {
		t.Error("opened with nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	log := &api.MemoryLog{}
	if err := log.Append(ctx, api.Entry{Kind: api.Created}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := api.Open(ctx, api.RegisterConfig{Distributions: distributions, Invalidator: &edge{}, Log: log}); !errors.Is(err, context.Canceled) {
		t.Errorf("a replay that failed gives %v", err)
	}
}

// The log's form outlives the program that wrote it.
func TestEntryFormat(t *testing.T) {
	at := time.Date(2026, 11, 20, 1, 2, 3, 4e6, time.UTC)
	for want, e := range map[string]api.Entry{
		`{"kind":"created","distribution":"E1","id":"I1","at":"2026-11-20T01:02:03.004Z","caller_reference":"r","paths":["/a"]}`: {
			Kind: api.Created, Distribution: "E1", ID: "I1", At: at, CallerReference: "r", Paths: []string{"/a"}},
		`{"kind":"completed","distribution":"E1","id":"I1","at":"2026-11-20T01:02:03.004Z"}`: {Kind: api.Completed, Distribution: "E1", ID: "I1", At: at},
	} {
		if got, err := json.Marshal(e); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}
