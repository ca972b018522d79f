package distribution

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// oracle says the same as Match by way of a regular expression.
func oracle(pattern, path string) bool {
	var re strings.Builder
	for _, c := range []byte(strings.TrimPrefix(pattern, "/")) {
		switch c {
		case '*':
			re.WriteString(`[\x00-\x{10FFFF}]*`)
		case '?':
			re.WriteString(`[\x00-\x{10FFFF}]`)
		default:
			re.WriteString(regexp.QuoteMeta(string(rune(c))))
		}
	}
	return regexp.MustCompile(`\A(?:` + re.String() + `)\z`).MatchString(strings.TrimPrefix(path, "/"))
}

func TestMatchAgreesWithRegexp(t *testing.T) {
	pattern := rapid.StringMatching(`/?[ab.*?/]{0,8}`)
	path := rapid.StringMatching(`/[ab./*?\n]{0,10}`)
	rapid.Check(t, func(t *rapid.T) {
		p, s := pattern.Draw(t, "pattern"), path.Draw(t, "path")
		if rapid.Bool().Draw(t, "related") {
			s = "/" + strings.NewReplacer("*", rapid.StringMatching(`[ab/]{0,4}`).Draw(t, "*"), "?", "b").Replace(strings.TrimPrefix(p, "/"))
		}
		if got, want := Match(p, s), oracle(p, s); got != want {
			t.Errorf("Match(%q, %q) = %v, want %v", p, s, got, want)
		}
	})
}

// The rules of the developer guide, one by one.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"*", "/", true},
		{"*", "/a/b.html", true},
		{"/*", "/", true},
		{"*.jpg", "/a.jpg", true},
		{"*.jpg", "/deep/down/a.jpg", true}, // * crosses slashes
		{"*.jpg", "/a.jpeg", false},         //
		{"*.jpg", "/a.JPG", false},          // letter case counts
		{"images/*", "/images/a", true},     // the leading slash is optional
		{"/images/*", "/images/a", true},    //
		{"/images/*", "/images", false},     //
		{"images/*", "/x/images/a", false},  //
		{"a?c", "/abc", true},               // ? is exactly one character
		{"a?c", "/ac", false},               //
		{"a?c", "/abbc", false},             //
		{"a?c", "/a/c", true},               //
		{"a*b*c", "/aXbYbZc", true},         // * takes as much as is needed
		{"a*b*c", "/acb", false},            //
		{"a**c", "/ac", true},               //
		{"*a", "/aaab", false},              //
		{"index.html", "/index.html", true}, // without wildcards, the very path
		{"index.html", "/indexxhtml", false},
		{"index.html", "/index.html/", false},
		{"/", "/", true},
		{"/", "/a", false},
		{"/a+b", "/a+b", true}, // nothing else is special
		{"/(a|b)", "/a", false},
	}
	for _, tt := range tests {
		if got := Match(tt.pattern, tt.path); got != tt.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tt.pattern, tt.path, got, tt.want)
		}
	}
}

// A pattern is at most 255 characters; the worst of them must not take long.
func BenchmarkMatchWorst(b *testing.B) {
	pattern, path := strings.Repeat("a*", 127)+"b", "/"+strings.Repeat("a", 8000)
	for b.Loop() {
		Match(pattern, path)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("*.jpg", "/a.jpg")
	f.Add("a?c*", "/abcd")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if !ascii(pattern) || !ascii(path) {
			t.Skip("the oracle counts characters, and URLs are ASCII")
		}
		if got, want := Match(pattern, path), oracle(pattern, path); got != want {
			t.Errorf("Match(%q, %q) = %v, want %v", pattern, path, got, want)
		}
	})
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

func TestBehavior(t *testing.T) {
	b := func(pattern string) CacheBehavior {
		return CacheBehavior{PathPattern: pattern, TargetOriginID: "behavior " + pattern}
	}
	c := Config{
		DefaultCacheBehavior: CacheBehavior{TargetOriginID: "default"},
		CacheBehaviors:       []CacheBehavior{b("/images/private/*"), b("images/*.jpg"), b("/images/*"), b("*.jpg"), b("/b")},
	}
	tests := []struct{ path, want string }{
		{"/", "default"},
		{"/index.html", "default"},
		{"/images/a.jpg", "behavior images/*.jpg"}, // the first that matches, not the longest
		{"/images/private/a.jpg", "behavior /images/private/*"},
		{"/images/a.png", "behavior /images/*"},
		{"/a.jpg", "behavior *.jpg"},
		{"/Images/a.png", "default"},
		// Dot segments and repeated slashes do not get past a behavior.
		{"/a/../b", "behavior /b"},
		{"/./b", "behavior /b"},
		{"//b", "behavior /b"},
		{"/images/../index.html", "default"},
		{"/images//private/x", "behavior /images/private/*"},
		{"/x/../images/", "behavior /images/*"},
		{"/images/private/..", "behavior /images/*"},
		{"/../../b", "behavior /b"},
		{"/b/.", "default"}, // that is /b/
		{"/.b", "default"},
	}
	for _, tt := range tests {
		if got := c.Behavior(tt.path).TargetOriginID; got != tt.want {
			t.Errorf("Behavior(%q) is %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestBehaviorAllocatesNothing(t *testing.T) {
	c := Config{CacheBehaviors: []CacheBehavior{{PathPattern: "/api/*"}, {PathPattern: "*.jpg"}}}
	if n := testing.AllocsPerRun(100, func() { c.Behavior("/assets/app.4f2a91.js") }); n != 0 {
		t.Errorf("%v allocations for an ordinary path", n)
	}
}

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html
func TestBucket(t *testing.T) {
	buckets := map[string]string{
		"site.s3.amazonaws.com":                              "site",
		"site.s3.eu-central-1.amazonaws.com":                 "site",
		"site.s3-eu-west-1.amazonaws.com":                    "site",
		"site.s3.dualstack.eu-central-1.amazonaws.com":       "site",
		"site.s3-fips.us-gov-west-1.amazonaws.com":           "site",
		"site.s3-fips.dualstack.us-east-1.amazonaws.com":     "site",
		"site.s3-accelerate.amazonaws.com":                   "site",
		"site.s3-accelerate.dualstack.amazonaws.com":         "site",
		"site.s3-website-us-east-1.amazonaws.com":            "site",
		"site.s3-website.eu-central-1.amazonaws.com":         "site",
		"site.s3.cn-north-1.amazonaws.com.cn":                "site",
		"site.s3-website.cn-northwest-1.amazonaws.com.cn":    "site",
		"site.s3.localhost":                                  "site",
		"www.example.com.s3.amazonaws.com":                   "www.example.com",
		"www.example.com.s3-website-us-east-1.amazonaws.com": "www.example.com",
		"a.s3.b.s3.eu-west-1.amazonaws.com":                  "a.s3.b",
		"Site.S3.Amazonaws.Com":                              "site",
	}
	for host, want := range buckets {
		if got, ok := (Origin{DomainName: host}).Bucket(); !ok || got != want {
			t.Errorf("%s is bucket %q (%v), want %q", host, got, ok, want)
		}
	}
	for _, host := range []string{
		"", "example.com", "s3.amazonaws.com", "s3.eu-central-1.amazonaws.com", "site.s3.example.com", "site.s3.amazonaws.com.example.org",
		"site.s3.amazonaws.org", "site.s3express-use1-az4.us-east-1.amazonaws.com", "name-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
		"name-123456789012.s3-object-lambda.eu-west-1.amazonaws.com", "123456789012.s3-control.us-east-1.amazonaws.com",
		"abc123.execute-api.eu-central-1.amazonaws.com", "site.xs3.amazonaws.com", "d111111abcdef8.cloudfront.net", ".s3.amazonaws.com",
	} {
		if got, ok := (Origin{DomainName: host}).Bucket(); ok {
			t.Errorf("%s was taken for bucket %q", host, got)
		}
	}
}

func TestForBucket(t *testing.T) {
	d := ForBucket("E1LOCAL", "site")
	if want := []string{"e1local.cloudfront.localhost"}; !reflect.DeepEqual(d.Hosts(), want) {
		t.Errorf("hosts %q, want %q", d.Hosts(), want)
	}
	o, ok := d.Config.Origin(d.Config.Behavior("/").TargetOriginID)
	if !ok {
		t.Fatal("the default behavior leads to no origin")
	}
	if bucket, ok := o.Bucket(); !ok || bucket != "site" {
		t.Errorf("the origin is bucket %q (%v)", bucket, ok)
	}
	if c, err := d.Caching(&d.Config.DefaultCacheBehavior); err != nil || !d.Config.Enabled || !c.Caches() {
		t.Errorf("the distribution is disabled or caches nothing (%v)", err)
	}
	if _, ok := d.Config.Origin("other"); ok {
		t.Error("an origin was found that is not there")
	}
}

func TestHostsLeavesAliasesAlone(t *testing.T) {
	aliases := make([]string, 1, 4)
	aliases[0] = "www.example.com"
	d := Distribution{DomainName: "d1.cloudfront.net", Config: Config{Aliases: aliases}}
	if got, want := d.Hosts(), []string{"d1.cloudfront.net", "www.example.com"}; !reflect.DeepEqual(got, want) {
		t.Errorf("hosts %q, want %q", got, want)
	}
	_ = append(d.Hosts(), "x")
	if got := aliases[:2][1]; got != "" {
		t.Errorf("the aliases' array was written to: %q", got)
	}
}

func TestJSONKeepsEverything(t *testing.T) {
	d := ForBucket("E1LOCAL", "site")
	d.Config.Aliases = []string{"www.example.com"}
	d.Config.CacheBehaviors = []CacheBehavior{{
		PathPattern: "/api/*", TargetOriginID: "site", MinTTL: seconds(1), DefaultTTL: seconds(2), MaxTTL: seconds(3),
		ForwardedValues: &ForwardedValues{QueryString: true},
	}}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back Distribution
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("came back as %+v (%v)", back, err)
	}
	for _, name := range []string{`"Id"`, `"DomainName"`, `"DistributionConfig"`, `"DefaultCacheBehavior"`, `"PathPattern"`, `"TargetOriginId"`} {
		if !strings.Contains(string(text), name) {
			t.Errorf("CloudFront's name %s is not in %s", name, text)
		}
	}
}

// Every character that may stand in a path pattern can stand in a path, in the
// canonical spelling.
func TestPatternCharacters(t *testing.T) {
	for _, c := range patternCharacters {
		if c == '*' || c == '?' {
			continue
		}
		spelled := string(c)
		if c == '"' {
			spelled = "%22"
		}
		config := Config{CacheBehaviors: []CacheBehavior{{PathPattern: "/a" + string(c) + "b"}}}
		if config.BehaviorIndex("/a"+spelled+"b") != 0 || config.BehaviorIndex("/axb") != 1 {
			t.Errorf("a pattern with %q does not match %q alone", c, spelled)
		}
	}
}
