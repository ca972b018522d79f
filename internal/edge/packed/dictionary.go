package packed

// A row of terse lines is made of codes, each a byte: of a whole line, or of a
// name, behind which a value follows. Nobody keeps them for longer than the
// program runs, so they may be others in the next version.
const (
	otherName = 0         // the length of the name follows, and the name
	gapCode   = otherName // and from here on so many gaps as the code says, at most Gaps
	firstWord = gapCode + Gaps + 1
)

// wholeLines are lines that many origins send.
var wholeLines = []string{
	"Accept-Ranges: bytes",
	"Access-Control-Allow-Credentials: true", "Access-Control-Allow-Methods: GET", "Access-Control-Allow-Methods: GET, HEAD", "Access-Control-Allow-Origin: *",
	"Cache-Control: immutable", "Cache-Control: max-age=31536000, immutable", "Cache-Control: no-cache", "Cache-Control: public",
	"Cache-Control: public, max-age=0, must-revalidate", "Cache-Control: public, max-age=31536000, immutable",
	"Content-Encoding: br", "Content-Encoding: gzip", "Content-Encoding: zstd", "Content-Language: en",
	"Content-Type: application/dash+xml", "Content-Type: application/font-woff2", "Content-Type: application/gzip", "Content-Type: application/javascript",
	"Content-Type: application/javascript; charset=utf-8", "Content-Type: application/json", "Content-Type: application/json; charset=utf-8",
	"Content-Type: application/manifest+json", "Content-Type: application/octet-stream", "Content-Type: application/pdf",
	"Content-Type: application/vnd.apple.mpegurl", "Content-Type: application/wasm", "Content-Type: application/x-mpegURL", "Content-Type: application/xml",
	"Content-Type: application/zip", "Content-Type: audio/mpeg", "Content-Type: binary/octet-stream", "Content-Type: font/ttf", "Content-Type: font/woff",
	"Content-Type: font/woff2", "Content-Type: image/avif", "Content-Type: image/gif", "Content-Type: image/jpeg", "Content-Type: image/png",
	"Content-Type: image/svg+xml", "Content-Type: image/webp", "Content-Type: image/x-icon", "Content-Type: text/css", "Content-Type: text/css; charset=utf-8",
	"Content-Type: text/html", "Content-Type: text/html; charset=UTF-8", "Content-Type: text/html; charset=utf-8", "Content-Type: text/javascript",
	"Content-Type: text/javascript; charset=utf-8", "Content-Type: text/plain", "Content-Type: text/plain; charset=utf-8", "Content-Type: text/xml",
	"Content-Type: video/mp2t", "Content-Type: video/mp4",
	"Referrer-Policy: strict-origin-when-cross-origin", "Server: AmazonS3", "Server: Apache", "Server: CloudFront", "Server: nginx",
	"Strict-Transport-Security: max-age=31536000", "Timing-Allow-Origin: *",
	"Vary: Accept-Encoding", "Vary: Origin", "Vary: Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
	"X-Amz-Server-Side-Encryption: AES256", "X-Amz-Server-Side-Encryption: aws:kms", "X-Amz-Storage-Class: INTELLIGENT_TIERING", "X-Amz-Version-Id: null",
	"X-Content-Type-Options: nosniff", "X-Frame-Options: DENY", "X-Frame-Options: SAMEORIGIN", "X-Xss-Protection: 1; mode=block",
}

// lineNames are names of headers that many origins send.
var lineNames = []string{
	"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
	"Allow", "Alt-Svc", "Cache-Control", "Cache-Tag", "Cdn-Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Location",
	"Content-Md5", "Content-Security-Policy", "Content-Type", "Cross-Origin-Embedder-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy",
	"Date", "Digest", "Etag", "Expires", "Last-Modified", "Link", "Location", "Nel", "P3p", "Permissions-Policy", "Pragma", "Referrer-Policy", "Report-To",
	"Server", "Server-Timing", "Set-Cookie", "Strict-Transport-Security", "Surrogate-Control", "Surrogate-Key", "Timing-Allow-Origin", "Vary",
	"X-Amz-Checksum-Crc32", "X-Amz-Checksum-Crc32c", "X-Amz-Checksum-Crc64nvme", "X-Amz-Checksum-Sha1", "X-Amz-Checksum-Sha256", "X-Amz-Checksum-Type",
	"X-Amz-Expiration", "X-Amz-Id-2", "X-Amz-Meta-Mtime", "X-Amz-Mp-Parts-Count", "X-Amz-Replication-Status", "X-Amz-Request-Id",
	"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled",
	"X-Amz-Storage-Class", "X-Amz-Tagging-Count", "X-Amz-Version-Id", "X-Amz-Website-Redirect-Location",
	"X-Content-Type-Options", "X-Dns-Prefetch-Control", "X-Frame-Options", "X-Powered-By", "X-Request-Id", "X-Robots-Tag", "X-Xss-Protection",
}

// dictionary is what codes mean.
type dictionary struct {
	text  [256]string // of a line with its end, or of a name with what is before the value
	whole [256]bool
	codes map[string]byte // of lines without their ends, and names
}

// words is read only.
var words = newDictionary()

func newDictionary() *dictionary {
	d := &dictionary{codes: make(map[string]byte, len(wholeLines)+len(lineNames))}
	at := firstWord
	for _, line := range wholeLines {
		d.text[at], d.whole[at], d.codes[line] = line+"\r\n", true, byte(at)
		at++
	}
	for _, name := range lineNames {
		d.text[at], d.codes[name] = name+": ", byte(at)
		at++
	}
	return d
}
