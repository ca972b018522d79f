package config

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/source/gitdiff"
	"github.com/freshet/freshet/internal/source/s3event"
	"github.com/freshet/freshet/internal/source/webhook"
)

// Source is one that tells of changes beside the bucket here: by webhooks that
// come in at Config.Hooks.
type Source struct {
	Webhook    string `yaml:"webhook" json:"webhook"`                             // who sends: github, gitlab, or s3 for stores that send S3's events
	Path       string `yaml:"path,omitempty" json:"path,omitempty"`               // where they are sent to; empty for /hooks/ and who sends
	SecretFile string `yaml:"secret_file,omitempty" json:"secret_file,omitempty"` // file with what they are signed with, or have as their token; relative to the configuration file
	Bucket     string `yaml:"bucket,omitempty" json:"bucket,omitempty"`           // whose objects change, for github and gitlab; empty for the one here

	// Of github and gitlab.
	Repository string   `yaml:"repository,omitempty" json:"repository,omitempty"` // a clone; relative to the configuration file
	Remote     string   `yaml:"remote,omitempty" json:"remote,omitempty"`         // of the clone; empty for origin
	Branch     string   `yaml:"branch,omitempty" json:"branch,omitempty"`         // empty for main
	Name       string   `yaml:"name,omitempty" json:"name,omitempty"`             // that the repository has for who sends, such as octocat/pages; empty for any
	Folder     string   `yaml:"folder,omitempty" json:"folder,omitempty"`         // whose files are published
	Map        []string `yaml:"map,omitempty" json:"map,omitempty"`               // rules for other paths, as of freshet plan --map
	Prefix     string   `yaml:"prefix,omitempty" json:"prefix,omitempty"`         // before every key

	// Of s3.
	Dialect string `yaml:"dialect,omitempty" json:"dialect,omitempty"` // of freshet plan --dialect; empty for auto
}

// WebhookS3 is who sends S3's events.
const WebhookS3 = "s3"

// At is where the source's webhooks are sent to.
func (s Source) At() string { return cmp.Or(s.Path, "/hooks/"+s.Webhook) }

// Rules are how paths of the repository become keys.
func (s Source) Rules() (gitdiff.Rules, error) {
	r := gitdiff.Rules{Folder: s.Folder, Prefix: s.Prefix}
	for _, text := range s.Map {
		m, err := gitdiff.ParseMap(text)
		if err != nil {
			return r, err
		}
		r.Maps = append(r.Maps, m)
	}
	return r, nil
}

// Secret reads the secret; empty where there is none.
func (s Source) Secret() (webhook.Secret, error) {
	if s.SecretFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(s.SecretFile)
	if err != nil {
		return "", fmt.Errorf("read the secret of the webhooks of %s: %w", s.Webhook, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("read the secret of the webhooks of %s: %s is empty", s.Webhook, s.SecretFile)
	}
	return webhook.Secret(secret), nil
}

// sourcesBeside makes files relative to where the configuration file is.
func (c *Config) sourcesBeside(path string) {
	for i := range c.Sources {
		for _, name := range []*string{&c.Sources[i].SecretFile, &c.Sources[i].Repository} {
			if *name != "" && !filepath.IsAbs(*name) {
				*name = filepath.Join(filepath.Dir(path), *name)
			}
		}
	}
}

func (c Config) checkSources() (problems []error) {
	taken := make(map[string]bool)
	for i, s := range c.Sources {
		if err := s.check(c.Hooks); err != nil {
			problems = append(problems, fmt.Errorf("sources[%d]: %w", i, err))
		}
		if taken[s.At()] {
			problems = append(problems, fmt.Errorf("sources[%d]: %s is another's path: give each a path of its own", i, s.At()))
		}
		taken[s.At()] = true
	}
	return problems
}

func (s Source) check(hooks string) error {
	switch s.Webhook {
	case string(webhook.GitHub), string(webhook.GitLab):
		if s.Repository == "" || s.SecretFile == "" {
			return fmt.Errorf("webhooks of %s need a repository, which is a clone, and a secret_file", s.Webhook)
		}
		if s.Dialect != "" {
			return fmt.Errorf("a dialect is for webhooks of %s", WebhookS3)
		}
	case WebhookS3:
		if s.Repository != "" || s.Branch != "" || s.Remote != "" || s.Name != "" || s.Folder != "" || s.Prefix != "" || len(s.Map) > 0 || s.Bucket != "" {
			return fmt.Errorf("webhooks of %s name the bucket and the keys themselves: leave out the repository and what belongs to it, and the bucket", WebhookS3)
		}
		if s.SecretFile == "" && !loopback(hooks) {
			return fmt.Errorf("webhooks that come in at %s from elsewhere need a secret_file", hooks)
		}
	default:
		return fmt.Errorf("webhook: %q is none of %s, %s, %s", s.Webhook, webhook.GitHub, webhook.GitLab, WebhookS3)
	}
	if !strings.HasPrefix(s.At(), "/") || strings.ContainsAny(s.At(), "{}?# ") {
		return fmt.Errorf("path: %q is no path such as /hooks/site", s.Path)
	}
	if _, err := s3event.ParseDialect(s.Dialect); err != nil {
		return err
	}
	_, err := s.Rules()
	return err
}

// loopback reports whether nobody but this machine reaches an address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// HasHooks reports whether webhooks are to come in.
func (c Config) HasHooks() bool {
	return slices.ContainsFunc(c.Sources, func(s Source) bool { return s.Webhook != "" })
}
