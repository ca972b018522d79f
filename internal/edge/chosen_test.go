package edge

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// several is a distribution of three origins and a group of the first two, whose
// default behavior runs a function before it asks target.
func several(target string) distribution.Distribution {
	d := running("first", "")
	d.Config.Origins = []distribution.Origin{
		{ID: "one", DomainName: "one.example.com", OriginPath: "/1", ConnectionAttempts: 1, CustomHeaders: []distribution.OriginHeader{{HeaderName: "X-One", HeaderValue: "1"}},
			CustomOriginConfig: &distribution.CustomOriginConfig{OriginProtocolPolicy: "https-only", HTTPPort: 80, HTTPSPort: 8443, OriginReadTimeout: 7}},
		{ID: "two", DomainName: "two.example.com", CustomOriginConfig: &distribution.CustomOriginConfig{OriginProtocolPolicy: "http-only"}},
		{ID: "vpc", DomainName: "vpc.example.com", VPCOriginConfig: &distribution.VPCOriginConfig{VPCOriginID: "vo_1"}},
		{ID: "bucket", DomainName: "photos.s3.eu-west-1.amazonaws.com", S3OriginConfig: &distribution.S3OriginConfig{}},
	}
	d.Config.OriginGroups = []distribution.OriginGroup{{ID: "pair", StatusCodes: []int{500}, Members: []string{"one", "two"}}}
	d.Config.DefaultCacheBehavior.TargetOriginID = target
	return d
}

// changing is a function that changes the origin.
func changing(body string) map[string]string {
	return map[string]string{"first": "import cf from 'cloudfront';\nfunction handler(event) { " + body + "; return event.request; }"}
}

// toldOrigins plays every origin, and writes down what is asked of whom. Paths that
// begin with fail are answered with 500 by what is called one.
type toldOrigins struct {
	mu   sync.Mutex
	seen []string
}

func (a *toldOrigins) resolve(_ distribution.Distribution, o distribution.Origin) (Origin, error) {
	var settings string
	if c := o.CustomOriginConfig; c != nil {
		settings = fmt.Sprintf(" %s %d %d", c.OriginProtocolPolicy, c.HTTPSPort, c.OriginReadTimeout)
	}
	return Origin{URL: "http://" + o.DomainName, Host: o.DomainName, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		var own []string
		for name := range r.Header {
			if strings.HasPrefix(name, "X-") && !strings.HasPrefix(name, "X-Amz") && name != "X-Forwarded-For" {
				own = append(own, name)
			}
		}
		slices.Sort(own)
		line := fmt.Sprintf("%s%s %s%s %v%s", r.URL.Host, r.URL.Path, r.Host, "", own, settings)
		a.mu.Lock()
		a.seen = append(a.seen, line)
		a.mu.Unlock()
		if strings.Contains(r.URL.Path, "fail") && !strings.HasPrefix(o.DomainName, "two") {
			return reply(500, "failed"), nil
		}
		return reply(200, r.URL.Host, "Cache-Control", "max-age=100"), nil
	})}, nil
}

func (a *toldOrigins) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := strings.Join(a.seen, "\n")
	a.seen = nil
	return seen
}

func TestFunctionChangesTheOrigin(t *testing.T) {
	for what, c := range map[string]struct{ target, body, path, asked string }{
		"nothing changed":            {"one", `0`, "/a", "one.example.com/1/a one.example.com [X-One] https-only 8443 7"},
		"another name":               {"one", `cf.updateRequestOrigin({domainName: 'x.example.net'})`, "/a", "x.example.net/1/a x.example.net [X-One] https-only 8443 7"},
		"another host":               {"one", `cf.updateRequestOrigin({hostHeader: 'h.example.net'})`, "/a", "one.example.com/1/a h.example.net [X-One] https-only 8443 7"},
		"host and name":              {"one", `cf.updateRequestOrigin({domainName: 'x.example.net', hostHeader: 'h.example.net'})`, "/a", "x.example.net/1/a h.example.net [X-One] https-only 8443 7"},
		"path and headers":           {"one", `cf.updateRequestOrigin({originPath: '/new', customHeaders: {'x-a': 'b'}})`, "/a", "one.example.com/new/a one.example.com [X-A] https-only 8443 7"},
		"no path and no headers":     {"one", `cf.updateRequestOrigin({originPath: '', customHeaders: {}})`, "/a", "one.example.com/a one.example.com [] https-only 8443 7"},
		"how to connect":             {"one", `cf.updateRequestOrigin({customOriginConfig: {port: 8080, protocol: 'http', sslProtocols: ['TLSv1.2']}, timeouts: {readTimeout: 9}})`, "/a", "one.example.com/1/a one.example.com [X-One] http-only 8080 9"},
		"to a bucket":                {"one", `cf.updateRequestOrigin({domainName: 'b.s3.us-east-1.amazonaws.com', originAccessControlConfig: {enabled: true, region: 'us-east-1', signingBehavior: 'always', signingProtocol: 'sigv4', originType: 's3'}, customHeaders: {}})`, "/a", "b.s3.us-east-1.amazonaws.com/1/a b.s3.us-east-1.amazonaws.com []"},
		"from a bucket":              {"bucket", `cf.updateRequestOrigin({domainName: 'x.example.net'})`, "/a", "x.example.net/a x.example.net [] match-viewer 0 0"},
		"a bucket has no other host": {"one", `cf.selectRequestOriginById('bucket', {hostHeader: 'h.example.net'})`, "/a", "photos.s3.eu-west-1.amazonaws.com/a photos.s3.eu-west-1.amazonaws.com []"},
		"one change after another":   {"one", `cf.updateRequestOrigin({domainName: 'x.example.net'}); cf.updateRequestOrigin({originPath: '/2'})`, "/a", "x.example.net/2/a x.example.net [X-One] https-only 8443 7"},
		"selected":                   {"one", `cf.selectRequestOriginById('two')`, "/a", "two.example.com/a two.example.com [] http-only 0 0"},
		"selected with another host": {"one", `cf.selectRequestOriginById('two', {hostHeader: 'h.example.net'})`, "/a", "two.example.com/a h.example.net [] http-only 0 0"},
		"selected VPC origin":        {"one", `cf.selectRequestOriginById('vpc')`, "/a", "vpc.example.com/a vpc.example.com []"},
		"selected and updated":       {"one", `cf.selectRequestOriginById('two'); cf.updateRequestOrigin({originPath: '/2'})`, "/a", "two.example.com/2/a two.example.com [] http-only 0 0"},
		"primary of a group": {"pair", `cf.updateRequestOrigin({domainName: 'x.example.net'})`, "/fail",
			"x.example.net/1/fail x.example.net [X-One] https-only 8443 7\ntwo.example.com/fail two.example.com [] http-only 0 0"},
		"a group": {"two", `cf.createRequestOriginGroup({originIds: [{originId: 'one', originOverrides: {hostHeader: 'h.example.net'}}, {originId: 'two'}], failoverCriteria: {statusCodes: [500, 503]}})`, "/fail",
			"one.example.com/1/fail h.example.net [X-One] https-only 8443 7\ntwo.example.com/fail two.example.com [] http-only 0 0"},
		"a group by names": {"two", `cf.createRequestOriginGroup({originIds: ['one', 'two'], failoverCriteria: {statusCodes: [503]}})`, "/fail",
			"one.example.com/1/fail one.example.com [X-One] https-only 8443 7"},
		"no group any more": {"pair", `cf.selectRequestOriginById('one')`, "/fail", "one.example.com/1/fail one.example.com [X-One] https-only 8443 7"},
	} {
		t.Run(what, func(t *testing.T) {
			origins := new(toldOrigins)
			e := open(t, nil, Config{Distributions: []distribution.Distribution{several(c.target)}, Resolve: origins.resolve, Function: code(t, changing(c.body))})
			w := do(e, "GET", c.path)
			if got := origins.take(); got != c.asked {
				t.Errorf("%d: asked\n%s\nwanted\n%s", w.Code, got, c.asked)
			}
			if do(e, "POST", c.path); c.path == "/a" && w.Code != 200 {
				t.Errorf("answered %d %s", w.Code, w.Body)
			}
		})
	}
}

func TestFunctionChangesTheOriginInVain(t *testing.T) {
	for body, why := range map[string]string{
		`cf.selectRequestOriginById('three')`:                                                              "no origin",
		`cf.selectRequestOriginById('vpc'); cf.updateRequestOrigin({originPath: ''})`:                      "VPC origin",
		`cf.updateRequestOrigin({domainName: '127.0.0.1'})`:                                                "domainName",
		`cf.updateRequestOrigin({domainName: 'x.example.net:80'})`:                                         "domainName",
		`cf.updateRequestOrigin({domainName: 'x/y'})`:                                                      "domainName",
		`cf.updateRequestOrigin({domainName: 1})`:                                                          "domainName",
		`cf.updateRequestOrigin({hostHeader: 'a\r\nb'})`:                                                   "hostHeader",
		`cf.updateRequestOrigin({originPath: 'x'})`:                                                        "originPath",
		`cf.updateRequestOrigin({originPath: '/x?y'})`:                                                     "originPath",
		`cf.updateRequestOrigin({customHeaders: {'X-A': 'b'}})`:                                            "lower case",
		`cf.updateRequestOrigin({customHeaders: {'x-a': 'b\nc'}})`:                                         "control character",
		`cf.updateRequestOrigin({customHeaders: {'host': 'b'}})`:                                           "Host",
		`cf.updateRequestOrigin({customHeaders: {'x-edge-a': 'b'}})`:                                       "X-Edge-A",
		`cf.updateRequestOrigin({customHeaders: {'x-viewer': 'b'}})`:                                       "so has the request",
		`cf.updateRequestOrigin({connectionAttempts: 4})`:                                                  "connectionAttempts",
		`cf.updateRequestOrigin({timeouts: {readTimeout: 0}})`:                                             "readTimeout",
		`cf.updateRequestOrigin({timeouts: {readTimeout: 1.5}})`:                                           "timeouts.readTimeout",
		`cf.updateRequestOrigin({timeouts: {connectionTimeout: 11}})`:                                      "connectionTimeout",
		`cf.updateRequestOrigin({customOriginConfig: {port: 80}})`:                                         "protocol",
		`cf.updateRequestOrigin({originAccessControlConfig: {enabled: true}})`:                             "signingBehavior",
		`cf.updateRequestOrigin({originShield: {enabled: true}})`:                                          "originShield",
		`cf.updateRequestOrigin('x.example.net')`:                                                          "an object is needed",
		`cf.createRequestOriginGroup({originIds: ['one'], failoverCriteria: {statusCodes: [500]}})`:        "originIds",
		`cf.createRequestOriginGroup({originIds: ['one', 'two']})`:                                         "failoverCriteria",
		`cf.createRequestOriginGroup({originIds: ['one', 'two'], failoverCriteria: {statusCodes: [418]}})`: "status 418",
	} {
		var log bytes.Buffer
		origins := new(toldOrigins)
		e := open(t, nil, Config{Distributions: []distribution.Distribution{several("one")}, Resolve: origins.resolve, Function: code(t, changing(body)), Log: slog.New(slog.NewTextHandler(&log, nil))})
		w := do(e, "GET", "/a", "X-Viewer", "1")
		if w.Code != 502 || w.Header().Get("X-Cache") != "FunctionValidationError from cloudfront" || !strings.Contains(log.String(), why) {
			t.Errorf("%s: %d %s, %s", body, w.Code, w.Header().Get("X-Cache"), &log)
		}
		if n := origins.take(); n != "" {
			t.Errorf("%s: asked %s", body, n)
		}
	}
}

// The key is made of what the policy lists: what decides on the origin must be
// among that.
func TestChosenOriginIsNotInTheKey(t *testing.T) {
	origins := new(toldOrigins)
	d := several("one")
	e := open(t, nil, Config{Distributions: []distribution.Distribution{d}, Resolve: origins.resolve,
		Function: code(t, changing(`if (event.request.headers['x-two']) cf.selectRequestOriginById('two')`))})
	if w := do(e, "GET", "/a"); w.Body.String() != "one.example.com" {
		t.Fatalf("%s", w.Body)
	}
	if w := do(e, "GET", "/a", "X-Two", "1"); w.Body.String() != "one.example.com" || !strings.HasPrefix(w.Header().Get("X-Cache"), "Hit") {
		t.Errorf("%s %s", w.Header().Get("X-Cache"), w.Body)
	}
	if w := do(e, "GET", "/b", "X-Two", "1"); w.Body.String() != "two.example.com" {
		t.Errorf("%s", w.Body)
	}
}

// Functions can make names without end; what is kept ready for them has one.
func TestChosenOriginsAreBounded(t *testing.T) {
	origins := new(toldOrigins)
	e := open(t, nil, Config{Distributions: []distribution.Distribution{several("one")}, Resolve: origins.resolve,
		Function: code(t, changing(`cf.updateRequestOrigin({domainName: 'x' + event.request.uri.slice(1) + '.example.net'})`))})
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range maxChosen {
				at := fmt.Sprint(i*maxChosen + j)
				w := do(e, "GET", "/"+at)
				for tries := 0; w.Code == http.StatusServiceUnavailable && tries < 20; tries++ { // the machine had no time for the function
					w = do(e, "GET", "/"+at)
				}
				if w.Body.String() != "x"+at+".example.net" {
					t.Errorf("%s: %s", at, w.Body)
				}
			}
		})
	}
	group.Wait()
	if n := len(e.serving().sites[0].choices.made); n > maxChosen {
		t.Errorf("%d are kept", n)
	}
}

// The handshake names what the function says, and the certificate is checked
// against that.
func TestChosenOriginsHandshake(t *testing.T) {
	var mu sync.Mutex
	var name string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host) }))
	server.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		name = h.ServerName
		return nil, nil
	}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS() // its certificate is for example.com and *.example.com
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for body, want := range map[string]string{
		`cf.updateRequestOrigin({domainName: 'a.example.com'})`:                                                                 "200 a.example.com",
		`cf.updateRequestOrigin({domainName: 'b.example.net'})`:                                                                 "502 b.example.net",
		`cf.updateRequestOrigin({domainName: 'b.example.net', sni: 'c.example.com'})`:                                           "200 c.example.com",
		`cf.updateRequestOrigin({domainName: 'b.example.net', hostHeader: 'd.example.com'})`:                                    "200 d.example.com",
		`cf.updateRequestOrigin({domainName: 'b.example.net', allowedCertificateNames: ['example.org', 'e.example.com']})`:      "200 b.example.net",
		`cf.updateRequestOrigin({domainName: 'b.example.net', allowedCertificateNames: ['*.example.com']})`:                     "200 b.example.net",
		`cf.updateRequestOrigin({domainName: 'b.example.net', allowedCertificateNames: ['*.example.org']})`:                     "502 b.example.net",
		`cf.updateRequestOrigin({domainName: 'a.example.com', allowedCertificateNames: ['example.org'], sni: 'a.example.com'})`: "502 a.example.com",
	} {
		d := several("one")
		e := open(t, nil, Config{Distributions: []distribution.Distribution{d}, OriginCAs: roots, OriginTimeout: time.Minute, Function: code(t, changing(body)),
			Resolve: func(_ distribution.Distribution, o distribution.Origin) (Origin, error) {
				return Origin{URL: server.URL, Host: o.DomainName}, nil
			}})
		w := do(e, "GET", "/")
		mu.Lock()
		if got := fmt.Sprintf("%d %s", w.Code, name); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
		mu.Unlock()
	}
}
