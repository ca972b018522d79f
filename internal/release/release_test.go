package release_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"pgregory.net/rapid"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/release"
	"github.com/freshet/freshet/internal/release/lambdatest"
)

func wantCalls(t *testing.T, w *world, want ...string) {
	t.Helper()
	sha := lambdatest.SHA256(w.zip)
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], "NEW", sha)
	}
	if got := w.lambda.Calls(); !slices.Equal(got, want) {
		t.Errorf("Lambda was asked for\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestReleaseToAnAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("live")
		w.lambda.Provision("site", "live", 3)
		w.lambda.Next(lambdatest.Script{Takes: 4 * time.Second, Version: 3 * time.Second, Shared: 10 * time.Second, Lags: 30 * time.Second})
		began := time.Now()
		if err := w.run(t, -1, nil); err != nil {
			t.Fatal(err)
		}
		wantCalls(t, w, "UpdateFunctionCode NEW", "PublishVersion 2", "UpdateAlias live 2 map[]")
		if w.sent != 2 || w.early {
			t.Errorf("%d invalidations, early %v", w.sent, w.early)
		}
		if took := time.Since(began); took < 37*time.Second || took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if j := w.journal; !j.Finished() || j.Version != "2" || j.Before.Version != "1" || len(j.Receipts) != 2 || j.Receipts[1].State != freshet.Completed {
			t.Errorf("%+v", j)
		}
		// Once more: nothing is left to do, with the journal and without.
		for range 2 {
			if err := w.run(t, -1, nil); err != nil {
				t.Fatal(err)
			}
			wantCalls(t, w, "UpdateFunctionCode NEW", "PublishVersion 2", "UpdateAlias live 2 map[]")
			if w.sent != 2 {
				t.Errorf("%d invalidations", w.sent)
			}
			w.journal = release.Journal{}
		}
	})
}

func TestReleaseWithoutAnAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("")
		w.lambda.Next(lambdatest.Script{Takes: 4 * time.Second})
		for range 2 {
			if err := w.run(t, -1, nil); err != nil {
				t.Fatal(err)
			}
			wantCalls(t, w, "UpdateFunctionCode NEW")
			if w.sent != 2 || w.early {
				t.Errorf("%d invalidations, early %v", w.sent, w.early)
			}
		}
	})
}

// A failed update leaves cache, alias and the old code alone, says why, and is
// tried anew by the next run.
func TestFailedUpdate(t *testing.T) {
	for _, alias := range []string{"", "live"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(alias)
			w.lambda.Next(lambdatest.Script{Takes: 4 * time.Second, Failed: "ImageAccessDenied"})
			err := w.run(t, -1, nil)
			var stopped *release.Stopped
			if !errors.As(err, &stopped) || w.sent > 0 || !strings.Contains(err.Error(), "may not read the container image") || !strings.Contains(err.Error(), "nothing was invalidated") {
				t.Fatalf("%v, %d invalidations", err, w.sent)
			}
			if alias != "" && !strings.Contains(err.Error(), "the alias live points to version 1") {
				t.Error(err)
			}
			wantCalls(t, w, "UpdateFunctionCode NEW")
			w.lambda.Next(lambdatest.Script{Takes: 4 * time.Second})
			if err := w.run(t, -1, nil); err != nil || w.sent != 2 || w.early {
				t.Errorf("%v, %d invalidations, early %v", err, w.sent, w.early)
			}
		})
	}
}

func TestThatNeverEnds(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("live")
			w.lambda.Next(lambdatest.Script{Takes: time.Hour, Silent: silent})
			began := time.Now()
			err := w.run(t, -1, nil)
			if err == nil || w.sent > 0 || !strings.Contains(err.Error(), "the update of site did not end within 5m0s; last seen: LastUpdateStatus ") || !strings.Contains(err.Error(), "run the same command again") {
				t.Errorf("%v, %d invalidations", err, w.sent)
			}
			if took := time.Since(began); took < 5*time.Minute || took > 6*time.Minute {
				t.Errorf("it took %v", took)
			}
			time.Sleep(time.Hour)
			if err := w.run(t, -1, nil); err != nil || w.sent != 2 {
				t.Errorf("%v, %d invalidations", err, w.sent)
			}
			wantCalls(t, w, "UpdateFunctionCode NEW", "PublishVersion 2", "UpdateAlias live 2 map[]")
		})
	}
}

// An origin that goes on with the old code for too long: the release stops
// before the cache, and goes on from there.
func TestOldCodeGoesOnAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("live")
		w.lambda.Next(lambdatest.Script{Lags: 10 * time.Minute})
		err := w.run(t, -1, nil)
		if err == nil || w.sent > 0 || !strings.Contains(err.Error(), "the new code was not seen at the origin") ||
			!strings.Contains(err.Error(), "--function-version 1 --routing-config") {
			t.Errorf("%v, %d invalidations", err, w.sent)
		}
		time.Sleep(6 * time.Minute)
		if err := w.run(t, -1, nil); err != nil || w.sent != 2 || w.early {
			t.Errorf("%v, %d invalidations, early %v", err, w.sent, w.early)
		}
	})
}

// Lambda pushes back, fails, and loses answers.
func TestFaultsAreOvercome(t *testing.T) {
	faults := []*lambdatest.Fault{
		{Status: 409, Code: "ResourceConflictException"},
		{Status: 412, Code: "PreconditionFailedException"},
		{Status: 429, Code: "TooManyRequestsException"},
		{Status: 500, Code: "ServiceException"},
		{},
		{Done: true},
		{Done: true, Status: 500, Code: "ServiceException"},
		nil, nil, nil, nil, nil, nil,
	}
	rapid.Check(t, func(rt *rapid.T) {
		script := lambdatest.Script{
			Takes: time.Duration(rapid.IntRange(0, 30).Draw(rt, "takes")) * time.Second, Silent: rapid.Bool().Draw(rt, "silent"),
			Version: time.Duration(rapid.IntRange(0, 5).Draw(rt, "version")) * time.Second, Lags: time.Duration(rapid.IntRange(0, 20).Draw(rt, "lags")) * time.Second,
		}
		alias := rapid.SampledFrom([]string{"", "live"}).Draw(rt, "alias")
		canary := rapid.SampledFrom([]float64{0, 0.1}).Draw(rt, "canary")
		plan := rapid.SliceOfN(rapid.IntRange(0, len(faults)-1), 0, 40).Draw(rt, "faults")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(alias)
			w.lambda.Next(script)
			n := 0
			w.lambda.Break(func(string, int) *lambdatest.Fault {
				if n++; n > len(plan) {
					return nil
				}
				return faults[plan[n-1]]
			})
			err := w.run(t, -1, withCanary(canary, 10*time.Second))
			if err != nil || w.sent != 2 || w.early {
				rt.Errorf("%v, %d invalidations, early %v", err, w.sent, w.early)
			}
			if sha, _ := w.lambda.Answers("site", alias); sha != lambdatest.SHA256(w.zip) {
				rt.Errorf("the old code answers")
			}
			if calls := w.lambda.Calls(); alias == "live" && len(calls) != 3+int(canary*10) || alias == "" && len(calls) != 1 {
				rt.Errorf("%s", strings.Join(calls, "\n"))
			}
		})
	})
}

// Killed at any moment, any number of times, with its journal or without, the
// next run goes on: nothing is invalidated before the new code answers, nothing
// twice, and no code is uploaded or published twice.
func TestPromiseAReleaseGoesOn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := lambdatest.Script{
			Takes: time.Duration(rapid.IntRange(0, 30).Draw(rt, "takes")) * time.Second, Version: time.Duration(rapid.IntRange(0, 5).Draw(rt, "version")) * time.Second,
			Lags: time.Duration(rapid.IntRange(0, 20).Draw(rt, "lags")) * time.Second,
		}
		alias := rapid.SampledFrom([]string{"", "live", "live"}).Draw(rt, "alias")
		canary := rapid.SampledFrom([]float64{0, 0, 0.1}).Draw(rt, "canary")
		kills := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 12).Draw(rt, "kills")
		lost := rapid.IntRange(0, 12).Draw(rt, "journal lost before run")
		keeps := rapid.Bool().Draw(rt, "journal kept")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(alias)
			w.lambda.Next(script)
			change := withCanary(canary, 5*time.Second)
			for i, moments := range append(kills, -1) {
				if i == lost && !keeps {
					w.journal = release.Journal{}
				}
				err := w.run(t, moments, change)
				if moments < 0 && err != nil {
					rt.Errorf("the last run: %v\n%s", err, strings.Join(w.events, "\n"))
				}
			}
			if w.sent != 2 || w.early || len(w.receipt) != 2 {
				rt.Errorf("%d invalidations under %d references, early %v", w.sent, len(w.receipt), w.early)
			}
			var updates, published int
			for _, c := range w.lambda.Calls() {
				if strings.HasPrefix(c, "Update"+"FunctionCode") {
					updates++
				}
				if strings.HasPrefix(c, "Publish") {
					published++
				}
			}
			if updates != 1 || alias != "" && published != 1 {
				rt.Errorf("%s", strings.Join(w.lambda.Calls(), "\n"))
			}
			if sha, _ := w.lambda.Answers("site", alias); sha != lambdatest.SHA256(w.zip) {
				rt.Errorf("the old code answers")
			}
		})
	})
}

// What others do meanwhile is not overwritten silently.
func TestOthers(t *testing.T) {
	other := []byte("somebody else's code")
	for _, tt := range []struct {
		name string
		op   string // before which somebody does it
		do   func(w *world)
		want string // in the error; empty is success
	}{
		{"another configuration before the update", "UpdateFunctionCode", func(w *world) { w.lambda.Configure("site") }, ""},
		{"other code before the update", "UpdateFunctionCode", func(w *world) { w.lambda.Replace("site", other) }, "somebody else has replaced the code"},
		{"other code before it is published", "PublishVersion", func(w *world) { w.lambda.Replace("site", other) }, "somebody else has replaced the code"},
		{"another alias before the switch", "UpdateAlias", func(w *world) {
			move(w, `{"FunctionVersion":"2","RoutingConfig":{"AdditionalVersionWeights":{"1":0.5}}}`)
		}, "somebody else has moved the alias live: it points to version 2 and sends 50 % to version 1"},
		{"the same alias before the switch", "UpdateAlias", func(w *world) { move(w, `{"FunctionVersion":"2"}`) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("live")
				done := false
				r := w.release(nil)
				r.Lambda = before{r.Lambda, tt.op, func() {
					if !done {
						done = true
						tt.do(w)
					}
				}}
				_, err := r.Run(t.Context())
				switch {
				case !done:
					t.Error("it was not done")
				case tt.want == "" && (err != nil || w.sent != 2 || w.early):
					t.Errorf("%v, %d invalidations", err, w.sent)
				case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || w.sent > 0):
					t.Errorf("%v, want %q; %d invalidations", err, tt.want, w.sent)
				}
				// A run after that is a new release, which replaces what others did.
				if err := w.run(t, -1, nil); tt.want != "" && strings.Contains(tt.want, "code") && (err != nil || w.sent != 2 || w.early) {
					t.Errorf("once more: %v, %d invalidations", err, w.sent)
				}
			})
		})
	}
}

func move(w *world, body string) {
	call(w.lambda, http.MethodPut, "/2015-03-31/functions/site/aliases/live", body)
}

func TestRefusesBeforeAnythingIsDone(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(w *world, r *release.Release)
		want string
	}{
		{"no function", func(_ *world, r *release.Release) { r.Wanted.Function = "nosite" }, "are name, region and account right"},
		{"no alias", func(_ *world, r *release.Release) { r.Wanted.Alias = "lief" }, "aws lambda create-alias --function-name site --name lief"},
		{"somebody's canary", func(w *world, _ *release.Release) {
			w.lambda.Replace("site", []byte("third"))
			call(w.lambda, http.MethodPost, "/2015-03-31/functions/site/versions", "{}")
			move(w, `{"RoutingConfig":{"AdditionalVersionWeights":{"2":0.5}}}`)
		}, "somebody else's canary is under way"},
		{"denied", func(w *world, _ *release.Release) {
			w.lambda.Break(func(op string, _ int) *lambdatest.Fault {
				if op == "UpdateFunctionCode" {
					return &lambdatest.Fault{Status: 403, Code: "AccessDeniedException"}
				}
				return nil
			})
		}, "lambda:UpdateFunctionCode"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("live")
				r := w.release(nil)
				tt.set(w, r)
				calls := len(w.lambda.Calls())
				_, err := r.Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), tt.want) || w.sent > 0 || len(w.lambda.Calls()) != calls {
					t.Errorf("%v, want %q; %v, %d invalidations", err, tt.want, w.lambda.Calls(), w.sent)
				}
			})
		})
	}
}

// The edge is looked at, and warmed, when the invalidation is completed. What it
// goes on with is invalidated once more, under other caller references; if that
// does not help it is named, and looked at again by the next run, which sends
// nothing.
func TestStaleAtTheEdge(t *testing.T) {
	for name, tt := range map[string]struct {
		stale        int // looks that see the old copies
		sent         int
		first, again string // parts of the errors of two runs
		looks        int    // by both together
	}{
		"fresh":              {stale: 0, sent: 2, looks: 1},
		"until it is again":  {stale: 1, sent: 4, looks: 2},
		"until somebody did": {stale: 2, sent: 4, first: "https://www.example.com/a; the alias live points to version 2; the invalidations are completed", looks: 3},
		"for ever":           {stale: 9, sent: 4, first: "the same command again looks once more", again: "still served from before", looks: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("live")
				looks, warmed := 0, 0
				set := func(r *release.Release) {
					r.Wanted.Verify, r.Wanted.Warm = true, true
					r.Verify = func(_ context.Context, j release.Journal) error {
						if len(j.Receipts) != 2 || j.Receipts[1].State != freshet.Completed || j.Planned.IsZero() || j.Repeated != (looks > 0) {
							t.Errorf("it was looked at before it was clear: %+v", j)
						}
						if looks++; looks <= tt.stale {
							return &release.Stale{Seen: []string{"https://www.example.com/a"}}
						}
						return nil
					}
					r.Warm = func(context.Context, release.Journal) error { warmed++; return nil }
				}
				for _, want := range []string{tt.first, tt.again} {
					err := w.run(t, -1, set)
					var stale *release.Stale
					if errors.As(err, &stale) != (want != "") || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
						t.Errorf("%v, want %q", err, want)
					}
					if (err == nil) != (warmed == 1) {
						t.Errorf("warmed %d times, %v", warmed, err)
					}
				}
				if w.sent != tt.sent || len(w.receipt) != tt.sent || looks != tt.looks {
					t.Errorf("%d invalidations under %d references, %d looks", w.sent, len(w.receipt), looks)
				}
			})
		})
	}
}

// Killed at any moment, what was seen stale is invalidated once more, and only
// once.
func TestPromiseStaleIsInvalidatedOnceMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kills := rapid.SliceOfN(rapid.IntRange(1, 40), 0, 12).Draw(rt, "kills")
		helps := rapid.Bool().Draw(rt, "it helps")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("live")
			set := func(r *release.Release) {
				r.Wanted.Verify = true
				r.Verify = func(context.Context, release.Journal) error {
					if _, heard := w.moment(); !heard {
						return errKilled
					}
					if helps && w.sent == 4 {
						return nil
					}
					return &release.Stale{Seen: []string{"/a"}}
				}
			}
			for _, moments := range append(kills, -1) {
				err := w.run(t, moments, set)
				if moments < 0 && (err == nil) != helps {
					rt.Errorf("the last run: %v\n%s", err, strings.Join(w.events, "\n"))
				}
			}
			if w.sent != 4 || len(w.receipt) != 4 || w.early {
				rt.Errorf("%d invalidations under %d references, early %v", w.sent, len(w.receipt), w.early)
			}
		})
	})
}

// What may be missing among the permissions is left out, and said.
func TestConcurrencyMayNotBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("live")
		w.lambda.Break(func(op string, _ int) *lambdatest.Fault {
			if op == "GetProvisionedConcurrencyConfig" {
				return &lambdatest.Fault{Status: 403, Code: "AccessDeniedException"}
			}
			return nil
		})
		err := w.run(t, -1, nil)
		if said := strings.Join(w.events, "\n"); err != nil || strings.Count(said, "lambda:GetProvisionedConcurrencyConfig") != 1 {
			t.Errorf("%v\n%s", err, said)
		}
	})
}

// before does something before a call.
type before struct {
	release.Functions
	op string
	do func()
}

func (b before) at(op string) {
	if op == b.op {
		b.do()
	}
}

func (b before) UpdateFunctionCode(ctx context.Context, in *lambda.UpdateFunctionCodeInput, options ...func(*lambda.Options)) (*lambda.UpdateFunctionCodeOutput, error) {
	b.at("UpdateFunctionCode")
	return b.Functions.UpdateFunctionCode(ctx, in, options...)
}

func (b before) PublishVersion(ctx context.Context, in *lambda.PublishVersionInput, options ...func(*lambda.Options)) (*lambda.PublishVersionOutput, error) {
	b.at("PublishVersion")
	return b.Functions.PublishVersion(ctx, in, options...)
}

func (b before) UpdateAlias(ctx context.Context, in *lambda.UpdateAliasInput, options ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error) {
	b.at("UpdateAlias")
	return b.Functions.UpdateAlias(ctx, in, options...)
}

func call(l *lambdatest.Lambda, method, path, body string) {
	w := httptest.NewRecorder()
	if l.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body))); w.Code >= 300 {
		panic(w.Body.String())
	}
}

// withCanary has a canary watched whose requests all succeed.
func withCanary(share float64, takes time.Duration) func(*release.Release) {
	return func(r *release.Release) {
		r.Wanted.Canary, r.Wanted.CanaryFor = share, takes
		r.Sample = func(context.Context) error { return nil }
	}
}
