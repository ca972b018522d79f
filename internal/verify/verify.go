// Package verify looks through the edge at what an invalidation was for, and
// compares it with what the origin holds.
package verify

import (
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag of an object put in one part is its MD5; nothing here is secret
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/freshet/freshet"
)

// Object is what an origin holds under a key.
type Object struct {
	ETag     string    // without quotes
	Size     int64     // bytes
	Modified time.Time // zero when it is not known
}

// Origin tells what an origin holds now.
type Origin interface {
	// Stat returns ok false, and no error, when there is no such object.
	Stat(ctx context.Context, origin, key string) (o Object, ok bool, err error)
}

// Edge tells how to reach a distribution: a base URL without path, and the name
// to put into the Host header. ok is false for distributions that are not
// configured; those are never fetched from.
type Edge func(distribution string) (base *url.URL, host string, ok bool)

// Checker fetches targets through the edge.
type Checker struct {
	Client *http.Client
	Edge   Edge
	Origin Origin

	// Patience is how long an edge may serve something else, or not answer,
	// before the verdict is given. Zero gives it after the first look.
	Patience time.Duration

	// Slots bounds how many targets are looked at at a time; one is held for
	// each look, not between two. Nil is no bound.
	Slots *semaphore.Weighted
}

// wholeUpTo is the largest object, in bytes, whose body is fetched and hashed;
// of larger ones the headers are compared.
const wholeUpTo = 16 << 20

// Check looks at t until it is fresh, c.Patience is over, or enough says that
// the answer no longer matters. change is what made t stale.
func (c *Checker) Check(ctx context.Context, t freshet.Target, change freshet.Change, enough func() bool) freshet.Verdict {
	var deadline time.Time // patience begins with the first look
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if c.Slots != nil && c.Slots.Acquire(ctx, 1) != nil {
			return freshet.Verdict{Target: t, State: freshet.Unreachable, At: time.Now(), Reason: "not looked at: " + ctx.Err().Error()}
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(c.Patience)
		}
		v := c.look(ctx, t, change)
		if c.Slots != nil {
			c.Slots.Release(1)
		}
		if v.State == freshet.Fresh || ctx.Err() != nil || enough() || time.Now().Add(wait).After(deadline) {
			return v
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return v
		}
	}
}

// look gives the verdict of one fetch.
func (c *Checker) look(ctx context.Context, t freshet.Target, change freshet.Change) freshet.Verdict {
	v := freshet.Verdict{Target: t}
	seen, err := c.fetch(ctx, t, change)
	v.At = time.Now()
	if err != nil {
		v.State, v.Reason = freshet.Unreachable, err.Error()
		return v
	}
	v.Status, v.Seen, v.Age, v.PoP, v.Cache = seen.status, seen.etag, seen.age, seen.pop, seen.cache
	if seen.generated() {
		v.State, v.Reason = freshet.Fresh, "a function answered, so that nothing of the object is cached here"
		return v
	}
	// The origin is asked after the edge: an edge that has fetched something
	// newer than the change must not look stale.
	held, exists, err := c.Origin.Stat(ctx, t.Origin, t.Key)
	if err != nil {
		v.State, v.Reason = freshet.Unreachable, fmt.Sprintf("ask origin %s for %s: %v", t.Origin, t.Key, err)
		return v
	}
	v.Want = held.ETag
	v.State, v.Reason = judge(seen, held, exists, change)
	return v
}

// sight is what one response of the edge showed.
type sight struct {
	status           int
	etag, cache, pop string
	size             int64 // -1 when unknown
	age              time.Duration
	md5              string // of the whole body; empty when it was not fetched
	encrypted        bool   // at the origin, with a key of its own
	weak             bool   // the ETag, so that the bytes may be what the edge made of the object
	modified         time.Time
}

// generated reports whether a function answered in the place of cache and
// origin.
func (s sight) generated() bool {
	return strings.HasPrefix(s.cache, "FunctionGeneratedResponse") || strings.HasPrefix(s.cache, "LambdaGeneratedResponse")
}

// olderThan reports whether the object was written again after the edge fetched
// it, as is done to change its headers alone. Last-Modified counts seconds.
func (s sight) olderThan(held Object) bool {
	return !s.modified.IsZero() && s.modified.Before(held.Modified.Truncate(time.Second))
}

// sightOf reads the headers of a response.
func sightOf(resp *http.Response) sight {
	etag, weak := strings.CutPrefix(resp.Header.Get("ETag"), "W/")
	s := sight{
		status: resp.StatusCode,
		etag:   strings.Trim(etag, `"`),
		weak:   weak,
		cache:  resp.Header.Get("X-Cache"),
		pop:    resp.Header.Get("X-Amz-Cf-Pop"),
		size:   resp.ContentLength,
	}
	if weak {
		s.size = -1
	}
	if modified, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		s.modified = modified
	}
	if sse := resp.Header.Get("X-Amz-Server-Side-Encryption"); sse != "" && sse != "AES256" {
		s.encrypted = true
	}
	if age, err := strconv.Atoi(resp.Header.Get("Age")); err == nil {
		s.age = time.Duration(age) * time.Second
	}
	return s
}

func (c *Checker) fetch(ctx context.Context, t freshet.Target, change freshet.Change) (sight, error) {
	req, err := c.request(ctx, t, change)
	if err != nil {
		return sight{}, err
	}
	resp, err := c.Client.Do(req)
	if err != nil {
		return sight{}, fmt.Errorf("fetch %s: %w", t.URL, err)
	}
	defer func() { _ = resp.Body.Close() }()
	s := sightOf(resp)
	if req.Method == http.MethodHead {
		return s, nil
	}
	h := md5.New()
	n, err := io.Copy(h, io.LimitReader(resp.Body, wholeUpTo+1))
	if err != nil {
		return sight{}, fmt.Errorf("fetch %s: %w", t.URL, err)
	}
	if n <= wholeUpTo && !s.weak {
		s.size, s.md5 = n, hex.EncodeToString(h.Sum(nil))
	}
	return s, nil
}

// request asks for the whole object as it is, without the client's own
// compression, which would change ETag and bytes.
func (c *Checker) request(ctx context.Context, t freshet.Target, change freshet.Change) (*http.Request, error) {
	base, host, ok := c.Edge(t.Distribution)
	if !ok {
		return nil, fmt.Errorf("fetch %s: distribution %s is not configured", t.URL, t.Distribution)
	}
	path, err := url.PathUnescape(t.URL)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", t.URL, err)
	}
	method := http.MethodGet
	if change.Size > wholeUpTo {
		method = http.MethodHead
	}
	u := *base
	u.Path, u.RawPath = path, t.URL
	req, err := http.NewRequestWithContext(ctx, method, "", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", t.URL, err)
	}
	req.URL, req.Host = &u, host
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "freshet-verify")
	return req, nil
}

// judge compares what the edge showed with what the origin held right after. An
// edge that shows what the change itself made is fresh as far as this change is
// concerned, whatever the origin holds by now.
func judge(seen sight, held Object, exists bool, change freshet.Change) (freshet.VerdictState, string) {
	gone := seen.status == http.StatusNotFound || seen.status == http.StatusForbidden
	const since = "the origin has changed again since"
	switch {
	case seen.status >= 500 || seen.status == http.StatusTooManyRequests:
		return freshet.Unreachable, fmt.Sprintf("the edge answered %d", seen.status)
	case gone && !exists:
		return freshet.Fresh, ""
	case !exists && strings.HasPrefix(seen.cache, "Error"):
		return freshet.Fresh, "an error page stands for an object that is gone"
	case gone && change.Op == freshet.OpDelete:
		return freshet.Fresh, since
	case seen.status != http.StatusOK:
		return freshet.Stale, fmt.Sprintf("the edge answered %d for an object that %s", seen.status, presence(exists))
	case !bodyMatches(seen):
		return freshet.Stale, "the body is not what its ETag " + seen.etag + " says"
	case exists && seen.etag == held.ETag:
		return judgeSame(seen, held)
	case change.Op == freshet.OpPut && change.ETag != "" && seen.etag == change.ETag:
		return freshet.Fresh, since
	case !exists:
		return freshet.Stale, fmt.Sprintf("the edge answered %d for an object that is gone", seen.status)
	default:
		return freshet.Stale, fmt.Sprintf("the edge serves ETag %s, the origin holds %s", seen.etag, held.ETag)
	}
}

// judgeSame goes on where edge and origin name the same ETag.
func judgeSame(seen sight, held Object) (freshet.VerdictState, string) {
	switch {
	case seen.olderThan(held):
		return freshet.Stale, fmt.Sprintf("the edge serves the bytes with the headers of %s, the origin's are of %s", seen.modified.Format(http.TimeFormat), held.Modified.UTC().Format(http.TimeFormat))
	case seen.size >= 0 && seen.size != held.Size:
		return freshet.Stale, fmt.Sprintf("the edge serves %d bytes under ETag %s, the origin holds %d", seen.size, seen.etag, held.Size)
	}
	return freshet.Fresh, ""
}

func presence(exists bool) string {
	if exists {
		return "exists"
	}
	return "is gone"
}

var md5ETag = regexp.MustCompile(`^[0-9a-f]{32}$`)

// bodyMatches reports whether the bytes are those that the ETag names, where it
// names any: objects put in parts or encrypted with a KMS key have ETags of
// another kind, and bytes under a weak ETag are not hashed.
func bodyMatches(s sight) bool {
	return s.md5 == "" || s.encrypted || !md5ETag.MatchString(s.etag) || s.md5 == s.etag
}
