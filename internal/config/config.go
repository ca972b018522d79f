// Package config reads freshet.yaml and holds the defaults of everything that
// can be set.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
)

// File is where the configuration is looked for when nobody says otherwise.
const File = "freshet.yaml"

// Config is everything that can be set, with the names of the file.
type Config struct {
	Data         string        `yaml:"data" json:"data"`                                     // directory of keys, objects, queue and journal
	S3           string        `yaml:"s3" json:"s3"`                                         // address of the bucket's S3 API
	Edge         string        `yaml:"edge" json:"edge"`                                     // address of the edge
	API          string        `yaml:"api" json:"api"`                                       // address of the CloudFront API
	EdgeTLS      string        `yaml:"edge_tls,omitempty" json:"edge_tls,omitempty"`         // address of the edge for TLS; empty for none
	Certificates []Certificate `yaml:"certificates,omitempty" json:"certificates,omitempty"` // for EdgeTLS, each for the names that it holds
	Metrics      string        `yaml:"metrics,omitempty" json:"metrics,omitempty"`           // address of the metrics without a token; empty for none
	Pprof        string        `yaml:"pprof,omitempty" json:"pprof,omitempty"`               // address of the runtime's profiles, on this machine; empty for none
	Hooks        string        `yaml:"hooks" json:"hooks"`                                   // address of the webhooks of Sources, if there are any
	AccessLogs   string        `yaml:"access_logs,omitempty" json:"access_logs,omitempty"`   // directory of the edge's standard access logs; empty for none
	Bucket       string        `yaml:"bucket" json:"bucket"`                                 // its name
	Region       string        `yaml:"region" json:"region"`                                 // what S3 clients sign for
	Driver       string        `yaml:"driver" json:"driver"`                                 // how invalidations are sent
	Retry        Duration      `yaml:"retry" json:"retry"`                                   // how long a request that fails for a while is worth another try
	Patience     Duration      `yaml:"patience" json:"patience"`
	FreshWithin  FreshWithin   `yaml:"fresh_within,omitempty" json:"fresh_within,omitzero"` // how soon after it changed a change is to be seen
	Alarm        Alarm         `yaml:"alarm,omitempty" json:"alarm,omitzero"`               // who is told when it is not
	Drain        Duration      `yaml:"drain" json:"drain"`                                  // for how long answers that are under way go on when everything stops
	Memory       Size          `yaml:"memory" json:"memory"`                                // that responses take at most which the edge holds
	Connections  int           `yaml:"connections,omitempty" json:"connections,omitempty"`  // of the edge's viewers, at most; 0: as many as the process may open files for
	Requests     int           `yaml:"requests,omitempty" json:"requests,omitempty"`        // that are no plain hits, at the edge at once; 0: 10,000, or what the process may open files for
	Disk         Disk          `yaml:"disk,omitempty" json:"disk,omitzero"`                 // where the edge keeps what it has cached, beside memory; nothing for nowhere
	WaitFor      []string      `yaml:"wait_for,omitempty" json:"wait_for,omitempty"`        // facts without which nothing is invalidated, such as: lambda site:live updated within 5m
	Deploy       Duration      `yaml:"deploy" json:"deploy"`                                // for how long a changed distribution's status is InProgress
	Complete     Duration      `yaml:"complete" json:"complete"`                            // for how long an invalidation is InProgress at least
	Quota        string        `yaml:"quota" json:"quota"`                                  // which of CloudFront's quotas the API holds clients to
	Chaos        string        `yaml:"chaos" json:"chaos"`                                  // what goes wrong in the API on purpose
	Distribution Distribution  `yaml:"distribution" json:"distribution"`

	Distributions []DistributionFile `yaml:"distributions,omitempty" json:"distributions,omitempty"` // what plan and explain work with in place of Distribution, and up serves beside it
	Origins       map[string]string  `yaml:"origins,omitempty" json:"origins,omitempty"`             // URL of the server that stands for an origin here, by its domain name
	Sources       []Source           `yaml:"sources,omitempty" json:"sources,omitempty"`             // that tell of changes beside the bucket
	Functions     []Function         `yaml:"functions,omitempty" json:"functions,omitempty"`         // CloudFront functions that distributions may run here
	Routes        route.Rules        `yaml:"routes" json:"routes"`
	Plan          plan.Terms         `yaml:"plan" json:"plan"`
	Work          []Work             `yaml:"work,omitempty" json:"work,omitempty"`       // what is run after changes
	Workers       int                `yaml:"workers,omitempty" json:"workers,omitempty"` // how many programs run at a time; 0: two
}

// Certificate names the PEM files of a certificate, with those that lead to its
// authority after it, and of its key.
type Certificate struct {
	File string `yaml:"file" json:"file"` // relative to the configuration file
	Key  string `yaml:"key" json:"key"`   // likewise
}

// DistributionFile names a file that describes distributions or cache policies:
// what aws cloudfront get-distribution prints, a CloudFormation template, the
// output of cdk synth, or YAML with the same names.
type DistributionFile struct {
	File       string            `yaml:"file" json:"file"`                                   // relative to the configuration file
	ID         string            `yaml:"id,omitempty" json:"id,omitempty"`                   // where the file does not say it
	DomainName string            `yaml:"domain_name,omitempty" json:"domain_name,omitempty"` // likewise
	Parameters map[string]string `yaml:"parameters,omitempty" json:"parameters,omitempty"`   // of a template
	Resources  map[string]string `yaml:"resources,omitempty" json:"resources,omitempty"`     // logical ID in a template to the name it has in AWS
	Region     string            `yaml:"region,omitempty" json:"region,omitempty"`           // of a template's stack
	Account    string            `yaml:"account,omitempty" json:"account,omitempty"`         // likewise
	Stack      string            `yaml:"stack,omitempty" json:"stack,omitempty"`             // its name
	KVS        map[string]string `yaml:"kvs,omitempty" json:"kvs,omitempty"`                 // file with the pairs of a key value store, by its logical ID or name
}

// Distribution is what can be set of the one distribution in front of the
// bucket, with CloudFront's names. TTLs are seconds.
type Distribution struct {
	Aliases           []string `yaml:"Aliases" json:"Aliases"`
	DefaultRootObject string   `yaml:"DefaultRootObject" json:"DefaultRootObject"`
	OriginPath        string   `yaml:"OriginPath" json:"OriginPath"`
	QueryString       bool     `yaml:"QueryString" json:"QueryString"`
	MinTTL            int64    `yaml:"MinTTL" json:"MinTTL"`
	DefaultTTL        int64    `yaml:"DefaultTTL" json:"DefaultTTL"`
	MaxTTL            int64    `yaml:"MaxTTL" json:"MaxTTL"`

	FunctionAssociations []FunctionAssociation `yaml:"FunctionAssociations,omitempty" json:"FunctionAssociations,omitempty"`
}

// Duration is a time.Duration that is written as 2m30s.
type Duration time.Duration

// String is the form that UnmarshalText reads.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration understands.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration such as 30s or 2m", text)
	}
	*d = Duration(v)
	return nil
}

// UnmarshalYAML reads what UnmarshalText reads. Its errors know line and column.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	var text string
	if err := yaml.NodeToValue(node, &text); err != nil {
		return err
	}
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: node.GetToken()}
	}
	return nil
}

// The drivers that Driver may name.
const (
	DriverCloudFront = "cloudfront" // the AWS SDK, against the CloudFront API
	DriverEdge       = "edge"       // straight onto the embedded edge
)

// leastMemory holds a few objects, so that it is a cache.
const leastMemory = 1 << 20

// Default returns what holds when nothing is set.
func Default() Config {
	return Config{
		Data:     ".freshet",
		S3:       "127.0.0.1:9000",
		Edge:     "127.0.0.1:8080",
		API:      "127.0.0.1:9001",
		Hooks:    "127.0.0.1:9002",
		Bucket:   "site",
		Region:   "us-east-1",
		Driver:   DriverCloudFront,
		Retry:    Duration(2 * time.Minute),
		Patience: Duration(5 * time.Second),
		Drain:    Duration(10 * time.Second),
		Memory:   256 << 20,
		Deploy:   Duration(500 * time.Millisecond),
		Quota:    string(api.QuotaNone),
		Distribution: Distribution{
			DefaultRootObject: "index.html",
			DefaultTTL:        86400,
			MaxTTL:            31536000,
		},
		Routes: route.Rules{IndexDocuments: []string{"index.html"}, NewObjects: route.Invalidate, ErrorPages: route.Clear},
		Plan:   plan.DefaultTerms(),
	}
}

// Load returns the defaults overlaid with the file at path. A missing file is an
// error only if must is set. Unknown names and values of the wrong kind are
// errors with line and column.
func Load(path string, must bool) (Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return Default(), nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := Parse(text)
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	for i := range c.Distributions {
		d := &c.Distributions[i]
		if !filepath.IsAbs(d.File) {
			d.File = filepath.Join(filepath.Dir(path), d.File)
		}
		for name, file := range d.KVS {
			if !filepath.IsAbs(file) {
				d.KVS[name] = filepath.Join(filepath.Dir(path), file)
			}
		}
	}
	if d := &c.Disk.Dir; *d != "" && !filepath.IsAbs(*d) {
		*d = filepath.Join(filepath.Dir(path), *d)
	}
	for i := range c.Certificates {
		for _, f := range []*string{&c.Certificates[i].File, &c.Certificates[i].Key} {
			if *f != "" && !filepath.IsAbs(*f) {
				*f = filepath.Join(filepath.Dir(path), *f)
			}
		}
	}
	c.besideFile(path)
	c.Alarm.beside(path)
	c.sourcesBeside(path)
	return c, nil
}

// byteOrder is what editors of Windows may write before a text.
var byteOrder = []byte("\xef\xbb\xbf")

// Parse reads the text of a configuration file.
func Parse(text []byte) (Config, error) {
	c := Default()
	documents := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, byteOrder)), yaml.Strict())
	switch err := documents.Decode(&c); {
	case errors.Is(err, io.EOF): // nothing but comments
		return Default(), nil
	case err != nil:
		return Config{}, errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	if err := documents.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("there is more than one YAML document")
	}
	return c, c.Check()
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Check returns everything that is wrong with c, one error each, joined.
func (c Config) Check() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Data == "" {
		complain("data: a directory is needed")
	}
	problems = append(problems, c.checkAddresses(), c.checkCertificates(), c.checkAPI())
	if !bucketName.MatchString(c.Bucket) {
		complain("bucket: %q must be 3 to 63 lower-case letters, digits, dots and hyphens", c.Bucket)
	}
	if c.Region == "" {
		complain("region: must not be empty")
	}
	if drivers := []string{DriverCloudFront, DriverEdge}; !slices.Contains(drivers, c.Driver) {
		complain("driver: %q is none of %s", c.Driver, strings.Join(drivers, ", "))
	}
	if c.Retry < 0 || c.Patience < 0 || c.Drain < 0 || c.Deploy < 0 || c.Complete < 0 {
		complain("retry, patience, drain, deploy, complete: must not be negative")
	}
	if c.Connections < 0 || c.Requests < 0 {
		complain("connections, requests: must not be negative")
	}
	if c.Memory < leastMemory {
		complain("memory: %s is too little, at least %s are needed", c.Memory, Size(leastMemory))
	}
	problems = append(problems, c.Disk.check())
	for i, d := range c.Distributions {
		if d.File == "" {
			complain("distributions[%d].file: a file is needed", i)
		}
	}
	if err := c.Plan.Check(); err != nil {
		complain("plan: %w", err)
	}
	if err := c.Routes.Check(); err != nil {
		complain("routes: %w", err)
	}
	if _, err := Facts(c.WaitFor); err != nil {
		problems = append(problems, err)
	}
	problems = append(problems, c.checkFunctions()...)
	problems = append(problems, c.checkSources()...)
	problems = append(problems, c.FreshWithin.check(), c.Alarm.check(), c.checkWork())
	return errors.Join(append(problems, c.Distribution.check())...)
}

func (c Config) checkAddresses() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, a := range []struct {
		name, addr, example string
		optional            bool
	}{
		{"s3", c.S3, "127.0.0.1:8080", false},
		{"edge", c.Edge, "127.0.0.1:8080", false},
		{"api", c.API, "127.0.0.1:8080", false},
		{"hooks", c.Hooks, "127.0.0.1:9002", len(c.Sources) == 0},
		{"edge_tls", c.EdgeTLS, "127.0.0.1:8443", true},
		{"metrics", c.Metrics, "127.0.0.1:9102", true},
		{"pprof", c.Pprof, "127.0.0.1:6060", true},
	} {
		if _, _, err := net.SplitHostPort(a.addr); err != nil && (a.addr != "" || !a.optional) {
			complain("%s: %q is no address such as %s", a.name, a.addr, a.example)
		}
	}
	if host, _, err := net.SplitHostPort(c.Pprof); err == nil && host != "localhost" && !isLoopback(host) {
		complain("pprof: %q may be reached from elsewhere, and profiles are for this machine only", c.Pprof)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Origins)) {
		if u, err := url.Parse(c.Origins[name]); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			complain("origins.%s: %q is no URL such as http://127.0.0.1:3000", name, c.Origins[name])
		}
	}
	return errors.Join(problems...)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func (c Config) checkCertificates() error {
	if len(c.Certificates) > 0 && c.EdgeTLS == "" {
		return errors.New("certificates: there is no edge_tls address (--tls) that would use them")
	}
	for i, pair := range c.Certificates {
		if pair.File == "" || pair.Key == "" {
			return fmt.Errorf("certificates[%d]: a file and a key are needed", i)
		}
	}
	return nil
}

// checkAPI is about what the CloudFront API does on purpose.
func (c Config) checkAPI() error {
	var quota, chaos error
	if !slices.Contains(api.Quotas(), c.Quota) {
		quota = fmt.Errorf("quota: %q is none of %s", c.Quota, strings.Join(api.Quotas(), ", "))
	}
	if _, err := api.ParseChaos(c.Chaos); err != nil {
		chaos = fmt.Errorf("chaos: %w", err)
	}
	return errors.Join(quota, chaos)
}

// hostName is what CloudFront takes for an alias: it may begin with a * label.
var hostName = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?\.)*[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)

func (d Distribution) check() error {
	var problems []error
	complain := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, a := range d.Aliases {
		if !hostName.MatchString(a) {
			complain("distribution.Aliases: %q is no host name", a)
		}
	}
	if strings.HasPrefix(d.DefaultRootObject, "/") {
		complain("distribution.DefaultRootObject: %q must not begin with /", d.DefaultRootObject)
	}
	if d.OriginPath != "" && (!strings.HasPrefix(d.OriginPath, "/") || strings.HasSuffix(d.OriginPath, "/")) {
		complain("distribution.OriginPath: %q must begin with / and not end with one", d.OriginPath)
	}
	if d.MinTTL < 0 || d.DefaultTTL < d.MinTTL || d.MaxTTL < d.DefaultTTL {
		complain("distribution: 0 <= MinTTL (%d) <= DefaultTTL (%d) <= MaxTTL (%d) must hold", d.MinTTL, d.DefaultTTL, d.MaxTTL)
	}
	return errors.Join(problems...)
}

// Apply returns a copy of base with what is set in d, but for functions, whose
// ARNs Config knows.
func (d Distribution) Apply(base distribution.Distribution) distribution.Distribution {
	base.Config.Aliases = d.Aliases
	base.Config.DefaultRootObject = d.DefaultRootObject
	base.Config.Origins = slices.Clone(base.Config.Origins)
	for i := range base.Config.Origins {
		base.Config.Origins[i].OriginPath = d.OriginPath
	}
	b := &base.Config.DefaultCacheBehavior
	b.ForwardedValues = &distribution.ForwardedValues{QueryString: d.QueryString}
	b.MinTTL, b.DefaultTTL, b.MaxTTL = &d.MinTTL, &d.DefaultTTL, &d.MaxTTL
	return base
}

// YAML is c as a configuration file.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return text, nil
}
