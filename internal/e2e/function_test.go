package e2e_test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The AWS CLI makes, tests and publishes a function. Version 1 and version 2 take
// files differently.
func TestAWSCLITestsFunctions(t *testing.T) {
	f := start(t, options{})
	dir := t.TempDir()
	code, event := filepath.Join(dir, "f.js"), filepath.Join(dir, "event.json")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(code, "function handler(event) { var r = event.request; console.log('seen ' + r.uri); if (r.uri.endsWith('/')) r.uri += 'index.html'; return r; }")
	const request = `{"version":"1.0","context":{"eventType":"viewer-request"},"viewer":{"ip":"1.2.3.4"},"request":{"method":"GET","uri":"/blog/","headers":{},"cookies":{},"querystring":{}}}`
	write(event, request)
	aws := func(args ...string) (string, error) {
		c := exec.Command(awsCLI(t), append([]string{"--endpoint-url", f.API, "--output", "text", "cloudfront"}, args...)...)
		c.Env = f.environ()
		out, err := c.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := aws(args...)
		if err != nil {
			t.Fatalf("aws %v: %v\n%s", args, err, out)
		}
		return out
	}
	etag := must("create-function", "--name", "index", "--function-config", "Comment=c,Runtime=cloudfront-js-2.0", "--function-code", "fileb://"+code, "--query", "ETag")
	got := must("test-function", "--name", "index", "--if-match", etag, "--event-object", "fileb://"+event, "--query", "TestResult.[FunctionErrorMessage, FunctionExecutionLogs[0], FunctionOutput]")
	if !strings.Contains(got, "seen /blog/") || !strings.Contains(got, `"uri":"/blog/index.html"`) {
		t.Errorf("tested: %s", got)
	}
	if out, err := aws("test-function", "--name", "index", "--if-match", etag, "--event-object", base64.StdEncoding.EncodeToString([]byte("{}"))); err == nil || !strings.Contains(out, "InvalidArgument") {
		t.Errorf("an event that is none: %s, %v", out, err)
	}
	if got := must("publish-function", "--name", "index", "--if-match", etag, "--query", "FunctionSummary.[Status, FunctionMetadata.Stage]"); got != "UNASSOCIATED\tLIVE" {
		t.Errorf("published: %s", got)
	}
	fetched := filepath.Join(dir, "fetched.js")
	must("get-function", "--name", "index", "--stage", "LIVE", fetched)
	want, _ := os.ReadFile(code)
	if back, err := os.ReadFile(fetched); err != nil || string(back) != string(want) {
		t.Errorf("fetched %q, %v", back, err)
	}
}
