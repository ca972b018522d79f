package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/memcdn"
	"github.com/freshet/freshet/internal/plan"
)

// exact is a configuration without wildcards, so that paths can be counted.
const exact = "plan: {max_wildcards: 0}"

func TestInvokeAnswers(t *testing.T) {
	rejected := &cdn.Error{Class: cdn.Rejected, Err: errors.New("no")}
	fifo := map[string]any{"eventSourceARN": "arn:aws:sqs:eu-west-1:1:q.fifo", "attributes": map[string]any{"MessageGroupId": "g"}}
	other := map[string]any{"eventSourceARN": "arn:aws:sqs:eu-west-1:1:q.fifo", "attributes": map[string]any{"MessageGroupId": "h"}}
	for name, c := range map[string]struct {
		event    any
		document string
		fault    error
		answer   string
		err      string
		sent     string
	}{
		"S3":                    {event: records(put("a+b", 1)), sent: "/a%20b /a+b", answer: `"state":"accepted"`},
		"S3, a record damaged":  {event: records(put("a", 1), map[string]any{"s3": 5}), sent: "/a", err: "Records[1]"},
		"S3, refused":           {event: records(put("a", 1)), fault: rejected, err: "no"},
		"SQS":                   {event: records(letter("m1", records(put("a", 1))), letter("m2", records(put("b", 1)))), sent: "/a /b", answer: failures()},
		"SQS, a body damaged":   {event: records(letter("m1", records(put("a", 1))), letter("m2", "?")), sent: "/a", answer: failures("m2")},
		"SQS, damaged within":   {event: records(letter("m1", records(put("a", 1), map[string]any{"s3": 5})), letter("m2", records(put("b", 1)))), sent: "/a /b", answer: failures("m1")},
		"SQS, nameless":         {event: records(letter("m1", records(put("a", 1))), letter("", "?")), sent: "/a", answer: failures("m1")},
		"SQS, refused":          {event: records(letter("m1", records(put("a", 1))), letter("m2", `{"Service":"Amazon S3","Event":"s3:TestEvent"}`)), fault: rejected, answer: failures("m1")},
		"SQS, FIFO":             {event: records(letter("m1", "?", fifo), letter("m2", records(put("a", 1)), fifo), letter("m3", records(put("b", 1)), other)), sent: "/a /b", answer: failures("m1", "m2")},
		"one object, two of it": {event: records(letter("m1", records(put("a", 1))), letter("m2", records(put("a", 2)))), sent: "/a", answer: failures()},
		"both of it fail":       {event: records(letter("m1", records(put("a", 1))), letter("m2", records(put("a", 2)))), fault: rejected, answer: failures("m1", "m2")},
		"another bucket":        {event: strings.ReplaceAll(textFrom(records(put("a", 1))), `"site"`, `"other"`), answer: `"invalidations":[]`},
		"guard rail": {event: records(letter("m1", records(put("a", 1))), letter("m2", records(put("private/x", 1))), letter("m3", records(put("b", 1)))),
			document: `plan: {never: ["/private/x"]}`, sent: "/a /b", answer: failures("m2")},
		"order":             {event: `{"freshet":{"distribution":"E1","invalidate":["/x","/y*"]}}`, sent: "/x /y*", answer: `"id":"I2"`},
		"order, configured": {event: `{"freshet":{"invalidate":["/x"]}}`, document: `distributions: [E1]`, sent: "/x", answer: `"id":"I1"`},
		"order, nowhere":    {event: `{"freshet":{"invalidate":["/x"]}}`, err: "names a distribution"},
		"order, waiting":    {event: `{"freshet":{"distribution":"E1","invalidate":["/x"],"wait":true}}`, sent: "/x", answer: `"state":"completed"`},
		"order of objects":  {event: `{"freshet":{"wait":true,"changes":[{"bucket":"site","key":"a b","deleted":true}]}}`, sent: "/a%20b /a+b", answer: `"state":"completed"`},
		"order, refused":    {event: `{"freshet":{"distribution":"E1","invalidate":["/x"]}}`, fault: rejected, err: "no"},
		"unknown":           {event: `{"a":1}`, err: "shape is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				on := newCDN()
				f := newFunction(t, on, c.document, nil)
				if c.fault != nil {
					on.Fail(memcdn.Fault{Err: c.fault})
				}
				answer, err := f.invoke(t.Context(), c.event)
				switch {
				case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
					t.Errorf("got %s, %v, want the error %q", answer, err, c.err)
				case c.err == "" && (err != nil || !strings.Contains(answer, c.answer)):
					t.Errorf("got %s, %v, want %s\n%s", answer, err, c.answer, f.log)
				}
				if got := strings.Join(on.patterns(), " "); got != c.sent {
					t.Errorf("sent %q, want %q", got, c.sent)
				}
			})
		})
	}
}

// A refused change is not forgotten because the same instance has seen it.
func TestWhatFailedFailsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFunction(t, newCDN(), `plan: {never: ["/x"]}`, nil)
		for range 2 {
			if answer, err := f.invoke(t.Context(), records(letter("m1", records(put("x", 1))))); err != nil || answer != failures("m1") {
				t.Fatal(answer, err)
			}
		}
	})
}

// A consistency group is planned together also where something beside it is
// refused.
func TestRefusalLeavesGroupsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFunction(t, newCDN(), `
plan: {never: ["/a3"]}
routes: {groups: [{name: app, keys: ["a1", "a2", "a4", "a5"]}]}
`, nil)
		var all []map[string]any
		for i := range 6 {
			all = append(all, letter(fmt.Sprint("m", i), records(put(fmt.Sprint("a", i), 1))))
		}
		if answer, err := f.invoke(t.Context(), records(all...)); err != nil || answer != failures("m3") {
			t.Fatal(answer, err)
		}
		for _, inv := range f.cdn.Accepted() {
			if slices.Contains(inv.Patterns, "/a1") && len(inv.Patterns) < 4 {
				t.Errorf("the group was divided: %q", inv.Patterns)
			}
		}
		if got := strings.Join(f.cdn.patterns(), " "); got != "/a0 /a1 /a2 /a4 /a5" {
			t.Error(got)
		}
	})
}

// Every record of a large delivery is either invalidated, once, or answered for:
// duplicates, a shuffled order and 5 % of damaged records notwithstanding, and
// push-backs and lost answers neither.
func TestNoChangeIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 2000
		random := rand.New(rand.NewPCG(1, 2))
		var all []map[string]any
		want := make(map[string]bool)
		var damaged []string
		for i := range messages {
			id, key := fmt.Sprintf("m%d", i), fmt.Sprintf("k%d", i)
			switch {
			case random.IntN(20) == 0:
				damaged = append(damaged, id)
				all = append(all, letter(id, []string{"?", `{"Records":[{"eventSource":"aws:s3"}]}`, `{"Records":7}`, `{"Records":[{"s3":{"bucket":{"name":"site"}}}]}`}[random.IntN(4)]))
				continue
			case random.IntN(20) == 0:
				all = append(all, letter(id+"again", records(put(key, 1))))
			}
			want["/"+key] = true
			all = append(all, letter(id, records(put(key, 1))))
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		on := newCDN()
		for range 20 {
			on.Fail(memcdn.Fault{Err: &cdn.Error{Class: cdn.Throttled, Err: errors.New("slow")}}, memcdn.Fault{LoseAnswer: true}, memcdn.Fault{Err: errors.New("503")})
		}
		f := newFunction(t, on, exact, nil)
		answer, err := f.invoke(t.Context(), records(all...))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			BatchItemFailures []struct{ ItemIdentifier string }
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Fatal(err)
		}
		var failed []string
		for _, x := range got.BatchItemFailures {
			failed = append(failed, x.ItemIdentifier)
		}
		slices.Sort(failed)
		slices.Sort(damaged)
		if !slices.Equal(failed, damaged) {
			t.Errorf("%d messages come again, want the %d damaged ones", len(failed), len(damaged))
		}
		sent := on.patterns()
		if len(sent) != len(want) {
			t.Errorf("%d paths were invalidated, want %d, each once", len(sent), len(want))
		}
		for _, p := range sent {
			if !want[p] {
				t.Errorf("%s was invalidated", p)
			}
		}
		if c := f.counts(t); c["Unreadable"] != float64(len(damaged)) || c["Throttled"].(float64) < 20 || c["Paths"] != float64(len(want)) {
			t.Errorf("metrics: %v", c)
		}
	})
}

// What the CDN has not taken when the time is over comes again, alone, and what
// it has taken is not invalidated a second time by another instance.
func TestDeadlineAndRedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := newCDN()
		var all []map[string]any
		for i := range 1000 {
			all = append(all, letter(fmt.Sprintf("m%d", i), records(put(fmt.Sprintf("k%04d", i), 1))))
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		answer, err := newFunction(t, on, exact, nil).invoke(ctx, records(all...))
		if err != nil || ctx.Err() != nil {
			t.Fatalf("answered too late, or not at all: %v, %v", err, ctx.Err())
		}
		taken := len(on.patterns())
		left := strings.Count(answer, "itemIdentifier")
		if taken == 0 || left == 0 || taken+left != 1000 {
			t.Fatalf("%d were taken, %d come again", taken, left)
		}
		// Everything is delivered again, in other company, as if the answer had been lost.
		for i := range all {
			all[i]["attributes"] = map[string]any{"ApproximateReceiveCount": "2"}
		}
		slices.Reverse(all)
		all = append(all, letter("new", records(put("a-new-one", 1))))
		f := newFunction(t, on, exact, nil)
		if answer, err = f.invoke(t.Context(), records(all...), "r-2"); err != nil || answer != failures() {
			t.Fatal(answer, err)
		}
		sent := on.patterns()
		if once := slices.Compact(slices.Clone(sent)); len(sent) != 1001 || len(once) != 1001 {
			t.Errorf("%d paths, %d of them different, want 1001", len(sent), len(once))
		}
		if f.counts(t)["Repeated"] != float64(taken) {
			t.Errorf("%v were repeated, want %d", f.counts(t)["Repeated"], taken)
		}
	})
}

// A change that is newer than what was invalidated is not taken for done.
func TestLaterChangeIsNotCovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := newCDN()
		f := newFunction(t, on, "", nil)
		send := func(n int, request string) {
			if answer, err := f.invoke(t.Context(), records(letter("m", records(put("a", n)), again(3))), request); err != nil || answer != failures() {
				t.Fatal(answer, err)
			}
		}
		send(1, "r-1")
		time.Sleep(time.Minute)
		send(2, "r-2")
		if got := on.patterns(); len(got) != 2 {
			t.Errorf("sent %q, want it twice", got)
		}
	})
}

// Without the permission to look, it is invalidated twice rather than not at
// all; while the CDN does not answer, it is waited for.
func TestLookingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := newCDN()
		event := records(letter("m", records(put("a", 1)), again(2)))
		on.denied = &cdn.Error{Class: cdn.Denied, Err: errors.New("AccessDenied")}
		f := newFunction(t, on, "", nil)
		if answer, err := f.invoke(t.Context(), event); err != nil || answer != failures() || len(on.patterns()) != 1 || !strings.Contains(f.log.String(), "invalidated twice") {
			t.Error(answer, err, on.patterns(), f.log)
		}
		on = newCDN()
		on.denied = errors.New("503")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if answer, err := newFunction(t, on, "", nil).invoke(ctx, event); err != nil || answer != failures("m") || len(on.patterns()) != 0 || on.looks < 3 {
			t.Error(answer, err, on.patterns(), on.looks)
		}
	})
}

// An event that is not SQS's is delivered again as a whole, under the same ID.
func TestRetryOfAWholeEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := newCDN()
		f := newFunction(t, on, exact, nil)
		var all []map[string]any
		for i := range 400 {
			all = append(all, put(fmt.Sprintf("k%03d", i), 1))
		}
		time.Sleep(time.Second)
		event := textFrom(records(all...))
		order := `{"freshet":{"distribution":"E1","invalidate":["/order"]}}`
		on.Fail(memcdn.Fault{}, memcdn.Fault{Err: &cdn.Error{Class: cdn.Denied, Err: errors.New("no")}}, memcdn.Fault{})
		if _, err := f.invoke(t.Context(), event); err == nil {
			t.Fatal("no error")
		}
		for _, instance := range []*function{f, newFunction(t, on, exact, nil)} {
			if _, err := instance.invoke(t.Context(), event); err != nil {
				t.Fatal(err)
			}
			if _, err := instance.invoke(t.Context(), order, "r-9"); err != nil {
				t.Fatal(err)
			}
		}
		sent := on.patterns()
		if once := slices.Compact(slices.Clone(sent)); len(sent) != 401 || len(once) != 401 {
			t.Errorf("%d paths, %d of them different, want 401", len(sent), len(once))
		}
	})
}

// An order in a message is the same one when the message is delivered again.
func TestOrderIsRepeatedByMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := newCDN()
		for i, id := range []string{"m1", "m1", "m2"} {
			event := records(letter(id, `{"freshet":{"distribution":"E1","invalidate":["/x"]}}`))
			if answer, err := newFunction(t, on, "", nil).invoke(t.Context(), event, fmt.Sprint("r", i)); err != nil || answer != failures() {
				t.Fatal(answer, err)
			}
		}
		if got := on.patterns(); len(got) != 2 {
			t.Errorf("sent %q, want it for each of two messages", got)
		}
	})
}

// An instance forgets its distributions when one of them is gone.
func TestDistributionsAreReadAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := newCDN()
		f := newFunction(t, on, "", nil)
		on.Fail(memcdn.Fault{Err: &cdn.Error{Class: cdn.NotFound, Err: errors.New("NoSuchDistribution")}})
		if answer, err := f.invoke(t.Context(), records(letter("m", records(put("a", 1))))); err != nil || answer != failures("m") || len(f.sites.held) != 0 {
			t.Error(answer, err, f.sites.held)
		}
		if answer, err := f.invoke(t.Context(), records(letter("m", records(put("a", 1))))); err != nil || answer != failures() || len(f.sites.held) != 1 {
			t.Error(answer, err, f.sites.held)
		}
	})
}

func TestRecentIsBounded(t *testing.T) {
	var r recent
	for i := range 3 * mostRecent {
		r.add(sumOf(fmt.Sprint(i)))
	}
	if len(r.young)+len(r.old) > 2*mostRecent || !r.has(sumOf(fmt.Sprint(3*mostRecent-1))) || r.has(sumOf("0")) {
		t.Errorf("%d and %d are remembered", len(r.young), len(r.old))
	}
}

// Metrics are one line that CloudWatch takes: every metric is defined and has a
// value, and the dimension has one.
func TestMetricsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, begun := newFunction(t, newCDN(), "wait: completed", nil), time.Now().UnixMilli()
		if _, err := f.invoke(t.Context(), records(putAt("a", 1, time.Now().Add(-2*time.Second)), put("b", 1))); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(f.out.String(), "\n"); n != 1 || !strings.HasSuffix(f.out.String(), "}\n") {
			t.Fatalf("%d lines", n)
		}
		line := f.counts(t)
		text, _ := json.Marshal(line["_aws"])
		var meta struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name, Unit string }
			}
		}
		if err := json.Unmarshal(text, &meta); err != nil || meta.Timestamp != begun || len(meta.CloudWatchMetrics) != 1 {
			t.Fatalf("%s, %v", text, err)
		}
		d := meta.CloudWatchMetrics[0]
		if d.Namespace != "freshet" || len(d.Dimensions) != 1 || line[d.Dimensions[0][0]] != "freshet" || len(d.Metrics) != 11 {
			t.Errorf("%+v", d)
		}
		for _, m := range d.Metrics {
			switch v := line[m.Name].(type) {
			case float64:
				if m.Unit != "Count" {
					t.Errorf("%+v", m)
				}
			case []any:
				if m.Unit != "Seconds" || len(v) != 1 || v[0].(float64) < 2 || v[0].(float64) > 4.5 {
					t.Errorf("%+v %v", m, v)
				}
			default:
				t.Errorf("%+v has the value %v", m, v)
			}
		}
		if line["Received"] != 2.0 || line["Sent"] != 1.0 || line["Paths"] != 2.0 || line["Failed"] != 0.0 {
			t.Errorf("%v", line)
		}
	})
}

// A plan is divided until what is refused stands alone, which must not take long.
func BenchmarkPlansAroundRefusals(b *testing.B) {
	f := newFunction(b, newCDN(), `plan: {max_wildcards: 0, never: ["/k17", "/k1717", "/k3030", "/k4999"]}`, nil)
	at, err := f.sites.of(b.Context(), "site")
	if err != nil {
		b.Fatal(err)
	}
	var changes []freshet.Change
	for i := range 5000 {
		changes = append(changes, freshet.Change{Origin: "site", Key: fmt.Sprintf("k%d", i), Op: freshet.OpPut, Version: "1"})
	}
	latest, _ := freshet.Latest(changes)
	targets, _ := at.router.Targets(latest, nil)
	for b.Loop() {
		refused := 0
		_, err := plans(plan.Input{Changes: latest, Targets: targets, Profiles: at.profiles, Terms: &f.cfg.Plan, Live: true}, func([]freshet.Change, error) { refused++ })
		if err != nil || refused != 4 {
			b.Fatal(err, refused)
		}
	}
}

// Looking for what was covered before is not quadratic either.
func BenchmarkUncovered(b *testing.B) {
	on := newCDN()
	f := newFunction(b, on, exact, nil)
	var changes []freshet.Change
	var targets []freshet.Target
	inv := freshet.Invalidation{Distribution: "E1"}
	for i := range 10_000 {
		key := fmt.Sprintf("k%05d", i)
		changes = append(changes, freshet.Change{Origin: "site", Key: key, Time: time.Unix(1, 0)})
		targets = append(targets, freshet.Target{Distribution: "E1", Origin: "site", Key: key, Pattern: freshet.Pattern("/" + key)})
		if inv.Patterns = append(inv.Patterns, freshet.Pattern("/"+key)); len(inv.Patterns) == 150 {
			inv.CallerReference = key
			if _, err := on.Invalidate(b.Context(), inv); err != nil {
				b.Fatal(err)
			}
			inv.Patterns = nil
		}
	}
	f.meter.begin(time.Now())
	r := &run{Handler: f.Handler, log: f.world.Log}
	for b.Loop() {
		if left, err := r.uncovered(b.Context(), changes, targets); err != nil || len(left) != 10_000%150 {
			b.Fatal(len(left), err)
		}
	}
}

// Objects behind a tenant of a multi-tenant distribution are invalidated at the
// tenant.
func TestTenants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := &dated{CDN: memcdn.New(memcdn.Profile("dt_1")), at: make(map[string]time.Time)}
		f := newFunction(t, on, "distributions: [dt_1]", nil)
		if answer, err := f.invoke(t.Context(), records(letter("m1", records(put("a", 1))))); err != nil || answer != failures() {
			t.Errorf("got %s, %v\n%s", answer, err, f.log)
		}
		if sent := on.Accepted(); len(sent) != 1 || sent[0].Distribution != "dt_1" || !slices.Equal(sent[0].Patterns, []freshet.Pattern{"/a"}) {
			t.Errorf("sent %+v", sent)
		}
	})
}
