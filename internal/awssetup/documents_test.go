package awssetup_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/awssetup"
)

var update = flag.Bool("update", false, "write the policies into deploy/policies")

var policies = filepath.Join("..", "..", "deploy", "policies")

// TestDocuments: what lies in deploy/policies is what awssetup says, and nothing
// else lies there.
func TestDocuments(t *testing.T) {
	want, err := awssetup.Documents()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(policies, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := os.ReadDir(policies)
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
	}
	if names := slices.Sorted(maps.Keys(want)); !slices.Equal(there, names) {
		t.Errorf("deploy/policies holds %q, want %q", there, names)
	}
	for name, text := range want {
		is, err := os.ReadFile(filepath.Join(policies, name))
		if err != nil || !bytes.Equal(is, text) {
			t.Errorf("%s: %v\n%s\nwant\n%s\n(write it with -update)", name, err, is, text)
		}
	}
}

// TestDocumentsHaveOneStatementEach, since whoever reads them takes the first.
func TestDocumentsHaveOneStatementEach(t *testing.T) {
	files, err := awssetup.Documents()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range awssetup.Parts() {
		if files[part+".json"] == nil {
			t.Errorf("%s is no document", part)
		}
	}
	for name, text := range files {
		var p awssetup.Policy
		if err := json.Unmarshal(text, &p); err != nil || len(p.Statement) != 1 || p.Statement[0].Sid == "" || len(p.Statement[0].Action) == 0 {
			t.Errorf("%s: %v %+v", name, err, p)
		}
		if strings.Contains(string(text), "dt_") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// variedSites are sites that between them have every statement, alone and
// together.
func variedSites() map[string]awssetup.Site {
	return map[string]awssetup.Site{
		"plain":      site(nil),
		"found":      site(func(s *awssetup.Site) { s.Distributions = nil }),
		"several":    site(func(s *awssetup.Site) { s.Distributions = []string{"E2B", "E1A", "E2B"} }),
		"tenants":    site(func(s *awssetup.Site) { s.Distributions = []string{"dt_2a", "dt_1b"} }),
		"both":       site(func(s *awssetup.Site) { s.Distributions = []string{"dt_2a", "E1A"} }),
		"table":      site(func(s *awssetup.Site) { s.Table, s.Concurrency = "quota", 7 }),
		"parameter":  site(func(s *awssetup.Site) { s.Config = "ssm:/freshet/site" }),
		"object":     site(func(s *awssetup.Site) { s.Config = "s3://conf/freshet.yaml" }),
		"file":       site(func(s *awssetup.Site) { s.Config = "freshet.yaml" }),
		"pipeline":   site(func(s *awssetup.Site) { s.CodePipeline = true }),
		"repository": site(func(s *awssetup.Site) { s.CodeCommit = []string{"site", "docs"} }),
		"china":      site(func(s *awssetup.Site) { s.Region = "cn-north-1" }),
		"named":      site(func(s *awssetup.Site) { s.Name, s.Prefix, s.Suffix = "clear", "a b/", ".html" }),
		"everything": site(func(s *awssetup.Site) {
			s.Name, s.Distributions, s.Table, s.Config = "all", []string{"E1A", "dt_1b"}, "quota", "ssm:site"
			s.CodePipeline, s.CodeCommit = true, []string{"site"}
		}),
	}
}
