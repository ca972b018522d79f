package load

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const manifestName = "manifest.json"

// manifest is cdk.out/manifest.json, as far as it is needed.
// https://docs.aws.amazon.com/cdk/api/v2/docs/cloud-assembly-schema-readme.html
type manifest struct {
	Artifacts map[string]struct {
		Type        string `json:"type"`
		Environment string `json:"environment"` // aws://account/region
		Properties  struct {
			TemplateFile  string `json:"templateFile"`
			StackName     string `json:"stackName"`
			DirectoryName string `json:"directoryName"`
		} `json:"properties"`
	} `json:"artifacts"`
}

// expand returns the files that a path stands for: itself, or the templates of
// a folder that cdk synth wrote.
func (r *reader) expand(path string, o Options) ([]source, error) {
	if filepath.Base(path) == manifestName {
		return r.assembly(filepath.Dir(path), o, 0)
	}
	stat, err := os.Stat(path)
	if err != nil {
		r.files = append(r.files, path)
		return nil, fmt.Errorf("read a distribution: %w", err)
	}
	if !stat.IsDir() {
		return []source{{file: path, options: o}}, nil
	}
	return r.assembly(path, o, 0)
}

// assembly returns the templates that a folder's manifest names, or else all
// that are there.
func (r *reader) assembly(dir string, o Options, depth int) ([]source, error) {
	text, err := r.readFile(filepath.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return r.templates(dir, o)
	}
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, manifestName), err)
	}
	var sources []source
	for _, name := range slices.Sorted(maps.Keys(m.Artifacts)) {
		a := m.Artifacts[name]
		below := cmp.Or(a.Properties.TemplateFile, a.Properties.DirectoryName)
		switch {
		case a.Type != "aws:cloudformation:stack" && a.Type != "cdk:cloud-assembly":
			continue
		case !filepath.IsLocal(below) || depth > 10:
			return nil, fmt.Errorf("read %s: artifact %s has no file below the folder", filepath.Join(dir, manifestName), name)
		case a.Type == "cdk:cloud-assembly":
			nested, err := r.assembly(filepath.Join(dir, below), o, depth+1)
			if err != nil {
				return nil, err
			}
			sources = append(sources, nested...)
			continue
		}
		stack := o
		stack.StackName = cmp.Or(o.StackName, a.Properties.StackName, name)
		account, region, _ := strings.Cut(strings.TrimPrefix(a.Environment, "aws://"), "/")
		stack.AccountID = cmp.Or(o.AccountID, known(account))
		stack.Region = cmp.Or(o.Region, known(region))
		sources = append(sources, source{file: filepath.Join(dir, below), options: stack, synth: true})
	}
	return sources, nil
}

// known returns nothing for the account and region of stacks that go anywhere.
func known(name string) string {
	if strings.HasPrefix(name, "unknown-") {
		return ""
	}
	return name
}

func (r *reader) templates(dir string, o Options) ([]source, error) {
	r.files = append(r.files, dir)
	names, err := filepath.Glob(filepath.Join(quoted(dir), "*.template.json"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("read %s: there is neither a %s nor a *.template.json", dir, manifestName)
	}
	var sources []source
	for _, name := range names {
		sources = append(sources, source{file: name, options: o, synth: true})
	}
	return sources, nil
}

// quoted makes a folder's name match itself.
func quoted(dir string) string {
	if filepath.Separator == '\\' {
		return dir // where a backslash does not quote
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
