package release

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/barrier"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)
	good := barrier.Health{Update: "Successful", State: "Active"}
	busy := barrier.Health{Update: "InProgress", State: "Active"}
	bad := barrier.Health{Update: "Failed", UpdateCode: "InvalidImage", State: "Active"}
	held := barrier.Sight{Holds: true}
	w := Wanted{Function: "site", Alias: "live", Code: "new", Patterns: []freshet.Pattern{"/*"}, Probe: true, Verify: true, Warm: true}
	bare := w
	bare.Alias = ""
	tagged := bare
	tagged.Code = ""
	shared := w
	shared.Canary, shared.CanaryFor = 0.1, time.Minute
	old := &Alias{Version: "1"}
	half := &Alias{Version: "1", Weights: map[string]float64{"2": 0.1}}
	v2 := &Code{Version: "2", SHA256: "new", Health: good}
	latest := func(sha, revision string, h barrier.Health) Code {
		return Code{SHA256: sha, Revision: revision, Health: h}
	}
	live := Journal{Version: "2", Live: now, Before: Before{"old", "1"}}
	sentOne := live
	sentOne.Probed, sentOne.Invalidations = true, []freshet.Invalidation{{}, {}}
	sentOne.Receipts = []freshet.Receipt{{State: freshet.Completed}}
	cleared := sentOne
	cleared.Receipts = []freshet.Receipt{{State: freshet.Completed}, {State: freshet.Completed}}
	verified := cleared
	verified.Verified = true
	warmed := verified
	warmed.Warmed = true
	ended := Journal{Ended: now}
	since := func(ago time.Duration, c Canary) Journal {
		c.Since = now.Add(-ago)
		return Journal{Version: "2", Before: Before{"old", "1"}, Canary: c}
	}
	is2 := &Alias{Version: "2"}
	for _, tt := range []struct {
		name string
		w    Wanted
		j    Journal
		s    Seen
		want Do
		why  string
	}{
		{"old code", w, Journal{}, Seen{Latest: latest("old", "a", good), Alias: old}, Update, ""},
		{"an update of somebody's", w, Journal{}, Seen{Latest: latest("old", "a", busy), Alias: old}, Wait, ""},
		{"an empty status", w, Journal{}, Seen{Latest: latest("old", "a", barrier.Health{}), Alias: old}, Wait, ""},
		{"new code, empty status", w, Journal{}, Seen{Latest: latest("new", "a", barrier.Health{}), Alias: old}, Wait, ""},
		{"our update", w, Journal{Guard: "a"}, Seen{Latest: latest("new", "b", busy), Alias: old}, Wait, ""},
		{"our update failed", w, Journal{Guard: "a"}, Seen{Latest: latest("new", "b", bad), Alias: old}, Stop, "InvalidImage"},
		{"an older update failed", w, Journal{}, Seen{Latest: latest("new", "b", bad), Alias: old}, Update, ""},
		{"an older one, and ours was not done", w, Journal{Guard: "b"}, Seen{Latest: latest("new", "b", bad), Alias: old}, Update, ""},
		{"ours was not done", w, Journal{Guard: "a", Before: Before{Code: "old"}}, Seen{Latest: latest("old", "a", good), Alias: old}, Update, ""},
		{"the configuration changed", w, Journal{Guard: "a", Before: Before{Code: "old"}}, Seen{Latest: latest("old", "b", good), Alias: old}, Update, ""},
		{"somebody's code", w, Journal{Guard: "a", Before: Before{Code: "old"}}, Seen{Latest: latest("third", "b", good), Alias: old}, Stop, "third"},
		{"somebody's canary", w, Journal{}, Seen{Latest: latest("old", "a", good), Alias: half}, Stop, "10 % to version 2"},
		{"no alias", w, Journal{}, Seen{Latest: latest("old", "a", good)}, Stop, "no alias live"},
		{"new code", w, Journal{}, Seen{Latest: latest("new", "b", good), Alias: old}, Publish, ""},
		{"new code, no alias", bare, Journal{}, Seen{Latest: latest("new", "b", good)}, Live, ""},
		{"an unresolved tag", tagged, Journal{}, Seen{Latest: latest("old", "b", good)}, Update, ""},
		{"an unresolved tag, updated", tagged, Journal{Guard: "a"}, Seen{Latest: latest("whatever", "b", good)}, Live, ""},
		{"published, pending", w, Journal{Version: "2"}, Seen{Alias: old, Published: &Code{SHA256: "new", Health: barrier.Health{Update: "Successful", State: "Pending"}}}, Wait, ""},
		{"published, failed", w, Journal{Version: "2"}, Seen{Alias: old, Published: &Code{SHA256: "new", Health: barrier.Health{Update: "Successful", State: "Failed"}}}, Stop, "version 2: it is Failed"},
		{"published, not this", w, Journal{Version: "2"}, Seen{Alias: old, Published: &Code{SHA256: "third", Health: good}}, Stop, "not what was to be released"},
		{"published, concurrency", w, Journal{Version: "2", Before: Before{"old", "1"}}, Seen{Alias: old, Published: v2}, Wait, ""},
		{"published", w, Journal{Version: "2", Before: Before{"old", "1"}}, Seen{Alias: old, Published: v2, Shared: held}, Switch, ""},
		{"somebody moved the alias", w, Journal{Version: "2", Before: Before{"old", "1"}}, Seen{Alias: &Alias{Version: "7"}, Published: v2, Shared: held}, Stop, "points to version 7"},
		{"it was there already", w, Journal{Version: "2", Before: Before{"new", "2"}}, Seen{Alias: is2, Published: v2, Shared: held}, Live, ""},
		{"canary", shared, Journal{Version: "2", Before: Before{"old", "1"}}, Seen{Now: now, Alias: old, Published: v2, Shared: held}, BeginCanary, ""},
		{"canary begun, not noted", shared, Journal{Version: "2", Before: Before{"old", "1"}}, Seen{Now: now, Alias: half, Published: v2, Shared: held}, MarkCanary, ""},
		{"canary begun", shared, since(time.Second, Canary{}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Watch, ""},
		{"canary over", shared, since(time.Minute, Canary{Requests: 9, Looked: now.Add(-time.Second)}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Switch, ""},
		{"canary over, never looked at", shared, since(time.Hour, Canary{}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Watch, ""},
		{"canary over, its end not looked at", shared, since(time.Hour, Canary{Requests: 9, Looked: now.Add(-time.Hour + 58*time.Second)}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Watch, ""},
		{"canary sick", shared, since(time.Second, Canary{Requests: 9, Errors: 1}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Back, "1 probe of 9 failed"},
		{"canary sick at the end", shared, since(time.Hour, Canary{Measured: 1000, Faults: 1}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Back, "1 request of 1000 failed"},
		{"canary not seen", shared, since(time.Minute, Canary{Blind: "denied", Looked: now}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Back, "no way to see"},
		{"canary to be taken back", shared, since(time.Minute, Canary{Failed: "why"}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Back, "why"},
		{"canary taken back", shared, since(time.Minute, Canary{Failed: "why"}), Seen{Now: now, Alias: old, Published: v2, Shared: held}, Stop, "the canary failed: why"},
		{"canary ended by somebody", shared, since(time.Second, Canary{}), Seen{Now: now, Alias: old, Published: v2, Shared: held}, Stop, "somebody else has ended the canary"},
		{"a canary that is wanted no more", w, since(time.Second, Canary{}), Seen{Now: now, Alias: half, Published: v2, Shared: held}, Switch, ""},
		{"live, concurrency", w, live, Seen{Alias: is2, Published: v2}, Wait, ""},
		{"live", w, live, Seen{Alias: is2, Published: v2, Shared: held}, Probe, ""},
		{"live, and moved away", w, live, Seen{Alias: old, Published: v2, Shared: held}, Stop, "points to version 1"},
		{"live, and replaced", bare, Journal{Live: now}, Seen{Latest: latest("third", "c", good), Shared: held}, Stop, "third"},
		{"probed", w, Journal{Version: "2", Live: now, Probed: true}, Seen{Alias: is2, Published: v2, Shared: held}, Plan, ""},
		{"sent in part", w, sentOne, Seen{Alias: is2, Published: v2, Shared: held}, Invalidate, ""},
		{"completed", w, cleared, Seen{Alias: is2, Published: v2, Shared: held}, Verify, ""},
		{"verified", w, verified, Seen{Alias: is2, Published: v2, Shared: held}, Warm, ""},
		{"warmed", w, warmed, Seen{Alias: is2, Published: v2, Shared: held}, Done, ""},
		{"ended", w, ended, Seen{}, Done, ""},
	} {
		got := Next(tt.w, tt.j, tt.s)
		if got.Do != tt.want || !strings.Contains(got.Why, tt.why) {
			t.Errorf("%s: %+v, want %s %q", tt.name, got, tt.want, tt.why)
		}
		if got.Do == Wait && (got.For == "" || got.Saw == "" && got.For != "provisioned concurrency") {
			t.Errorf("%s: nothing says what is waited for: %+v", tt.name, got)
		}
		if got.Do == Stop && got.Hint == "" {
			t.Errorf("%s: nothing says what to do: %+v", tt.name, got)
		}
	}
}

func TestSituation(t *testing.T) {
	w := Wanted{Function: "site", Alias: "live"}
	before := Before{"old", "1"}
	for _, tt := range []struct {
		name string
		w    Wanted
		j    Journal
		s    Seen
		want string
	}{
		{"nothing done", w, Journal{Before: before}, Seen{Alias: &Alias{Version: "1"}}, "the alias live points to version 1; nothing was invalidated"},
		{
			"canary", w, Journal{Before: before, Version: "2"}, Seen{Alias: &Alias{Version: "1", Weights: map[string]float64{"2": 0.1}}},
			"the alias live points to version 1 and sends 10 % to version 2; the new code is version 2; nothing was invalidated; to go back: aws lambda update-alias --function-name site --name live --function-version 1 --routing-config AdditionalVersionWeights={}",
		},
		{
			"half sent", w, Journal{Before: before, Version: "2", Live: time.Unix(1, 0), Invalidations: make([]freshet.Invalidation, 2), Receipts: []freshet.Receipt{{State: freshet.Completed}}},
			Seen{Alias: &Alias{Version: "2"}},
			"the alias live points to version 2; 1 of 2 invalidations are completed; to go back: aws lambda update-alias --function-name site --name live --function-version 1 --routing-config AdditionalVersionWeights={}, and then freshet invalidate with the same patterns",
		},
		{"no alias", Wanted{Function: "site"}, Journal{Live: time.Unix(1, 0)}, Seen{}, "the new code answers; nothing was invalidated"},
		{"nothing known", Wanted{Function: "site"}, Journal{}, Seen{}, "as far as is known, the old code answers; nothing was invalidated"},
	} {
		if got := Situation(tt.w, tt.j, tt.s); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

func TestParseImage(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	for uri, want := range map[string]string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/site:v7":                 "123456789012 eu-west-1 team/site v7 ",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/site":                         "123456789012 eu-west-1 site latest ",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/site@" + digest:           "123456789012 cn-north-1 site  " + digest,
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a.b_c-d:1@" + digest: "123456789012 us-gov-west-1 a.b_c-d 1 " + digest,
		"docker.io/library/site:7":                                                  "",
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com/Site":                         "",
		"site:7": "",
	} {
		i, ok := ParseImage(uri)
		got := ""
		if ok {
			got = strings.Join([]string{i.Registry, i.Region, i.Repository, i.Tag, i.Digest}, " ")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
	i, _ := ParseImage("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/site:v7")
	if got := i.At(digest); got != "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/site@"+digest {
		t.Error(got)
	}
}

func TestFile(t *testing.T) {
	name := FileName(t.TempDir(), "arn:aws:lambda:eu-west-1:123456789012:function:site", "live")
	if !strings.HasSuffix(name, "/releases/arn_aws_lambda_eu-west-1_123456789012_function_site@live.json") {
		t.Error(name)
	}
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if j, err := f.Load(); err != nil || !j.Began.IsZero() {
		t.Errorf("%+v, %v", j, err)
	}
	if _, err := OpenFile(name); err == nil || !strings.Contains(err.Error(), ErrRunning.Error()) {
		t.Errorf("opened twice: %v", err)
	}
	want := Journal{Format: Format, Function: "site", Version: "7", Receipts: []freshet.Receipt{{ID: "I1"}}}
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	if j, err := f.Load(); err != nil || j.Version != "7" || j.Receipts[0].ID != "I1" {
		t.Errorf("%+v, %v", j, err)
	}
	want.Format = "freshet-release/9"
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("another format: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if f, err = OpenFile(name); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
