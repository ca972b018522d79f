// Package lambdatest is a stand-in for Lambda's API: functions, versions and
// aliases in memory, over the REST paths that the SDK uses, with the delays and
// the failures that are asked for. What it answers with beside them is what
// Lambda documents.
// https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
package lambdatest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Never is longer than any test.
const Never = 1000 * time.Hour

// Script is how the next update of a function's code goes.
type Script struct {
	Takes   time.Duration // InProgress for so long
	Failed  string        // reason code it ends with; empty is success
	Silent  bool          // LastUpdateStatus is empty meanwhile
	Version time.Duration // a version published of it is Pending for so long
	Shared  time.Duration // its provisioned concurrency, if it has any, is not ready for so long
	Lags    time.Duration // old execution environments answer for so long after an alias was switched
}

// Fault is what goes wrong with a call.
type Fault struct {
	Status int    // of the answer; 0 cuts the connection without one
	Code   string // such as TooManyRequestsException
	Done   bool   // the call is done all the same
}

// Lambda is the stand-in. It is an http.Handler, and may be used concurrently.
type Lambda struct {
	mu        sync.Mutex
	functions map[string]*function
	images    map[string]string // digest by URI with a tag
	script    Script
	fault     func(operation string, n int) *Fault
	seen      map[string]int
	calls     []string // that changed something
	revisions int
	turn      int // of requests, for weights
}

type function struct {
	name     string
	latest   code
	was      code // that answers while latest is in progress, or has failed
	versions []code
	aliases  map[string]*alias
	shared   map[string]int // provisioned concurrency by qualifier
	config   int            // counts changes of the configuration
}

// code is what answers at a version or, unpublished, at the function itself.
type code struct {
	version  string
	sha      string
	image    string // URI as it was given
	resolved string // URI with the digest
	revision string
	config   int
	begun    time.Time
	script   Script
}

type alias struct {
	name, version, revision string
	weights                 map[string]float64
	was                     string // version before the last switch
	switched                time.Time
	lags, shared            time.Duration
}

// New returns a stand-in without functions.
func New() *Lambda {
	return &Lambda{functions: make(map[string]*function), images: make(map[string]string), seen: make(map[string]int)}
}

// Create makes a function of a zip, publishes it as version 1, and has the alias
// point there. An empty alias makes none, and publishes nothing.
func (l *Lambda) Create(name, aliasName string, zip []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &function{name: name, aliases: make(map[string]*alias), shared: make(map[string]int)}
	f.latest = code{version: "$LATEST", sha: SHA256(zip), revision: l.revise()}
	l.start(f, aliasName)
}

// CreateImage is Create for a container image, which must have been tagged.
func (l *Lambda) CreateImage(name, aliasName, uri string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := &function{name: name, aliases: make(map[string]*alias), shared: make(map[string]int)}
	f.latest = l.imageCode(uri)
	l.start(f, aliasName)
}

func (l *Lambda) start(f *function, aliasName string) {
	l.functions[f.name] = f
	f.was = f.latest
	if aliasName != "" {
		f.publish(l.revise())
		f.aliases[aliasName] = &alias{name: aliasName, version: "1", revision: l.revise()}
	}
}

// Tag has an image's tag name what has the text.
func (l *Lambda) Tag(uri, text string) (digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := sha256.Sum256([]byte(text))
	l.images[uri] = "sha256:" + hex.EncodeToString(sum[:])
	return l.images[uri]
}

// Next says how updates go from now on.
func (l *Lambda) Next(s Script) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.script = s
}

// Break has calls go wrong for which fault, called with the operation and how
// often it was called before, returns something.
func (l *Lambda) Break(fault func(operation string, n int) *Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault, l.seen = fault, make(map[string]int)
}

// Provision gives an alias or a version provisioned concurrency.
func (l *Lambda) Provision(name, qualifier string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.functions[name].shared[qualifier] = n
}

// Configure changes the function's configuration, as somebody else may.
func (l *Lambda) Configure(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.functions[name]
	f.config++
	f.latest.config, f.latest.revision = f.config, l.revise()
}

// Replace puts other code in the place of what there is, at once, as somebody
// else may.
func (l *Lambda) Replace(name string, zip []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.functions[name]
	f.was = f.latest
	f.latest = code{version: "$LATEST", sha: SHA256(zip), revision: l.revise(), config: f.config}
}

// Calls are the calls so far that changed something, such as "PublishVersion 2".
func (l *Lambda) Calls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// Alias is the version that an alias points to, with the weights of others.
func (l *Lambda) Alias(name, aliasName string) (version string, weights map[string]float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.functions[name].aliases[aliasName]
	return a.version, a.weights
}

// Answers is the code that answers a request right now, and its version.
func (l *Lambda) Answers(name, aliasName string) (sha, version string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.functions[name]
	if aliasName == "" {
		c := f.answering(time.Now())
		return c.sha, c.version
	}
	a := f.aliases[aliasName]
	v := a.version
	l.turn++
	for other, weight := range a.weights {
		if float64(l.turn%100) < weight*100 {
			v = other
		}
	}
	if a.was != "" && time.Since(a.switched) < a.lags {
		v = a.was
	}
	c, _ := f.version(v)
	return c.sha, v
}

// SHA256 is the hash of a zip as Lambda writes it.
func SHA256(zip []byte) string {
	sum := sha256.Sum256(zip)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (l *Lambda) revise() string {
	l.revisions++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", l.revisions)
}

func (l *Lambda) imageCode(uri string) code {
	digest := l.images[uri]
	repository, _, _ := strings.Cut(uri, "@")
	if _, given, is := strings.Cut(uri, "@"); is {
		digest = given
	} else if at := strings.LastIndexByte(uri, ':'); at > strings.LastIndexByte(uri, '/') {
		repository = uri[:at]
	}
	return code{version: "$LATEST", sha: strings.TrimPrefix(digest, "sha256:"), image: uri, resolved: repository + "@" + digest, revision: l.revise()}
}

// answering is the code that requests reach without an alias.
func (f *function) answering(now time.Time) code {
	if f.latest.ready(now) && f.latest.script.Failed == "" {
		return f.latest
	}
	return f.was
}

func (f *function) version(v string) (code, bool) {
	if v == "" || v == "$LATEST" {
		return f.latest, true
	}
	for _, c := range f.versions {
		if c.version == v {
			return c, true
		}
	}
	return code{}, false
}

// publish makes a version of the latest code, unless it is what was published
// last.
func (f *function) publish(revision string) code {
	if n := len(f.versions); n > 0 && f.versions[n-1].sha == f.latest.sha && f.versions[n-1].config == f.latest.config {
		return f.versions[n-1]
	}
	c := f.latest
	c.version, c.revision, c.begun = strconv.Itoa(len(f.versions)+1), revision, time.Now()
	f.versions = append(f.versions, c)
	return c
}

// takes is how long the code is not ready.
func (c code) takes() time.Duration {
	if c.version == "$LATEST" {
		return c.script.Takes
	}
	return c.script.Version
}

func (c code) ready(now time.Time) bool { return c.begun.IsZero() || now.Sub(c.begun) >= c.takes() }
