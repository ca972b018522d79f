// Package mediatype knows which media type a file of a website has. The table is
// our own, so that a site is served the same from every machine.
package mediatype

import (
	"path"
	"strings"
)

// Of gives the media type for a file name, or a path with slashes; empty if it
// is unknown.
func Of(name string) string {
	if kind := byName[path.Base(name)]; kind != "" {
		return kind
	}
	return byExtension[strings.ToLower(path.Ext(name))]
}

// byName is never changed. Apple wants this type of a file that may have no
// ending.
// https://developer.apple.com/documentation/xcode/supporting-associated-domains
var byName = map[string]string{"apple-app-site-association": "application/json"}

// byExtension is never changed.
var byExtension = map[string]string{
	".html":        "text/html; charset=utf-8",
	".htm":         "text/html; charset=utf-8",
	".shtml":       "text/html; charset=utf-8",
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
	".aac":         "audio/aac",
	".3gp":         "video/3gpp",
	".heic":        "image/heic",
	".heif":        "image/heif",
	".glb":         "model/gltf-binary",
	".gltf":        "model/gltf+json",
	".usdz":        "model/vnd.usdz+zip",
	".cjs":         "text/javascript; charset=utf-8",
	".vcf":         "text/vcard; charset=utf-8",
	".yaml":        "application/yaml",
	".yml":         "application/yaml",
	".toml":        "application/toml",
	".json5":       "application/json5",
	".ndjson":      "application/x-ndjson",
	".topojson":    "application/json",
	".pmtiles":     "application/vnd.pmtiles",
	".epub":        "application/epub+zip",
	".rtf":         "application/rtf",
	".doc":         "application/msword",
	".docx":        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xls":         "application/vnd.ms-excel",
	".xlsx":        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".ppt":         "application/vnd.ms-powerpoint",
	".pptx":        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".odt":         "application/vnd.oasis.opendocument.text",
	".ods":         "application/vnd.oasis.opendocument.spreadsheet",
	".apk":         "application/vnd.android.package-archive",
	".7z":          "application/x-7z-compressed",
	".bz2":         "application/x-bzip2",
	".xz":          "application/x-xz",
	".tar":         "application/x-tar",
	".rar":         "application/vnd.rar",
	".dmg":         "application/x-apple-diskimage",
	".exe":         "application/octet-stream",
	".jar":         "application/java-archive",
}
