package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/freshet/freshet/internal/deploy"
	"github.com/freshet/freshet/internal/deploy/conduct"
	"github.com/freshet/freshet/internal/deploy/tree"
)

// rulesFile is where rules are looked for when nobody says otherwise.
const rulesFile = "freshet.deploy.yaml"

// rules are those of the file, and after them those of the flags.
func (t treated) rules() (deploy.Rules, error) {
	r, err := readRules(t.Rules)
	if err != nil {
		return r, err
	}
	r.Hidden = r.Hidden || t.Hidden
	r.Ignore = append(r.Ignore, t.Ignore...)
	if len(t.Precompress) > 0 {
		r.Rules = slices.Concat([]deploy.Rule{{Match: compressible(), Precompress: t.Precompress}}, r.Rules)
	}
	for _, f := range []struct {
		flag  string
		given []string
		set   func(*deploy.Rule, string) error
	}{
		{"--cache-control", t.CacheControl, func(r *deploy.Rule, v string) error { r.CacheControl = v; return nil }},
		{"--content-type", t.ContentType, func(r *deploy.Rule, v string) error { r.Type = v; return nil }},
		{"--metadata", t.Metadata, setMetadata},
	} {
		for _, text := range f.given {
			glob, value, ok := strings.Cut(text, "=")
			rule := deploy.Rule{Match: deploy.Globs{glob}}
			if !ok || glob == "" || value == "" {
				return r, fmt.Errorf("%s %q: a glob, = and a value are needed", f.flag, text)
			}
			if err := f.set(&rule, value); err != nil {
				return r, fmt.Errorf("%s %q: %w", f.flag, text, err)
			}
			r.Rules = append(r.Rules, rule)
		}
	}
	for _, text := range t.Redirect {
		from, to, _ := strings.Cut(text, "=")
		r.Redirects = append(r.Redirects, deploy.Redirect{From: from, To: to})
	}
	return r, r.Check()
}

func setMetadata(r *deploy.Rule, text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("a glob, =, a name, = and a value are needed")
	}
	r.Metadata = map[string]string{name: value}
	return nil
}

// compressible are files that become much smaller, and that edges do not always
// compress as well as it can be done ahead of time.
func compressible() deploy.Globs {
	return deploy.Globs{"*.html", "*.htm", "*.css", "*.js", "*.mjs", "*.json", "*.svg", "*.xml", "*.txt", "*.webmanifest", "*.wasm", "*.map", "*.csv", "*.md", "*.ico"}
}

func readRules(file string) (r deploy.Rules, err error) {
	must := file != ""
	text, err := os.ReadFile(firstOf(file, rulesFile))
	if errors.Is(err, fs.ErrNotExist) && !must {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read the rules: %w", err)
	}
	if text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")); len(bytes.TrimSpace(text)) == 0 { // editors of Windows begin so
		return r, nil
	}
	if err := yaml.UnmarshalWithOptions(text, &r, yaml.Strict()); err != nil {
		return r, fmt.Errorf("read %s: %s", firstOf(file, rulesFile), strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return r, nil
}

// wantedOf are the objects that files and redirects become. Two may not have one
// key.
func wantedOf(rules deploy.Rules, site *deploySite, files []tree.File) ([]conduct.Wanted, error) {
	var want []conduct.Wanted
	from := make(map[string]string)
	var problems []error
	add := func(o deploy.Object, path string, open func() (tree.Content, error)) {
		switch other, twice := from[o.Key]; {
		case twice:
			problems = append(problems, fmt.Errorf("%s is to be made of both %s and %s", o.Key, other, path))
		case len(o.Key) > maxKey:
			problems = append(problems, fmt.Errorf("the key %q has %d bytes, S3 takes at most %d: rename the file", o.Key[:80]+"…", len(o.Key), maxKey))
		}
		from[o.Key] = path
		o.Group = site.group(o.Key)
		want = append(want, conduct.Wanted{Object: o, Open: open})
	}
	for _, f := range files {
		for _, o := range rules.Objects(site.prefix, f.File) {
			add(o, f.Path, f.Entry.Open)
		}
	}
	for _, o := range rules.RedirectObjects(site.prefix, tree.Empty()) {
		add(o, "a redirect", nil)
	}
	if len(problems) > 20 {
		problems = append(problems[:20], fmt.Errorf("and %d more", len(problems)-20))
	}
	return want, errors.Join(problems...)
}

// maxKey is the longest key, in bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const maxKey = 1024
