package mediatype_test

import (
	"testing"

	"github.com/freshet/freshet/internal/mediatype"
)

func TestOf(t *testing.T) {
	for name, want := range map[string]string{
		"index.HTML": "text/html; charset=utf-8", "a.mjs": "text/javascript; charset=utf-8", "a.min.js.map": "application/json",
		"a.wasm": "application/wasm", "f.woff2": "font/woff2", "site.webmanifest": "application/manifest+json", "i.avif": "image/avif",
		"favicon.ico": "image/x-icon", "robots.txt": "text/plain; charset=utf-8", "v.webm": "video/webm", "LICENSE": "", "a.unknown": "",
		".well-known/apple-app-site-association": "application/json", "m.glb": "model/gltf-binary", "b.epub": "application/epub+zip", "p.HEIC": "image/heic",
		"openapi.yaml": "application/yaml", "a.tar.xz": "application/x-xz", "app.apk": "application/vnd.android.package-archive",
	} {
		if got := mediatype.Of(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
