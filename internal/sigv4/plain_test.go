package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPlainSignatureIsTheSignersOwn(t *testing.T) {
	remembered := new(Derived)
	plain := 0
	rapid.Check(t, func(t *rapid.T) {
		r, auth, at := signedRequest(t)
		v := Verifier{Credentials: Credentials{AccessKeyID: "AKIDEXAMPLE", Secret: Secret(rapid.SampledFrom([]string{"one", "another"}).Draw(t, "secret"))}, Service: auth.service}
		if rapid.Bool().Draw(t, "remember") {
			v.Derived = remembered
		}
		hash := strings.Repeat("0a", 32)
		got, ok := v.signPlain(r, auth, hash)
		if !ok {
			return
		}
		plain++
		want, err := v.sign(r, auth, at, hash)
		if err != nil || got != want {
			t.Fatalf("%s, but the signer says %s, %v", got, want, err)
		}
	})
	if plain == 0 {
		t.Fatal("no request was plain: nothing was compared")
	}
}

// signedRequest draws a request that is plain, or nearly so.
func signedRequest(t *rapid.T) (*http.Request, authorization, time.Time) {
	odd := rapid.SampledFrom([]string{"", "", "", "", " ", "  ", "%", "~", "+", "\t", ",", "é", ":80", ":443", "?"})
	strange := rapid.IntRange(0, 3).Draw(t, "strange") == 0
	word := func(label string) string {
		if !strange {
			return rapid.StringMatching(`[a-zA-Z0-9._-]{1,8}`).Draw(t, label)
		}
		return rapid.StringMatching(`[a-zA-Z0-9._-]{1,8}`).Draw(t, label) + odd.Draw(t, label) + rapid.StringMatching(`[a-z]{0,3}`).Draw(t, label)
	}
	at := time.Date(2026, 11, rapid.IntRange(20, 21).Draw(t, "day"), 12, 0, 0, 0, time.UTC)
	r := &http.Request{
		Method: rapid.SampledFrom([]string{"GET", "POST", "DELETE"}).Draw(t, "method"), Host: word("host"),
		URL:    &url.URL{Path: "/" + word("path") + "/" + word("path"), RawQuery: rapid.SampledFrom([]string{"", "", "", "a=b"}).Draw(t, "query")},
		Header: http.Header{"X-Amz-Date": {at.Format(timeFormat)}}, ContentLength: rapid.Int64Range(-1, 2000).Draw(t, "length"),
	}
	names := []string{"host", "x-amz-date"}
	for _, name := range []string{"content-length", "content-type", "user-agent", "expect", "amz-sdk-invocation-id", "x-a", "transfer-encoding"} {
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		names = append(names, name)
		for range rapid.SampledFrom([]int{1, 1, 1, 1, 1, 2, 0}).Draw(t, name) {
			if name != "content-length" {
				r.Header.Add(name, word(name))
			}
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "sorted") > 0 {
		slices.Sort(names)
	}
	region := rapid.SampledFrom([]string{"us-east-1", "eu-central-1"}).Draw(t, "region")
	return r, authorization{accessKeyID: "AKIDEXAMPLE", date: at.Format(timeFormat)[:8], region: region, service: "cloudfront", signedHeaders: names}, at
}

func TestWhatIsSaidTwiceIsNotPlain(t *testing.T) {
	auth := authorization{date: "20261120", region: "us-east-1", service: "cloudfront", signedHeaders: []string{"host", "host", "x-amz-date"}}
	r := &http.Request{Method: "GET", Host: "h", URL: &url.URL{Path: "/"}, Header: http.Header{"X-Amz-Date": {"20261120T120000Z"}}}
	if _, ok := (Verifier{}).signPlain(r, auth, ""); ok {
		t.Error("a header that is named twice counts as plain")
	}
}

func BenchmarkSign(b *testing.B) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	r := &http.Request{Method: "POST", Host: "127.0.0.1:4567", URL: &url.URL{Path: "/2020-05-31/distribution/E1/invalidation"}, Header: http.Header{"X-Amz-Date": {at.Format(timeFormat)}}, ContentLength: 200}
	auth := authorization{accessKeyID: "K", date: "20261120", region: "us-east-1", service: "cloudfront", signedHeaders: []string{"content-length", "host", "x-amz-date"}}
	v := Verifier{Credentials: Credentials{AccessKeyID: "K", Secret: "secret"}, Derived: new(Derived)}
	hash := strings.Repeat("0a", 32)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := v.signPlain(r, auth, hash); !ok {
				b.Fatal("it is not plain")
			}
		}
	})
	b.Run("signer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.sign(r, auth, at, hash); err != nil {
				b.Fatal(err)
			}
		}
	})
}
