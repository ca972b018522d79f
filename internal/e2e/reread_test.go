package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// site is a template with a distribution in front of the bucket, and a function.
const site = `Resources:
  Site:
    Type: AWS::CloudFront::Distribution
    Properties:
      DistributionConfig:
        Enabled: true
        Aliases: [%[1]s.example.com]
        Comment: %[2]s
        Origins: [{Id: o, DomainName: site.s3.amazonaws.com, S3OriginConfig: {OriginAccessIdentity: ""}}]
        DefaultCacheBehavior:
          TargetOriginId: o
          ViewerProtocolPolicy: allow-all
          CachePolicyId: 658327ea-f89d-4fab-a63d-7e88639e58f6
          ResponseHeadersPolicyId: !Ref Headers
          FunctionAssociations: [{EventType: viewer-request, FunctionARN: !GetAtt Rewrite.FunctionARN}]
  Headers: {Type: AWS::CloudFront::ResponseHeadersPolicy, Properties: {ResponseHeadersPolicyConfig: {Name: h, CustomHeadersConfig: {Items: [{Header: X-Site, Value: "%[3]s", Override: true}]}}}}
  Rewrite:
    Type: AWS::CloudFront::Function
    Properties:
      Name: rewrite
      FunctionCode: |
        function handler(event) {
          if (event.request.uri === '/who') return {statusCode: 200, headers: {'x-who': {value: '%[4]s'}}};
          if (event.request.uri.endsWith('/')) event.request.uri += 'index.html';
          return event.request;
        }
      FunctionConfig: {Comment: "", Runtime: cloudfront-js-2.0}
`

// replaced writes a file the way editors do.
func replaced(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+"~", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
}

// eventually asks until there is no error, and fails with the last one.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// TestFilesAreRereadWhileItRuns: the edge, the API and the pipeline follow the
// distributions' files; what is broken changes nothing, and who has not changed
// stays warm.
func TestFilesAreRereadWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.yaml"), filepath.Join(dir, "two.yaml")
	replaced(t, one, fmt.Sprintf(site, "one", "first", "a", "x"))
	replaced(t, two, strings.ReplaceAll(fmt.Sprintf(site, "two", "first", "a", "y"), "rewrite", "rewrite-two"))
	f := start(t, options{args: []string{"--distribution", "ONE=" + one, "--distribution", "TWO=" + two}})
	client := &http.Client{Transport: newTransport(t)}
	get := func(host, path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.Edge+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host + ".example.com"
		got, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, got.Body)
		_ = got.Body.Close()
		return got
	}
	want := func(what, host, path, header, value string) {
		t.Helper()
		eventually(t, func() error {
			if got := get(host, path); got.Header.Get(header) != value {
				return fmt.Errorf("%s: %s is %q, want %q (%s)", what, header, got.Header.Get(header), value, got.Status)
			}
			return nil
		})
	}
	f.putVerified(t, f.s3(t), "index.html", "first")
	for _, host := range []string{"one", "two"} {
		want("at first", host, "/", "X-Site", "a")
		want("at first", host, "/", "X-Cache", "Hit from cloudfront")
	}
	want("at first", "one", "/who", "X-Who", "x")

	// A policy of one, and the code of the other's function.
	replaced(t, one, fmt.Sprintf(site, "one", "second", "b", "x"))
	want("changed", "one", "/", "X-Site", "b")
	if got := get("two", "/").Header.Get("X-Cache"); got != "Hit from cloudfront" {
		t.Errorf("what has not changed is cold: %s", got)
	}
	replaced(t, two, strings.ReplaceAll(fmt.Sprintf(site, "two", "first", "a", "z"), "rewrite", "rewrite-two"))
	want("changed code", "two", "/who", "X-Who", "z")
	if got := get("two", "/").Header.Get("X-Cache"); got != "Hit from cloudfront" {
		t.Errorf("another code has made the cache cold: %s", got)
	}
	wantComment := func(id, want string) {
		t.Helper()
		list, err := f.cloudfront(t).ListDistributions(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list.DistributionList.Items {
			if *d.Id == id && *d.Comment == want {
				return
			}
		}
		t.Errorf("the API does not list %s with %s", id, want)
	}
	wantComment("ONE", "second")

	// Broken, each in another way; SIGHUP does not wait.
	for _, broken := range []struct{ text, said string }{
		{"Resources:\n  Site: [\n", "one.yaml:2: "},
		{strings.Replace(fmt.Sprintf(site, "one", "third", "c", "x"), "TargetOriginId: o", "TargetOriginId: p", 1), `one.yaml: Resources.Site.Properties.DistributionConfig.DefaultCacheBehavior.TargetOriginId: there is no origin or origin group "p"`},
		{strings.Replace(fmt.Sprintf(site, "one", "third", "c", "x"), "return event.request;", "return +;", 1), "one.yaml: Resources.Rewrite.Properties: read function rewrite: "},
		{strings.Replace(fmt.Sprintf(site, "one", "third", "c", "x"), "!Ref Headers", "nobodys", 1), `response headers policy "nobodys" is neither`},
		{strings.Replace(fmt.Sprintf(site, "two", "third", "c", "x"), "\x00", "", 1), "both answer two.example.com"},
	} {
		replaced(t, one, broken.text)
		if err := f.command.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if said := f.stderr.String(); !strings.Contains(said, broken.said) || !strings.Contains(said, "what they said before holds until they are mended") {
				return fmt.Errorf("%s is not said in %s", broken.said, tail(said, 2000))
			}
			return nil
		})
		if got := get("one", "/").Header.Get("X-Site"); got != "b" {
			t.Errorf("broken by %s: %q is served", broken.said, got)
		}
	}
	wantComment("ONE", "second")

	// A new name leads here once the file is whole again, and what changes in the
	// bucket is invalidated there.
	replaced(t, one, fmt.Sprintf(site, "three", "third", "c", "x"))
	want("mended", "three", "/", "X-Site", "c")
	want("mended", "three", "/", "X-Cache", "Hit from cloudfront")
	f.putVerified(t, f.s3(t), "index.html", "second")
	want("written", "three", "/", "X-Site", "c")
	select {
	case <-f.exited:
		t.Error("SIGHUP has ended it")
	default:
	}
}
