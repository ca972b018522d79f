// Package mediatype knows which media type a file of a website has. The table is
// our own, so that a site is served the same from every machine.
package mediatype

import (
	"path"
	"strings"
)

// Of gives the media type for a file name, or a path with slashes; empty if it
// is unknown.
func Of(name string) string { return byExtension[strings.ToLower(path.Ext(name))] }

// byExtension is never changed.
var byExtension = map[string]string{
	".html":        "text/html; charset=utf-8",
	".htm":         "text/html; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".mjs":         "text/javascript; charset=utf-8",
	".txt":         "text/plain; charset=utf-8",
	".text":        "text/plain; charset=utf-8",
	".md":          "text/markdown; charset=utf-8",
	".markdown":    "text/markdown; charset=utf-8",
	".csv":         "text/csv; charset=utf-8",
	".ics":         "text/calendar; charset=utf-8",
	".vtt":         "text/vtt; charset=utf-8",
	".xml":         "text/xml; charset=utf-8",
	".xsl":         "text/xml; charset=utf-8",
	".json":        "application/json",
	".map":         "application/json",
	".jsonld":      "application/ld+json",
	".geojson":     "application/geo+json",
	".webmanifest": "application/manifest+json",
	".rss":         "application/rss+xml",
	".atom":        "application/atom+xml",
	".xhtml":       "application/xhtml+xml",
	".wasm":        "application/wasm",
	".pdf":         "application/pdf",
	".zip":         "application/zip",
	".gz":          "application/gzip",
	".tgz":         "application/gzip",
	".br":          "application/octet-stream",
	".zst":         "application/octet-stream",
	".bin":         "application/octet-stream",
	".dat":         "application/octet-stream",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".jpg":         "image/jpeg",
	".jpeg":        "image/jpeg",
	".gif":         "image/gif",
	".webp":        "image/webp",
	".avif":        "image/avif",
	".apng":        "image/apng",
	".jxl":         "image/jxl",
	".bmp":         "image/bmp",
	".tif":         "image/tiff",
	".tiff":        "image/tiff",
	".ico":         "image/x-icon",
	".woff":        "font/woff",
	".woff2":       "font/woff2",
	".ttf":         "font/ttf",
	".otf":         "font/otf",
	".eot":         "application/vnd.ms-fontobject",
	".mp4":         "video/mp4",
	".m4v":         "video/mp4",
	".webm":        "video/webm",
	".mov":         "video/quicktime",
	".ogv":         "video/ogg",
	".mpd":         "application/dash+xml",
	".m3u8":        "application/vnd.apple.mpegurl",
	".ts":          "video/mp2t",
	".mp3":         "audio/mpeg",
	".m4a":         "audio/mp4",
	".ogg":         "audio/ogg",
	".oga":         "audio/ogg",
	".opus":        "audio/ogg",
	".wav":         "audio/wav",
	".flac":        "audio/flac",
	".weba":        "audio/webm",
}
