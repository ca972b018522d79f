package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/config"
)

func TestSources(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "freshet.yaml")
	text := `sources:
  - {webhook: github, secret_file: hook, repository: site, folder: public, map: ["content/{p...}.md => {p}/index.html"]}
  - {webhook: s3, path: /minio, dialect: minio}
`
	for name, content := range map[string]string{"freshet.yaml": text, "hook": "s3cret\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(file, true)
	if err != nil {
		t.Fatal(err)
	}
	first := c.Sources[0]
	if first.Repository != filepath.Join(dir, "site") || first.At() != "/hooks/github" || c.Sources[1].At() != "/minio" || !c.HasHooks() {
		t.Errorf("sources %+v", c.Sources)
	}
	if secret, err := first.Secret(); err != nil || string([]byte(secret)) != "s3cret" {
		t.Errorf("the secret is read as %d bytes, %v", len(secret), err)
	}
	first.SecretFile = filepath.Join(dir, "empty")
	if _, err := first.Secret(); err == nil {
		t.Error("an empty secret is one")
	}
	if rules, err := first.Rules(); err != nil || strings.Join(rules.Keys("content/a.md"), " ") != "a/index.html" || strings.Join(rules.Keys("public/b"), " ") != "b" {
		t.Errorf("rules %+v, %v", rules, err)
	}
}

func TestSourcesAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		`{webhook: gitea}`:                                               "none of github, gitlab, s3",
		`{webhook: github, repository: x}`:                               "secret_file",
		`{webhook: gitlab, secret_file: x}`:                              "repository",
		`{webhook: s3, repository: x}`:                                   "themselves",
		`{webhook: s3, dialect: klingon}`:                                "klingon",
		`{webhook: s3, path: hooks}`:                                     "no path",
		`{webhook: github, repository: x, secret_file: x, map: [x]}`:     "no =>",
		`{webhook: github, repository: x, secret_file: x, dialect: raw}`: "dialect",
		`{webhook: s3, secret: x}`:                                       "secret",
		"{webhook: s3}\n  - {webhook: s3}":                               "another's path",
	} {
		if c, err := config.Parse([]byte("sources:\n  - " + text + "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", text, c.Sources, err)
		}
	}
	if _, err := config.Parse([]byte("hooks: 0.0.0.0:9002\nsources: [{webhook: s3}]\n")); err == nil || !strings.Contains(err.Error(), "secret_file") {
		t.Errorf("open to everybody: %v", err)
	}
}
