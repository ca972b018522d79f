package conduct_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/shelf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func first() site {
	return site{"a.css": {"a", ""}, "b.css": {"b", "no-store"}, "index.html": {"1", ""}, "gone.html": {"x", ""}, "same.html": {"same", ""}}
}

func second() site {
	return site{"a.css": {"a", "max-age=5"}, "b.css": {"b2", "no-store"}, "index.html": {"2", ""}, "new.html": {"n", ""}, "same.html": {"same", ""}}
}

func third() site {
	return site{"a.css": {"a", "max-age=6"}, "index.html": {"3", ""}, "new.html": {"n", ""}, "same.html": {"same", ""}, "late.html": {"l", ""}}
}

// holds wants the bucket to hold the site and nothing else.
func (w *world) holds(s site) (problems []string) {
	for key, v := range s {
		if o, ok := w.objects[key]; !ok || o.text != v[0] || o.served.CacheControl != v[1] {
			problems = append(problems, fmt.Sprintf("%s holds %+v, not %q", key, o, v))
		}
	}
	for key := range w.objects {
		if _, ok := s[key]; !ok {
			problems = append(problems, key+" is still there")
		}
	}
	return problems
}

// fresh wants every write to be followed by an invalidation, and no key to be
// invalidated more often than it was written. Where a second is too coarse to
// tell whether a write took place, better once too often than not at all.
func (w *world) fresh() (problems []string) {
	for key, writes := range w.written {
		last, covering := -1, 0
		for _, inv := range w.sent {
			if slices.Contains(inv.Patterns, freshet.Pattern("/"+key)) {
				covering++
				last = max(last, inv.at)
			}
		}
		if last < writes[len(writes)-1] {
			problems = append(problems, fmt.Sprintf("%s was written at %v, and invalidated last at %d", key, writes, last))
		}
		if covering > len(writes)+w.coarse {
			problems = append(problems, fmt.Sprintf("%s was written %d times and invalidated %d times", key, len(writes), covering))
		}
	}
	return problems
}

func TestDeploy(t *testing.T) {
	w := newWorld()
	for i, s := range []site{first(), second(), third(), third()} {
		results, err := w.run(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if problems := append(w.holds(s), w.fresh()...); len(problems) > 0 {
			t.Errorf("deploy %d: %s", i, strings.Join(problems, "\n"))
		}
		if i == 3 && len(results) != 0 {
			t.Errorf("nothing has changed, and it did %+v", results)
		}
		if i < 3 && (len(results) != 1 || results[0].Deploy.Phase != deploy.Verified || results[0].Deploy.Verified.ID != results[0].Deploy.ID) {
			t.Errorf("%+v", results)
		}
		w.now += 10
	}
	if w.heads > 0 {
		t.Errorf("%d questions were asked that the manifest answers", w.heads)
	}
}

// A dry run has the very plan that is sent.
func TestDryRunIsTheTruth(t *testing.T) {
	w := newWorld()
	if _, err := w.run(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	w.now += 10
	dry, err := conduct.Prepare(t.Context(), w.config(second()))
	if err != nil {
		t.Fatal(err)
	}
	before := len(w.sent)
	results, err := w.run(t.Context(), second())
	if err != nil {
		t.Fatal(err)
	}
	text := func(p *freshet.Plan) string { return fmt.Sprintf("%+v", *p) }
	if results[0].Deploy.ID != dry.Deploy.ID || text(results[0].Deploy.Plan) != text(dry.Deploy.Plan) {
		t.Errorf("planned %s\nsent %s", text(dry.Deploy.Plan), text(results[0].Deploy.Plan))
	}
	for i, inv := range dry.Deploy.Plan.Invalidations {
		if sent := w.sent[before+i].Invalidation; fmt.Sprintf("%+v", sent) != fmt.Sprintf("%+v", inv) {
			t.Errorf("planned %+v, sent %+v", inv, sent)
		}
	}
}

// A deploy dies at any call, before or after its effect, and then another one
// dies: of the same site, another or the one before. The last one gets through.
// Nothing is missing then and nothing doubled.
func TestPromiseNothingIsLostOrDoubled(t *testing.T) {
	for stride, opaque := range map[int]bool{1: false, 3: true} {
		base := newWorld()
		base.opaque = opaque
		if _, err := base.run(t.Context(), first()); err != nil {
			t.Fatal(err)
		}
		most := 0
		for name, next := range map[string]site{"the same": second(), "another": third(), "back": first()} {
			for _, after := range []bool{false, true} {
				for at := 1; ; at += stride * pace(name) {
					w := again(t, opaque)
					died := w.dies(t, second(), at, after, at%3) // within a second or later
					if !died {
						most = max(most, at-1)
						break
					}
					if at%2 == 0 {
						w.dies(t, next, 1+rand.IntN(most+10), rand.IntN(2) == 0, rand.IntN(3))
					}
					w.rebirth(int64(100 + at%3))
					if _, err := w.run(t.Context(), next); err != nil {
						t.Fatalf("%s after death at call %d (after: %v): %v", name, at, after, err)
					}
					if problems := append(w.holds(next), w.fresh()...); len(problems) > 0 {
						t.Fatalf("%s after death at call %d (after: %v, opaque: %v):\n%s", name, at, after, opaque, strings.Join(problems, "\n"))
					}
				}
			}
		}
		if most < 15 {
			t.Errorf("a deploy has only %d calls to die at", most)
		}
	}
}

// pace skips some of the calls to die at where others have been through them.
func pace(name string) int {
	if name == "the same" {
		return 1
	}
	return 3
}

// again is a world in which the first site is deployed.
func again(t *testing.T, opaque bool) *world {
	w := newWorld()
	w.opaque = opaque
	if _, err := w.run(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	return w
}

// dies deploys until it dies at a call, and reports false if it got through
// before.
func (w *world) dies(t *testing.T, s site, at int, after bool, later int) bool {
	// Within a second of what was before, or once the lock has run out.
	w.rebirth([]int64{0, 1, 100}[later])
	if later == 0 {
		w.coarse++
	}
	delete(w.shelf, "lock")
	w.dieAt, w.after = at, after
	_, err := w.run(t.Context(), s)
	if err == nil {
		return w.dead
	}
	if !errors.Is(err, errDead) {
		t.Fatalf("death at call %d: %v", at, err)
	}
	return true
}

// Two at once: one deploys, the other is told who does.
func TestTwoAtOnce(t *testing.T) {
	w := newWorld()
	slow := w.config(first())
	opened, goOn := make(chan struct{}), make(chan struct{})
	send := slow.Line.Send
	slow.Line.Send = nil
	slow.Line.Plan = func(c []freshet.Change, h []deploy.Present) (freshet.Plan, error) { return plan(c, h) }
	slow.Report = func(e conduct.Event) {
		if e.Stage == conduct.Sending && e.Done == nil && opened != nil {
			close(opened)
			opened = nil
			<-goOn
		}
	}
	slow.Line.Send = send
	p, err := conduct.Prepare(t.Context(), slow)
	if err != nil {
		t.Fatal(err)
	}
	q, err := conduct.Prepare(t.Context(), w.config(second()))
	if err != nil {
		t.Fatal(err)
	}
	done, begun := make(chan error, 1), opened
	go func() {
		_, err := p.Run(t.Context(), nil)
		done <- err
	}()
	<-begun
	_, err = q.Run(t.Context(), nil)
	var held *shelf.Held
	if !errors.As(err, &held) || held.Holder != "test" {
		t.Errorf("the second: %v", err)
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Prepared before the first was through, it looks again.
	agreed := 0
	if _, err := q.Run(t.Context(), func(*conduct.Prepared) error { agreed++; return nil }); err != nil || agreed != 1 {
		t.Errorf("%v, agreed %d times", err, agreed)
	}
	if problems := append(w.holds(second()), w.fresh()...); len(problems) > 0 {
		t.Error(strings.Join(problems, "\n"))
	}
}

// What others did to the bucket since is noticed.
func TestOthersWrite(t *testing.T) {
	w := newWorld()
	if _, err := w.run(t.Context(), first()); err != nil {
		t.Fatal(err)
	}
	w.now += 10
	w.write("a.css", "somebody else's", deploy.Served{})
	w.write("b.css", "b", deploy.Served{Type: "text/plain", CacheControl: "of somebody else"})
	w.write("index.html", "1", deploy.Served{Type: "text/plain"})
	delete(w.objects, "same.html")
	w.written, w.sent = make(map[string][]int), nil
	results, err := w.run(t.Context(), first())
	if err != nil {
		t.Fatal(err)
	}
	if problems := append(w.holds(first()), w.fresh()...); len(problems) > 0 {
		t.Error(strings.Join(problems, "\n"))
	}
	if n := len(results[0].Deploy.Steps); n != 3 || w.heads != 2 {
		t.Errorf("%d steps, %d questions: %+v", n, w.heads, results[0].Deploy.Steps)
	}
}

// What is seen stale after completion is invalidated once more, under another
// reference, and only once.
func TestStale(t *testing.T) {
	for stubborn, phase := range map[int]deploy.Phase{1: deploy.Verified, 5: deploy.Completed} {
		w := newWorld()
		cfg := w.config(first())
		looks := 0
		cfg.Line.Verify = func(context.Context, *deploy.Deploy) (verdicts []freshet.Verdict, err error) {
			looks++
			for _, key := range []string{"a.css", "b.css"} {
				v := freshet.Verdict{Target: freshet.Target{Key: key}, State: freshet.Fresh}
				if key == "a.css" && looks <= stubborn {
					v.State = freshet.Stale
				}
				verdicts = append(verdicts, v)
			}
			return verdicts, nil
		}
		cfg.Line.Repeat = func(stale []freshet.Change) (freshet.Plan, error) {
			if len(stale) != 1 || stale[0].Key != "a.css" {
				t.Errorf("stale: %+v", stale)
			}
			p, err := plan(stale, nil)
			p.Invalidations[0].CallerReference += "-again"
			return p, err
		}
		p, err := conduct.Prepare(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		results, err := p.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if last := w.sent[len(w.sent)-1]; looks != 2 || len(w.sent) != 4 || !strings.HasSuffix(last.CallerReference, "-again") {
			t.Errorf("looked %d times, sent %d, the last %+v", looks, len(w.sent), last)
		}
		if d := results[0].Deploy; d.Phase != phase || !d.Over || (d.Verified != nil) != (phase == deploy.Verified) || (len(d.Unproven) > 0) != (phase != deploy.Verified) {
			t.Errorf("%+v", d)
		}
		// The next deploy of the same invalidates what was stale to the end, and
		// nothing else; then there is nothing to do.
		for i, want := range []bool{phase != deploy.Verified, false} {
			looks, before := 9, len(w.sent)
			cfg.Line.Verify = func(_ context.Context, d *deploy.Deploy) (verdicts []freshet.Verdict, err error) {
				if looks++; len(d.Changes) != 1 || d.Changes[0].Key != "a.css" {
					t.Errorf("looked at %+v", d.Changes)
				}
				return w.verify(t.Context(), d)
			}
			p, err := conduct.Prepare(t.Context(), cfg)
			if err != nil || p.Nothing() == want {
				t.Fatalf("run %d: nothing to do is %v, %v", i, p.Nothing(), err)
			}
			if _, err := p.Run(t.Context(), nil); err != nil || (len(w.sent) == before+1) != want || (looks == 10) != want {
				t.Errorf("run %d: %d sent, looked %d times, %v", i, len(w.sent)-before, looks-9, err)
			}
		}
	}
}

// A deploy whose invalidations are somebody else's is verified when somebody has
// looked, and only then. What was not seen fresh is looked at by the next one.
func TestElsewhere(t *testing.T) {
	stale := func(_ context.Context, d *deploy.Deploy) (verdicts []freshet.Verdict, _ error) {
		for _, c := range d.Changes {
			v := freshet.Verdict{Target: freshet.Target{Key: c.Key}, State: freshet.Fresh}
			if c.Key == "a.css" {
				v.State = freshet.Stale
			}
			verdicts = append(verdicts, v)
		}
		return verdicts, nil
	}
	fresh := func(_ context.Context, d *deploy.Deploy) ([]freshet.Verdict, error) {
		return []freshet.Verdict{{Target: freshet.Target{Key: "a.css"}, State: freshet.Fresh}}, nil
	}
	unseen := func(context.Context, *deploy.Deploy) ([]freshet.Verdict, error) { return nil, conduct.ErrUnseen }
	for name, tt := range map[string]struct {
		follow   []func(context.Context, *deploy.Deploy) ([]freshet.Verdict, error)
		looks    []bool // which of the deploys of the same site had anything to do
		verified bool
	}{
		"seen":                  {follow: []func(context.Context, *deploy.Deploy) ([]freshet.Verdict, error){fresh, fresh}, looks: []bool{true, false}, verified: true},
		"nobody looks":          {follow: []func(context.Context, *deploy.Deploy) ([]freshet.Verdict, error){unseen, fresh}, looks: []bool{true, false}},
		"stale, and then fresh": {follow: []func(context.Context, *deploy.Deploy) ([]freshet.Verdict, error){stale, stale, fresh, fresh}, looks: []bool{true, true, true, false}, verified: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			for i, follow := range tt.follow {
				cfg := w.config(first())
				cfg.Line = conduct.Line{Plan: plan, Follow: follow}
				p, err := conduct.Prepare(t.Context(), cfg)
				if err != nil || p.Nothing() == tt.looks[i] {
					t.Fatalf("deploy %d: nothing to do is %v, %v", i, p.Nothing(), err)
				}
				if _, err := p.Run(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			last, err := documents{w}.Get(t.Context(), conduct.DeployName)
			if err != nil {
				t.Fatal(err)
			}
			d, err := deploy.DecodeDeploy(last.Text)
			if err != nil || !d.Over || (d.Verified != nil) != tt.verified || len(d.Unproven) > 0 || len(w.sent) > 0 {
				t.Errorf("%+v, %v, %d sent", d, err, len(w.sent))
			}
		})
	}
}
