package e2e_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet/internal/release/lambdatest"
)

const functionConfig = `{"Distribution":{"Id":"EFUNCTION1234","DomainName":"fn.cloudfront.localhost","DistributionConfig":{
 "CallerReference":"r","Comment":"","Enabled":true,"Aliases":{"Quantity":1,"Items":["fn.localhost"]},
 "Origins":{"Quantity":1,"Items":[{"Id":"fn","DomainName":"fn.example.com","CustomOriginConfig":{"HTTPPort":80,"HTTPSPort":443,"OriginProtocolPolicy":"http-only"}}]},
 "DefaultCacheBehavior":{"TargetOriginId":"fn","ViewerProtocolPolicy":"allow-all","CachePolicyId":"658327ea-f89d-4fab-a63d-7e88639e58f6"}}}}`

// functionSite is a Lambda function with an alias, our edge before it, and
// viewers who go on asking for its pages.
type functionSite struct {
	*running
	lambda *lambdatest.Lambda
	api    string // URL of Lambda's API
	origin string // URL
	client *http.Client
}

var functionPages = []string{"/", "/a", "/b?x=1"}

func startFunctionSite(t *testing.T) *functionSite {
	t.Helper()
	l := lambdatest.New()
	l.Create("site", "live", []byte("old code"))
	api, origin := httptest.NewServer(l), httptest.NewServer(l.ServeOrigin("site", "live"))
	t.Cleanup(api.Close)
	t.Cleanup(origin.Close)
	file := filepath.Join(t.TempDir(), "distribution.json")
	if err := os.WriteFile(file, []byte(functionConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, options{config: "distributions:\n- file: " + file + "\norigins: {fn.example.com: '" + origin.URL + "'}\n"})
	s := &functionSite{running: f, lambda: l, api: api.URL, origin: origin.URL, client: &http.Client{Transport: newTransport(t)}}
	ctx, cancel := context.WithCancel(t.Context())
	var viewers sync.WaitGroup
	viewers.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, _, _ = s.page(ctx, functionPages[i%len(functionPages)]) // what matters is that caches are filled
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() { cancel(); viewers.Wait() })
	return s
}

func (s *functionSite) page(ctx context.Context, path string) (sha, cache string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Edge+path, http.NoBody)
	if err != nil {
		return "", "", err
	}
	r.Host = "fn.localhost"
	resp, err := s.client.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.Header.Get("X-Code-Sha256"), resp.Header.Get("X-Cache"), err
}

// release is a command that releases a zip.
func (s *functionSite) release(ctx context.Context, zipFile string, args ...string) (*exec.Cmd, *safeBuffer) {
	c := exec.CommandContext(ctx, program, append([]string{
		"release", "lambda", "site", "--zip", zipFile, "--alias", "live", "--data", s.data, "--origin", s.origin, "--probe", "/health",
		"--expect", "matches 'code {sha256} answers'", "--distribution", "EFUNCTION1234", "--invalidate", "/*", "--invalidate", "/a", "--warm", "/", "--timeout", "3m",
	}, args...)...)
	c.Env = append(s.environ(), "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL_LAMBDA="+s.api, "AWS_ENDPOINT_URL_CLOUDWATCH=http://127.0.0.1:1")
	out := new(safeBuffer)
	c.Stdout, c.Stderr = out, out
	return c, out
}

func writeZip(t *testing.T, text string) (file, sha string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("bootstrap")
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = z.Close()
	}
	file = filepath.Join(t.TempDir(), "code.zip")
	if err == nil {
		err = os.WriteFile(file, b.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file, lambdatest.SHA256(b.Bytes())
}

// sent are the caller references of the invalidations at the function's
// distribution.
func (s *functionSite) sent(t *testing.T) (references []string) {
	t.Helper()
	c := s.cloudfront(t)
	pages := cloudfront.NewListInvalidationsPaginator(c, &cloudfront.ListInvalidationsInput{DistributionId: aws.String("EFUNCTION1234")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.InvalidationList.Items {
			one, err := c.GetInvalidation(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: aws.String("EFUNCTION1234"), Id: i.Id})
			if err != nil {
				t.Fatal(err)
			}
			references = append(references, aws.ToString(one.Invalidation.InvalidationBatch.CallerReference))
		}
	}
	return references
}

// However often a release is killed, and wherever, the next one goes on: what
// viewers get in the end is the new code, although they have been filling the
// caches with the old one all the time; nothing is uploaded, published, switched
// or invalidated twice.
func TestPromiseAReleaseGoesOnAfterKills(t *testing.T) {
	rounds, kills := 3, 3
	if long() {
		rounds, kills = 30, 6
	}
	s := startFunctionSite(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	for round := range rounds {
		s.lambda.Next(lambdatest.Script{Takes: 300 * time.Millisecond, Version: 100 * time.Millisecond, Lags: 400 * time.Millisecond})
		file, sha := writeZip(t, fmt.Sprintf("code %d", round))
		calls, sent := len(s.lambda.Calls()), len(s.sent(t))
		for range kills {
			c, out := s.release(t.Context(), file)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			stop := time.AfterFunc(time.Duration(random.IntN(1200))*time.Millisecond, func() { _ = c.Process.Kill() })
			if err := c.Wait(); err != nil && !strings.Contains(err.Error(), "killed") {
				t.Fatalf("seed %d, round %d: %v\n%s", seed, round, err, out)
			}
			stop.Stop()
		}
		c, out := s.release(t.Context(), file)
		if err := c.Run(); err != nil {
			t.Fatalf("seed %d, round %d: %v\n%s", seed, round, err, out)
		}
		for _, path := range functionPages {
			if got, cache, err := s.page(t.Context(), path); err != nil || got != sha {
				t.Errorf("seed %d, round %d: %s is of %s (%s), not of %s: %v\n%s", seed, round, path, got, cache, sha, err, out)
			}
		}
		want := []string{"UpdateFunctionCode " + sha, fmt.Sprintf("PublishVersion %d", round+2), fmt.Sprintf("UpdateAlias live %d map[]", round+2)}
		if got := s.lambda.Calls()[calls:]; !slices.Equal(got, want) {
			t.Errorf("seed %d, round %d: Lambda was asked for %q, want %q", seed, round, got, want)
		}
		references := s.sent(t)
		if distinct := slices.Compact(slices.Sorted(slices.Values(references))); len(references) != sent+2 || len(distinct) != len(references) {
			t.Errorf("seed %d, round %d: %d invalidations more, %d of %d distinct", seed, round, len(references)-sent, len(distinct), len(references))
		}
	}
}

// An update that fails leaves the cache as it is, and says why; and what is
// invalidated too early would be seen.
func TestReleaseThatFailsLeavesTheCache(t *testing.T) {
	s := startFunctionSite(t)
	s.lambda.Next(lambdatest.Script{Takes: 200 * time.Millisecond, Failed: "FunctionError.InvalidEntryPoint"})
	file, _ := writeZip(t, "broken")
	c, out := s.release(t.Context(), file)
	if err := c.Run(); err == nil || c.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %s", err, out)
	}
	for _, want := range []string{"FunctionError.InvalidEntryPoint", "bootstrap is at the root of the zip", "the alias live points to version 1", "nothing was invalidated", "to go on: mend it and release again"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if n := len(s.sent(t)); n > 0 {
		t.Errorf("%d invalidations", n)
	}
	s.lambda.Next(lambdatest.Script{})
	file, sha := writeZip(t, "mended")
	c, out = s.release(t.Context(), file, "--json", "--canary", "20%", "--canary-for", "1s")
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`{"step":"canary","text":"give version 2 20 % of the requests of live for 1s"`, `"format":"freshet-release/1"`, `"state":"completed"`, `"warmed":true`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if got, _, err := s.page(t.Context(), "/"); err != nil || got != sha {
		t.Errorf("%s, %v", got, err)
	}
	c, out = s.release(t.Context(), file)
	if err := c.Run(); err != nil || !strings.Contains(out.String(), "released before") || len(s.sent(t)) != 2 {
		t.Errorf("released again: %v, %d invalidations\n%s", err, len(s.sent(t)), out)
	}
}
