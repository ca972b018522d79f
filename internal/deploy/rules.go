package deploy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/freshet/freshet/internal/mediatype"
)

// Rules say how a site is served, as the configuration has them.
type Rules struct {
	Ignore    []string   `yaml:"ignore,omitempty" json:"ignore,omitempty"`         // lines as in .gitignore; the site's .freshetignore comes after them
	Hidden    bool       `yaml:"hidden,omitempty" json:"hidden,omitempty"`         // names that begin with a dot are sent as well
	Rules     []Rule     `yaml:"rules,omitempty" json:"rules,omitempty"`           // what later ones set counts
	Redirects []Redirect `yaml:"redirects,omitempty" json:"redirects,omitempty"`   // objects without content
	Limit     string     `yaml:"max_delete,omitempty" json:"max_delete,omitempty"` // objects, or a share such as 25%
}

// Rule is about the files whose paths match one of its globs. What it does not
// set is as earlier rules have it.
type Rule struct {
	Match        Globs             `yaml:"match" json:"match"` // of paths below the site, as in Match
	Type         string            `yaml:"type,omitempty" json:"type,omitempty"`
	CacheControl string            `yaml:"cache_control,omitempty" json:"cache_control,omitempty"`
	Encoding     string            `yaml:"encoding,omitempty" json:"encoding,omitempty"` // of files that are encoded already
	Disposition  string            `yaml:"disposition,omitempty" json:"disposition,omitempty"`
	Language     string            `yaml:"language,omitempty" json:"language,omitempty"`
	Redirect     string            `yaml:"redirect,omitempty" json:"redirect,omitempty"`
	Metadata     map[string]string `yaml:"metadata,omitempty" json:"metadata,omitempty"`
	Tags         []string          `yaml:"tags,omitempty" json:"tags,omitempty"`               // cache tags, sent as the metadata cache-tag
	Order        string            `yaml:"order,omitempty" json:"order,omitempty"`             // assets, pages or last
	Encode       string            `yaml:"encode,omitempty" json:"encode,omitempty"`           // gzip or br: what is stored in the file's place; none
	Precompress  Globs             `yaml:"precompress,omitempty" json:"precompress,omitempty"` // gzip, br: files beside it, with .gz and .br at the end of their keys
}

// Globs is one or several, as YAML has them.
type Globs []string

// UnmarshalYAML takes a string as a list of one.
func (g *Globs) UnmarshalYAML(decode func(any) error) error {
	var one string
	if decode(&one) == nil {
		*g = Globs{one}
		return nil
	}
	var several []string
	err := decode(&several)
	*g = several
	return err
}

// Redirect is an object that S3's website endpoints answer with a redirect.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html
type Redirect struct {
	From string `yaml:"from" json:"from"` // path below the site
	To   string `yaml:"to" json:"to"`     // a path with its leading slash, or a URL
}

// The encodings.
const (
	Gzip   = "gzip"
	Brotli = "br"
)

// Suffix is what the keys of files beside others end with.
func Suffix(encoding string) string {
	if encoding == Gzip {
		return ".gz"
	}
	return "." + encoding
}

// form names what is made of a file, levels included, so that another level
// makes another object.
func form(encoding string) string {
	switch encoding {
	case Gzip:
		return "gzip-9"
	case Brotli:
		return "br-11"
	}
	return ""
}

// limits of what S3 takes as metadata, in bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
const maxMetadata = 2048

// Check returns everything that is wrong with the rules, joined.
func (r Rules) Check() error {
	var problems []error
	for i, rule := range r.Rules {
		if err := rule.check(); err != nil {
			problems = append(problems, fmt.Errorf("rules[%d]: %w", i, err))
		}
	}
	seen := make(map[string]bool)
	for i, to := range r.Redirects {
		switch {
		case to.From == "" || strings.HasPrefix(to.From, "/"):
			problems = append(problems, fmt.Errorf("redirects[%d].from: %q must be a path without a slash in front", i, to.From))
		case seen[to.From]:
			problems = append(problems, fmt.Errorf("redirects[%d].from: %q is redirected twice", i, to.From))
		case !isRedirect(to.To):
			problems = append(problems, fmt.Errorf("redirects[%d].to: %q must begin with /, http:// or https://", i, to.To))
		case !isHeaderValue(to.To):
			problems = append(problems, fmt.Errorf("redirects[%d].to: %q cannot be the value of a header: write what is not printable ASCII with %%, as in a URL", i, to.To))
		}
		seen[to.From] = true
	}
	if _, err := ParseLimit(r.Limit); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func isRedirect(to string) bool {
	return strings.HasPrefix(to, "/") || strings.HasPrefix(to, "http://") || strings.HasPrefix(to, "https://")
}

func (r Rule) check() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(r.Match) == 0 {
		complain("match: a glob such as '*.html' is needed")
	}
	if r.Order != "" {
		if err := new(Class).UnmarshalText([]byte(r.Order)); err != nil {
			complain("%w", err)
		}
	}
	if r.Redirect != "" && !isRedirect(r.Redirect) {
		complain("redirect: %q must begin with /, http:// or https://", r.Redirect)
	}
	if r.Encode != "" && r.Encode != "none" && form(r.Encode) == "" {
		complain("encode: %q is neither gzip, br nor none", r.Encode)
	}
	for _, e := range r.Precompress {
		if e != "none" && form(e) == "" {
			complain("precompress: %q is neither gzip nor br", e)
		}
	}
	if r.Encode != "" && r.Encode != "none" && (r.Encoding != "" || len(r.Precompress) > 0 && r.Precompress[0] != "none") {
		complain("encode: what is stored in the place of the file can be neither encoded already nor have files beside it")
	}
	return errors.Join(append(problems, r.checkHeaders(), checkTags(r.Tags))...)
}

// checkHeaders says which values cannot be those of headers.
func (r Rule) checkHeaders() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, v := range []struct{ name, value string }{
		{"type", r.Type}, {"cache_control", r.CacheControl}, {"encoding", r.Encoding}, {"disposition", r.Disposition},
		{"language", r.Language}, {"redirect", r.Redirect}, {"tags", strings.Join(r.Tags, ",")},
	} {
		if !isHeaderValue(v.value) {
			complain("%s: %q cannot be the value of a header: only printable ASCII can", v.name, v.value)
		}
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(r.Metadata)) {
		size += len(name) + len(r.Metadata[name])
		if name == "" || strings.ToLower(name) != name || !isToken(name) || !isHeaderValue(r.Metadata[name]) {
			complain("metadata: %q: %q cannot be a header: a name is lower-case letters, digits and hyphens, a value printable ASCII", name, r.Metadata[name])
		}
	}
	if size > maxMetadata {
		complain("metadata: %d bytes, S3 takes at most %d", size, maxMetadata)
	}
	return errors.Join(problems...)
}

// checkTags holds tags to what CloudFront takes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Invalidation.html
func checkTags(tags []string) error {
	for _, tag := range tags {
		if tag == "" || len(tag) > 256 || strings.ContainsAny(tag, ", ") {
			return fmt.Errorf("tags: %q: a tag has 1 to 256 characters, and neither commas nor spaces", tag)
		}
	}
	if len(tags) > 50 {
		return fmt.Errorf("tags: %d of them, CloudFront heeds at most 50", len(tags))
	}
	return nil
}

func isHeaderValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) && strings.TrimSpace(s) == s
}

func isToken(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}

// Treatment is what the rules make of one file.
type Treatment struct {
	Served      Served
	Class       Class
	Encode      string   // empty: the file as it is
	Precompress []string // encodings of files beside it
}

// For applies the rules to the file at path below the site. The media type is
// empty where neither a rule nor the name tells it.
func (r Rules) For(path string) Treatment { return r.treat(path, "") }

// treat is For with the media type that the content looks like, which holds where
// nothing else tells it.
func (r Rules) treat(path, looks string) Treatment {
	t := Treatment{Served: Served{Type: mediatype.Of(path)}}
	order := ""
	for i := range r.Rules {
		rule := &r.Rules[i]
		if !slices.ContainsFunc(rule.Match, func(glob string) bool { return Match(glob, path) }) {
			continue
		}
		set(&t.Served.Type, rule.Type)
		set(&t.Served.CacheControl, rule.CacheControl)
		set(&t.Served.Encoding, rule.Encoding)
		set(&t.Served.Disposition, rule.Disposition)
		set(&t.Served.Language, rule.Language)
		set(&t.Served.Redirect, rule.Redirect)
		set(&t.Encode, rule.Encode)
		set(&order, rule.Order)
		if len(rule.Precompress) > 0 {
			t.Precompress = rule.Precompress
		}
		t.addMetadata(rule)
	}
	if t.Encode == "none" {
		t.Encode = ""
	}
	if len(t.Precompress) > 0 && t.Precompress[0] == "none" {
		t.Precompress = nil
	}
	set(&looks, t.Served.Type)
	t.Served.Type = looks
	t.Class = classOf(path, looks)
	if order != "" {
		_ = t.Class.UnmarshalText([]byte(order)) // Check has read it
	}
	return t
}

func set(field *string, value string) {
	if value != "" {
		*field = value
	}
}

// tagsName is the metadata that CloudFront can be told to read tags from.
const tagsName = "cache-tag"

func (t *Treatment) addMetadata(rule *Rule) {
	if len(rule.Metadata)+len(rule.Tags) == 0 {
		return
	}
	merged := make(map[string]string, len(t.Served.Metadata)+len(rule.Metadata)+1)
	maps.Copy(merged, t.Served.Metadata)
	maps.Copy(merged, rule.Metadata)
	if len(rule.Tags) > 0 {
		merged[tagsName] = strings.Join(rule.Tags, ",")
	}
	t.Served.Metadata = merged
}

// File is one that a site has, as it was read.
type File struct {
	Path string // below the site, with slashes
	Size int64
	Hash Hash
	ETag string // that S3 gives its content
	Type string // that its content looks like, for names that tell nothing; may be empty
}

// Objects returns what a file becomes below prefix: one object, and those beside
// it, which refer to what it refers to and are of its class. The first is the
// file's own.
func (r Rules) Objects(prefix string, f File) []Object {
	t := r.treat(f.Path, f.Type)
	own := Object{Key: prefix + f.Path, Size: f.Size, Hash: f.Hash, ETag: f.ETag, Served: t.Served, Class: t.Class}
	if t.Encode != "" && f.Size > 0 {
		own.Form, own.ETag, own.Served.Encoding = form(t.Encode), "", t.Encode
	}
	all := []Object{own}
	if f.Size == 0 {
		return all
	}
	for _, e := range t.Precompress {
		beside := own
		beside.Key, beside.Form, beside.ETag, beside.Served.Encoding = own.Key+Suffix(e), form(e), "", e
		all = append(all, beside)
	}
	return all
}

// EncodingOf is what a form encodes with; empty for a file as it is.
func EncodingOf(formName string) string {
	for _, e := range []string{Gzip, Brotli} {
		if form(e) == formName {
			return e
		}
	}
	return ""
}

// RedirectObjects are the objects of the redirects.
func (r Rules) RedirectObjects(prefix string, empty File) []Object {
	var all []Object
	for _, to := range r.Redirects {
		empty.Path = to.From
		own := r.Objects(prefix, empty)[0]
		own.Served.Redirect = to.To
		all = append(all, own)
	}
	return all
}

// ParseLimit reads a number of objects, a share with a percent sign, or nothing,
// which is the default.
func ParseLimit(text string) (Limit, error) {
	l := DefaultLimit()
	if text == "" {
		return l, nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || percent && n > 100 {
		return l, fmt.Errorf("max_delete: %q is neither a number of objects nor a share such as 25%%", text)
	}
	if percent {
		return Limit{Objects: math.MaxInt, Share: float64(n) / 100}, nil
	}
	return Limit{Objects: n, Share: 1}, nil
}
