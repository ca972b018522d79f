package verify

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/probe"
)

// Unverified is the state of a view that an edge answered and that there was
// nothing to compare with.
const Unverified freshet.VerdictState = "unverified"

// Expected is what a URL should show. What is zero is not compared; without From
// nothing is expected.
type Expected struct {
	From     string    // who says so, such as bucket www
	Gone     bool      // there is no such object
	Status   int       // 0: 200, and where Gone is set 403, 404 or 410
	Location string    // of a redirect
	ETag     string    // without quotes
	Opaque   bool      // the ETag is no MD5 even if it looks like one
	Also     []string  // ETags that are as good, such as that of a change which another has overtaken
	SHA256   string    // of the content, in hexadecimal
	Size     int64     // of the content
	Modified time.Time // Last-Modified; an older one is stale, since the headers have changed with it
	Since    time.Time // where no content is known: what an edge had before is stale
}

// compares reports whether w says anything of the content.
func (w Expected) compares() bool { return w.ETag != "" || w.SHA256 != "" || w.Size > 0 }

// Source asks what is expected of a URL. It may be used by several goroutines,
// one of which asks at a time.
type Source struct {
	Ask func(context.Context) (Expected, error)

	mu    sync.Mutex
	asked time.Time
	known Expected
	err   error
}

// Expected returns what was expected at some time after a moment, and asks only
// if it was not asked since. A nil Source expects nothing.
func (s *Source) Expected(ctx context.Context, after time.Time) (Expected, error) {
	if s == nil || s.Ask == nil {
		return Expected{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked.IsZero() || s.asked.Before(after) {
		began := time.Now()
		s.known, s.err = s.Ask(ctx)
		s.asked = began
	}
	return s.known, s.err
}

// Judge compares what an edge answered with what is expected. The reason is empty
// where there is nothing to say beside fresh.
func Judge(seen probe.Answer, want Expected) (freshet.VerdictState, string) {
	switch {
	case seen.Status >= 500 || seen.Status == http.StatusTooManyRequests:
		return freshet.Unreachable, fmt.Sprintf("the edge answered %d", seen.Status)
	case want.From == "":
		return Unverified, "nobody says what is expected"
	case seen.Generated():
		return freshet.Fresh, "a function answered, so that nothing of the object is cached here"
	case want.Gone:
		return judgeGone(seen, want)
	}
	return judgeStatus(seen, want)
}

// judgeGone goes on where there is nothing at the origin.
func judgeGone(seen probe.Answer, want Expected) (freshet.VerdictState, string) {
	switch {
	case seen.Status == http.StatusNotFound || seen.Status == http.StatusForbidden || seen.Status == http.StatusGone:
		return freshet.Fresh, "neither the edge nor " + want.From + " has such an object"
	case errorPage(seen):
		return freshet.Fresh, "an error page stands for an object that is gone"
	}
	return freshet.Stale, fmt.Sprintf("the edge answered %d for an object that is gone", seen.Status)
}

// judgeStatus goes on where there is something.
func judgeStatus(seen probe.Answer, want Expected) (freshet.VerdictState, string) {
	status := cmp.Or(want.Status, http.StatusOK)
	switch {
	case seen.Location != "" && seen.Status == want.Status && seen.Location == want.Location:
		return freshet.Fresh, ""
	case seen.Location != "":
		return freshet.Stale, fmt.Sprintf("the edge answered %d to %s%s", seen.Status, seen.Location, parenthesis(seen.Stopped))
	case seen.Status != status && want.Status == 0:
		return freshet.Stale, fmt.Sprintf("the edge answered %d for an object that exists", seen.Status)
	case seen.Status != status:
		return freshet.Stale, fmt.Sprintf("the edge answered %d, and %s says %d", seen.Status, want.From, status)
	case want.compares():
		return judgeContent(seen, want)
	}
	return judgeAge(seen, want)
}

// errorPage reports whether the edge answered with the page that a custom error
// response names, whatever status that makes of it.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/GeneratingCustomErrorResponses.html
func errorPage(seen probe.Answer) bool { return strings.HasPrefix(seen.Cache(), "Error") }

func parenthesis(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// judgeContent goes on where there is content on both sides. The bytes decide
// where they are known, and the ETag otherwise.
func judgeContent(seen probe.Answer, want Expected) (freshet.VerdictState, string) {
	tag, weak := seen.ETag()
	bytes, known := sameBytes(seen, want, weak)
	switch {
	case known && bytes:
		return judgeHeaders(seen, want)
	case tag != "" && slices.Contains(want.Also, tag):
		return freshet.Fresh, "the origin has changed again since"
	case known && want.SHA256 != "":
		return freshet.Stale, fmt.Sprintf("the edge serves content of SHA-256 %.12s…, %s has %.12s…", seen.Decoded.SHA256, want.From, want.SHA256)
	case known && tag == want.ETag:
		return freshet.Stale, "the body is not what its ETag " + tag + " says"
	case want.ETag != "" && tag == want.ETag:
		return judgeHeaders(seen, want)
	case want.ETag != "" && (tag != "" || known):
		return freshet.Stale, fmt.Sprintf("the edge serves ETag %s, %s has %s", orNone(tag), want.From, want.ETag)
	case sized(seen, weak) && (want.ETag == "" && want.SHA256 == "" || want.Size > 0 && seen.Size != want.Size):
		return judgeHeaders(seen, want) // by the size alone
	case !seen.Whole:
		return Unverified, fmt.Sprintf("only the first %d bytes of the body were read, which is too little to compare", seen.Size)
	}
	return Unverified, "the answer has nothing that could be compared"
}

func orNone(tag string) string {
	if tag == "" {
		return "(none)"
	}
	return tag
}

// sameBytes reports whether the bytes are those that are expected, and whether
// that is known. Content may be expected as it is sent, where the origin holds it
// encoded, or as it was before an edge encoded it. Under a weak ETag a body
// without an encoding need not be the origin's bytes.
func sameBytes(seen probe.Answer, want Expected, weak bool) (same, known bool) {
	encoded := seen.Header.Get("Content-Encoding") != ""
	kms := seen.Header.Get("X-Amz-Server-Side-Encryption")
	switch {
	case !seen.Whole || seen.Raw == (probe.Sums{}):
		return false, false
	case want.SHA256 != "":
		same = seen.Raw.SHA256 == want.SHA256 || seen.Decoded.SHA256 == want.SHA256
	case md5ETag.MatchString(want.ETag) && !want.Opaque && (kms == "" || kms == "AES256"):
		same = seen.Raw.MD5 == want.ETag || seen.Decoded.MD5 == want.ETag
		if !same && weak && !encoded {
			return false, false
		}
	default:
		return false, false
	}
	return same, same || seen.Decoded != (probe.Sums{})
}

// sized reports whether the size of the body says something of the content's.
func sized(seen probe.Answer, weak bool) bool {
	return seen.Whole && !weak && seen.Header.Get("Content-Encoding") == ""
}

// judgeHeaders goes on where the content is the same.
func judgeHeaders(seen probe.Answer, want Expected) (freshet.VerdictState, string) {
	_, weak := seen.ETag()
	modified := seen.Modified()
	switch {
	case want.Size > 0 && sized(seen, weak) && seen.Size != want.Size:
		return freshet.Stale, fmt.Sprintf("the edge serves %d bytes, %s has %d", seen.Size, want.From, want.Size)
	case !want.Modified.IsZero() && !modified.IsZero() && modified.Before(want.Modified.Truncate(time.Second)):
		return freshet.Stale, fmt.Sprintf("the edge serves the bytes with the headers of %s, those of %s are of %s", modified.UTC().Format(http.TimeFormat), want.From, want.Modified.UTC().Format(http.TimeFormat))
	}
	return freshet.Fresh, ""
}

// judgeAge goes by when the edge fetched what it serves. Age counts whole seconds.
func judgeAge(seen probe.Answer, want Expected) (freshet.VerdictState, string) {
	if want.Since.IsZero() {
		return Unverified, want.From + " does not say what is expected"
	}
	age, aged := seen.Age()
	latest := seen.At.Add(-age)
	since := want.Since.UTC().Format(time.RFC3339)
	switch {
	case aged && latest.Before(want.Since):
		return freshet.Stale, fmt.Sprintf("the edge has had it for %v, since before %s", age, since)
	case !seen.Hit() || aged && !latest.Add(-time.Second).Before(want.Since):
		return freshet.Fresh, "by its age alone: it was fetched after " + since
	}
	return Unverified, "its age does not say whether it was fetched after " + since
}
