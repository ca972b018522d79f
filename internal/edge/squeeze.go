package edge

import (
	"net/http"

	"github.com/freshet/freshet/internal/edge/compress"
)

// compress has what is about to be kept compressed on its way, if the behavior
// and the response are such, and changes its headers. A copy that was stored
// uncompressed stays so; a 304 compresses nothing.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func (e *Edge) compress(q *query, h http.Header, resp *response) {
	coding := q.encoding(resp)
	if coding == compress.None {
		return
	}
	compress.Mark(h, coding)
	resp.encoded = e.encoders.NewReader(coding, resp)
	resp.ContentLength = -1
}

// encoding is how a whole response is to be compressed.
func (q *query) encoding(resp *response) compress.Encoding {
	if !q.behavior.Compress || q.method != http.MethodGet || !q.behavior.caching.Caches() {
		return compress.None
	}
	return compress.Choose(q.accepts, resp.StatusCode, resp.Header, resp.ContentLength)
}
