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
	each  bool          // the origin wants to be asked for each viewer, so none waits for another's answer

	// unconfirmed keeps the origin from being asked whether the copy is still
	// right.
	unconfirmed bool

	// behind is for how long after its expiry the response is served at once
	// while the origin is asked behind the viewer's back.
	behind time.Duration

	// staleOnError allows the response to stand in once it has expired and the
	// origin fails, for staleFor after its expiry, or without limit if that is
	// negative.
	staleOnError bool
	staleFor     time.Duration
}

// arrival is what decides over the lifetime of a response.
type arrival struct {
	status int
	header http.Header
	at     time.Time

	// errorTTL is for how long an error is cached at least.
	errorTTL time.Duration

	// authorized: the origin saw an Authorization header that is not in the
	// cache key, so that the answer may be for one viewer only.
	authorized bool
}

// lifetimeOf applies CloudFront's rules.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
func lifetimeOf(c *distribution.Caching, a arrival) lifetime {
	l, _ := rule(c, a)
	return l
}

// ruling is what decided for how long a response is fresh.
type ruling struct {
	by   string // the setting of the distribution whose value it is; empty where it is the origin's own
	said string // what of the origin's response was heeded; empty where it said nothing of it
}

// rule is lifetimeOf with what decided.
func rule(c *distribution.Caching, a arrival) (lifetime, ruling) {
	how := storingOf(a.status)
	switch {
	case !c.Caches(), a.authorized && !sharedDespiteAuthorization(a.header):
		return lifetime{each: true}, ruling{}
	case how == ifItSaysSo && !a.saysHowLong():
		return lifetime{}, ruling{}
	case how == withLifetime, how == ifItSaysSo:
		return contentLifetime(c, a)
	default:
		return errorLifetime(c, a)
	}
}

// sharedDespiteAuthorization reports whether the origin allows that its answer to
// a request with Authorization is shared.
// https://www.rfc-editor.org/rfc/rfc9111#section-3.5
func sharedDespiteAuthorization(h http.Header) bool {
	d := parseCacheControl(h["Cache-Control"])
	return d.public || d.hasSharedMaxAge || d.confirmedWhenStale
}

// saysHowLong reports whether the origin says anything of caching. A status that
// the cache does not know is no use then if the response must be understood.
// https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.3
func (a arrival) saysHowLong() bool {
	if http.StatusText(a.status) == "" && parseCacheControl(a.header["Cache-Control"]).mustUnderstand {
		return false
	}
	return a.header.Get("Cache-Control") != "" || a.header.Get("Expires") != ""
}

// storing is what it takes for a response of some status to be cached.
type storing int

const (
	never storing = iota
	withLifetime
	ifItSaysSo        // only with Cache-Control or Expires
	asError           // for the error caching minimum TTL at least
	asErrorIfItSaysSo // the same, but only with max-age or s-maxage
)

// storingOf says how CloudFront caches a status. Of 2xx in general it does not
// say anything, so there RFC 9111, section 3, counts; errors that it does not
// list it does not cache.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/http-3xx-status-codes.html
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
func storingOf(status int) storing {
	switch status {
	case 200, 203, 204, 300, 301, 302, 303:
		return withLifetime
	case 206, 304:
		return never // these are about a part, or about what is stored
	case 404, 414, 500, 501, 502, 503, 504:
		return asError
	case 400, 403, 405, 412, 415:
		return asErrorIfItSaysSo
	}
	if 200 <= status && status < 400 {
		return ifItSaysSo
	}
	return never
}

func contentLifetime(c *distribution.Caching, a arrival) (l lifetime, why ruling) {
	d := parseCacheControl(a.header["Cache-Control"])
	l.fresh, why = contentTTL(c, d, a)
	l.mayBeStale(c, d)
	asked, says := d.lifetime()
	l.each = c.MinTTL <= 0 && (d.unshared() || says && asked == 0)
	if c.MinTTL <= 0 && varyAny(a.header) {
		// Kept only to stand in: every request goes to the origin, without
		// conditions.
		l.fresh, l.behind, l.each, l.unconfirmed = 0, 0, true, true
		why = ruling{said: "Vary: *"}
	}
	switch {
	case l.fresh > 0:
		l.store = true
	case d.noStore || d.private:
		l.store = false
	default:
		// What can be neither confirmed nor served stale is of no use.
		l.store = l.unconfirmed || a.header.Get("Etag") != "" || a.header.Get("Last-Modified") != "" ||
			l.behind > 0 || d.hasStaleIfError && l.staleOnError
	}
	return l, why
}

// mayBeStale sets how the response may be used after its expiry. A minimum TTL
// overrules an origin that says no-cache, no-store or private: the response is
// held that long, and may stand in later. Without one, what is not to be stored
// or not to be shared is not reused; what is not to be used unasked may stand in
// for an origin that cannot be asked. Neither window is longer than the maximum
// TTL.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html#stale-content
func (l *lifetime) mayBeStale(c *distribution.Caching, d directives) {
	if d.mustRevalidate || (d.noStore || d.private) && c.MinTTL <= 0 {
		return
	}
	if !d.noCache || c.MinTTL > 0 {
		l.behind = min(d.staleWhileRevalidate, maxTTL(c))
	}
	l.staleOnError, l.staleFor = true, -1
	if d.hasStaleIfError {
		l.staleFor = min(d.staleIfError, maxTTL(c))
		l.staleOnError = l.staleFor > 0
	}
}

// contentTTL is CloudFront's table of TTLs. The age of the response counts
// against what the origin asked for, but not against the distribution's own
// minimum and default.
func contentTTL(c *distribution.Caching, d directives, a arrival) (time.Duration, ruling) {
	asked, says := d.lifetime()
	switch {
	case d.unshared():
		return capped(c.MinTTL), ruling{by: "MinTTL", said: d.unsharing()}
	case says:
		return bounded(c, asked-ageOf(a.header, a.at), d.lasting())
	case a.header.Get("Expires") != "":
		return bounded(c, untilExpires(a.header, a.at)-ageOf(a.header, a.at), "Expires")
	case c.MinTTL > c.DefaultTTL:
		return capped(c.MinTTL), ruling{by: "MinTTL"}
	default:
		// The maximum does not bound the default.
		return capped(c.DefaultTTL), ruling{by: "DefaultTTL"}
	}
}

// bounded is what the origin asks for, within the behavior's bounds.
func bounded(c *distribution.Caching, asked time.Duration, said string) (time.Duration, ruling) {
	lowest, highest := capped(c.MinTTL), maxTTL(c)
	switch {
	case asked < lowest:
		return lowest, ruling{by: "MinTTL", said: said}
	case asked > highest:
		return highest, ruling{by: "MaxTTL", said: said}
	}
	return asked, ruling{said: said}
}

// maxTTL is the behavior's maximum, raised to its minimum where that is larger.
func maxTTL(c *distribution.Caching) time.Duration { return capped(max(c.MaxTTL, c.MinTTL)) }

func capped(seconds int64) time.Duration {
	return time.Duration(min(max(seconds, 0), int64(longest/time.Second))) * time.Second
}

// untilExpires measures from the origin's own Date, where it sent one. An
// Expires that is no date, such as 0, has passed.
// https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1
func untilExpires(h http.Header, now time.Time) time.Duration {
	expires, ok := dateOf(h, "Expires")
	if !ok {
		return 0
	}
	if date, ok := dateOf(h, "Date"); ok {
		now = date
	}
	return min(expires.Sub(now), longest)
}

// errorLifetime is that of an answer that is an error, or of which CloudFront
// does not say what it does with it. What the origin says makes it longer than
// the error caching minimum TTL and never shorter.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages-expiration.html
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
func errorLifetime(c *distribution.Caching, a arrival) (lifetime, ruling) {
	d := parseCacheControl(a.header["Cache-Control"])
	asked, says := d.lifetime()
	how, said := storingOf(a.status), d.lasting()
	if how == never || how == asErrorIfItSaysSo && !says {
		return lifetime{}, ruling{}
	}
	if !says && a.header.Get("Expires") != "" && !d.unshared() {
		asked, said = untilExpires(a.header, a.at), "Expires"
	}
	fresh, why := a.errorTTL, ruling{by: "ErrorCachingMinTTL", said: said}
	if asked -= ageOf(a.header, a.at); asked > fresh {
		fresh, why.by = asked, ""
	}
	if highest := maxTTL(c); fresh > highest {
		fresh, why.by = highest, "MaxTTL"
	}
	return lifetime{store: fresh > 0, fresh: max(fresh, 0)}, why
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
