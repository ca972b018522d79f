package distribution

import (
	"fmt"
	"strings"
	"testing"
)

// valid returns a configuration that nothing is to be said of.
func valid() Config {
	return Config{
		Origins:              []Origin{{ID: "a", DomainName: "a.example.com"}, {ID: "b", DomainName: "b.example.com", OriginPath: "/b"}},
		OriginGroups:         []OriginGroup{{ID: "g", StatusCodes: []int{404}, Members: []string{"a", "b"}}},
		DefaultCacheBehavior: CacheBehavior{TargetOriginID: "g", CachePolicyID: "658327ea-f89d-4fab-a63d-7e88639e58f6"},
		CacheBehaviors:       []CacheBehavior{{PathPattern: "/x/*", TargetOriginID: "b", ForwardedValues: &ForwardedValues{}}},
	}
}

func TestCheckOfAValidOne(t *testing.T) {
	d := Distribution{Config: valid()}
	if warnings, err := d.Check("D"); err != nil || len(warnings) > 0 {
		t.Errorf("%v %v", warnings, err)
	}
	local := ForBucket("E1", "site")
	if warnings, err := local.Check("D"); err != nil || len(warnings) > 0 {
		t.Errorf("of a bucket: %v %v", warnings, err)
	}
}

// Each case spoils one thing; exactly one thing is said of it.
func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Distribution)
		want  string // of the error
	}{
		{"no such target", func(d *Distribution) { d.Config.CacheBehaviors[0].TargetOriginID = "z" }, `DistributionConfig.CacheBehaviors[0].TargetOriginId: there is no origin or origin group "z"`},
		{"letter case of targets", func(d *Distribution) { d.Config.DefaultCacheBehavior.TargetOriginID = "G" }, `DistributionConfig.DefaultCacheBehavior.TargetOriginId: there is no`},
		{"no target", func(d *Distribution) { d.Config.DefaultCacheBehavior.TargetOriginID = "" }, `DefaultCacheBehavior.TargetOriginId: is missing`},
		{"no such member", func(d *Distribution) { d.Config.OriginGroups[0].Members[1] = "z" }, `OriginGroups[0].Members[1]: there is no origin "z"`},
		{"a group in a group", func(d *Distribution) { d.Config.OriginGroups[0].Members[1] = "g" }, `OriginGroups[0].Members[1]: there is no origin "g"`},
		{"one member", func(d *Distribution) { d.Config.OriginGroups[0].Members = []string{"a"} }, `OriginGroups[0].Members: there are 1`},
		{"no status codes", func(d *Distribution) { d.Config.OriginGroups[0].StatusCodes = nil }, `OriginGroups[0].FailoverCriteria.StatusCodes: there is none`},
		{"an origin twice", func(d *Distribution) { d.Config.Origins = append(d.Config.Origins, d.Config.Origins[0]) }, `Origins[2].Id: "a" is the ID of another`},
		{"a group like an origin", func(d *Distribution) {
			d.Config.OriginGroups[0].ID = "a"
			d.Config.DefaultCacheBehavior.TargetOriginID = "a"
		}, `OriginGroups[0].Id: "a" is the ID of another`},
		{"an origin without a host", func(d *Distribution) { d.Config.Origins[0].DomainName = "" }, `Origins[0].DomainName: "" is not a host name`},
		{"a URL for a host", func(d *Distribution) { d.Config.Origins[0].DomainName = "https://a.example.com" }, `Origins[0].DomainName: "https://a.example.com" is not`},
		{"an origin path without a slash", func(d *Distribution) { d.Config.Origins[0].OriginPath = "p" }, `Origins[0].OriginPath: "p" does not begin`},
		{"an origin path that ends in one", func(d *Distribution) { d.Config.Origins[0].OriginPath = "/p/" }, `Origins[0].OriginPath: "/p/" ends in`},
		{"both kinds of origin", func(d *Distribution) {
			d.Config.Origins[0].S3OriginConfig, d.Config.Origins[0].CustomOriginConfig = &S3OriginConfig{}, &CustomOriginConfig{}
		}, `Origins[0]: has both`},
		{"no pattern", func(d *Distribution) { d.Config.CacheBehaviors[0].PathPattern = "" }, `CacheBehaviors[0].PathPattern: is missing`},
		{"a long pattern", func(d *Distribution) { d.Config.CacheBehaviors[0].PathPattern = strings.Repeat("a", 256) }, `CacheBehaviors[0].PathPattern: has 256`},
		{"policy and forwarded values", func(d *Distribution) {
			d.Config.DefaultCacheBehavior.ForwardedValues = &ForwardedValues{QueryString: true}
		}, `DefaultCacheBehavior: has both`},
		{"no such policy", func(d *Distribution) { d.Config.DefaultCacheBehavior.CachePolicyID = "p" }, `DefaultCacheBehavior.CachePolicyId: cache policy "p" is neither`},
		{"minimum above default", func(d *Distribution) {
			d.Config.CacheBehaviors[0].MinTTL, d.Config.CacheBehaviors[0].DefaultTTL = seconds(2), seconds(1)
		}, `CacheBehaviors[0]: MinTTL 2 is above DefaultTTL 1`},
		{"default above maximum", func(d *Distribution) {
			d.Config.CacheBehaviors[0].DefaultTTL, d.Config.CacheBehaviors[0].MaxTTL = seconds(2), seconds(1)
		}, `CacheBehaviors[0]: DefaultTTL 2 is above MaxTTL 1`},
		{"minimum above maximum", func(d *Distribution) {
			d.Config.CacheBehaviors[0].MinTTL, d.Config.CacheBehaviors[0].MaxTTL = seconds(2), seconds(1)
		}, `CacheBehaviors[0]: MinTTL 2 is above MaxTTL 1`},
		{"a negative TTL", func(d *Distribution) { d.Config.CacheBehaviors[0].MaxTTL = seconds(-1) }, `CacheBehaviors[0].MaxTTL: is -1`},
		{"a minimum where all headers are forwarded", func(d *Distribution) {
			d.Config.CacheBehaviors[0].ForwardedValues.Headers, d.Config.CacheBehaviors[0].MinTTL = []string{"*"}, seconds(1)
		}, `CacheBehaviors[0].MinTTL: is 1, but must be 0`},
		{"an alias that is none", func(d *Distribution) { d.Config.Aliases = []string{"https://x"} }, `Aliases[0]: "https://x" is not`},
		{"a wildcard for a part of a label", func(d *Distribution) { d.Config.Aliases = []string{"*x.example.com"} }, `Aliases[0]: "*x.example.com" has a *`},
		{"a wildcard inside an alias", func(d *Distribution) { d.Config.Aliases = []string{"*.example.com", "a.*.example.com"} }, `Aliases[1]: "a.*.example.com" has a *`},
		{"no origins", func(d *Distribution) {
			d.Config.Origins, d.Config.OriginGroups, d.Config.CacheBehaviors = nil, nil, nil
			d.Config.DefaultCacheBehavior.TargetOriginID = ""
		}, `Origins: there is none`},
		{"half a custom error", func(d *Distribution) {
			d.Config.CustomErrorResponses = []CustomErrorResponse{{ErrorCode: 404, ResponseCode: 200}}
		}, `CustomErrorResponses[0]: has only one`},
		{"a page without a slash", func(d *Distribution) {
			d.Config.CustomErrorResponses = []CustomErrorResponse{{ErrorCode: 404, ResponseCode: 200, ResponsePagePath: "404.html"}}
		}, `CustomErrorResponses[0].ResponsePagePath: "404.html" does not`},
		{"an error twice", func(d *Distribution) {
			d.Config.CustomErrorResponses = []CustomErrorResponse{{ErrorCode: 404}, {ErrorCode: 404}}
		}, `CustomErrorResponses[1].ErrorCode: 404 has`},
		{"no error", func(d *Distribution) { d.Config.CustomErrorResponses = []CustomErrorResponse{{ErrorCode: 200}} }, `CustomErrorResponses[0].ErrorCode: 200 is not`},
		{"a policy's TTLs", func(d *Distribution) {
			d.CachePolicies = []CachePolicy{{Config: CachePolicyConfig{Name: "p", MinTTL: seconds(2), MaxTTL: seconds(1)}}}
		}, `CachePolicies[0].CachePolicyConfig: MinTTL 2`},
		{"a policy without a name", func(d *Distribution) { d.CachePolicies = []CachePolicy{{ID: "p"}} }, `CachePolicies[0].CachePolicyConfig.Name: is missing`},
		{"a policy's mode", func(d *Distribution) {
			d.CachePolicies = []CachePolicy{{Config: CachePolicyConfig{Name: "p", Parameters: Parameters{CookiesConfig: CookiesConfig{CookieBehavior: "some"}}}}}
		}, `CookiesConfig: "some" is not`},
		{"a policy's headers", func(d *Distribution) {
			d.CachePolicies = []CachePolicy{{Config: CachePolicyConfig{Name: "p", Parameters: Parameters{HeadersConfig: HeadersConfig{HeaderBehavior: "all"}}}}}
		}, `HeadersConfig.HeaderBehavior: is all, which is not for headers`},
		{"a policy's list", func(d *Distribution) {
			d.CachePolicies = []CachePolicy{{Config: CachePolicyConfig{Name: "p", Parameters: Parameters{QueryStringsConfig: QueryStringsConfig{QueryStringBehavior: "whitelist"}}}}}
		}, `QueryStringsConfig: is whitelist, but lists nothing`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Distribution{Config: valid()}
			tt.spoil(&d)
			warnings, err := d.Check("")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if tt.name != "no origins" && err != nil && strings.Contains(err.Error(), "\n") || len(warnings) > 0 {
				t.Errorf("more is said: %v %v", err, warnings)
			}
		})
	}
}

func TestCheckWarns(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Config)
		want  string
	}{
		{"root object with a slash", func(c *Config) { c.DefaultRootObject = "/index.html" }, "D.DistributionConfig.DefaultRootObject: begins with a slash"},
		{"neither policy nor values", func(c *Config) { c.DefaultCacheBehavior.CachePolicyID = "" }, "D.DistributionConfig.DefaultCacheBehavior: has neither"},
		{"a pattern of the default", func(c *Config) { c.DefaultCacheBehavior.PathPattern = "/x" }, "DefaultCacheBehavior.PathPattern: \"/x\" is not used"},
		{"no forwarded values beside a policy", func(c *Config) {
			c.DefaultCacheBehavior.ForwardedValues = &ForwardedValues{Cookies: CookiePreference{Forward: "none"}}
		}, "DefaultCacheBehavior: has ForwardedValues beside"},
		{"TTLs beside a policy", func(c *Config) { c.DefaultCacheBehavior.MinTTL = seconds(0) }, "DefaultCacheBehavior: has TTLs beside"},
		{"an alias twice", func(c *Config) { c.Aliases = []string{"a.example.com", "A.example.com"} }, "Aliases[1]: A.example.com is there already"},
		{"a pattern's characters", func(c *Config) { c.CacheBehaviors[0].PathPattern = "/ü" }, "CacheBehaviors[0].PathPattern: \"/ü\" has a 'ü'"},
		{"a pattern twice", func(c *Config) {
			c.CacheBehaviors = append(c.CacheBehaviors, CacheBehavior{PathPattern: "x/*", TargetOriginID: "a", ForwardedValues: &ForwardedValues{}})
		}, "CacheBehaviors[1]: never answers: CacheBehaviors[0] has the same"},
		{"a pattern behind all", func(c *Config) {
			c.CacheBehaviors[0].PathPattern = "/*"
			c.CacheBehaviors = append(c.CacheBehaviors, CacheBehavior{PathPattern: "y", TargetOriginID: "a", ForwardedValues: &ForwardedValues{}})
		}, "CacheBehaviors[1]: never answers: CacheBehaviors[0] matches every path"},
		{"many behaviors", func(c *Config) {
			for i := range 75 {
				c.CacheBehaviors = append(c.CacheBehaviors, CacheBehavior{PathPattern: fmt.Sprint(i), TargetOriginID: "a", ForwardedValues: &ForwardedValues{}})
			}
		}, "CacheBehaviors: there are 77; CloudFront allows 75"},
		{"many origins", func(c *Config) {
			for i := range 99 {
				c.Origins = append(c.Origins, Origin{ID: fmt.Sprint(i), DomainName: "a.example.com"})
			}
		}, "Origins: there are 101; CloudFront allows 100"},
		{"many origin groups", func(c *Config) {
			for i := range 10 {
				c.OriginGroups = append(c.OriginGroups, OriginGroup{ID: fmt.Sprint(i), StatusCodes: []int{404}, Members: []string{"a", "b"}})
			}
		}, "OriginGroups: there are 11; CloudFront allows 10"},
		{"many aliases", func(c *Config) {
			for i := range 101 {
				c.Aliases = append(c.Aliases, fmt.Sprintf("a%d.example.com", i))
			}
		}, "Aliases: there are 101; CloudFront allows 100"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Distribution{Config: valid()}
			tt.spoil(&d.Config)
			warnings, err := d.Check("D")
			if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), tt.want) {
				t.Errorf("warnings %v (%v), want %s", warnings, err, tt.want)
			}
		})
	}
}

func TestCheckSaysHowManyMore(t *testing.T) {
	d := Distribution{Config: valid()}
	for range 30 {
		d.Config.CacheBehaviors = append(d.Config.CacheBehaviors, CacheBehavior{TargetOriginID: "a", CachePolicyID: "p"})
	}
	_, err := d.Check("")
	if err == nil || !strings.HasSuffix(err.Error(), "\nand 40 more") {
		t.Errorf("%v", err)
	}
}
