package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Derived remembers the signing key that was derived last, which is another one for
// each day, region and service. The zero value remembers none yet.
type Derived struct{ last atomic.Pointer[derivedKey] }

type derivedKey struct {
	of    Credentials
	scope string
	key   []byte
}

// signingKey derives the key of a scope, DATE/REGION/SERVICE/aws4_request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (v Verifier) signingKey(auth authorization, scope string) []byte {
	if v.Derived != nil {
		if last := v.Derived.last.Load(); last != nil && last.scope == scope && last.of == v.Credentials {
			return last.key
		}
	}
	key := []byte("AWS4" + v.Credentials.Secret.Reveal())
	for _, part := range []string{auth.date, auth.region, auth.service, "aws4_request"} {
		key = authenticated(key, []byte(part))
	}
	if v.Derived != nil {
		v.Derived.last.Store(&derivedKey{of: v.Credentials, scope: scope, key: key})
	}
	return key
}

func authenticated(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// signPlain is sign for a request that needs no care: no query, nothing in its path
// that is escaped, and headers that are each there once and hold no space that
// would have to go. It returns false for every other.
func (v Verifier) signPlain(r *http.Request, auth authorization, payloadHash string) (string, bool) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery || r.URL.RawPath != "" || !plainPath(r.URL.Path) {
		return "", false
	}
	text := make([]byte, 0, 1024)
	text = append(text, r.Method...)
	text = append(append(append(text, '\n'), r.URL.Path...), "\n\n"...)
	for i, name := range auth.signedHeaders {
		value, ok := plainValue(r, name)
		if !ok || i > 0 && auth.signedHeaders[i-1] >= name {
			return "", false
		}
		text = append(append(append(append(text, name...), ':'), value...), '\n')
	}
	text = append(text, '\n')
	for i, name := range auth.signedHeaders {
		if i > 0 {
			text = append(text, ';')
		}
		text = append(text, name...)
	}
	text = append(append(text, '\n'), payloadHash...)
	sum := sha256.Sum256(text)
	scope := auth.date + "/" + auth.region + "/" + auth.service + "/aws4_request"
	text = append(append(text[:0], algorithm...), '\n')
	text = append(append(text, r.Header["X-Amz-Date"][0]...), '\n')
	text = append(append(text, scope...), '\n')
	text = hex.AppendEncode(text, sum[:])
	return hex.EncodeToString(authenticated(v.signingKey(auth, scope), text)), true
}

// plainPath reports whether a path is the same however it is escaped.
func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/':
		default:
			return false
		}
	}
	return true
}

// plainValue is what a signed header has in a plain request.
func plainValue(r *http.Request, name string) (value string, ok bool) {
	switch name {
	case "host":
		// A signer leaves out the port that a scheme has anyway.
		return r.Host, plainText(r.Host) && r.Host != "" && !strings.HasSuffix(r.Host, ":80") && !strings.HasSuffix(r.Host, ":443")
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10), r.ContentLength > 0
	case "authorization":
		return "", false
	}
	values := r.Header.Values(name)
	if len(values) != 1 || !plainName(name) {
		return "", false
	}
	return values[0], plainText(values[0])
}

// plainName reports whether a header is called so in a signature.
func plainName(name string) bool {
	return !slices.ContainsFunc([]byte(name), func(c byte) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}

// plainText reports whether a value is what is signed of it.
func plainText(value string) bool {
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ', c > '~':
			return false
		case c == ' ' && (i == 0 || i == len(value)-1 || value[i+1] == ' '):
			return false
		}
	}
	return true
}
