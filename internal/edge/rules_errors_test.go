package edge

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// How long errors are kept: by their status, the error caching minimum, and what
// the origin says, within the maximum TTL.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
func TestErrorsAreKept(t *testing.T) {
	const unsaid = -1
	for _, tt := range []struct {
		rule    string
		status  int
		minimum int64 // error caching minimum of the status; unsaid for none
		headers []string
		kept    int64 // seconds
	}{
		{"404", 404, unsaid, nil, 10},
		{"414", 414, unsaid, nil, 10},
		{"500", 500, unsaid, nil, 10},
		{"501", 501, unsaid, nil, 10},
		{"502", 502, unsaid, nil, 10},
		{"503", 503, unsaid, nil, 10},
		{"504", 504, unsaid, nil, 10},
		{"400", 400, unsaid, nil, 0},
		{"403", 403, unsaid, nil, 0},
		{"405", 405, unsaid, nil, 0},
		{"412", 412, unsaid, nil, 0},
		{"415", 415, unsaid, nil, 0},
		{"400 with max-age", 400, unsaid, []string{"Cache-Control", "max-age=50"}, 50},
		{"403 with max-age", 403, unsaid, []string{"Cache-Control", "max-age=50"}, 50},
		{"405 with max-age", 405, unsaid, []string{"Cache-Control", "max-age=50"}, 50},
		{"412 with s-maxage", 412, unsaid, []string{"Cache-Control", "s-maxage=50"}, 50},
		{"415 with s-maxage", 415, unsaid, []string{"Cache-Control", "s-maxage=50"}, 50},
		{"403 with max-age below the error caching minimum", 403, 40, []string{"Cache-Control", "max-age=5"}, 40},
		{"403 with an error caching minimum only", 403, 40, nil, 0},
		{"403 with Expires only", 403, unsaid, []string{"Expires", "+50s"}, 0},
		{"416", 416, 40, []string{"Cache-Control", "max-age=50"}, 0},
		{"401", 401, unsaid, []string{"Cache-Control", "max-age=50"}, 0},
		{"429", 429, unsaid, []string{"Cache-Control", "max-age=50"}, 0},
		{"the error caching minimum", 404, 40, nil, 40},
		{"an error caching minimum of 0", 404, 0, nil, 0},
		{"max-age above the error caching minimum", 404, 40, []string{"Cache-Control", "max-age=50"}, 50},
		{"max-age below the error caching minimum", 404, 40, []string{"Cache-Control", "max-age=30"}, 40},
		{"s-maxage before max-age", 404, unsaid, []string{"Cache-Control", "max-age=100, s-maxage=50"}, 50},
		{"Expires above the error caching minimum", 404, unsaid, []string{"Expires", "+50s"}, 50},
		{"Expires below the error caching minimum", 404, 40, []string{"Expires", "+5s"}, 40},
		{"max-age before Expires", 500, unsaid, []string{"Cache-Control", "max-age=20", "Expires", "+50s"}, 20},
		{"max-age above the maximum", 404, unsaid, []string{"Cache-Control", "max-age=5000"}, 1000},
		{"Expires after the maximum", 404, unsaid, []string{"Expires", "+2h"}, 1000},
		{"no-store", 404, unsaid, []string{"Cache-Control", "no-store"}, 10},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := timed(tt.status, tt.headers...)
				d := ttls(true, 0, 500, 1000)
				if tt.minimum >= 0 {
					d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: tt.status, ErrorCachingMinTTL: &tt.minimum}}
				}
				keptFor(t, open(t, o, Config{Distributions: []distribution.Distribution{d}}), o, time.Duration(tt.kept)*time.Second)
			})
		})
	}
	t.Run("CachingDisabled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := timed(404, "Cache-Control", "max-age=50")
			keptFor(t, open(t, o, Config{Distributions: []distribution.Distribution{squeezing("Managed-CachingDisabled", false)}}), o, 0)
		})
	})
}

// Redirects are passed on and not followed. They are kept like other answers; a
// 307 or 308 only if the origin sends a Cache-Control, or an Expires.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/http-3xx-status-codes.html
func TestRedirectsAreKept(t *testing.T) {
	for _, tt := range []struct {
		rule    string
		status  int
		headers []string
		kept    int64 // seconds
	}{
		{"301", 301, nil, 500},
		{"302", 302, nil, 500},
		{"303", 303, nil, 500},
		{"302 with max-age", 302, []string{"Cache-Control", "max-age=50"}, 50},
		{"307", 307, nil, 0},
		{"308", 308, nil, 0},
		{"307 with Expires only", 307, []string{"Expires", "+50s"}, 50},
		{"307 with max-age", 307, []string{"Cache-Control", "max-age=50"}, 50},
		{"308 with max-age", 308, []string{"Cache-Control", "max-age=50"}, 50},
		{"308 with another directive", 308, []string{"Cache-Control", "public"}, 500},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := timed(tt.status, append(tt.headers, "Location", "https://elsewhere.example/")...)
				e := open(t, o, Config{Distributions: []distribution.Distribution{ttls(true, 0, 500, 1000)}})
				keptFor(t, e, o, time.Duration(tt.kept)*time.Second)
				if w := get(e, "/b"); w.Code != tt.status || w.Header().Get("Location") != "https://elsewhere.example/" {
					t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
				}
			})
		})
	}
}

// An expired copy stands in for an origin that fails until the error caching
// minimum of that failure is over; then the origin is asked again.
func TestNextTryAfterAFailure(t *testing.T) {
	for _, minimum := range []int64{10, 40} {
		synctest.Test(t, func(t *testing.T) {
			o := fixed(200, "good", "Cache-Control", "max-age=5")
			d := ttls(true, 0, 500, 1000)
			d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 503, ErrorCachingMinTTL: &minimum}, {ErrorCode: 500, ErrorCachingMinTTL: new(int64(1))}}
			e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
			get(e, "/a")
			time.Sleep(6 * time.Second)
			works := o.answer
			o.answer = func(*http.Request) (*http.Response, error) { return reply(503, "bad"), nil }
			want(t, get(e, "/a"), 200, "RefreshHit", "good")
			time.Sleep(time.Duration(minimum)*time.Second - time.Second)
			before := o.count()
			if w := get(e, "/a"); w.Code != 200 || o.count() != before {
				t.Errorf("minimum %d s: %d, the origin was asked %d times too early", minimum, w.Code, o.count()-before)
			}
			o.answer = works
			time.Sleep(time.Second)
			want(t, get(e, "/a"), 200, "Miss", "good")
		})
	}
}

// The page for an error stands for the edge's own refusals too, once a behavior
// has refused; it is fetched with GET, or HEAD, whatever was refused.
func TestErrorPagesForRefusals(t *testing.T) {
	for _, tt := range []struct {
		rule, method, target, body string
		status                     int
		page                       bool
	}{
		{"a method that is not allowed", "POST", "http://e1.cloudfront.localhost/a", "", 403, true},
		{"a method that is not allowed, with a body", "POST", "http://e1.cloudfront.localhost/a", "text", 403, true},
		{"a method that nobody knows", "WONDER", "http://e1.cloudfront.localhost/a", "", 403, true},
		{"GET with a body", "GET", "http://e1.cloudfront.localhost/a", "text", 403, true},
		{"HTTPS only", "GET", "http://e1.cloudfront.localhost/secure/a", "", 403, true},
		{"a redirect to HTTPS", "GET", "http://e1.cloudfront.localhost/elsewhere/a", "", 301, false},
		{"a URL that is too long", "GET", "http://e1.cloudfront.localhost/" + strings.Repeat("a", maxURL), "", 413, false},
		{"a host that nobody has", "POST", "http://nobody.example/a", "", 403, false},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			d := dist("E1")
			d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 403, ResponsePagePath: "/errors/403.html", ResponseCode: 404}}
			d.Config.CacheBehaviors = []distribution.CacheBehavior{
				{PathPattern: "/secure/*", TargetOriginID: "site", ViewerProtocolPolicy: "https-only"},
				{PathPattern: "/elsewhere/*", TargetOriginID: "site", ViewerProtocolPolicy: "redirect-to-https"},
			}
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				return reply(200, r.Method+" "+r.URL.Path), nil
			}}
			e := open(t, o, Config{Distributions: []distribution.Distribution{d, dist("E2")}})
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			w := serve(e, r)
			if !tt.page {
				if w.Code != tt.status || o.count() != 0 {
					t.Errorf("%d after %d requests to the origin, want %d after none", w.Code, o.count(), tt.status)
				}
				return
			}
			want(t, w, 404, "Error", "GET /errors/403.html")
			if closes := w.Header().Get("Connection") == "close"; closes != (tt.body != "") {
				t.Errorf("a body of %q: the connection ends: %v", tt.body, closes)
			}
		})
	}
}

// The connection of a refused body ends, also where a page is the answer: what
// follows would else be read as a request.
func TestErrorPageEndsTheConnectionOfABody(t *testing.T) {
	d := dist("E1")
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 403, ResponsePagePath: "/403.html", ResponseCode: 403}}
	o := fixed(200, "page")
	addr := listening(t, open(t, o, Config{Distributions: []distribution.Distribution{d}}))
	const host = "Host: e1.cloudfront.localhost\r\n"
	statuses, bodies, _ := raw(t, addr, "POST /a HTTP/1.1\r\n"+host+"Content-Length: 5\r\n\r\nhelloGET /smuggled HTTP/1.1\r\n"+host+"\r\n")
	if len(statuses) != 1 || statuses[0] != 403 || bodies[0] != "page" || o.last(t).URL.Path != "/403.html" {
		t.Errorf("statuses %v, %q, the origin was last asked for %s", statuses, bodies, o.last(t).URL.Path)
	}
}

// An error stays one in X-Cache whatever status its page has, and pages exist
// for each status of the guide's list.
func TestErrorPageOfEachStatus(t *testing.T) {
	for _, status := range []int{400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504} {
		for _, code := range []int{200, status, 0} {
			d := dist("E1")
			d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: status, ResponsePagePath: "/errors/x.html", ResponseCode: code}}
			o := &recorded{answer: func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/errors/x.html" {
					return reply(200, "page"), nil
				}
				return reply(status, strconv.Itoa(status)), nil
			}}
			shown := code
			if code == 0 {
				shown = status
			}
			want(t, get(open(t, o, Config{Distributions: []distribution.Distribution{d}}), "/a"), shown, "Error", "page")
		}
	}
}
