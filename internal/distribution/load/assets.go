package load

import (
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/freshet/freshet/internal/distribution/cloudformation"
)

// assets are the files that cdk synth put beside a template to be uploaded, by
// the last part of their key there.
func (v visit) assets() map[string]string {
	dir := filepath.Dir(v.file)
	if found, done := v.assetsOf[dir]; done || !v.synth {
		return found
	}
	found := make(map[string]string)
	lists, _ := filepath.Glob(filepath.Join(quoted(dir), "*.assets.json"))
	for _, list := range lists {
		text, err := v.readFile(list)
		if err != nil {
			continue // whoever misses an asset says so
		}
		var m struct {
			Files map[string]struct {
				Source struct {
					Path string `json:"path"`
				} `json:"source"`
				Destinations map[string]struct {
					ObjectKey string `json:"objectKey"`
				} `json:"destinations"`
			} `json:"files"`
		}
		if json.Unmarshal(text, &m) != nil {
			continue
		}
		for _, f := range m.Files {
			for _, to := range f.Destinations {
				if filepath.IsLocal(f.Source.Path) {
					found[to.ObjectKey[strings.LastIndexByte(to.ObjectKey, '/')+1:]] = filepath.Join(dir, f.Source.Path)
				}
			}
		}
	}
	v.assetsOf[dir] = found
	return found
}

// maxNested is how many templates of nested stacks are read for one template.
const maxNested = 100

// nestedTemplates reads the templates of a template's nested stacks that are in
// files: assets, and those that its URLs lead to.
func (v visit) nestedTemplates(tree any) map[string]any {
	templates := make(map[string]any)
	left := cloudformation.TemplateURLs(tree)
	for len(left) > 0 && len(templates) < maxNested {
		url := left[0]
		left = left[1:]
		if _, done := templates[url]; done {
			continue
		}
		file := v.assets()[url]
		if file == "" && !strings.Contains(url, "://") {
			file = beside(v.file, url)
		}
		templates[url] = nil
		if !isFile(file) {
			continue // only where it is needed does somebody have to know
		}
		text, err := v.readFile(file)
		if err != nil {
			v.errs = append(v.errs, err)
			continue
		}
		trees, err := parse(file, text)
		if err != nil {
			v.errs = append(v.errs, err)
			continue
		}
		templates[url] = trees[0]
		left = append(left, cloudformation.TemplateURLs(trees[0])...)
	}
	return templates
}
