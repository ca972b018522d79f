// Package barrier waits until what a plan depends on is true: a Lambda function
// is updated, a distribution is deployed, an origin serves new bytes.
package barrier

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what a fact is about. It is the first word of its text.
type Kind string

// The kinds.
const (
	Lambda       Kind = "lambda"
	Distribution Kind = "distribution"
	Origin       Kind = "origin"
	URL          Kind = "url"
	Command      Kind = "command"
)

// Fact is something that is to become true. Parse makes it.
type Fact struct {
	Kind   Kind
	Name   string        // of a function, or ID of a distribution
	Alias  string        // of a function; empty is its unpublished code
	Within time.Duration // how long it may take
	Times  int           // how often in a row it has to be seen at a URL; at least 1

	Version string // that a function's alias has to point to; empty is any
	SHA256  string // of a function's code, as Lambda writes it; empty is any

	URL     string // http, https, or s3://BUCKET/KEY for an origin
	ETag    string // without quotes and W/
	Changed bool   // ETag is the one that must not be seen any more
	Status  int    // that a URL has to answer; 0 is any from 200 to 299
	Header  string // that Pattern is held against; empty is the body
	Pattern string // regular expression; empty is any

	Argv []string // of a command
	Env  []string // NAME=VALUE, or NAME=$NAME for what the environment has
}

// longestWait is how long a fact may take at most, and how long one takes that
// says nothing: deploying a distribution takes minutes, the others less.
const (
	longestWait       = 24 * time.Hour
	usualWait         = 5 * time.Minute
	usualDistribution = 15 * time.Minute
)

// Grammar is what Parse reads, one fact a line.
const Grammar = `lambda NAME[:ALIAS] updated [version N] [sha256 BASE64]
distribution ID deployed
origin URL etag VALUE | origin URL etag changed-from VALUE [times N]
url URL [matches REGEXP] [header NAME] [status CODE] [times N]
command [NAME=VALUE…] PROGRAM [ARGUMENT…]`

// Parse reads a fact as Grammar has it, with "within 5m" before or after it.
// Words with white space in them are quoted as in a shell.
func Parse(text string) (Fact, error) {
	words, err := split(text)
	if err != nil {
		return Fact{}, fmt.Errorf("fact %q: %w", text, err)
	}
	return ParseWords(words)
}

// ParseWords reads a fact whose words are known.
func ParseWords(words []string) (Fact, error) {
	f := Fact{Times: 1}
	rest, err := f.limit(words)
	if err == nil {
		err = f.read(rest)
	}
	if err != nil {
		return Fact{}, fmt.Errorf("fact %q: %w", join(words), err)
	}
	if f.Within == 0 {
		f.Within = usualWait
		if f.Kind == Distribution {
			f.Within = usualDistribution
		}
	}
	return f, nil
}

// limit takes away the time limit.
func (f *Fact) limit(words []string) (rest []string, err error) {
	var at int
	switch n := len(words); {
	case n >= 2 && words[0] == "within":
		at, rest = 1, words[2:]
	case n >= 2 && words[n-2] == "within":
		at, rest = n-1, words[:n-2]
	default:
		return words, nil
	}
	f.Within, err = time.ParseDuration(words[at])
	if err != nil || f.Within <= 0 || f.Within > longestWait {
		return nil, fmt.Errorf("within %s: a time such as 30s or 5m is needed, up to %v", words[at], longestWait)
	}
	return rest, nil
}

func (f *Fact) read(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("it must be one of\n%s", Grammar)
	}
	f.Kind = Kind(words[0])
	words = words[1:]
	switch f.Kind {
	case Lambda:
		return f.readLambda(words)
	case Distribution:
		return f.readDistribution(words)
	case Origin, URL:
		return f.readURL(words)
	case Command:
		return f.readCommand(words)
	}
	return fmt.Errorf("%q is none of lambda, distribution, origin, url, command", f.Kind)
}

// Names as Lambda takes them: a name, a partial or a whole ARN, and in front of
// an alias what it belongs to. A version is no alias, since it never changes.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
var (
	functionName   = regexp.MustCompile(`^(?:(arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:|\d{12}:function:|)([A-Za-z0-9_-]{1,64}))(?::([A-Za-z0-9$_-]{1,128}))?$`)
	distributionID = regexp.MustCompile(`^[0-9A-Z]{5,64}$`)
	number         = regexp.MustCompile(`^[0-9]+$`)
)

func (f *Fact) readLambda(words []string) error {
	if len(words) < 2 || words[1] != "updated" {
		return fmt.Errorf("it must be lambda NAME[:ALIAS] updated")
	}
	m := functionName.FindStringSubmatch(words[0])
	switch {
	case m == nil:
		return fmt.Errorf("%q is no name or ARN of a function", words[0])
	case number.MatchString(m[3]):
		return fmt.Errorf("%q is a version, whose code never changes: name an alias", words[0])
	}
	f.Name, f.Alias = m[1]+m[2], m[3]
	if f.Alias == "$LATEST" {
		f.Alias = ""
	}
	return f.clauses(words[2:], map[string]func(string) error{
		"version": func(v string) error {
			if f.Version = v; f.Alias == "" || !number.MatchString(v) {
				return fmt.Errorf("version %s: a number is needed, and an alias behind the function's name", v)
			}
			return nil
		},
		"sha256": func(v string) error { f.SHA256 = v; return nil },
	})
}

func (f *Fact) readDistribution(words []string) error {
	if len(words) != 2 || words[1] != "deployed" {
		return fmt.Errorf("it must be distribution ID deployed")
	}
	if f.Name = words[0]; !distributionID.MatchString(f.Name) {
		return fmt.Errorf("%q is no ID of a distribution, such as E2EXAMPLE1234", f.Name)
	}
	return nil
}

func (f *Fact) readURL(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("a URL is needed, and what is to be seen there")
	}
	f.URL = words[0]
	if err := f.checkURL(); err != nil {
		return err
	}
	times := map[string]func(string) error{"times": f.readTimes}
	if f.Kind == Origin {
		rest, err := f.readETag(words[1:])
		if err != nil {
			return err
		}
		return f.clauses(rest, times)
	}
	times["matches"] = func(v string) error {
		f.Pattern = v
		_, err := regexp.Compile(v)
		return err
	}
	times["header"] = func(v string) error { f.Header = http.CanonicalHeaderKey(v); return nil }
	times["status"] = func(v string) (err error) {
		if f.Status, err = strconv.Atoi(v); err != nil || f.Status < 200 || f.Status > 599 {
			return fmt.Errorf("status %s: a status such as 200 is needed", v)
		}
		return nil
	}
	if err := f.clauses(words[1:], times); err != nil {
		return err
	}
	if f.Header != "" && f.Pattern == "" {
		return fmt.Errorf("header %s: say with matches what it is to hold", f.Header)
	}
	return nil
}

func (f *Fact) readETag(words []string) (rest []string, err error) {
	if len(words) > 1 && words[0] == "etag" {
		if words = words[1:]; words[0] == "changed-from" {
			f.Changed, words = true, words[1:]
		}
		if len(words) > 0 && opaque(words[0]) != "" {
			f.ETag = opaque(words[0])
			return words[1:], nil
		}
	}
	return nil, fmt.Errorf("it must be origin URL etag VALUE, or etag changed-from VALUE")
}

// opaque is what an entity tag says, without quotes and the mark of weak ones:
// a server that compresses makes the same tag weak.
func opaque(tag string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
}

func (f *Fact) readTimes(v string) (err error) {
	if f.Times, err = strconv.Atoi(v); err != nil || f.Times < 1 || f.Times > 1000 {
		return fmt.Errorf("times %s: a number from 1 to 1000 is needed", v)
	}
	return nil
}

// clauses reads pairs of a word and its value, each word at most once.
func (f *Fact) clauses(words []string, read map[string]func(string) error) error {
	for ; len(words) > 0; words = words[2:] {
		take, known := read[words[0]]
		switch {
		case !known:
			return fmt.Errorf("%q is not understood here, or comes twice", words[0])
		case len(words) == 1:
			return fmt.Errorf("%s: a value is missing", words[0])
		}
		if err := take(words[1]); err != nil {
			return err
		}
		delete(read, words[0])
	}
	return nil
}

// s3Scheme begins what names an object, by its key as it is: with none of its
// characters escaped, a % or ? is one of the key's.
const s3Scheme = "s3://"

// checkURL refuses what nobody could mean to ask: other schemes, credentials in
// sight, and addresses by which machines in a cloud get their credentials.
func (f *Fact) checkURL() error {
	if place, ok := strings.CutPrefix(f.URL, s3Scheme); ok && f.Kind == Origin {
		if bucket, key, _ := strings.Cut(place, "/"); bucket == "" || strings.Trim(key, "/") == "" {
			return fmt.Errorf("%q is not s3://BUCKET/KEY", f.URL)
		}
		return nil
	}
	u, err := url.Parse(f.URL)
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Errorf("%q is no URL such as https://origin.example.com/", f.URL)
	case u.User != nil:
		return fmt.Errorf("the URL of %s holds a password; it would be shown", u.Host)
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && isLinkLocal(addr) {
		return fmt.Errorf("%s is an address within one machine's link; nothing is fetched from there", addr)
	}
	return nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

func (f *Fact) readCommand(words []string) error {
	for len(words) > 0 && variable.MatchString(words[0]) {
		f.Env, words = append(f.Env, words[0]), words[1:]
	}
	if len(words) == 0 || words[0] == "" {
		return fmt.Errorf("a program is needed")
	}
	f.Argv = slices.Clone(words)
	return nil
}

// String is the fact as Parse reads it, without its time limit and with the
// values of a command's environment left out.
func (f Fact) String() string {
	words := []string{string(f.Kind)}
	add := func(w ...string) { words = append(words, w...) }
	clause := func(name, value string) {
		if value != "" {
			add(name, value)
		}
	}
	switch f.Kind {
	case Lambda:
		name := f.Name
		if f.Alias != "" {
			name += ":" + f.Alias
		}
		add(name, "updated")
		clause("version", f.Version)
		clause("sha256", f.SHA256)
	case Distribution:
		add(f.Name, "deployed")
	case Origin:
		add(f.URL, "etag")
		if f.Changed {
			add("changed-from")
		}
		add(f.ETag)
	case URL:
		add(f.URL)
		clause("matches", f.Pattern)
		clause("header", f.Header)
		if f.Status != 0 {
			clause("status", strconv.Itoa(f.Status))
		}
	case Command:
		for _, e := range f.Env {
			name, _, _ := strings.Cut(e, "=")
			add(name + "=…")
		}
		add(f.Argv...)
	}
	if f.Times > 1 {
		clause("times", strconv.Itoa(f.Times))
	}
	return join(words)
}
