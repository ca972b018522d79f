package api_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/edge/api"
)

func parsed(t *testing.T, text string) api.ChaosSpec {
	t.Helper()
	spec, err := api.ParseChaos(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// said writes what happens to n calls, one letter each.
func said(c *api.Chaos, operation string, n int) string {
	var b strings.Builder
	for range n {
		f := c.Fault(operation)
		switch {
		case f.Err != nil && f.Err.Code == api.Throttling && f.Err.Status == 400:
			b.WriteByte('t')
		case f.Err != nil && f.Err.Code == api.ServiceUnavailable && f.Err.Status == 503:
			b.WriteByte('u')
		case f.Err != nil && f.Err.Code == api.TooManyInvalidationsInProgress && f.Err.Status == 400:
			b.WriteByte('b')
		case f.LoseAnswer:
			b.WriteByte('l')
		case f.Delay > 0:
			b.WriteByte('s')
		default:
			b.WriteByte('.')
		}
	}
	return b.String()
}

func TestChaosFaults(t *testing.T) {
	for spec, want := range map[string]string{
		"":                                  "............",
		"throttle":                          "tttttttttttt",
		"throttle=3":                        "..t..t..t..t",
		"throttle=3,unavailable=2":          ".utu.t.utu.t",
		"unavailable=4,lose=3":              "..lu.l.ul..u",
		"slow=1s@4":                         "...s...s...s",
		"throttle=100%":                     "tttttttttttt",
		"throttle=2,only=GetInvalidation":   "............",
		"complete=1s,stuck=1,seed=1":        "............",
		"lose=2,only=GetInvalidation+" + op: ".l.l.l.l.l.l",

		"busy=4":                    "...b...b...b",
		"busy=2,throttle=4":         ".b.t.b.t.b.t",
		"busy,only=GetInvalidation": "............",
		"throttle:GetInvalidation,unavailable=3:" + op:                 "..u..u..u..u",
		"throttle=2:GetInvalidation+" + op + ",lose:ListInvalidations": ".t.t.t.t.t.t",
		"slow=1s@6:" + op + ",only=GetInvalidation":                    "............",
	} {
		var c api.Chaos
		c.Set(parsed(t, spec))
		if got := said(&c, op, 12); got != want {
			t.Errorf("%q: %s, want %s", spec, got, want)
		}
	}
	var zero api.Chaos
	if got := said(&zero, op, 2); got != ".." || zero.Spec().String() != "" {
		t.Errorf("the zero value: %s, %q", got, zero.Spec())
	}
}

const op = "CreateInvalidation"

// A rule for other operations is not used up by this one.
func TestChaosCountsTheCallsThatAreMeant(t *testing.T) {
	var c api.Chaos
	c.Set(parsed(t, "throttle=2:GetInvalidation"))
	if got := said(&c, op, 3) + said(&c, "GetInvalidation", 4); got != "....t.t" {
		t.Error(got)
	}
}

func TestChaosIsDeterministic(t *testing.T) {
	faults := func(spec string) string {
		var c api.Chaos
		c.Set(parsed(t, spec))
		text := said(&c, op, 2000)
		if n := c.Counts()[api.Throttle]; n != strings.Count(text, "t") {
			t.Errorf("%s: counted %d of %d", spec, n, strings.Count(text, "t"))
		}
		return text
	}
	one := faults("throttle=20%,seed=1")
	if again := faults("throttle=20%,seed=1"); again != one {
		t.Error("the same seed did something else")
	}
	if other := faults("throttle=20%,seed=2"); other == one {
		t.Error("another seed did the same")
	}
	if n := strings.Count(one, "t"); n < 300 || n > 500 {
		t.Errorf("%d of 2000 were throttled, want about 400", n)
	}
	// Each trouble has its own luck.
	both := faults("throttle=20%,unavailable=20%,seed=1")
	if strings.ReplaceAll(both, "u", ".") != one || strings.Count(both, "u") < 200 {
		t.Error("the one depends on the other")
	}
}

func TestChaosSpecsThatAreWrong(t *testing.T) {
	for _, text := range []string{"thottle", "throttle=0", "throttle=-1", "throttle=x", "throttle=0%", "throttle=101%", "throttle=NaN%", "throttle=", "slow", "slow=", "slow=5", "slow=-1s", "slow=1s@", "slow=1s@0",
		"complete=5%", "only=", "only=None", "seed=x", "seed=-1", "throttle=1,throttle=2", "stuck=1s",
		"throttle:", "throttle=5:None", "stuck:CreateInvalidation", "complete=1s:CreateInvalidation", "busy:GetInvalidation", "seed=1:CreateInvalidation", "only=GetInvalidation:CreateInvalidation"} {
		if spec, err := api.ParseChaos(text); err == nil {
			t.Errorf("%q was read as %q", text, spec)
		} else if !strings.Contains(err.Error(), strings.SplitN(text, ",", 2)[0][:3]) {
			t.Errorf("%q: the error does not say where: %v", text, err)
		}
	}
	example := api.ChaosGrammar[strings.LastIndex(api.ChaosGrammar, ": ")+2:]
	if got := parsed(t, " "+strings.ReplaceAll(example, ",", " , ")).String(); got != example {
		t.Errorf("the example was read as %q", got)
	}
}

func TestChaosSpecsAreReadAsTheyAreWritten(t *testing.T) {
	shares := []string{"", "1", "7", "0.5%", "33%", "100%"}
	rapid.Check(t, func(rt *rapid.T) {
		var parts []string
		for _, name := range []string{"throttle", "unavailable", "busy", "slow", "lose", "complete", "stuck"} {
			if !rapid.Bool().Draw(rt, name) {
				continue
			}
			share := rapid.SampledFrom(shares).Draw(rt, "share")
			if name == "slow" || name == "complete" {
				name += "=" + rapid.SampledFrom([]string{"1s", "1m30s", "150ms"}).Draw(rt, "time")
				if share != "" {
					share = "@" + share
				}
			} else if share != "" {
				share = "=" + share
			}
			parts = append(parts, name+share)
		}
		text := strings.Join(parts, ",")
		first, err := api.ParseChaos(text)
		if err != nil {
			rt.Fatal(err)
		}
		second, err := api.ParseChaos(first.String())
		if err != nil || fmt.Sprint(second) != fmt.Sprint(first) {
			rt.Fatalf("%q became %q, then %q, %v", text, first, second, err)
		}
	})
}

func FuzzParseChaos(f *testing.F) {
	f.Add("throttle=5,slow=200ms@30%,complete=20s,only=CreateInvalidation,seed=7")
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := api.ParseChaos(text)
		if err != nil {
			return
		}
		if _, err := api.ParseChaos(spec.String()); err != nil {
			t.Fatalf("%q became %q: %v", text, spec, err)
		}
	})
}

func TestChaosHoldsInvalidations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c api.Chaos
		c.Set(parsed(t, "complete=10s@2,stuck=3"))
		r, err := api.Open(context.Background(), api.RegisterConfig{Distributions: distributions, Invalidator: &edge{}, Log: &api.MemoryLog{}, Hold: c.Hold})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for n := range 4 {
			i, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: fmt.Sprint(n), Paths: []string{"/a"}})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, i.ID)
			synctest.Wait()
		}
		status := func() (all []string) {
			for _, id := range ids {
				i, err := r.Get("E1PLAIN", id)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, i.Status()[:1])
			}
			return all
		}
		// The first is in no share; the second is every second; the third is stuck
		// and not considered for a delay; the fourth is the third of those.
		want := func(want ...string) {
			t.Helper()
			if got := status(); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		time.Sleep(time.Second) // completions are recorded together
		want("C", "I", "I", "C")
		time.Sleep(11 * time.Second)
		want("C", "C", "I", "C")
		time.Sleep(time.Hour)
		want("C", "C", "I", "C")
		c.Set(api.ChaosSpec{})
		synctest.Wait()
		want("C", "C", "C", "C")

		c.Set(parsed(t, "stuck"))
		if _, err := r.Create(t.Context(), "E1PLAIN", api.Batch{CallerReference: "held", Paths: []string{"/a"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.Close() // does not wait for it
	})
}

// What the client of an API under chaos sees, through the SDK.
func TestChaosOverHTTP(t *testing.T) {
	var c api.Chaos
	e := &edge{}
	s := serve(t, open(t, e, func(cfg *api.RegisterConfig) { cfg.Hold = c.Hold }), func(cfg *api.HandlerConfig) { cfg.Fault = c.Fault })
	client := goClient(s.URL, secret)
	list := func() string {
		_, err := client.ListDistributions(t.Context(), nil)
		return codeOf(err)
	}
	c.Set(parsed(t, "throttle=2,unavailable=3,only=ListDistributions"))
	if got := []string{list(), list(), list(), list()}; !slices.Equal(got, []string{"none", "Throttling", "ServiceUnavailable", "Throttling"}) {
		t.Errorf("got %v", got)
	}
	if counts := c.Counts(); counts[api.Throttle] != 2 || counts[api.Unavailable] != 1 {
		t.Errorf("counted %v", counts)
	}
	c.Set(parsed(t, "lose"))
	if got := list(); !strings.HasPrefix(got, "no API error") {
		t.Errorf("a lost answer: %s", got)
	}
}
