package edge

import (
	"net/http"

	"github.com/freshet/freshet/internal/edge/compress"
)

// compress has what is about to be kept compressed on its way, if the behavior
// and the response are such, and changes its headers. A copy that was stored
// uncompressed stays so; a 304 compresses nothing.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html
func (q *query) compress(h http.Header, resp *response) {
	if !q.behavior.Compress || q.method != http.MethodGet || !q.behavior.caching.Caches() {
		return
	}
	e := compress.Choose(q.accepts, resp.StatusCode, resp.Header, resp.ContentLength)
	if e == compress.None {
		return
	}
	compress.Mark(h, e)
	resp.encoded = compress.NewReader(e, resp)
	resp.ContentLength = -1
}
