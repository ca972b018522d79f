package doctor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/route"
)

const (
	// pointlessTTL is the TTL up to which content is fresh before an invalidation
	// could be completed.
	pointlessTTL = 5 * time.Second
	// longError is how long an error may be kept without anybody minding.
	longError = 5 * time.Minute
	// longServerError is the same of errors that come and go without a change of
	// any object.
	longServerError = time.Minute
	// longInBrowser is how long a page may be kept where no invalidation reaches.
	longInBrowser = time.Hour
)

// caching finds behaviors that keep nothing that could be invalidated.
func (s Seen) caching(site *Site) (findings []Finding) {
	const check = "ttl"
	led := s.behaviors(site)
	for _, b := range led {
		c, err := site.Distribution.Caching(b)
		policy := "its own TTLs"
		if c.Policy != "" {
			policy = "cache policy " + c.Policy
		}
		switch most := time.Duration(c.MaxTTL) * time.Second; {
		case err != nil:
			findings = append(findings, Finding{Level: Warning, Check: check, Saw: fmt.Sprintf("%s: %v", named(b), err), Do: "give these credentials cloudfront:GetCachePolicy"})
		case !c.Caches():
			findings = append(findings, Finding{Level: Warning, Check: check, Saw: fmt.Sprintf("%s caches nothing (%s)", named(b), policy), Do: "use a policy that caches, such as CachingOptimized: there is nothing to invalidate, and each request costs the bucket one"})
		case most <= pointlessTTL:
			findings = append(findings, Finding{Level: Warning, Check: check, Saw: fmt.Sprintf("%s keeps nothing longer than %v (%s)", named(b), most, policy), Do: "raise MaxTTL to a day or a year: what changes is invalidated, and what does not need not be fetched again"})
		}
	}
	if len(findings) == 0 && len(led) > 0 {
		findings = append(findings, Finding{Level: OK, Check: check, Saw: "what leads to the bucket keeps what can be invalidated: " + count(len(led), "behavior")})
	}
	return findings
}

// errorsKept finds errors that stay after their cause is gone.
func (s Seen) errorsKept(site *Site) (findings []Finding) {
	const check = "errors"
	for _, e := range site.Distribution.Config.CustomErrorResponses {
		ttl := e.CachingTTL()
		saw := fmt.Sprintf("%d is kept for %v", e.ErrorCode, ttl)
		switch {
		case e.ErrorCode >= 500 && ttl > longServerError:
			findings = append(findings, Finding{Level: Warning, Check: check, Saw: saw, Do: "lower its ErrorCachingMinTTL to some seconds: that the origin works again is no change that would be invalidated"})
		case e.ErrorCode < 500 && ttl > longError && s.Routes.NewObjects == route.Skip:
			findings = append(findings, Finding{Level: Warning, Check: check, Saw: saw + ", and new objects are not invalidated", Do: "lower its ErrorCachingMinTTL, or set routes.new_objects: invalidate"})
		case e.ErrorCode < 500 && ttl > longError:
			findings = append(findings, Finding{Level: Note, Check: check, Saw: saw + "; a new object's URLs are invalidated, so it goes where one appears"})
		}
	}
	if len(findings) == 0 {
		findings = append(findings, Finding{Level: OK, Check: check, Saw: "none is kept long"})
	}
	return findings
}

// immutableName matches the names that build tools give to what never changes.
var immutableName = regexp.MustCompile(`[._-][0-9a-fA-F]{8,}\.[^/]*$`)

// isPage reports whether browsers show the object under a name that stays when
// it changes.
func isPage(key string) bool {
	lower := strings.ToLower(key)
	return (strings.HasSuffix(lower, ".html") || strings.HasSuffix(lower, ".htm")) && !immutableName.MatchString(key)
}

// browsers finds pages that browsers keep: no invalidation reaches them there.
func (s Seen) browsers() []Finding {
	const check = "browsers"
	var kept []string
	var refused error
	looked := 0
	for _, p := range s.Pages {
		if p.Err != nil {
			refused = p.Err
			continue
		}
		looked++
		if age := maxAge(p.CacheControl); age > longInBrowser {
			kept = append(kept, fmt.Sprintf("%s (%s)", p.Key, p.CacheControl))
		}
	}
	switch {
	case len(kept) > 0:
		return []Finding{{Level: Warning, Check: check, Saw: fmt.Sprintf("browsers keep %d of %s for more than an hour: %s", len(kept), count(looked, "page"), some(kept)),
			Do: "store pages with Cache-Control: max-age=0, s-maxage=31536000: browsers ask each time, the edge keeps them until they change"}}
	case refused != nil:
		return []Finding{{Level: Warning, Check: check, Saw: "what browsers are told cannot be seen: " + why(refused), Do: remedy(refused, "s3:GetObject")}}
	case s.Listing.Err != nil:
		return []Finding{{Level: Note, Check: check, Saw: "not looked at: the bucket cannot be listed"}}
	case looked == 0:
		return []Finding{{Level: Note, Check: check, Saw: "not looked at: no pages (.html) were found in the bucket"}}
	}
	return []Finding{{Level: OK, Check: check, Saw: fmt.Sprintf("browsers keep none of %s for more than an hour", count(looked, "page"))}}
}

// maxAge is for how long a browser keeps what has this Cache-Control. One that
// says immutable without an age has none.
func maxAge(control string) (age time.Duration) {
	for directive := range strings.SplitSeq(strings.ToLower(control), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if err == nil && seconds > 0 {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return age
}

// some names the first few of many.
func some(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d others", strings.Join(names[:few], ", "), len(names)-few)
}
