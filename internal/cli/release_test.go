package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/release/lambdatest"
)

// fewServices is what a release asks of AWS beside Lambda: a registry that knows one
// tag, or may not be asked, and counts that may not.
type fewServices struct {
	lambda *lambdatest.Lambda
	digest string // of the tag; empty: the registry may not be asked
	asked  atomic.Int32
}

func (a *fewServices) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch target := r.Header.Get("X-Amz-Target"); {
	case strings.HasPrefix(r.URL.Path, "/20"):
		a.lambda.ServeHTTP(w, r)
	case strings.HasSuffix(target, ".DescribeImages") && a.digest != "":
		a.asked.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = fmt.Fprintf(w, `{"imageDetails":[{"imageDigest":%q,"imageTags":["v7"]}]}`, a.digest)
	default:
		w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, `{"__type":"AccessDeniedException","message":"no"}`)
	}
}

func startAccount(t *testing.T) *fewServices {
	t.Helper()
	a := &fewServices{lambda: lambdatest.New()}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	return a
}

func runs(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var o, e strings.Builder
	code = Main(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

const uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/site"

// A tag that has moved is said to have, and what is deployed is its digest.
func TestReleaseOfAMovedTag(t *testing.T) {
	a := startAccount(t)
	a.lambda.Tag(uri+":v7", "first")
	a.lambda.CreateImage("site", "live", uri+":v7")
	a.digest = a.lambda.Tag(uri+":v7", "second")
	data := t.TempDir()
	args := []string{"release", "lambda", "arn:aws:lambda:eu-west-1:123456789012:function:site", "--image", uri + ":v7", "--alias", "live", "--data", data}
	code, out, err := runs(t, args...)
	if code != exitDone || !strings.Contains(err, "tag v7 is "+a.digest+", and the function runs sha256:") || !strings.Contains(err, "deploys nothing by itself") || !strings.Contains(out, "live is version 2") {
		t.Fatalf("%d\n%s%s", code, out, err)
	}
	if calls := strings.Join(a.lambda.Calls(), "\n"); calls != "UpdateFunctionCode "+strings.TrimPrefix(a.digest, "sha256:")+"\nPublishVersion 2\nUpdateAlias live 2 map[]" {
		t.Error(calls)
	}
	code, out, err = runs(t, args...)
	if code != exitDone || !strings.Contains(err, "which the function runs already") || len(a.lambda.Calls()) != 3 {
		t.Errorf("again: %d, %q\n%s%s", code, a.lambda.Calls(), out, err)
	}
}

// Without permission to ask the registry the tag is deployed, and without one for
// Lambda's counts a canary is judged by what is asked here.
func TestReleaseWithFewPermissions(t *testing.T) {
	a := startAccount(t)
	a.lambda.Tag(uri+":v7", "first")
	a.lambda.CreateImage("site", "live", uri+":v7")
	a.lambda.Tag(uri+":v7", "second")
	origin := httptest.NewServer(a.lambda.ServeOrigin("site", "live"))
	defer origin.Close()
	args := []string{"release", "lambda", "site", "--image", uri + ":v7", "--alias", "live", "--data", t.TempDir(), "--canary", "10%", "--canary-for", "100ms"}
	code, out, err := runs(t, args...)
	if code != exitFailed || !strings.Contains(err, "ecr:DescribeImages") || !strings.Contains(err, "no way to see how the new version does: no probe, and CloudWatch does not say (cloudwatch:GetMetricStatistics)") {
		t.Errorf("without a probe: %d\n%s%s", code, out, err)
	}
	if version, weights := a.lambda.Alias("site", "live"); version != "1" || len(weights) > 0 {
		t.Errorf("version %s, %v", version, weights)
	}
	code, out, err = runs(t, append(args, "--origin", origin.URL, "--expect", "header X-Version matches ^{version}$")...)
	if code != exitDone || !strings.Contains(out, "live is version 2") {
		t.Errorf("with one: %d\n%s%s", code, out, err)
	}
}

// Two releases of one function exclude each other.
func TestReleaseExcludesAnother(t *testing.T) {
	for timeout := 3 * time.Second; !excludesAnother(t, timeout); timeout *= 4 {
		if timeout > time.Minute {
			t.Fatal("the first release never lasts until the second begins")
		}
	}
}

// excludesAnother begins a second release while the first one waits, and reports
// false if the first has ended meanwhile, as it may on a busy machine.
func excludesAnother(t *testing.T, timeout time.Duration) bool {
	t.Helper()
	a := startAccount(t)
	a.lambda.Tag(uri+":v7", "first")
	a.lambda.CreateImage("site", "", uri+":v7")
	a.lambda.Next(lambdatest.Script{Takes: lambdatest.Never})
	args := []string{"release", "lambda", "site", "--image", uri + ":v7", "--data", t.TempDir(), "--timeout", timeout.String()}
	first := make(chan string, 1)
	go func() {
		var out strings.Builder
		Main(t.Context(), args, strings.NewReader(""), &out, &out)
		first <- out.String()
	}()
	for len(a.lambda.Calls()) == 0 {
		select {
		case text := <-first:
			if strings.Contains(text, "did not end within") {
				return false
			}
			t.Fatal(text)
		case <-time.After(5 * time.Millisecond):
		}
	}
	code, out, err := runs(t, args...)
	ended := len(first) > 0
	text := <-first
	if ended {
		return false
	}
	if code != exitFailed || !strings.Contains(err, "another release of it is running") {
		t.Errorf("%d\n%s%s", code, out, err)
	}
	if !strings.Contains(text, fmt.Sprintf("did not end within %v; last seen: LastUpdateStatus InProgress", timeout)) {
		t.Error(text)
	}
	return true
}
