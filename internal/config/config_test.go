package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet/freshet/internal/distribution"
)

func TestParseOverlaysTheDefaults(t *testing.T) {
	want := Default()
	want.Bucket, want.Retry = "assets", Duration(90*time.Second)
	want.Distribution.Aliases, want.Distribution.MaxTTL = []string{"www.example.com"}, 100000
	got, err := Parse([]byte("bucket: assets\nretry: 1m30s\ndistribution:\n  Aliases: [www.example.com]\n  MaxTTL: 100000\n"))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := Parse([]byte("\xef\xbb\xbfbucket: assets\r\n")); err != nil || got.Bucket != "assets" {
		t.Errorf("as an editor of Windows writes it: %+v, %v", got.Bucket, err)
	}
	for _, empty := range []string{"", "\n", "\xef\xbb\xbf", "  \n\n", "# nothing but a comment\n"} {
		if got, err := Parse([]byte(empty)); err != nil || !reflect.DeepEqual(got, Default()) {
			t.Errorf("%q: got %+v, %v", empty, got, err)
		}
	}
}

// Which distributions there are is not in the file.
func TestRoutesMayNameDistributions(t *testing.T) {
	c, err := Parse([]byte(`routes:
  rewrites:
    - {url: "/blog/{slug}", key: "blog/{slug}.html", distributions: [E1]}
    - {url: "/blog/{slug}", key: "news/{slug}.html", distributions: [E2]}
  derived:
    - {key: "a/{id}.json", urls: ["/a/{id}"], distributions: [E2, E3]}
`))
	if err != nil || len(c.Routes.Rewrites) != 2 {
		t.Errorf("got %+v, %v", c.Routes, err)
	}
}

func TestDefaultsAreRight(t *testing.T) {
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
}

func TestErrorsNameLineAndColumn(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown name", "bucket: site\ncolour: blue\n", `[2:1] unknown field "colour"`},
		{"unknown name in a part", "distribution:\n  Comment: x\n", `[2:3] unknown field "Comment"`},
		{"name in other letters", "Bucket: site\n", `[1:1] unknown field "Bucket"`},
		{"text for a number", "distribution:\n  MaxTTL: long\n", "[2:11] "},
		{"list for text", "bucket: [a, b]\n", "[1:9] "},
		{"text for a list", "distribution:\n  Aliases: www\n", "[2:12] "},
		{"no duration", "data: x\nretry: soon\n", `[2:8] "soon" is no duration such as 30s or 2m`},
		{"duration without a unit", "patience: 30\n", `[1:11] "30" is no duration such as 30s or 2m`},
		{"twice", "bucket: site\nbucket: other\n", "[2:1] "},
		{"not YAML", "bucket: [\n", "[1:"},
		{"a tab", "distribution:\n\tMaxTTL: 1\n", "[2:1] "},
		{"a list for the whole", "- bucket: x\n", "[1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.text))
			if err == nil {
				t.Fatalf("read as %+v", c)
			}
			if !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

func TestCheckFindsEverythingThatIsWrong(t *testing.T) {
	tests := []struct {
		name string
		set  func(*Config)
		want []string // empty: fine
	}{
		{"the defaults", func(*Config) {}, nil},
		{"no data directory", func(c *Config) { c.Data = "" }, []string{"data: "}},
		{"addresses", func(c *Config) { c.S3, c.Edge, c.API = "localhost", "8080", "" }, []string{"s3: ", "edge: ", "api: "}},
		{"all interfaces, IPv6", func(c *Config) { c.S3, c.Edge = ":9000", "[::1]:0" }, nil},
		{"bucket in capitals", func(c *Config) { c.Bucket = "Site" }, []string{"bucket: "}},
		{"bucket too short", func(c *Config) { c.Bucket = "ab" }, []string{"bucket: "}},
		{"bucket too long", func(c *Config) { c.Bucket = strings.Repeat("a", 64) }, []string{"bucket: "}},
		{"bucket of the greatest length", func(c *Config) { c.Bucket = strings.Repeat("a", 63) }, nil},
		{"bucket ends in a hyphen", func(c *Config) { c.Bucket = "site-" }, []string{"bucket: "}},
		{"bucket with a line break", func(c *Config) { c.Bucket = "site\n" }, []string{"bucket: "}},
		{"no region", func(c *Config) { c.Region = "" }, []string{"region: "}},
		{"driver", func(c *Config) { c.Driver = "akamai" }, []string{`driver: "akamai" is none of cloudfront, edge`}},
		{"the other driver", func(c *Config) { c.Driver = DriverEdge }, nil},
		{"origins elsewhere", func(c *Config) { c.Origins = map[string]string{"app.example.com": "localhost:3000"} }, []string{`origins.app.example.com: "localhost:3000" is no URL`}},
		{"unknown quota", func(c *Config) { c.Quota = "some" }, []string{`quota: "some" is none of none, rate, window, both`}},
		{"chaos that is none", func(c *Config) { c.Chaos = "throttle=x" }, []string{`chaos: read chaos "throttle=x"`}},
		{"negative times", func(c *Config) { c.Retry = -1 }, []string{"retry, patience, drain, deploy, complete: "}},
		{"no times", func(c *Config) { c.Retry, c.Patience = 0, 0 }, nil},
		{"root object with a slash", func(c *Config) { c.Distribution.DefaultRootObject = "/index.html" }, []string{"DefaultRootObject"}},
		{"no root object", func(c *Config) { c.Distribution.DefaultRootObject = "" }, nil},
		{"origin path without a slash", func(c *Config) { c.Distribution.OriginPath = "public" }, []string{"OriginPath"}},
		{"origin path with two", func(c *Config) { c.Distribution.OriginPath = "/public/" }, []string{"OriginPath"}},
		{"origin path", func(c *Config) { c.Distribution.OriginPath = "/public/html" }, nil},
		{"negative TTL", func(c *Config) { c.Distribution.MinTTL = -1 }, []string{"MinTTL (-1)"}},
		{"TTLs out of order", func(c *Config) { c.Distribution.DefaultTTL = c.Distribution.MaxTTL + 1 }, []string{"<= MaxTTL"}},
		{"TTLs all the same", func(c *Config) {
			c.Distribution.MinTTL, c.Distribution.DefaultTTL, c.Distribution.MaxTTL = 5, 5, 5
		}, nil},
		{"all at once", func(c *Config) { *c = Config{} }, []string{"data: ", "s3: ", "edge: ", "api: ", "bucket: ", "region: ", "driver: ", "quota: ", "memory: "}},
		{"too little memory", func(c *Config) { c.Memory = 1<<20 - 1 }, []string{"memory: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Default()
			tt.set(&c)
			err := c.Check()
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if err != nil && strings.Count(err.Error(), "\n")+1 != len(tt.want) {
				t.Errorf("errors beyond %q: %v", tt.want, err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	if c, err := Load(missing, false); err != nil || !reflect.DeepEqual(c, Default()) {
		t.Errorf("missing, which is allowed: %+v, %v", c, err)
	}
	if _, err := Load(missing, true); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Load(dir, false); err == nil {
		t.Error("a directory was read as a file")
	}
	file := filepath.Join(dir, "freshet.yaml")
	if err := os.WriteFile(file, []byte("driver: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file, false); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "driver") {
		t.Errorf("a wrong one: %v", err)
	}
}

// What is written reads as what it was.
func TestYAMLRoundTrip(t *testing.T) {
	text := rapid.StringOf(rapid.RuneFrom([]rune("ab/.:- #'\"\\{}[]&*!|>%@`~?=,0né\u00a0")))
	rapid.Check(t, func(t *rapid.T) {
		c := Default()
		c.Data = "d" + text.Draw(t, "data")
		c.Region = "r" + text.Draw(t, "region")
		c.Bucket = rapid.StringMatching(`[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]`).Draw(t, "bucket")
		c.Retry = Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "retry"))
		c.Distribution.DefaultRootObject = rapid.SampledFrom([]string{"", "index.html", "a b.html", "null", "true", "1", "~", "0x1", "1e3"}).Draw(t, "root")
		c.Distribution.QueryString = rapid.Bool().Draw(t, "query")
		c.Distribution.DefaultTTL = rapid.Int64Range(0, 31536000).Draw(t, "ttl")
		if aliases := rapid.SliceOfN(rapid.StringMatching(`(\*\.)?[a-z0-9][a-z0-9-]{0,5}[a-z0-9]\.(com|example|1e3)`), 1, 3); rapid.Bool().Draw(t, "aliased") {
			c.Distribution.Aliases = aliases.Draw(t, "aliases")
		}
		written, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(written)
		if err != nil {
			t.Fatalf("%v in\n%s", err, written)
		}
		if len(back.Distribution.Aliases) == 0 {
			back.Distribution.Aliases = nil
		}
		if !reflect.DeepEqual(back, c) {
			t.Errorf("%+v became %+v by way of\n%s", c, back, written)
		}
	})
}

func TestDurationAsText(t *testing.T) {
	text, err := json.Marshal(Duration(90 * time.Second))
	if err != nil || string(text) != `"1m30s"` {
		t.Errorf("%s, %v", text, err)
	}
	var d Duration
	if err := json.Unmarshal(text, &d); err != nil || d != Duration(90*time.Second) {
		t.Errorf("%v, %v", d, err)
	}
}

func TestApplyLeavesTheBaseAlone(t *testing.T) {
	base := distribution.ForBucket("E1", "site")
	before := distribution.ForBucket("E1", "site")
	d := Distribution{Aliases: []string{"www.example.com"}, DefaultRootObject: "home.html", OriginPath: "/public", QueryString: true, MinTTL: 1, DefaultTTL: 2, MaxTTL: 3}
	got := d.Apply(base)
	if !reflect.DeepEqual(base, before) {
		t.Errorf("the base became %+v", base)
	}
	b := got.Config.DefaultCacheBehavior
	if got.ID != "E1" || got.Config.DefaultRootObject != "home.html" || !reflect.DeepEqual(got.Config.Aliases, d.Aliases) ||
		!b.ForwardedValues.QueryString || *b.MinTTL != 1 || *b.DefaultTTL != 2 || *b.MaxTTL != 3 {
		t.Errorf("got %+v", got)
	}
	for _, o := range got.Config.Origins {
		if o.OriginPath != "/public" {
			t.Errorf("origin %+v", o)
		}
	}
	if kept := Default().Distribution.Apply(base); !reflect.DeepEqual(kept, before) {
		t.Errorf("the defaults make of it %+v, not %+v", kept, before)
	}
}
