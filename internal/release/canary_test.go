package release_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/release"
)

const begun, ended = "UpdateAlias live 1 map[2:0.1]", "UpdateAlias live 1 map[]"

func TestCanary(t *testing.T) {
	down := errors.New("status 502")
	for _, tt := range []struct {
		name    string
		sample  func(n int) error // nil: no probe
		measure func(n int) (requests, faults float64, err error)
		want    string // in the error; empty is success
		least   time.Duration
		most    time.Duration
	}{
		{name: "healthy", sample: func(int) error { return nil }, least: time.Minute, most: 70 * time.Second},
		{name: "one error of many is borne", sample: func(n int) error {
			if n == 30 {
				return down
			}
			return nil
		}, least: time.Minute, most: 70 * time.Second},
		{name: "sick at once", sample: func(int) error { return down }, want: "the canary failed: 2 probes of 2 failed", least: time.Second, most: 5 * time.Second},
		{name: "Lambda counts errors", sample: func(int) error { return nil }, measure: func(n int) (float64, float64, error) {
			return float64(100 * n), float64(3 * n * n), nil
		}, want: "the canary failed: 12 requests of 200 failed, as Lambda counted", least: 20 * time.Second, most: 25 * time.Second},
		{name: "Lambda counts none", measure: func(n int) (float64, float64, error) { return float64(100 * n), 0, nil }, least: time.Minute, most: 70 * time.Second},
		{name: "nobody came", measure: func(int) (float64, float64, error) { return 0, 0, nil }, least: time.Minute, most: 70 * time.Second},
		{name: "Lambda does not say", measure: func(int) (float64, float64, error) {
			return 0, 0, errors.New("cloudwatch:GetMetricData is not allowed")
		},
			want: "no way to see how the new version does: no probe, and cloudwatch:GetMetricData is not allowed", least: time.Minute, most: 70 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("live")
				change := func(r *release.Release) {
					r.Wanted.Canary, r.Wanted.CanaryFor, r.Wanted.Tolerate = 0.1, time.Minute, 0.05
					n, m := 0, 0
					if tt.sample != nil {
						r.Sample = func(context.Context) error { n++; return tt.sample(n) }
					}
					if tt.measure != nil {
						r.Measure = func(_ context.Context, version string, _ time.Time) (float64, float64, error) {
							if m++; version != "2" {
								t.Errorf("version %s was measured", version)
							}
							return tt.measure(m)
						}
					}
				}
				start := time.Now()
				err := w.run(t, -1, change)
				if took := time.Since(start); took < tt.least || took > tt.most {
					t.Errorf("it took %v", took)
				}
				if tt.want == "" {
					if err != nil || w.sent != 2 || w.early {
						t.Errorf("%v, %d invalidations", err, w.sent)
					}
					wantCalls(t, w, "UpdateFunctionCode NEW", "PublishVersion 2", begun, "UpdateAlias live 2 map[]")
					return
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "the alias live points to version 1; the new code is version 2; nothing was invalidated") || w.sent > 0 {
					t.Errorf("%v, want %q; %d invalidations", err, tt.want, w.sent)
				}
				wantCalls(t, w, "UpdateFunctionCode NEW", "PublishVersion 2", begun, ended)
				if err := w.run(t, -1, withCanary(0.1, time.Minute)); err != nil || w.sent != 2 || w.early {
					t.Errorf("released again: %v, %d invalidations", err, w.sent)
				}
				wantCalls(t, w, "UpdateFunctionCode NEW", "PublishVersion 2", begun, ended, begun, "UpdateAlias live 2 map[]")
			})
		})
	}
}

// A canary that is to be ended is ended by the next run where this one is killed,
// and gets its whole time where it is not.
func TestCanaryKilled(t *testing.T) {
	sick := func(r *release.Release) {
		r.Wanted.Canary, r.Wanted.CanaryFor = 0.1, 20*time.Second
		r.Sample = func(context.Context) error { return errors.New("status 502") }
	}
	for moments := 1; moments < 40; moments += 2 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("live")
			_ = w.run(t, moments, sick)
			err := w.run(t, -1, sick)
			version, weights := w.lambda.Alias("site", "live")
			if err == nil || version != "1" || len(weights) > 0 || w.sent > 0 {
				t.Errorf("killed after %d: %v; version %s, %v, %d invalidations", moments, err, version, weights, w.sent)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("live")
			start := time.Now()
			_ = w.run(t, moments, withCanary(0.1, 20*time.Second))
			err := w.run(t, -1, withCanary(0.1, 20*time.Second))
			if took := time.Since(start); err != nil || took < 20*time.Second {
				t.Errorf("killed after %d: %v after %v", moments, err, took)
			}
		})
	}
}

// Where the time of a canary passes while nobody looks at it, since the run was
// killed or the machine stood still, it is looked at before it gets all requests.
func TestCanaryIsSeenBeforeItGetsAll(t *testing.T) {
	for moments := 1; moments < 40; moments++ {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("live")
			_ = w.run(t, moments, withCanary(0.1, time.Minute))
			time.Sleep(time.Hour)
			err := w.run(t, -1, func(r *release.Release) {
				r.Wanted.Canary, r.Wanted.CanaryFor = 0.1, time.Minute
				r.Sample = func(context.Context) error { return errors.New("status 502") }
			})
			version, weights := w.lambda.Alias("site", "live")
			if err == nil || version != "1" || len(weights) > 0 || w.sent > 0 {
				t.Errorf("killed after %d: %v; version %s, %v, %d invalidations", moments, err, version, weights, w.sent)
			}
		})
	}
}
