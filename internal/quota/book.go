package quota

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
)

// book is the record that all senders of one account share. Its methods are
// pure: time comes in, and nothing goes out.
type book struct {
	Recent []spending `json:"recent,omitempty"` // what counts for the rates

	Pace    float64   `json:"pace"`              // share of the rates in use; 1 unless the CDN pushes back
	Resume  time.Time `json:"resume,omitzero"`   // nothing is sent before, since the CDN pushed back
	Strikes int       `json:"strikes,omitempty"` // since something was accepted: how often it said that it was too much
	Failed  int       `json:"failed,omitempty"`  // and how often it failed

	Windows map[string]window `json:"windows,omitempty"` // of each distribution

	Month   string   `json:"month,omitempty"`   // 2026-11
	Spent   int      `json:"spent,omitempty"`   // paths charged for in it
	Charged []uint32 `json:"charged,omitempty"` // sums of the caller references that were charged for last, the newest at the end

	revision string
	read     bool
	pauses   time.Duration // the first after a push-back
}

// spending is a request that counts for the rates. How long it does is known
// when it was answered: only then it is certain that the CDN has counted it.
type spending struct {
	Use
	Reference string    `json:"r"`
	Until     time.Time `json:"u"`          // for patterns and wildcards
	Call      time.Time `json:"c,omitzero"` // for requests
}

// window is what is in progress at a distribution.
type window struct {
	Known  map[string]progress `json:"known,omitempty"` // by ID, and by caller reference what has no answer yet
	Pace   float64             `json:"pace"`            // share of the window in use
	Looked time.Time           `json:"looked,omitzero"` // at what others have in progress

	Resume  time.Time `json:"resume,omitzero"`   // nothing is sent before, since too much was in progress
	Strikes int       `json:"strikes,omitempty"` // such push-backs in a row
	Doubt   bool      `json:"doubt,omitempty"`   // more is in progress than is known
}

type progress struct {
	Use
	At     time.Time `json:"at"`
	Others bool      `json:"o,omitempty"` // somebody else has sent it
	Taken  bool      `json:"t,omitempty"` // it is not under way any more: if the CDN has taken it, it is in its list
}

const (
	requestsAtOnce = 5                // beyond some six quick calls, throttling is reported
	answered       = 30 * time.Second // within which a request is, or nobody waits for it any more
	slowest        = 1.0 / 4
	throttled      = 1.0 / 2 // what is left of the pace
	failing        = 3.0 / 4 // of the pace at most, while the CDN fails: that does not say that it was too much
	troubled       = 3.0 / 4
	faster         = 1.0 / 4
	forgotten      = 15 * time.Minute // after which nothing is in progress any more, whoever died without telling
	ahead          = 10 * time.Minute // that a pause, or what a request counts for, never lasts
	bulkShare      = 0.9              // of a window; the rest is for urgent requests
)

func readBook(text []byte, revision string, now time.Time) (book, error) {
	k := book{Pace: 1}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &k); err != nil {
			return book{}, fmt.Errorf("read the quota's record: %w", err)
		}
	}
	if k.Windows == nil {
		k.Windows = make(map[string]window)
	}
	k.revision, k.read = revision, true
	k.believe(now)
	return k, nil
}

// again is the book as if it had been written and read.
func (k *book) again(now time.Time) book {
	c := k.clone()
	c.Recent = slices.Clone(c.Recent)
	c.believe(now)
	return c
}

// believe drops what only a sender whose clock is far ahead can have written,
// and which would hold up everybody until then.
func (k *book) believe(now time.Time) {
	far := now.Add(ahead)
	if k.Resume.After(far) {
		k.Resume = time.Time{}
	}
	k.Recent = slices.DeleteFunc(k.Recent, func(s spending) bool { return s.Until.After(far) || s.Call.After(far) })
	for d, w := range k.Windows {
		if w.Resume.After(far) {
			w.Resume = time.Time{}
		}
		if w.Looked.After(now) {
			w.Looked = time.Time{}
		}
		for id, p := range w.Known {
			if p.At.After(now) {
				p.At = now
				w.Known[id] = p
			}
		}
		k.Windows[d] = w
	}
}

func (k *book) text() ([]byte, error) {
	text, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("write the quota's record: %w", err)
	}
	return text, nil
}

func (k *book) clone() book {
	c := *k
	c.Windows = make(map[string]window, len(k.Windows))
	for d, w := range k.Windows {
		w.Known = maps.Clone(w.Known)
		c.Windows[d] = w
	}
	return c
}

func (k *book) window(distribution string) window {
	w, ok := k.Windows[distribution]
	if !ok {
		w.Pace = 1
	}
	if w.Known == nil {
		w.Known = make(map[string]progress)
	}
	return w
}

// owed returns how long nothing may be sent for the rates' sake, and how long no
// wildcards. In no second is more sent than they allow; a request that is larger
// than what a second allows is sent alone, and makes the next wait for as many
// seconds as it would have taken.
func (k *book) owed(q freshet.Quota, u Use, now time.Time) (all, wildcards time.Duration) {
	until := func(s spending) time.Time { return s.Until }
	all = max(0, k.Resume.Sub(now),
		k.room(atOnce(q), 1, now, func(spending) int { return 1 }, func(s spending) time.Time { return s.Call }),
		k.room(q.PatternsPerSecond, u.Patterns, now, func(s spending) int { return s.Patterns }, until))
	return all, k.room(q.WildcardsPerSecond, u.Wildcards, now, func(s spending) int { return s.Wildcards }, until)
}

// atOnce is how many requests may be sent after a rest, and within as many times
// the time that the quota has for one.
func atOnce(q freshet.Quota) float64 {
	if q.RequestsPerSecond <= 0 {
		return 0
	}
	return requestsAtOnce
}

// room returns how long until n more are within limit. A limit of 0 is none.
func (k *book) room(limit float64, n int, now time.Time, of func(spending) int, until func(spending) time.Time) time.Duration {
	if limit <= 0 || n == 0 {
		return 0
	}
	counting := slices.DeleteFunc(slices.Clone(k.Recent), func(s spending) bool { return of(s) == 0 || !until(s).After(now) })
	slices.SortFunc(counting, func(a, b spending) int { return until(a).Compare(until(b)) })
	sum := 0
	for _, s := range counting {
		sum += of(s)
	}
	var wait time.Duration
	for _, s := range counting {
		if float64(sum+n) <= limit {
			break
		}
		sum, wait = sum-of(s), until(s).Sub(now)
	}
	return wait
}

// fits reports whether a request has room in the window of its distribution, of
// which sum is in progress, and whether its wildcards have. One that is larger
// than the window goes when nothing else is there, and the CDN decides.
func (k *book) fits(t *ticket, sum Use, now time.Time) (all, wildcards bool) {
	w := k.window(t.inv.Distribution)
	if now.Before(w.Resume) {
		return false, false
	}
	if own, again := w.Known[t.inv.CallerReference]; again && now.Sub(own.At) <= forgotten { // sent again, it counts once
		sum = Use{sum.Patterns - own.Patterns, sum.Wildcards - own.Wildcards}
	}
	if sum == (Use{}) {
		return true, true
	}
	share := w.Pace
	if t.urgency(now) == Bulk {
		share *= bulkShare
	}
	return within(sum.Patterns+t.use.Patterns, t.quota.PatternsInProgress, share),
		t.use.Wildcards == 0 || within(sum.Wildcards+t.use.Wildcards, t.quota.WildcardsInProgress, share)
}

func within(n, limit int, share float64) bool {
	return limit <= 0 || float64(n) <= float64(limit)*share
}

// reserve books a request that is about to be sent.
func (k *book) reserve(t *ticket, now time.Time) {
	inv, u := t.inv, t.use
	k.charge(inv.CallerReference, t.quota, u, now)
	k.tidy(now)
	w := k.window(inv.Distribution)
	w.Known[inv.CallerReference] = progress{Use: u, At: now}
	k.Windows[inv.Distribution] = w
}

// tidy forgets what has long been over, and distributions of which nothing is
// worth remembering.
func (k *book) tidy(now time.Time) {
	for d, w := range k.Windows {
		maps.DeleteFunc(w.Known, func(_ string, p progress) bool { return now.Sub(p.At) > forgotten })
		if len(w.Known) == 0 && w.Pace >= 1 && w.Strikes == 0 && !w.Doubt && !now.Before(w.Resume) && now.Sub(w.Looked) >= lookAgain {
			delete(k.Windows, d)
		}
	}
}

// charge counts a request that is about to be sent for the rates.
func (k *book) charge(reference string, q freshet.Quota, u Use, now time.Time) {
	k.Recent = slices.DeleteFunc(slices.Clone(k.Recent), func(s spending) bool { return !s.Until.After(now) && !s.Call.After(now) })
	call := now
	if q.RequestsPerSecond > 0 {
		call = now.Add(seconds(requestsAtOnce / q.RequestsPerSecond / k.Pace))
	}
	k.Recent = append(k.Recent, spending{Use: u, Reference: reference, Until: now.Add(answered), Call: call})
}

// answer lets a request count for a second, or as long as the rates take for it.
func (k *book) answer(reference string, q freshet.Quota, now time.Time) {
	k.Recent = slices.Clone(k.Recent)
	for i := range k.Recent {
		if s := &k.Recent[i]; s.Reference == reference {
			took := 1.0
			if q.PatternsPerSecond > 0 {
				took = max(took, float64(s.Patterns)/q.PatternsPerSecond)
			}
			if q.WildcardsPerSecond > 0 {
				took = max(took, float64(s.Wildcards)/q.WildcardsPerSecond)
			}
			s.Until = now.Add(seconds(took / k.Pace))
			s.Reference = ""
		}
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// settle notes what came of a request. It reports whether a push-back is worth
// waiting for: not where nothing that could complete stands in the way.
func (k *book) settle(t *ticket, receipt freshet.Receipt, failed error, now time.Time) (again bool) {
	w := k.window(t.inv.Distribution)
	defer k.answer(t.inv.CallerReference, t.quota, now)
	defer func() { k.Windows[t.inv.Distribution] = w }()
	if failed == nil {
		k.accepted(&w, t, receipt, now)
		return false
	}
	switch cdn.ClassOf(failed) {
	case cdn.Throttled:
		k.refused(&w, t)
		k.Pace = max(slowest, k.Pace*throttled)
		k.pause(failed, grown(k.pauses, k.Strikes, mostPauses), now)
		k.Strikes++
		return true
	case cdn.Busy:
		k.refused(&w, t)
		alone := w.sum(now) == (Use{}) && now.Sub(w.Looked) < lookEvery
		w.Pace, w.Doubt = max(slowest, w.Pace/2), true
		w.Resume = now.Add(grown(k.pauses, w.Strikes, mostFull))
		w.Strikes++
		return !alone
	case cdn.Unavailable:
		k.Pace = min(k.Pace, failing)
		k.pause(failed, grown(k.pauses, k.Failed, mostFailures), now)
		k.Failed++
		// It may be in progress, and stays booked until it can be seen whether it is.
		w.Known[t.inv.CallerReference] = progress{Use: t.use, At: now, Taken: true}
	case cdn.Rejected, cdn.TooLarge, cdn.NotFound, cdn.Denied, cdn.Conflict:
		k.refused(&w, t)
	}
	return false
}

// refused takes back what was booked for a request with which nothing was done,
// but not that it was a request.
func (k *book) refused(w *window, t *ticket) {
	delete(w.Known, t.inv.CallerReference)
	k.Recent = slices.Clone(k.Recent)
	for i := range k.Recent {
		if s := &k.Recent[i]; s.Reference == t.inv.CallerReference {
			s.Use = Use{}
		}
	}
}

func (k *book) accepted(w *window, t *ticket, receipt freshet.Receipt, now time.Time) {
	k.Pace, k.Strikes, k.Failed = min(1, k.Pace+faster), 0, 0
	w.Pace, w.Strikes = min(1, w.Pace+faster), 0
	known, repeated := w.Known[receipt.ID]
	delete(w.Known, t.inv.CallerReference)
	if receipt.State == freshet.Accepted {
		w.Known[receipt.ID] = progress{Use: t.use, At: now, Taken: true}
	}
	sum := crc32.ChecksumIEEE([]byte(t.inv.CallerReference))
	if repeated && !known.Others || slices.Contains(k.Charged, sum) {
		return // the answer of the first time
	}
	k.Charged = append(slices.Clone(k.Charged[max(0, len(k.Charged)-mostCharged+1):]), sum)
	if month := monthOf(now); k.Month < month { // a clock that is behind does not take the new month back
		k.Month, k.Spent = month, 0
	}
	k.Spent += t.use.Patterns
}

// pause keeps everybody from sending for a while.
func (k *book) pause(failed error, wait time.Duration, now time.Time) {
	var e *cdn.Error
	if errors.As(failed, &e) {
		wait = max(wait, e.RetryAfter)
	}
	k.Resume = newest(k.Resume, now.Add(wait))
}

const (
	mostCharged = 128 // remembered, so that one that comes again, after hours perhaps, is not charged for again

	mostPauses   = 7 // how often the pause doubles: to half a minute from a quarter of a second
	mostFull     = 5 // where too much is in progress at one distribution: to eight seconds
	mostFailures = 4 // where the CDN fails: to four seconds, since that has nothing to do with how much is sent
)

func grown(first time.Duration, strikes, most int) time.Duration { return first << min(strikes, most) }

func (k *book) knows(id string) bool {
	for _, w := range k.Windows {
		if _, known := w.Known[id]; known {
			return true
		}
	}
	return false
}

func (k *book) completed(id string) {
	for _, w := range k.Windows {
		delete(w.Known, id)
	}
}

// sum is what is in progress: what was not heard of for long is not, or nobody
// would ever be sent who could tidy up.
func (w window) sum(now time.Time) Use {
	var sum Use
	for _, p := range w.Known {
		if now.Sub(p.At) <= forgotten {
			sum = sum.plus(p.Use)
		}
	}
	return sum
}

func newest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func monthOf(t time.Time) string { return t.UTC().Format("2006-01") }
