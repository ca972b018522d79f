package edge

import (
	"net/http"
	"strings"
	"time"
)

// directives is what a Cache-Control header says to a shared cache. Durations
// are valid only where the flag beside them is set.
type directives struct {
	noCache, noStore, private  bool
	public, mustUnderstand     bool
	mustRevalidate             bool // or proxy-revalidate
	confirmedWhenStale         bool // must-revalidate itself
	hasMaxAge, hasSharedMaxAge bool
	maxAge, sharedMaxAge       time.Duration
	hasStaleIfError            bool
	hasStaleWhileRevalidate    bool
	staleIfError               time.Duration
	staleWhileRevalidate       time.Duration
}

// longest is the longest lifetime CloudFront accepts: 100 years.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html
const longest = 100 * 365 * 24 * time.Hour

// parseCacheControl reads all Cache-Control lines of a header. It never fails:
// what it does not understand it skips, a duration that is none counts as 0, of
// a directive that is repeated the first counts, and no-cache or private with
// field names count as if they had none, which keeps less than allowed.
func parseCacheControl(lines []string) directives {
	var d directives
	for _, line := range lines {
		for line != "" {
			var name, value string
			name, value, line = nextDirective(line)
			d.set(strings.ToLower(name), value)
		}
	}
	return d
}

// nextDirective cuts the first directive off a line. A comma inside a quoted
// value ends nothing.
func nextDirective(line string) (name, value, rest string) {
	quoted, end, equals := false, len(line), -1
scan:
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '=' && equals < 0 && !quoted:
			equals = i
		case c == ',' && !quoted:
			end = i
			break scan
		}
	}
	rest = line[min(end+1, len(line)):]
	if equals < 0 {
		return trimSpace(line[:end]), "", rest
	}
	return trimSpace(line[:equals]), strings.Trim(trimSpace(line[equals+1:end]), `"`), rest
}

func trimSpace(s string) string { return strings.Trim(s, " \t") }

func (d *directives) set(name, value string) {
	switch name {
	case "no-cache":
		d.noCache = true
	case "no-store":
		d.noStore = true
	case "private":
		d.private = true
	case "public":
		d.public = true
	case "must-understand":
		d.mustUnderstand = true
	case "must-revalidate":
		d.mustRevalidate, d.confirmedWhenStale = true, true
	case "proxy-revalidate":
		d.mustRevalidate = true
	case "max-age":
		setSeconds(&d.maxAge, &d.hasMaxAge, value)
	case "s-maxage":
		setSeconds(&d.sharedMaxAge, &d.hasSharedMaxAge, value)
	case "stale-if-error":
		setSeconds(&d.staleIfError, &d.hasStaleIfError, value)
	case "stale-while-revalidate":
		setSeconds(&d.staleWhileRevalidate, &d.hasStaleWhileRevalidate, value)
	}
}

func setSeconds(to *time.Duration, has *bool, value string) {
	if *has {
		return
	}
	*to, *has = seconds(value), true
}

// seconds reads a delta of seconds. Anything that is not a row of digits is 0,
// anything beyond 100 years is 100 years.
func seconds(value string) time.Duration {
	value = trimSpace(value)
	if value == "" {
		return 0
	}
	var n time.Duration
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c < '0' || c > '9' {
			return 0
		}
		if n < longest {
			n = n*10 + time.Duration(c-'0')*time.Second
		}
	}
	return min(n, longest)
}

// lifetime returns the duration the header itself asks for, s-maxage before
// max-age, and whether it names one.
func (d directives) lifetime() (time.Duration, bool) {
	if d.hasSharedMaxAge {
		return d.sharedMaxAge, true
	}
	return d.maxAge, d.hasMaxAge
}

// lasting names the directive that lifetime heeds; empty for none.
func (d directives) lasting() string {
	switch {
	case d.hasSharedMaxAge:
		return "s-maxage"
	case d.hasMaxAge:
		return "max-age"
	}
	return ""
}

// upstreamAge is how old a response was when it arrived, as its Age header
// says; of several values the first counts, and an unreadable one is 0.
// https://www.rfc-editor.org/rfc/rfc9111#section-5.1
func upstreamAge(h http.Header) time.Duration {
	first, _, _ := strings.Cut(h.Get("Age"), ",")
	return seconds(first)
}

// ageOf is how old a response was when it arrived at now: what upstream caches
// say, or what its Date says if that is more. One second of the latter is how
// roughly a Date tells time.
// https://www.rfc-editor.org/rfc/rfc9111#section-4.2.3
func ageOf(h http.Header, now time.Time) time.Duration {
	age := upstreamAge(h)
	date, ok := dateOf(h, "Date")
	if apparent := now.Sub(date).Truncate(time.Second); ok && apparent > time.Second {
		age = max(age, min(apparent, longest))
	}
	return age
}

// unshared reports whether a shared cache without a minimum TTL must ask the
// origin for each viewer.
func (d directives) unshared() bool { return d.noCache || d.noStore || d.private }

// unsharing names a directive for which unshared holds; empty for none.
func (d directives) unsharing() string {
	switch {
	case d.noStore:
		return "no-store"
	case d.noCache:
		return "no-cache"
	case d.private:
		return "private"
	}
	return ""
}
