package edge

import (
	"cmp"
	"net/http"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// errorTTL is for how long an error with this status is cached at least.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
func (s *site) errorTTL(status int) time.Duration {
	if ttl := s.errors[status].ErrorCachingMinTTL; ttl != nil {
		return capped(*ttl)
	}
	return distribution.DefaultErrorCachingMinTTL
}

// page returns what the distribution says of the page for an error with this
// status, and whether it has one.
func (s *site) page(status int) (distribution.CustomErrorResponse, bool) {
	rule := s.errors[status]
	return rule, status >= http.StatusBadRequest && rule.ResponsePagePath != ""
}

// servePage answers with the page that the distribution has for an error with
// this status, and reports whether it has one. The page is fetched like any
// other URL: through the behavior that its own path matches, and from the cache
// if it is there.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages.html
func (e *Edge) servePage(w http.ResponseWriter, r *http.Request, s *site, status int) bool {
	rule, ok := s.page(status)
	if !ok {
		return false
	}
	if x, ok := w.(*exchange); ok {
		x.last = nil // an error is shown to no function, and its page neither
	}
	page := pageRequest(r, rule.ResponsePagePath)
	q := s.query(page, splitTarget(rule.ResponsePagePath))
	q.secure = r.TLS != nil
	q.instead = cmp.Or(rule.ResponseCode, status)
	e.serve(w, page, q)
	return true
}

// pageStatus is what a viewer is told: of a custom error page the status it was
// configured with, unless the page is not to be had either.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages.html
func pageStatus(status, instead int) int {
	if instead != 0 && status == http.StatusOK {
		return instead
	}
	return status
}

// aboutParts are headers that speak of the URL the viewer asked for, and not of
// the page that it gets instead.
var aboutParts = []string{"Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"}

// pageRequest is the request of the same viewer for another path.
func pageRequest(r *http.Request, path string) *http.Request {
	page := r.WithContext(r.Context())
	page.RequestURI, page.Body, page.ContentLength = path, http.NoBody, 0
	page.Header = r.Header.Clone()
	for _, name := range aboutParts {
		delete(page.Header, name)
	}
	if page.Method != http.MethodHead {
		page.Method = http.MethodGet
	}
	return page
}
