package apply_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/memcdn"
)

var invalidation = freshet.Invalidation{Distribution: "E1", CallerReference: "ref", Patterns: []freshet.Pattern{"/a"}}

// clocked notes when it is called.
type clocked struct {
	*memcdn.CDN
	began    time.Time
	sent     []time.Duration
	asked    []time.Duration
	statuses []freshet.Receipt // of the coming calls of Status, before memcdn's own
}

func newClocked() *clocked {
	return &clocked{CDN: memcdn.New(memcdn.Profile("E1")), began: time.Now()}
}

func (c *clocked) Invalidate(ctx context.Context, inv freshet.Invalidation) (freshet.Receipt, error) {
	c.sent = append(c.sent, time.Since(c.began))
	return c.CDN.Invalidate(ctx, inv)
}

func (c *clocked) Status(ctx context.Context, d, id string) (freshet.Receipt, error) {
	c.asked = append(c.asked, time.Since(c.began))
	if len(c.statuses) > 0 {
		r := c.statuses[0]
		c.statuses = c.statuses[1:]
		return r, nil
	}
	return c.CDN.Status(ctx, d, id)
}

func failure(class cdn.Class, after time.Duration) memcdn.Fault {
	return memcdn.Fault{Err: &cdn.Error{Class: class, RetryAfter: after, Err: errors.New("no")}}
}

func timed(t *testing.T, test func(*testing.T, *clocked)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newClocked()) })
}

func TestSendTriesTemporaryFailuresAgain(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		c.Fail(failure(cdn.Throttled, 0), failure(cdn.Busy, 0), failure(cdn.Unavailable, 0), memcdn.Fault{Err: errors.New("no class")})
		var told []error
		receipt, err := apply.Send(t.Context(), c, invalidation, apply.Retry{For: time.Minute, Each: func(inv freshet.Invalidation, err error) {
			if inv.CallerReference != "ref" {
				t.Errorf("told of %v", inv)
			}
			told = append(told, err)
		}})
		if err != nil || receipt.CallerReference != "ref" || len(c.sent) != 5 || len(told) != 4 {
			t.Fatalf("receipt %v, error %v after %d tries and %d notices", receipt, err, len(c.sent), len(told))
		}
		if c.sent[0] != 0 {
			t.Errorf("the first try waited %v", c.sent[0])
		}
		// The first wait is 100 ms give or take half, and each is half as long
		// again as the one before.
		for i, wait := 1, 100*time.Millisecond; i < len(c.sent); i, wait = i+1, wait*3/2 {
			if got := c.sent[i] - c.sent[i-1]; got < wait/2 || got > wait*3/2+time.Millisecond {
				t.Errorf("wait %d is %v, want %v give or take half", i, got, wait)
			}
		}
		if sent := c.Accepted(); len(sent) != 1 {
			t.Errorf("accepted %v", sent)
		}
	})
}

func TestSendWaitsAsLongAsTheCDNAsks(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		c.Fail(failure(cdn.Throttled, 7*time.Second), failure(cdn.Busy, 0))
		if _, err := apply.Send(t.Context(), c, invalidation, apply.Retry{For: time.Minute}); err != nil {
			t.Fatal(err)
		}
		if got := c.sent[1]; got != 7*time.Second {
			t.Errorf("tried again after %v, asked for 7s", got)
		}
		if got := c.sent[2] - c.sent[1]; got > time.Second {
			t.Errorf("then waited %v", got)
		}
	})
}

// An answer that was lost is asked for again under the same caller reference.
func TestSendDoublesNothing(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		c.Fail(memcdn.Fault{LoseAnswer: true}, memcdn.Fault{LoseAnswer: true})
		receipt, err := apply.Send(t.Context(), c, invalidation, apply.Retry{For: time.Minute})
		if err != nil || receipt.ID != "I1" || len(c.Accepted()) != 1 || c.Calls() != 3 {
			t.Errorf("receipt %v, error %v, %d accepted in %d calls", receipt, err, len(c.Accepted()), c.Calls())
		}
	})
}

func TestSendGivesUp(t *testing.T) {
	for _, class := range []cdn.Class{cdn.Rejected, cdn.TooLarge, cdn.NotFound, cdn.Denied, cdn.Conflict} {
		t.Run(string(class), func(t *testing.T) {
			timed(t, func(t *testing.T, c *clocked) {
				c.Fail(failure(class, time.Second))
				_, err := apply.Send(t.Context(), c, invalidation, apply.Retry{For: time.Minute, Each: func(freshet.Invalidation, error) {
					t.Error("told of a try that never comes")
				}})
				if cdn.ClassOf(err) != class || len(c.sent) != 1 || time.Since(c.began) != 0 {
					t.Errorf("%v after %d tries and %v", err, len(c.sent), time.Since(c.began))
				}
				if !strings.Contains(err.Error(), "send invalidation ref to E1: no") {
					t.Errorf("error %q", err)
				}
			})
		})
	}
}

func TestSendTriesForAWhile(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Second, 10 * time.Minute} {
		t.Run(limit.String(), func(t *testing.T) {
			timed(t, func(t *testing.T, c *clocked) {
				c.Fail(slices.Repeat([]memcdn.Fault{failure(cdn.Busy, 0)}, 1000)...)
				_, err := apply.Send(t.Context(), c, invalidation, apply.Retry{For: limit})
				if cdn.ClassOf(err) != cdn.Busy || time.Since(c.began) > limit {
					t.Errorf("%v after %v", err, time.Since(c.began))
				}
				if limit == 0 && len(c.sent) != 1 || limit > 0 && len(c.sent) < 4 {
					t.Errorf("%d tries", len(c.sent))
				}
				for i := 1; i < len(c.sent); i++ {
					if wait := c.sent[i] - c.sent[i-1]; wait > 46*time.Second {
						t.Errorf("wait %d is %v", i, wait)
					}
				}
			})
		})
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c.Fail(failure(cdn.Busy, time.Hour))
		_, err := apply.Send(ctx, c, invalidation, apply.Retry{For: 24 * time.Hour})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(c.began) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(c.began))
		}
	})
}

var profile = freshet.Profile{Distribution: "E1", PollEvery: 2 * time.Second, CompletionWithin: 10 * time.Minute}

// sent is a receipt of an invalidation that c completes after some time.
func sent(t *testing.T, c *clocked, completes time.Duration) freshet.Receipt {
	t.Helper()
	release := c.Hold()
	if completes >= 0 {
		time.AfterFunc(completes, release)
	}
	receipt, err := apply.Send(t.Context(), c, invalidation, apply.Retry{})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func TestWaitAsksLessAndLessOften(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		receipt := sent(t, c, 5*time.Minute)
		done, err := apply.Wait(t.Context(), c, receipt, profile)
		if err != nil || done.State != freshet.Completed || done.ID != receipt.ID || done.CallerReference != "ref" {
			t.Fatalf("receipt %v, error %v", done, err)
		}
		if c.asked[0] != 2*time.Second {
			t.Errorf("asked after %v, want PollEvery", c.asked[0])
		}
		wait := 2 * time.Second
		for i := 1; i < len(c.asked); i++ {
			if got := c.asked[i] - c.asked[i-1]; got < wait/2 || got > wait*3/2+time.Millisecond {
				t.Errorf("wait %d is %v, want %v give or take half", i, got, wait)
			}
			wait = min(wait*3/2, 30*time.Second)
		}
		if late := time.Since(c.began) - 5*time.Minute; late < 0 || late > 45*time.Second {
			t.Errorf("completion was seen %v late", late)
		}
	})
}

func TestWaitAsksAQuickCDNAtOnce(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		quick := profile
		quick.PollEvery = 2 * time.Millisecond
		if _, err := apply.Wait(t.Context(), c, sent(t, c, 0), quick); err != nil {
			t.Fatal(err)
		}
		if c.asked[0] != 0 {
			t.Errorf("asked after %v", c.asked[0])
		}
	})
}

func TestWaitTrustsACompletedReceipt(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		receipt := freshet.Receipt{Distribution: "E1", ID: "I9", State: freshet.Completed}
		if got, err := apply.Wait(t.Context(), c, receipt, profile); err != nil || got != receipt || len(c.asked) != 0 {
			t.Errorf("receipt %v, error %v, asked %d times", got, err, len(c.asked))
		}
	})
}

func TestWaitGivesUp(t *testing.T) {
	tests := []struct {
		name    string
		profile freshet.Profile
		most    time.Duration
	}{
		{"after CompletionWithin", profile, 10*time.Minute + profile.PollEvery},
		{"after a quarter of an hour by default", freshet.Profile{Distribution: "E1", PollEvery: time.Second}, 15*time.Minute + time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			timed(t, func(t *testing.T, c *clocked) {
				_, err := apply.Wait(t.Context(), c, sent(t, c, -1), tt.profile)
				if err == nil || !strings.Contains(err.Error(), "wait for invalidation I1 of E1: not completed within") {
					t.Errorf("error %v", err)
				}
				if took := time.Since(c.began); took > tt.most || took < tt.most-time.Minute {
					t.Errorf("took %v, want about %v", took, tt.most)
				}
			})
		})
	}
	t.Run("when the CDN forgot it", func(t *testing.T) {
		timed(t, func(t *testing.T, c *clocked) {
			_, err := apply.Wait(t.Context(), c, freshet.Receipt{Distribution: "E1", ID: "I9"}, profile)
			if cdn.ClassOf(err) != cdn.NotFound || len(c.asked) != 1 {
				t.Errorf("%v after %d questions", err, len(c.asked))
			}
		})
	})
	t.Run("when the CDN failed", func(t *testing.T) {
		timed(t, func(t *testing.T, c *clocked) {
			c.statuses = []freshet.Receipt{{State: freshet.Failed, Reason: "out of order"}}
			_, err := apply.Wait(t.Context(), c, sent(t, c, 0), profile)
			if err == nil || !strings.Contains(err.Error(), "the CDN reports failure: out of order") || len(c.asked) != 1 {
				t.Errorf("%v after %d questions", err, len(c.asked))
			}
		})
	})
}

func TestWaitOutlastsFailuresToAnswer(t *testing.T) {
	timed(t, func(t *testing.T, c *clocked) {
		c.FailStatus(errors.New("no answer"), &cdn.Error{Class: cdn.Throttled, RetryAfter: time.Minute, Err: errors.New("slow down")})
		receipt, err := apply.Wait(t.Context(), c, sent(t, c, 0), profile)
		if err != nil || receipt.State != freshet.Completed || len(c.asked) != 3 {
			t.Fatalf("receipt %v, error %v after %d questions", receipt, err, len(c.asked))
		}
		if wait := c.asked[2] - c.asked[1]; wait != time.Minute {
			t.Errorf("asked again after %v, the CDN wanted a minute", wait)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	for _, after := range []time.Duration{time.Second, time.Minute} {
		timed(t, func(t *testing.T, c *clocked) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			_, err := apply.Wait(ctx, c, sent(t, c, -1), profile)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(c.began) != after {
				t.Errorf("%v after %v", err, time.Since(c.began))
			}
		})
	}
}

// TestErrorsSayWhyTheContextEnded, such as that a person's time limit was over.
func TestErrorsSayWhyTheContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := errors.New("not done within a second")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, over)
		defer cancel()
		c := newClocked()
		slow := freshet.Profile{Distribution: "E1", PollEvery: time.Minute}
		if _, err := apply.Wait(ctx, c, freshet.Receipt{Distribution: "E1", ID: "I1"}, slow); !errors.Is(err, over) {
			t.Errorf("wait: %v", err)
		}
		if _, err := apply.Send(ctx, c, invalidation, apply.Retry{For: time.Minute}); !errors.Is(err, over) {
			t.Errorf("send: %v", err)
		}
	})
}
