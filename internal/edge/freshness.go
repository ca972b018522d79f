package edge

import (
	"net/http"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// lifetime is for how long a response may be used, and how.
type lifetime struct {
	store bool          // worth keeping: reusable now, or later after a revalidation
	fresh time.Duration // for which it is reused without asking the origin; 0 for never

	// staleOnError allows the response to stand in once it has expired and the
	// origin fails, for staleFor after its expiry, or without limit if that is
	// negative.
	staleOnError bool
	staleFor     time.Duration
}

// lifetimeOf applies CloudFront's rules to a response that was received now.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
func lifetimeOf(b *distribution.Caching, status int, h http.Header, now time.Time) lifetime {
	switch {
	case !b.Caches():
		return lifetime{}
	case varyAny(h) && b.MinTTL <= 0:
		return lifetime{}
	case storingOf(status) == withLifetime:
		return contentLifetime(b, h, now)
	default:
		return errorLifetime(b, status, h)
	}
}

// storing is what it takes for a response of some status to be cached.
type storing int

const (
	never storing = iota
	withLifetime
	asError           // for the error caching minimum TTL at least
	asErrorIfItSaysSo // the same, but only with max-age or s-maxage
)

// storingOf says how CloudFront caches a status.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
func storingOf(status int) storing {
	switch status {
	case 200, 203, 204, 300, 301, 302, 303, 307, 308:
		return withLifetime
	case 404, 414, 500, 501, 502, 503, 504:
		return asError
	case 400, 403, 405, 412, 415:
		return asErrorIfItSaysSo
	default:
		return never
	}
}

func contentLifetime(b *distribution.Caching, h http.Header, now time.Time) lifetime {
	d := parseCacheControl(h["Cache-Control"])
	l := lifetime{fresh: contentTTL(b, d, h, now), staleOnError: !d.mustRevalidate, staleFor: -1}
	if d.noCache || d.noStore || d.private {
		// A minimum TTL overrules the origin: the response is held that long,
		// and may stand in later. Without one nothing of it may be reused.
		l.staleOnError = l.staleOnError && b.MinTTL > 0
	}
	if d.hasStaleIfError {
		l.staleFor = min(d.staleIfError, maxTTL(b))
		l.staleOnError = l.staleOnError && l.staleFor > 0
	}
	switch {
	case l.fresh > 0:
		l.store = true
	case d.noStore || d.private:
		l.store = false
	default:
		l.store = h.Get("Etag") != "" || h.Get("Last-Modified") != ""
	}
	return l
}

// contentTTL is CloudFront's table of TTLs. What an upstream cache already used
// up, as Age says, counts against what the origin asked for, but not against
// the distribution's own minimum and default.
func contentTTL(b *distribution.Caching, d directives, h http.Header, now time.Time) time.Duration {
	lowest := time.Duration(max(b.MinTTL, 0)) * time.Second
	asked, says := d.lifetime()
	switch {
	case d.noCache || d.noStore || d.private:
		return lowest
	case says:
		return max(lowest, min(asked-upstreamAge(h), maxTTL(b)))
	case h.Get("Expires") != "":
		return max(lowest, min(untilExpires(h, now)-upstreamAge(h), maxTTL(b)))
	default:
		// The maximum does not bound the default.
		return max(lowest, capped(b.DefaultTTL))
	}
}

// maxTTL is the behavior's maximum, raised to its minimum where that is larger.
func maxTTL(b *distribution.Caching) time.Duration { return capped(max(b.MaxTTL, b.MinTTL)) }

func capped(seconds int64) time.Duration {
	return time.Duration(min(max(seconds, 0), int64(longest/time.Second))) * time.Second
}

// untilExpires measures from the origin's own Date, where it sent one, so that
// a wrong clock on either side does not matter. An Expires that is no date, such
// as 0, has passed.
func untilExpires(h http.Header, now time.Time) time.Duration {
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(expires.Sub(now), longest)
}

func errorLifetime(b *distribution.Caching, status int, h http.Header) lifetime {
	asked, says := parseCacheControl(h["Cache-Control"]).lifetime()
	if how := storingOf(status); how == never || how == asErrorIfItSaysSo && !says {
		return lifetime{}
	}
	fresh := min(max(distribution.DefaultErrorCachingMinTTL, asked), maxTTL(b))
	return lifetime{store: fresh > 0, fresh: fresh}
}

// varyAny reports whether the origin says that no two requests are alike.
func varyAny(h http.Header) bool {
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if trimSpace(name) == "*" {
				return true
			}
		}
	}
	return false
}
