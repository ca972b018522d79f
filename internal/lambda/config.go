package lambda

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
)

// Config is what can be set, with the names that freshet.yaml has. The zero value
// of Distributions finds them by their origins.
type Config struct {
	Distributions []string    `yaml:"distributions"` // IDs; empty: those that the changed bucket feeds
	Routes        route.Rules `yaml:"routes"`
	Plan          plan.Terms  `yaml:"plan"`
	Quota         string      `yaml:"quota"`       // rate, window or both (default)
	QuotaTable    string      `yaml:"quota_table"` // of DynamoDB; empty: only this instance sends
	WaitFor       []string    `yaml:"wait_for"`    // facts without which nothing is invalidated, such as: lambda site:live updated within 1m
	Wait          string      `yaml:"wait"`        // accepted (default) or completed
	Reactions     []Reaction  `yaml:"on"`          // to what is deployed
	CodeCommit    []Checkout  `yaml:"codecommit"`  // repositories whose commits change objects
	Remember      Duration    `yaml:"remember"`    // how long distributions are believed to be as they were read; 5m
}

// Reaction invalidates when something else was deployed.
type Reaction struct {
	Function     string            `yaml:"function"`     // name of a Lambda function whose code or alias changed
	Stack        string            `yaml:"stack"`        // name of a CloudFormation stack that was updated
	Distribution string            `yaml:"distribution"` // empty: all of Distributions
	Invalidate   []freshet.Pattern `yaml:"invalidate"`
}

// Checkout says how the files of a repository become objects.
type Checkout struct {
	Repository string   `yaml:"repository"`
	Branch     string   `yaml:"branch"` // the only one that counts; empty: main
	Path       string   `yaml:"path"`   // folder whose files are published; empty: all, if there is no Map
	Map        []string `yaml:"map"`    // rules for other files, as of freshet plan --map
	Bucket     string   `yaml:"bucket"` // with OnlyTouched, empty is any
	Prefix     string   `yaml:"prefix"` // of their keys

	// OnlyTouched has pushes change nothing by themselves, but leaves out of what
	// S3 says those puts that no commit has touched. Nothing but the repository may
	// be published in the bucket, and within DeployedWithin of a push.
	OnlyTouched    bool     `yaml:"only_touched"`
	DeployedWithin Duration `yaml:"deployed_within"` // 24h
}

// within is how long after a push its objects may still be put.
func (c Checkout) within() Duration {
	if c.DeployedWithin == 0 {
		return Duration(24 * time.Hour)
	}
	return c.DeployedWithin
}

// Duration is written as 5m.
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration understands.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration such as 30s or 5m", text)
	}
	*d = Duration(v)
	return nil
}

// What an invocation waits for.
const (
	WaitAccepted  = "accepted"
	WaitCompleted = "completed"
)

// Environment variables, each of which overrides the document.
const (
	EnvConfig        = "FRESHET_CONFIG"        // where the document is: ssm:NAME, s3://BUCKET/KEY, or a file in the zip
	EnvDistributions = "FRESHET_DISTRIBUTIONS" // IDs with commas in between
	EnvQuotaTable    = "FRESHET_QUOTA_TABLE"
	EnvQuota         = "FRESHET_QUOTA"
	EnvWait          = "FRESHET_WAIT"
	EnvLog           = "FRESHET_LOG" // debug, info (default), warn or error

	// A repository whose commits say which of the objects that are put have
	// changed: a Checkout with OnlyTouched.
	EnvRepository = "FRESHET_CODECOMMIT_REPOSITORY"
	EnvBranch     = "FRESHET_CODECOMMIT_BRANCH"
	EnvPath       = "FRESHET_CODECOMMIT_PATH"
)

// ReadConfig reads a document, which may be empty, and then the environment.
func ReadConfig(document []byte, getenv func(string) string) (Config, error) {
	cfg := Config{Plan: plan.DefaultTerms(), Quota: "both", Wait: WaitAccepted, Remember: Duration(5 * time.Minute)}
	if document = bytes.TrimPrefix(document, []byte("\xef\xbb\xbf")); len(bytes.TrimSpace(document)) > 0 { // editors of Windows begin so
		if err := yaml.UnmarshalWithOptions(document, &cfg, yaml.Strict()); err != nil {
			return Config{}, fmt.Errorf("read the configuration: %s", yaml.FormatError(err, false, true))
		}
	}
	if ids := getenv(EnvDistributions); ids != "" {
		cfg.Distributions = strings.FieldsFunc(ids, func(r rune) bool { return r == ',' || r == ' ' })
	}
	for name, into := range map[string]*string{EnvQuotaTable: &cfg.QuotaTable, EnvQuota: &cfg.Quota, EnvWait: &cfg.Wait} {
		if v := getenv(name); v != "" {
			*into = v
		}
	}
	if name := getenv(EnvRepository); name != "" {
		cfg.CodeCommit = append(cfg.CodeCommit, Checkout{Repository: name, Branch: getenv(EnvBranch), Path: getenv(EnvPath), OnlyTouched: true})
	}
	return cfg, cfg.check()
}

func (c *Config) check() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !slices.Contains([]string{"rate", "window", "both"}, c.Quota) {
		complain("quota: %q is none of rate, window, both", c.Quota)
	}
	if c.Wait != WaitAccepted && c.Wait != WaitCompleted {
		complain("wait: %q is neither %s nor %s", c.Wait, WaitAccepted, WaitCompleted)
	}
	for i, r := range c.Reactions {
		if (r.Function == "") == (r.Stack == "") || len(r.Invalidate) == 0 {
			complain("on[%d]: it needs either a function or a stack, and what to invalidate", i)
		}
		for _, p := range r.Invalidate {
			if _, err := freshet.ParsePattern(string(p)); err != nil {
				complain("on[%d]: %w", i, err)
			}
		}
		if r.Distribution == "" && len(c.Distributions) == 0 {
			complain("on[%d]: it names no distribution, and neither does distributions", i)
		}
	}
	for i, r := range c.CodeCommit {
		if r.Repository == "" || r.Bucket == "" && !r.OnlyTouched {
			complain("codecommit[%d]: it needs a repository and a bucket", i)
		}
		if _, err := r.rules(); err != nil {
			complain("codecommit[%d].map: %w", i, err)
		}
	}
	if _, err := c.facts(); err != nil {
		complain("%w", err)
	}
	if err := c.Routes.Check(); err != nil {
		complain("routes: %w", err)
	}
	if err := c.Plan.Check(); err != nil {
		complain("plan: %w", err)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("the configuration of the function: %w", err)
	}
	return nil
}

// quota is the part of CloudFront's quotas that is kept to.
func (c *Config) quota() freshet.Quota {
	q := cloudfront.Quota()
	switch c.Quota {
	case "rate":
		q.PatternsInProgress, q.WildcardsInProgress = 0, 0
	case "window":
		q.PatternsPerSecond, q.WildcardsPerSecond = 0, 0
	}
	return q
}
