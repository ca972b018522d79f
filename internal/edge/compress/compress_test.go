package compress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"pgregory.net/rapid"
)

func header(pairs ...string) http.Header {
	h := make(http.Header)
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// Each condition of the documentation, on its own.
func TestChoose(t *testing.T) {
	html := header("Content-Type", "text/html")
	for _, tt := range []struct {
		name, accepted string
		status         int
		h              http.Header
		length         int64
		want           Encoding
	}{
		{"gzip", "gzip", 200, html, 5000, Gzip},
		{"Brotli is preferred", "br,gzip", 200, html, 5000, Brotli},
		{"Brotli is preferred in any order", "gzip, br", 200, html, 5000, Brotli},
		{"Brotli only", "br", 200, html, 5000, Brotli},
		{"nothing accepted", "", 200, html, 5000, None},
		{"something else accepted", "zstd", 200, html, 5000, None},
		{"the smallest", "gzip", 200, html, 1_000, Gzip},
		{"smaller than that", "gzip", 200, html, 999, None},
		{"the largest", "gzip", 200, html, 10_000_000, Gzip},
		{"larger than that", "gzip", 200, html, 10_000_001, None},
		{"no Content-Length", "gzip", 200, html, -1, None},
		{"403", "gzip", 403, html, 5000, Gzip},
		{"404", "gzip", 404, html, 5000, Gzip},
		{"206", "gzip", 206, html, 5000, None},
		{"301", "gzip", 301, html, 5000, None},
		{"500", "gzip", 500, html, 5000, None},
		{"encoded by the origin", "gzip", 200, header("Content-Type", "text/html", "Content-Encoding", "br"), 5000, None},
		{"the origin says identity", "gzip", 200, header("Content-Type", "text/html", "Content-Encoding", "identity"), 5000, None},
		{"a part", "gzip", 200, header("Content-Type", "text/html", "Content-Range", "bytes 0-1/2"), 5000, None},
		{"no-transform", "gzip", 200, header("Content-Type", "text/html", "Cache-Control", "max-age=1, No-Transform"), 5000, None},
		{"no Content-Type", "gzip", 200, header(), 5000, None},
		{"parameters and letter case", "gzip", 200, header("Content-Type", "Text/HTML ; charset=utf-8"), 5000, Gzip},
		{"an image", "gzip", 200, header("Content-Type", "image/png"), 5000, None},
		{"a compressed font", "gzip", 200, header("Content-Type", "font/woff2"), 5000, None},
		{"a font", "gzip", 200, header("Content-Type", "font/ttf"), 5000, Gzip},
		{"svg", "gzip", 200, header("Content-Type", "image/svg+xml"), 5000, Gzip},
		{"wasm", "gzip", 200, header("Content-Type", "application/wasm"), 5000, Gzip},
		{"the beginning of a type", "gzip", 200, header("Content-Type", "text/htm"), 5000, None},
		{"two types", "gzip", 200, header("Content-Type", "text/css csv"), 5000, None},
		{"no type at all", "gzip", 200, header("Content-Type", "text/"), 5000, None},
		{"a type of another kind", "gzip", 200, header("Content-Type", "font/html"), 5000, None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Choose(tt.accepted, tt.status, tt.h, tt.length); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// The types that are compressed are those of the documentation, each of them, and
// not others of their kind.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html#compressed-content-cloudfront-file-types
func TestCompressedTypes(t *testing.T) {
	for want, types := range map[Encoding]string{
		Gzip: `application/dash+xml application/eot application/font application/font-sfnt application/javascript application/json
			application/opentype application/otf application/pkcs7-mime application/protobuf application/rss+xml application/truetype
			application/ttf application/vnd.apple.mpegurl application/vnd.mapbox-vector-tile application/vnd.ms-fontobject application/wasm
			application/xhtml+xml application/xml application/x-font-opentype application/x-font-truetype application/x-font-ttf
			application/x-httpd-cgi application/x-javascript application/x-mpegurl application/x-opentype application/x-otf application/x-perl
			application/x-ttf font/eot font/opentype font/otf font/ttf image/svg+xml text/css text/csv text/html text/javascript text/js
			text/plain text/richtext text/tab-separated-values text/xml text/x-component text/x-java-source text/x-script`,
		None: `font/woff font/woff2 application/font-woff application/font-woff2 application/octet-stream application/pdf application/zip
			application/ld+json application/manifest+json application/atom+xml application/graphql image/png image/jpeg image/webp image/x-icon
			image/bmp text/markdown text/calendar text/vcard video/mp4 audio/mpeg multipart/form-data`,
	} {
		for kind := range strings.FieldsSeq(types) {
			if got := Choose("gzip", 200, header("Content-Type", kind), 5000); got != want {
				t.Errorf("%s: %q, want %q", kind, got, want)
			}
		}
	}
}

// A strong entity tag becomes weak, a malformed one goes, Vary names
// Accept-Encoding once.
func TestMark(t *testing.T) {
	for tag, want := range map[string]string{`"a"`: `W/"a"`, `W/"a"`: `W/"a"`, `a`: "", `"a`: "", `W/a`: "", `"a"b"`: "", `"a b"`: "", `"`: "", `""`: `W/""`, "": ""} {
		h := header("Etag", tag, "Content-Length", "5", "Content-Md5", "x", "X-Kept", "1")
		Mark(h, Gzip)
		if h.Get("Etag") != want {
			t.Errorf("%s became %q, want %q", tag, h.Get("Etag"), want)
		}
		if h.Get("Content-Encoding") != "gzip" || h.Get("Content-Length") != "" || h.Get("Content-Md5") != "" || h.Get("X-Kept") != "1" {
			t.Errorf("%v", h)
		}
	}
	for _, tt := range [][2]string{{"", "Accept-Encoding"}, {"Cookie", "Cookie, Accept-Encoding"}, {"Cookie, accept-encoding", "Cookie, accept-encoding"}, {"*", "*"}} {
		h := make(http.Header)
		if tt[0] != "" {
			h.Set("Vary", tt[0])
		}
		Mark(h, Brotli)
		if got := h.Get("Vary"); got != tt[1] {
			t.Errorf("Vary %q became %q, want %q", tt[0], got, tt[1])
		}
	}
}

func decoded(t interface{ Fatal(...any) }, e Encoding, text []byte) []byte {
	var r io.Reader = bytes.NewReader(text)
	switch e {
	case Brotli:
		r = brotli.NewReader(r)
	case Gzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// What is decoded is what was there, in whatever pieces it comes and goes.
func TestReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.SampledFrom([]Encoding{None, Gzip, Brotli}).Draw(t, "encoding")
		text := []byte(strings.Repeat(rapid.StringN(0, 200, 200).Draw(t, "text"), rapid.IntRange(1, 2000).Draw(t, "times")))
		var src io.Reader = bytes.NewReader(text)
		switch rapid.IntRange(0, 2).Draw(t, "pieces") {
		case 1:
			src = iotest.HalfReader(src)
		case 2:
			src = iotest.DataErrReader(src)
		}
		var out bytes.Buffer
		if _, err := io.CopyBuffer(&out, struct{ io.Reader }{NewReader(e, src)}, make([]byte, rapid.IntRange(1, 5000).Draw(t, "buffer"))); err != nil {
			t.Fatal(err)
		}
		if got := decoded(t, e, out.Bytes()); !bytes.Equal(got, text) {
			t.Errorf("%d bytes became %d", len(text), len(got))
		}
		if e != None && len(text) > 20_000 && out.Len() > len(text)/2 {
			t.Errorf("%d bytes were compressed to %d", len(text), out.Len())
		}
	})
}

// A body that breaks off does not look like one that is complete.
func TestReaderPassesErrorsOn(t *testing.T) {
	broken := errors.New("the origin is gone")
	for _, e := range []Encoding{Gzip, Brotli} {
		for _, err := range []error{broken, io.ErrUnexpectedEOF} {
			src := io.MultiReader(strings.NewReader(strings.Repeat("x", 5000)), iotest.ErrReader(err))
			out, got := io.ReadAll(NewReader(e, src))
			if !errors.Is(got, err) {
				t.Errorf("%s: %v, want %v", e, got, err)
			}
			if e == Gzip {
				if z, bad := gzip.NewReader(bytes.NewReader(out)); bad == nil {
					if _, bad = io.ReadAll(z); bad == nil {
						t.Error("what came before the error is a complete stream")
					}
				}
			}
		}
	}
}

// An encoder that was used before, and was left in the middle of a body or by a
// failing source, makes of another body what a new one makes of it.
func TestEncodersAreUsedAgain(t *testing.T) {
	var all Encoders
	for n := range 40 {
		e := []Encoding{Gzip, Brotli}[n%2]
		text := strings.Repeat(strconv.Itoa(n)+" bottles; ", 100+n*n*20)
		if n%5 == 4 {
			_, _ = io.CopyN(io.Discard, all.NewReader(e, io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrClosedPipe))), int64(n*10))
			continue
		}
		got, err := io.ReadAll(all.NewReader(e, strings.NewReader(text)))
		want, wantErr := io.ReadAll(NewReader(e, strings.NewReader(text)))
		if err != nil || wantErr != nil || !bytes.Equal(got, want) {
			t.Fatalf("body %d in %s: %d bytes, %v; of a new encoder %d, %v", n, e, len(got), err, len(want), wantErr)
		}
	}
	if got, err := io.ReadAll(all.NewReader(None, strings.NewReader("as it is"))); string(got) != "as it is" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
