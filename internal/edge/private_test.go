package edge

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
)

// privately is a distribution whose /private/ needs a signature of the key that
// comes with it.
func privately(t *testing.T) (distribution.Distribution, func(policy string) string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	d := dist("E1")
	d.KeyGroups = []distribution.KeyGroup{{ID: "group", Keys: []distribution.PublicKey{{ID: "K1", EncodedKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}}}}
	d.CachePolicies = []distribution.CachePolicy{{ID: "all", Config: distribution.CachePolicyConfig{Parameters: distribution.Parameters{
		QueryStringsConfig: distribution.QueryStringsConfig{QueryStringBehavior: "all"}, CookiesConfig: distribution.CookiesConfig{CookieBehavior: "all"},
	}}}}
	d.Config.CacheBehaviors = []distribution.CacheBehavior{
		{PathPattern: "/private/*", TargetOriginID: "site", CachePolicyID: "all", TrustedKeyGroups: []string{"group"}},
		{PathPattern: "/lost/*", TargetOriginID: "site", CachePolicyID: "all", TrustedKeyGroups: []string{"nobody"}},
		{PathPattern: "/account/*", TargetOriginID: "site", CachePolicyID: "all", TrustedSigners: []string{"self"}},
	}
	return d, func(policy string) string {
		sum := sha1.Sum([]byte(policy))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA1, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return "Key-Pair-Id=K1&Signature=" + urlSafe(signature)
	}
}

func urlSafe(b []byte) string {
	return strings.NewReplacer("+", "-", "=", "_", "/", "~").Replace(base64.StdEncoding.EncodeToString(b))
}

func forAll(sign func(string) string) string {
	policy := fmt.Sprintf(`{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, time.Now().Add(time.Hour).Unix())
	return "Policy=" + urlSafe([]byte(policy)) + "&" + sign(policy)
}

// Private content needs a signature, in the URL or in cookies; of the signature
// neither the cache nor the origin sees anything.
func TestPrivateContent(t *testing.T) {
	d, sign := privately(t)
	o := fixed(200, "secret", "Cache-Control", "max-age=60")
	e := open(t, o, Config{Distributions: []distribution.Distribution{d}})
	for target, code := range map[string]string{
		"/private/a": "MissingKey", "/private/a?Key-Pair-Id=K2": "InvalidKey", "/private/a?Key-Pair-Id=K1&Signature=AAAA&Expires=9999999999": "AccessDenied",
		"/lost/a?" + forAll(sign): "InvalidKey", "/account/a?" + forAll(sign): "InvalidKey",
	} {
		w := get(e, target)
		if w.Code != 403 || xcache(w) != "Error" || w.Header().Get("Content-Type") != "text/xml" || !strings.Contains(w.Body.String(), "<Code>"+code+"</Code>") {
			t.Errorf("%s: %d %v %s", target, w.Code, w.Header(), w.Body)
		}
	}
	if o.count() != 0 {
		t.Errorf("the origin was asked %d times", o.count())
	}
	if w := get(e, "/open?"+forAll(sign)); w.Code != 200 {
		t.Errorf("what is not private: %d", w.Code)
	}
	before := o.count()

	expires := time.Now().Add(time.Hour).Unix()
	policy := fmt.Sprintf(`{"Statement":[{"Resource":"http://www.one.example:8080/private/a?x=1","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, expires)
	cannedQuery := func(policy string) string {
		return fmt.Sprintf("x=1&Expires=%d&", expires) + sign(policy)
	}
	cookies := "theme=dark; CloudFront-" + strings.ReplaceAll(forAll(sign), "&", "; CloudFront-")
	for i, tt := range []struct {
		host, target string
		headers      []string
	}{
		{"www.one.example:8080", "/private/a?" + cannedQuery(policy), []string{"Cookie", "theme=dark"}},
		{"www.one.example:9090", "/private/a?" + cannedQuery(strings.Replace(policy, ":8080", "", 1)), []string{"Cookie", "theme=dark"}},
		{"www.one.example", "/private/a?x=1&" + forAll(sign), []string{"Cookie", "theme=dark"}},
		{"www.one.example", "/private/a?" + forAll(sign) + "&x=1", []string{"Cookie", "theme=dark; CloudFront-Policy=other"}},
		{"www.one.example", "/private/a?x=1", []string{"Cookie", cookies}},
	} {
		w := get(e, tt.target, append(tt.headers, "Host", tt.host)...)
		settle(t, e)
		if cache := []string{"Miss", "Hit"}[min(i, 1)]; w.Code != 200 || xcache(w) != cache {
			t.Errorf("%d: %d %s %s, want %s", i, w.Code, xcache(w), w.Body, cache)
		}
	}
	if r := o.last(t); o.count() != before+1 || r.URL.RequestURI() != "/private/a?x=1" || r.Header.Get("Cookie") != "theme=dark" {
		t.Errorf("the origin was asked %d times, for %s with %v", o.count()-before, r.URL.RequestURI(), r.Header)
	}
}

// What is private is invalidated by its URL without the signature.
func TestInvalidatingPrivateContent(t *testing.T) {
	d, sign := privately(t)
	e := open(t, fixed(200, "secret", "Cache-Control", "max-age=60"), Config{Distributions: []distribution.Distribution{d}})
	target := "/private/a?" + forAll(sign)
	for _, step := range []struct {
		pattern freshet.Pattern
		cache   string
	}{{"/b", "Miss"}, {"/private/b", "Hit"}, {"/private/a", "Miss"}, {"/private/*", "Miss"}, {"/private/a?x=1", "Hit"}} {
		if err := e.Invalidate("E1", []freshet.Pattern{step.pattern}); err != nil {
			t.Fatal(err)
		}
		if w := get(e, target); xcache(w) != step.cache {
			t.Errorf("after %s: %s, want %s", step.pattern, xcache(w), step.cache)
		}
		settle(t, e)
	}
}

// A custom error page stands for the 403 of private content as for others.
func TestPrivateContentErrorPage(t *testing.T) {
	d, _ := privately(t)
	d.Config.CustomErrorResponses = []distribution.CustomErrorResponse{{ErrorCode: 403, ResponsePagePath: "/login.html", ResponseCode: 403}}
	o := &recorded{answer: func(r *http.Request) (*http.Response, error) { return reply(200, "log in at "+r.URL.Path), nil }}
	w := get(open(t, o, Config{Distributions: []distribution.Distribution{d}}), "/private/a")
	want(t, w, 403, "Error", "log in at /login.html")
}

func TestKeysAreChecked(t *testing.T) {
	d, _ := privately(t)
	d.KeyGroups[0].Keys[0].EncodedKey = "no key"
	if _, err := New(Config{Distributions: []distribution.Distribution{d}}); err == nil {
		t.Error("a public key that is none was accepted")
	}
}
