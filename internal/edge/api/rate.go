package api

import "time"

// rate is the newer quota: so many patterns a second for the whole account, and
// so many wildcards. What burst CloudFront allows is not published. Here a batch
// is let in when nothing is owed, and then owes all it has, so that in the long
// run the rate holds and a batch of any allowed size can be sent.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
type rate struct {
	patterns, wildcards debt
}

// debt is paid off with time.
type debt struct {
	perSecond float64
	paid      time.Time // when nothing is owed any more
}

func newRate(l Limits) *rate {
	return &rate{patterns: debt{perSecond: float64(l.PatternsPerSecond)}, wildcards: debt{perSecond: float64(l.WildcardsPerSecond)}}
}

// take lets a batch in and charges it, or throttles it and charges nothing.
func (r *rate) take(patterns, wildcards int, now time.Time) error {
	if r.patterns.owes(now) || wildcards > 0 && r.wildcards.owes(now) {
		return ErrThrottled()
	}
	r.patterns.charge(patterns, now)
	r.wildcards.charge(wildcards, now)
	return nil
}

func (d *debt) owes(now time.Time) bool { return now.Before(d.paid) }

// charge allows what a second does before anything is owed.
func (d *debt) charge(n int, now time.Time) {
	if n == 0 {
		return
	}
	if free := now.Add(-time.Second); d.paid.Before(free) {
		d.paid = free
	}
	d.paid = d.paid.Add(time.Duration(float64(n) / d.perSecond * float64(time.Second)))
}
