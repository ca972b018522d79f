package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// FreshWithin is how soon after it changed a change is to be seen by viewers. In
// the file it is one time, or a time by distribution, with default for the
// others.
type FreshWithin struct {
	Default Duration            // 0 for no promise
	At      map[string]Duration // by distribution ID
}

const others = "default"

// Of returns what is promised of a distribution; "" is one that is not known.
func (f FreshWithin) Of(distribution string) time.Duration {
	if d, ok := f.At[distribution]; ok {
		return time.Duration(d)
	}
	return time.Duration(f.Default)
}

// IsZero reports whether nothing is promised.
func (f FreshWithin) IsZero() bool { return f.Default == 0 && len(f.At) == 0 }

// UnmarshalYAML reads a time or times by distribution.
func (f *FreshWithin) UnmarshalYAML(node ast.Node) error {
	*f = FreshWithin{}
	if _, ok := node.(ast.MapNode); !ok {
		return f.Default.UnmarshalYAML(node)
	}
	if err := yaml.NodeToValue(node, &f.At, yaml.Strict()); err != nil {
		return err
	}
	f.Default = f.At[others]
	delete(f.At, others)
	return nil
}

func (f FreshWithin) form() any {
	if len(f.At) == 0 {
		return f.Default
	}
	all := maps.Clone(f.At)
	if f.Default != 0 {
		all[others] = f.Default
	}
	return all
}

// MarshalYAML writes what UnmarshalYAML reads.
func (f FreshWithin) MarshalYAML() (any, error) { return f.form(), nil }

// MarshalJSON writes the same in JSON.
func (f FreshWithin) MarshalJSON() ([]byte, error) { return json.Marshal(f.form()) }

// UnmarshalJSON reads what MarshalJSON writes.
func (f *FreshWithin) UnmarshalJSON(text []byte) error {
	*f = FreshWithin{}
	if json.Unmarshal(text, &f.Default) == nil {
		return nil
	}
	if err := json.Unmarshal(text, &f.At); err != nil {
		return err
	}
	f.Default = f.At[others]
	delete(f.At, others)
	return nil
}

func (f FreshWithin) check() error {
	for _, id := range slices.Sorted(maps.Keys(f.At)) {
		if f.At[id] < 0 {
			return fmt.Errorf("fresh_within.%s: must not be negative", id)
		}
	}
	if f.Default < 0 {
		return fmt.Errorf("fresh_within: must not be negative")
	}
	return nil
}

// Alarm says who is told when content is not fresh that should be.
type Alarm struct {
	Webhook    string `yaml:"webhook,omitempty" json:"webhook,omitempty"`         // URL that gets a POST
	SecretFile string `yaml:"secret_file,omitempty" json:"secret_file,omitempty"` // file with what signs it; relative to the configuration file
	Topic      string `yaml:"sns,omitempty" json:"sns,omitempty"`                 // ARN of an SNS topic
}

// Secret reads what signs webhooks; empty where there is none.
func (a Alarm) Secret() (string, error) {
	if a.SecretFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(a.SecretFile)
	if err != nil {
		return "", fmt.Errorf("read the secret of the webhook: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("read the secret of the webhook: %s is empty", a.SecretFile)
	}
	return secret, nil
}

func (a Alarm) check() error {
	if a.Webhook != "" {
		if u, err := url.Parse(a.Webhook); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("alarm.webhook: this is no URL such as https://alarms.example.com/freshet")
		}
	}
	if a.SecretFile != "" && a.Webhook == "" {
		return fmt.Errorf("alarm.secret_file: there is no webhook that it would sign")
	}
	if a.Topic != "" {
		if parsed, err := arn.Parse(a.Topic); err != nil || parsed.Service != "sns" || parsed.Region == "" || parsed.Resource == "" {
			return fmt.Errorf("alarm.sns: %q is no ARN such as arn:aws:sns:eu-west-1:123456789012:alarms", a.Topic)
		}
	}
	return nil
}

// beside makes the secret's file relative to where the configuration file
// is.
func (a *Alarm) beside(path string) {
	if a.SecretFile != "" && !filepath.IsAbs(a.SecretFile) {
		a.SecretFile = filepath.Join(filepath.Dir(path), a.SecretFile)
	}
}
