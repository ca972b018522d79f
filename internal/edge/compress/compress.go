// Package compress decides which responses CloudFront compresses on their way
// from the origin, and does so as they stream by.
package compress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

// Encoding is a content coding; the zero value leaves a body as it is.
type Encoding string

// The codings that CloudFront knows.
const (
	None   Encoding = ""
	Gzip   Encoding = "gzip"
	Brotli Encoding = "br"
)

// The sizes of the bodies that are compressed, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
const (
	Smallest = 1_000
	Largest  = 10_000_000
)

// Choose returns how to compress a response of the origin. accepted is the
// Accept-Encoding of the cache key: br,gzip or br or gzip or nothing; Brotli
// comes first. length is the announced one of the body, negative where there is
// none, and then nothing is compressed. Nor is what the origin has encoded, or
// does not want to be changed.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func Choose(accepted string, status int, h http.Header, length int64) Encoding {
	switch {
	case length < Smallest || length > Largest:
		return None
	case status != http.StatusOK && status != http.StatusForbidden && status != http.StatusNotFound:
		return None
	case len(h["Content-Encoding"]) > 0 || len(h["Content-Range"]) > 0 || !compressible(h.Get("Content-Type")) || untouchable(h["Cache-Control"]):
		return None
	}
	best := None
	for coding := range strings.SplitSeq(accepted, ",") {
		switch Encoding(strings.TrimSpace(coding)) {
		case Brotli:
			return Brotli
		case Gzip:
			best = Gzip
		}
	}
	return best
}

// untouchable reports whether the origin forbids to transform the body.
// https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.6
func untouchable(cacheControl []string) bool {
	for _, line := range cacheControl {
		for directive := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-transform") {
				return true
			}
		}
	}
	return false
}

// compressible reports whether a Content-Type is among the listed ones. Letter
// case and parameters do not count.
func compressible(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	kind, sub, ok := strings.Cut(strings.ToLower(strings.TrimSpace(kind)), "/")
	return ok && strings.Contains(listed(kind), " "+sub+" ") && !strings.ContainsAny(sub, " ")
}

// listed returns the subtypes that are compressed, each between two spaces.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html#compressed-content-cloudfront-file-types
func listed(kind string) string {
	switch kind {
	case "application":
		return " dash+xml eot font font-sfnt javascript json opentype otf pkcs7-mime protobuf rss+xml truetype ttf " +
			"vnd.apple.mpegurl vnd.mapbox-vector-tile vnd.ms-fontobject wasm xhtml+xml xml x-font-opentype x-font-truetype x-font-ttf " +
			"x-httpd-cgi x-javascript x-mpegurl x-opentype x-otf x-perl x-ttf "
	case "font":
		return " eot opentype otf ttf "
	case "image":
		return " svg+xml "
	case "text":
		return " css csv html javascript js plain richtext tab-separated-values xml x-component x-java-source x-script "
	}
	return ""
}

// Mark changes the headers of a response to those of the compressed one: a
// strong entity tag becomes weak, as the bytes are others, and one that is none
// goes, as do digests and the length.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func Mark(h http.Header, e Encoding) {
	h["Content-Encoding"] = []string{string(e)}
	for _, name := range []string{"Content-Length", "Content-Md5", "Content-Digest", "Digest"} {
		delete(h, name)
	}
	if tag := h.Get("Etag"); tag != "" {
		if weak, ok := weakened(tag); ok {
			h["Etag"] = []string{weak}
		} else {
			delete(h, "Etag")
		}
	}
	Vary(h)
}

// Vary makes sure that Accept-Encoding is named in Vary. Values are replaced,
// not modified.
func Vary(h http.Header) {
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Accept-Encoding") {
				return
			}
		}
	}
	named := "Accept-Encoding"
	if lines := h["Vary"]; len(lines) > 0 {
		named = strings.Join(lines, ", ") + ", " + named
	}
	h["Vary"] = []string{named}
}

// weakened returns an entity tag as a weak one, and whether it is one at all.
// https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
func weakened(tag string) (string, bool) {
	opaque := strings.TrimPrefix(tag, "W/")
	if len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' {
		return "", false
	}
	for _, c := range []byte(opaque[1 : len(opaque)-1]) {
		if c == '"' || c <= ' ' || c == 0x7F {
			return "", false
		}
	}
	return "W/" + opaque, true
}

// level is what a body is worth that is compressed while somebody waits, on
// brotli's scale.
const level = 5

// largestWindow is how far back brotli looks at most, as a power of two: what it
// remembers takes several times that.
const largestWindow = 19

// Encoders compress one body after the other, since each takes about a megabyte to
// begin with. The zero value has none yet.
type Encoders struct{ brotli, gzip sync.Pool }

// encoder is what both codings have.
type encoder interface {
	io.WriteCloser
	Reset(to io.Writer)
}

func (all *Encoders) of(e Encoding) (*sync.Pool, encoder) {
	pool, made := &all.gzip, func() encoder { return gzip.NewWriter(nil) }
	if e == Brotli {
		pool, made = &all.brotli, func() encoder {
			return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: level, LGWin: largestWindow})
		}
	}
	if used, ok := pool.Get().(encoder); ok {
		return pool, used
	}
	return pool, made()
}

// NewReader returns the compressed bytes of src, which it reads as far as needed
// for the next of them. An error of src other than io.EOF is passed on, and what
// came before it does not look complete.
func (all *Encoders) NewReader(e Encoding, src io.Reader) io.Reader {
	if e != Brotli && e != Gzip {
		return src
	}
	r := &reader{src: src, in: make([]byte, 32<<10)}
	r.pool, r.encoder = all.of(e)
	r.encoder.Reset(&r.out)
	return r
}

// NewReader is that of Encoders of which only one is needed.
func NewReader(e Encoding, src io.Reader) io.Reader { return new(Encoders).NewReader(e, src) }

type reader struct {
	src     io.Reader
	encoder encoder // nil once there is nothing more to compress
	pool    *sync.Pool
	in      []byte
	out     bytes.Buffer
	err     error // once there is nothing more to come
}

func (r *reader) Read(p []byte) (int, error) {
	for r.out.Len() == 0 && r.err == nil {
		r.fill()
	}
	if r.out.Len() > 0 {
		return r.out.Read(p)
	}
	return 0, r.err
}

func (r *reader) fill() {
	defer r.rest()
	n, err := r.src.Read(r.in)
	if n > 0 {
		if _, bad := r.encoder.Write(r.in[:n]); bad != nil {
			r.err = bad
			return
		}
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		r.err = io.EOF
		if bad := r.encoder.Close(); bad != nil {
			r.err = bad
		}
	} else if err != nil {
		r.err = err
	}
}

// rest gives the encoder to others once nothing more is to be compressed.
func (r *reader) rest() {
	if r.err == nil || r.encoder == nil {
		return
	}
	r.encoder.Reset(io.Discard) // and nothing of this body is kept alive by it
	r.pool.Put(r.encoder)
	r.encoder, r.in = nil, nil
}
