package distribution

import (
	"strconv"
	"strings"
)

// What CloudFront allows a distribution unless a higher quota was asked for.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const (
	maxBehaviors    = 75
	maxOrigins      = 100
	maxOriginGroups = 10
	maxAliases      = 100
	maxPathPattern  = 255 // characters
)

// Check says what CloudFront would refuse, as an error that joins all of it,
// and what it would accept but what is probably not meant, as warnings. Paths
// begin with path. A policy that is neither managed nor among CachePolicies is
// an error, too: without it nobody can say what is cached.
func (d *Distribution) Check(path string) ([]Warning, error) {
	c := checker{d: d}
	for i := range d.CachePolicies {
		c.policy(&d.CachePolicies[i], at(below(path, "CachePolicies"), i))
	}
	c.config(below(path, "DistributionConfig"))
	return c.warnings, c.err()
}

type checker struct {
	findings
	d       *Distribution
	origins map[string]bool // IDs of origins
	targets map[string]bool // those, and IDs of origin groups
}

func (c *checker) config(path string) {
	cfg := &c.d.Config
	if root := cfg.DefaultRootObject; strings.HasPrefix(root, "/") {
		c.warn(path+".DefaultRootObject", "begins with a slash: CloudFront asks the origin for /%s", root)
	}
	c.quota(path+".Origins", len(cfg.Origins), maxOrigins)
	c.quota(path+".OriginGroups", len(cfg.OriginGroups), maxOriginGroups)
	c.quota(path+".CacheBehaviors", len(cfg.CacheBehaviors)+1, maxBehaviors)
	c.quota(path+".Aliases", len(cfg.Aliases), maxAliases)
	c.aliases(path + ".Aliases")
	c.allOrigins(path + ".Origins")
	c.groups(path + ".OriginGroups")
	c.behavior(&cfg.DefaultCacheBehavior, path+".DefaultCacheBehavior")
	if pattern := cfg.DefaultCacheBehavior.PathPattern; pattern != "" {
		c.warn(path+".DefaultCacheBehavior.PathPattern", "%q is not used: the default behavior answers all that no other does", pattern)
	}
	c.behaviors(path + ".CacheBehaviors")
	c.errorResponses(path + ".CustomErrorResponses")
}

func (c *checker) quota(path string, n, most int) {
	if n > most {
		c.warn(path, "there are %d; CloudFront allows %d unless a higher quota was asked for", n, most)
	}
}

func (c *checker) aliases(path string) {
	seen := make(map[string]bool)
	for i, alias := range c.d.Config.Aliases {
		name := strings.ToLower(alias)
		switch {
		case name == "" || strings.ContainsAny(name, "/: "):
			c.fail(at(path, i), "%q is not a host name", alias)
		case strings.Contains(strings.TrimPrefix(name, "*."), "*"):
			c.fail(at(path, i), "%q has a * that is not the whole of its first label", alias)
		}
		if seen[name] {
			c.warn(at(path, i), "%s is there already", alias)
		}
		seen[name] = true
	}
}

func (c *checker) allOrigins(path string) {
	c.origins, c.targets = make(map[string]bool), make(map[string]bool)
	if len(c.d.Config.Origins) == 0 {
		c.fail(path, "there is none")
	}
	for i := range c.d.Config.Origins {
		o, p := &c.d.Config.Origins[i], at(path, i)
		c.name(o.ID, p+".Id")
		c.origins[o.ID] = true
		if o.DomainName == "" || strings.ContainsAny(o.DomainName, "/ \t\r\n") {
			c.fail(p+".DomainName", "%q is not a host name", o.DomainName)
		}
		switch op := o.OriginPath; {
		case op != "" && !strings.HasPrefix(op, "/"):
			c.fail(p+".OriginPath", "%q does not begin with a slash", op)
		case strings.HasSuffix(op, "/"):
			c.fail(p+".OriginPath", "%q ends in a slash", op)
		}
		if o.S3OriginConfig != nil && o.CustomOriginConfig != nil {
			c.fail(p, "has both S3OriginConfig and CustomOriginConfig")
		}
	}
}

// name takes an ID of an origin or an origin group.
func (c *checker) name(id, path string) {
	switch {
	case id == "":
		c.fail(path, "is missing")
	case c.targets[id]:
		c.fail(path, "%q is the ID of another origin or origin group as well", id)
	}
	c.targets[id] = true
}

func (c *checker) groups(path string) {
	for i := range c.d.Config.OriginGroups {
		g, p := &c.d.Config.OriginGroups[i], at(path, i)
		c.name(g.ID, p+".Id")
		if len(g.Members) != 2 {
			c.fail(p+".Members", "there are %d, want a primary and a secondary origin", len(g.Members))
		}
		for j, m := range g.Members {
			if !c.origins[m] {
				c.fail(at(p+".Members", j), "there is no origin %q", m)
			}
		}
		if len(g.StatusCodes) == 0 {
			c.fail(p+".FailoverCriteria.StatusCodes", "there is none, so the second origin is never asked")
		}
	}
}

func (c *checker) behaviors(path string) {
	seen := make(map[string]int)
	covered := -1 // the behavior that answers everything
	for i := range c.d.Config.CacheBehaviors {
		b, p := &c.d.Config.CacheBehaviors[i], at(path, i)
		c.behavior(b, p)
		c.pattern(b.PathPattern, p+".PathPattern")
		pattern := strings.TrimPrefix(b.PathPattern, "/")
		earlier, twice := seen[pattern]
		switch {
		case covered >= 0:
			c.warn(p, "never answers: CacheBehaviors[%d] matches every path", covered)
		case twice:
			c.warn(p, "never answers: CacheBehaviors[%d] has the same path pattern", earlier)
		default:
			seen[pattern] = i
		}
		if pattern == "*" && covered < 0 {
			covered = i
		}
	}
}

// patternCharacters may stand in a path pattern beside letters and digits.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesCacheBehavior.html
const patternCharacters = `_-.*$/~"'@:+&?`

func (c *checker) pattern(pattern, path string) {
	switch {
	case pattern == "":
		c.fail(path, "is missing")
	case len(pattern) > maxPathPattern:
		c.fail(path, "has %d characters, at most %d are allowed", len(pattern), maxPathPattern)
	}
	for _, r := range pattern {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(patternCharacters, r) {
			c.warn(path, "%q has a %q, which is not among the characters that CloudFront documents", pattern, r)
			return
		}
	}
}

func (c *checker) behavior(b *CacheBehavior, path string) {
	switch {
	case b.TargetOriginID == "":
		c.fail(path+".TargetOriginId", "is missing")
	case !c.targets[b.TargetOriginID]:
		c.fail(path+".TargetOriginId", "there is no origin or origin group %q", b.TargetOriginID)
	}
	ttls := b.MinTTL != nil || b.DefaultTTL != nil || b.MaxTTL != nil
	switch {
	case b.CachePolicyID == "":
		if b.ForwardedValues == nil {
			c.warn(path, "has neither a CachePolicyId nor ForwardedValues: read as forwarding nothing")
		}
		c.ttls(b.MinTTL, b.DefaultTTL, b.MaxTTL, path)
		if own := b.ownCaching(); own.Headers.Mode == All && own.MinTTL > 0 {
			// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
			c.fail(path+".MinTTL", "is %d, but must be 0 where all headers are forwarded", own.MinTTL)
		}
		return
	case b.ForwardedValues != nil && !b.ForwardedValues.nothing():
		c.fail(path, "has both a CachePolicyId and ForwardedValues")
	case b.ForwardedValues != nil:
		c.warn(path, "has ForwardedValues beside its CachePolicyId: what the policy says counts")
	case ttls:
		c.warn(path, "has TTLs beside its CachePolicyId: those of the policy count")
	}
	if _, err := c.d.Caching(b); err != nil {
		c.fail(path+".CachePolicyId", "%v", err)
	}
}

// nothing reports whether nothing is forwarded.
func (f *ForwardedValues) nothing() bool {
	return !f.QueryString && len(f.Headers) == 0 && selection(f.Cookies.Forward, f.Cookies.WhitelistedNames).Mode == None
}

func (c *checker) policy(p *CachePolicy, path string) {
	cfg := &p.Config
	path += ".CachePolicyConfig"
	if cfg.Name == "" {
		c.fail(path+".Name", "is missing")
	}
	c.ttls(cfg.MinTTL, cfg.DefaultTTL, cfg.MaxTTL, path)
	k := cfg.Parameters
	path += ".ParametersInCacheKeyAndForwardedToOrigin"
	c.mode(k.QueryStringsConfig.QueryStringBehavior, len(k.QueryStringsConfig.QueryStrings), path+".QueryStringsConfig")
	c.mode(k.CookiesConfig.CookieBehavior, len(k.CookiesConfig.Cookies), path+".CookiesConfig")
	c.mode(k.HeadersConfig.HeaderBehavior, len(k.HeadersConfig.Headers), path+".HeadersConfig")
	if m := SelectionMode(k.HeadersConfig.HeaderBehavior); m == All || m == AllBut {
		c.fail(path+".HeadersConfig.HeaderBehavior", "is %s, which is not for headers", m)
	}
}

func (c *checker) mode(mode string, names int, path string) {
	switch SelectionMode(mode) {
	case Listed, AllBut:
		if names == 0 {
			c.fail(path, "is %s, but lists nothing", mode)
		}
	case None, "none", All:
		if names > 0 {
			c.warn(path, "lists %d names that do not count", names)
		}
	default:
		c.fail(path, "%q is not none, whitelist, allExcept or all", mode)
	}
}

// ttls are in order as far as they are given.
func (c *checker) ttls(lowest, normal, highest *int64, path string) {
	for i, p := range []*int64{lowest, normal, highest} {
		if p != nil && *p < 0 {
			c.fail(path+"."+[]string{"MinTTL", "DefaultTTL", "MaxTTL"}[i], "is %d", *p)
		}
	}
	above := func(a, b *int64) bool { return a != nil && b != nil && *a > *b }
	switch {
	case above(lowest, normal):
		c.fail(path, "MinTTL %d is above DefaultTTL %d", *lowest, *normal)
	case above(normal, highest):
		c.fail(path, "DefaultTTL %d is above MaxTTL %d", *normal, *highest)
	case above(lowest, highest):
		c.fail(path, "MinTTL %d is above MaxTTL %d", *lowest, *highest)
	}
}

func (c *checker) errorResponses(path string) {
	seen := make(map[int]bool)
	for i, r := range c.d.Config.CustomErrorResponses {
		p := at(path, i)
		if r.ErrorCode < 400 || r.ErrorCode > 599 {
			c.fail(p+".ErrorCode", "%d is not the status of an error", r.ErrorCode)
		}
		if seen[r.ErrorCode] {
			c.fail(p+".ErrorCode", "%d has a response already", r.ErrorCode)
		}
		seen[r.ErrorCode] = true
		if (r.ResponsePagePath == "") != (r.ResponseCode == 0) {
			c.fail(p, "has only one of ResponsePagePath and ResponseCode")
		}
		if r.ResponsePagePath != "" && !strings.HasPrefix(r.ResponsePagePath, "/") {
			c.fail(p+".ResponsePagePath", "%q does not begin with a slash", r.ResponsePagePath)
		}
	}
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
