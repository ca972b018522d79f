package edge

import (
	"net/http"
	"time"
)

// maxRequestHeader is the largest request, without body, in bytes.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html
const maxRequestHeader = 32768

// Server returns a server for viewers: with limits on what a request may send
// and how slowly, and none on how long a download takes. The caller sets its
// address or listener.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxRequestHeader - 4096, // net/http adds as much
	}
}
