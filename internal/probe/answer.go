package probe

import (
	"compress/gzip"
	"context"
	"crypto/md5" //nolint:gosec // S3's ETag of an object put in one part is its MD5; nothing here is secret
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/andybalholm/brotli"
)

// Answer is what came back.
type Answer struct {
	URL      string // that answered, after redirects
	Status   int
	Header   http.Header
	Proto    string         // such as HTTP/2.0
	Remote   netip.AddrPort // that answered
	Via      []string       // URLs that led here by redirects
	Location string         // of a redirect that was not followed; empty: it is none
	Stopped  string         // why it was not, where redirects are followed
	Length   int64          // that the headers state; -1 where they do not
	Size     int64          // bytes of the body that were read, as they were sent
	Whole    bool           // that is all of it
	Raw      Sums           // of the body as it was sent; empty where it was not hashed or is not whole
	Decoded  Sums           // of what Content-Encoding was made from; as Raw where there is none, and empty where it cannot be decoded
	At       time.Time      // when the headers had come
	Took     time.Duration
}

// Sums are hashes in hexadecimal.
type Sums struct{ MD5, SHA256 string }

// ETag is without quotes.
func (a Answer) ETag() (tag string, weak bool) {
	tag, weak = strings.CutPrefix(a.Header.Get("ETag"), "W/")
	return strings.Trim(tag, `"`), weak
}

// Age is that of the copy by the edge's word, and false where it says nothing.
func (a Answer) Age() (time.Duration, bool) {
	n, err := strconv.ParseInt(a.Header.Get("Age"), 10, 32)
	return time.Duration(max(n, 0)) * time.Second, err == nil
}

// Modified is zero where the answer does not say.
func (a Answer) Modified() time.Time {
	t, err := http.ParseTime(a.Header.Get("Last-Modified"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// PoP is the edge location that answered, by the headers of CloudFront, Fastly or
// Cloudflare; empty where nobody says.
func (a Answer) PoP() string {
	if pop := a.Header.Get("X-Amz-Cf-Pop"); pop != "" {
		return pop
	}
	if by := a.Header.Get("X-Served-By"); by != "" {
		return lastOf(by)
	}
	if ray := a.Header.Get("Cf-Ray"); ray != "" {
		return ray[strings.LastIndexByte(ray, '-')+1:]
	}
	return ""
}

func lastOf(list string) string { return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:]) }

// Cache is what the cache says it did, such as Hit from cloudfront; empty where
// it says nothing.
func (a Answer) Cache() string {
	for _, name := range []string{"X-Cache", "Cf-Cache-Status", "X-Cache-Status", "Cache-Status"} {
		if v := a.Header.Get(name); v != "" {
			return lastOf(v)
		}
	}
	return ""
}

// Hit reports whether the cache had the response and did not ask the origin for
// it. Where the cache says nothing, an Age above zero does.
func (a Answer) Hit() bool {
	cache := strings.ToLower(a.Cache())
	word, _, _ := strings.Cut(cache, " ")
	switch {
	case cache == "":
		age, _ := a.Age()
		return age > 0
	case strings.Contains(cache, "; hit"): // RFC 9211
		return true
	}
	return word == "hit" || word == "tcp_hit" || word == "tcp_mem_hit"
}

// Generated reports whether a function of the CDN answered in the place of cache
// and origin.
func (a Answer) Generated() bool {
	c := a.Cache()
	return strings.HasPrefix(c, "FunctionGeneratedResponse") || strings.HasPrefix(c, "LambdaGeneratedResponse")
}

// RetryAfter is how long the answer asks to wait, in seconds; zero where it does
// not.
func (a Answer) RetryAfter() time.Duration {
	n, err := strconv.ParseInt(a.Header.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(max(n, 0)) * time.Second
}

// read takes in the body.
func (c *Client) read(a *Answer, ask Ask, body io.Reader) error {
	counted := &counter{in: io.LimitReader(body, c.cfg.MaxBody+1)}
	var err error
	if ask.Sums {
		err = a.hash(counted, ask.Into, c.cfg.MaxBody)
	} else {
		into := ask.Into
		if into == nil {
			into = io.Discard
		}
		_, err = io.Copy(into, counted)
	}
	a.Size = min(counted.n, c.cfg.MaxBody)
	a.Whole = err == nil && counted.n <= c.cfg.MaxBody
	if !a.Whole {
		a.Raw, a.Decoded = Sums{}, Sums{}
	}
	return err
}

// hash sums up what is sent and what that was made from. A body that cannot be
// decoded, or becomes too large by it, is summed up as it is sent.
func (a *Answer) hash(in io.Reader, into io.Writer, most int64) error {
	raw, decoded := newSums(), newSums()
	writers := []io.Writer{raw}
	if into != nil {
		writers = append(writers, into)
	}
	sent := &faulty{in: io.TeeReader(in, io.MultiWriter(writers...))}
	encoding := strings.ToLower(strings.TrimSpace(a.Header.Get("Content-Encoding")))
	ok := decode(encoding, sent, decoded, most)
	if _, err := io.Copy(io.Discard, sent); err != nil {
		return err
	}
	a.Raw = raw.sums()
	switch {
	case encoding == "" || encoding == "identity":
		a.Decoded = a.Raw
	case ok:
		a.Decoded = decoded.sums()
	}
	return nil
}

// decode writes what in was made from, and reports whether that went well.
func decode(encoding string, in io.Reader, to io.Writer, most int64) bool {
	var plain io.Reader
	switch encoding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return false
		}
		plain = z
	case "br":
		plain = brotli.NewReader(in)
	default:
		return false
	}
	n, err := io.Copy(to, io.LimitReader(plain, most+1))
	return err == nil && n <= most
}

// faulty remembers the error of its reader, so that a body that was cut off is
// told from one that cannot be decoded.
type faulty struct {
	in  io.Reader
	err error
}

func (f *faulty) Read(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.in.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

type sums struct{ md5, sha256 hash.Hash }

func newSums() sums { return sums{md5.New(), sha256.New()} }

func (s sums) Write(b []byte) (int, error) {
	_, _ = s.md5.Write(b)
	return s.sha256.Write(b)
}

func (s sums) sums() Sums {
	return Sums{hex.EncodeToString(s.md5.Sum(nil)), hex.EncodeToString(s.sha256.Sum(nil))}
}

type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.n += int64(n)
	return n, err
}

// traceRemote notes who is asked.
func traceRemote(ctx context.Context, remote *netip.AddrPort) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if at, err := netip.ParseAddrPort(info.Conn.RemoteAddr().String()); err == nil {
			*remote = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
		}
	}})
}
