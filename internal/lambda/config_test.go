package lambda

import (
	"strings"
	"testing"
	"time"
)

func TestReadConfig(t *testing.T) {
	env := map[string]string{EnvDistributions: "E1, E2", EnvQuota: "rate", EnvQuotaTable: "quota", EnvWait: "completed"}
	cfg, err := ReadConfig([]byte(`{"distributions": ["E9"], "quota": "window", "remember": "1m", "plan": {"never": ["/*"]}}`), func(name string) string { return env[name] })
	if err != nil || strings.Join(cfg.Distributions, " ") != "E1 E2" || cfg.Quota != "rate" || cfg.QuotaTable != "quota" || cfg.Wait != WaitCompleted ||
		time.Duration(cfg.Remember) != time.Minute || len(cfg.Plan.Never) != 1 || cfg.Plan.RefillObject == 0 {
		t.Errorf("got %+v, %v", cfg, err)
	}
	if q := cfg.quota(); q.PatternsInProgress != 0 || q.PatternsPerSecond == 0 {
		t.Errorf("quota %+v", q)
	}
	if cfg, err = ReadConfig(nil, func(string) string { return "" }); err != nil || cfg.Quota != "both" || cfg.Wait != WaitAccepted || time.Duration(cfg.Remember) != 5*time.Minute {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestReadConfigComplains(t *testing.T) {
	for document, want := range map[string]string{
		`distribution: [E1]`:                       `unknown field "distribution"`,
		`remember: soon`:                           "no duration",
		`quota: none`:                              "none of rate, window, both",
		`wait: forever`:                            "neither accepted nor completed",
		`on: [{invalidate: ["/a"]}]`:               "either a function or a stack",
		`on: [{stack: s, distribution: E1}]`:       "what to invalidate",
		`on: [{stack: s, invalidate: ["/a"]}]`:     "names no distribution",
		`on: [{stack: s, invalidate: ["a"]}]`:      "on[0]",
		`codecommit: [{repository: r}]`:            "a repository and a bucket",
		`plan: {never: ["x"]}`:                     "plan: never",
		`routes: {groups: [{name: "", keys: []}]}`: "routes",
	} {
		if _, err := ReadConfig([]byte(document), func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", document, err, want)
		}
	}
}
