package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

const rewriteCode = `function handler(event) {
  const request = event.request;
  console.log([request.method, request.uri, JSON.stringify(request.headers), request.rawQueryString()].join(' '));
  if (request.uri === '/throw') throw new Error('as asked');
  if (request.uri.endsWith('/')) request.uri += 'index.html';
  return request;
}
`

// runFunction runs freshet function ….
func runFunction(t *testing.T, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	var grammar struct {
		Function functionCmd `cmd:""`
	}
	var stdout, stderr strings.Builder
	term := terminal{strings.NewReader(stdin), &stdout, &stderr}
	parser, err := kong.New(&grammar, kong.Name("freshet"), kong.Writers(&stdout, &stderr),
		kong.BindTo(t.Context(), (*context.Context)(nil)), kong.Bind(term))
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(append([]string{"function"}, args...))
	if err != nil {
		code = report(term, exitError{exitUsage, err})
	} else {
		code = report(term, k.Run())
	}
	return code, stdout.String(), stderr.String()
}

func functionFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFunctionTestForPeople(t *testing.T) {
	file := functionFile(t, "rewrite.js", rewriteCode)
	code, out, errs := runFunction(t, "", "test", file, "--url", "https://example.com/a/?x=1&y", "--method", "head", "-H", "Accept: a", "-H", "Accept: b,c")
	for _, want := range []string{
		`log     HEAD /a/ {"host":{"value":"example.com"},"accept":{"value":"a","multiValue":[{"value":"a"},{"value":"b,c"}]}} x=1&y`,
		"\"uri\": \"/a/index.html\"", "used    1 %",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in\n%s", want, out)
		}
	}
	if code != exitDone || errs != "" {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, out, errs := runFunction(t, "", "test", file, "--url", "/throw"); code != exitFailed || errs != "" ||
		!strings.Contains(out, "failed  The CloudFront function associated with the CloudFront distribution is invalid or could not run. Error: as asked (rewrite.js:4:") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestFunctionTestAsJSON(t *testing.T) {
	event := `{"version":"1.0","context":{"eventType":"viewer-request"},"viewer":{"ip":"198.51.100.11"},"request":{"method":"GET","uri":"/b/"}}`
	code, out, errs := runFunction(t, event, "test", functionFile(t, "rewrite.js", rewriteCode), "--event=-", "--json", "--stage=LIVE")
	var got functionTest
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitDone || errs != "" || strings.Count(out, "\n") != 1 {
		t.Fatalf("exit code %d, %v, %s\n%s", code, err, errs, out)
	}
	r := got.TestResult
	if r.FunctionOutput != `{"request":{"method":"GET","uri":"/b/index.html","querystring":{},"headers":{},"cookies":{}}}` ||
		r.FunctionErrorMessage != "" || r.ComputeUtilization != "1" || len(r.FunctionExecutionLogs) != 1 ||
		r.FunctionSummary.Name != "rewrite" || r.FunctionSummary.FunctionMetadata.Stage != "LIVE" || r.FunctionSummary.FunctionConfig.Runtime != "cloudfront-js-2.0" {
		t.Errorf("%+v", r)
	}
}

func TestFunctionTestWithAStore(t *testing.T) {
	file := functionFile(t, "kvs.js", "import cf from 'cloudfront';\nasync function handler(event) {\n  const [a] = [1];\n  event.request.uri = await cf.kvs().get('to');\n  return event.request;\n}\n")
	store := functionFile(t, "pairs.json", `{"data":[{"key":"to","value":"/new"}]}`)
	code, out, errs := runFunction(t, "", "test", file, "--url=/", "--kvs", store)
	if code != exitDone || !strings.Contains(out, `"/new"`) || !strings.Contains(errs, "warning: kvs.js:3:9: destructuring") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestFunctionTestFailures(t *testing.T) {
	file := functionFile(t, "f.js", rewriteCode)
	broken := functionFile(t, "broken.js", "function handler(event) {\n  return event.request.;\n}\n")
	notJSON := functionFile(t, "not.json", "{")
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{broken, "--url=/"}, exitFailed, "broken.js:2:"},
		{[]string{broken, "--url=/", "--json"}, exitFailed, `"FunctionErrorMessage":"broken.js:2:`},
		{[]string{file}, exitUsage, "--event or --url"},
		{[]string{file, "--url=/", "--event=x"}, exitUsage, "--event or --url"},
		{[]string{file, "--event=x", "-H", "A: b"}, exitUsage, "need --url"},
		{[]string{file, "--url=/", "-H", "Accept"}, exitUsage, `"Accept"`},
		{[]string{file, "--url=/", "--runtime=cloudfront-js-3.0"}, exitUsage, "cloudfront-js-3.0"},
		{[]string{file, "--url=/", "--kvs=/no/such/file"}, exitUsage, "/no/such/file"},
		{[]string{file, "--url=/", "--kvs", notJSON}, exitUsage, "key value store"},
		{[]string{file, "--event", notJSON}, exitUsage, "read event"},
		{[]string{"/no/such/code.js", "--url=/"}, exitUsage, "/no/such/code.js"},
		{[]string{"-", "--event=-"}, exitUsage, "standard input"},
	}
	for _, tt := range tests {
		code, out, errs := runFunction(t, "", append([]string{"test"}, tt.args...)...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("%q: exit code %d\n%s%s", tt.args, code, out, errs)
		}
	}
}

// A directory stands for all its events, and one failure for all.
func TestFunctionTestOfManyEvents(t *testing.T) {
	file, dir := functionFile(t, "rewrite.js", rewriteCode), t.TempDir()
	write := func(name, uri string) {
		t.Helper()
		text := `{"context":{"eventType":"viewer-request"},"viewer":{"ip":"::1"},"request":{"method":"GET","uri":"` + uri + `"}}`
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errs := runFunction(t, "", "test", file, "--event", dir); code != exitUsage || !strings.Contains(errs, "has no .json files") {
		t.Errorf("an empty directory: %d, %s", code, errs)
	}
	write("b.json", "/b/")
	write("a.json", "/a/")
	write("a.txt", "no event")
	code, out, errs := runFunction(t, "", "test", file, "--event", dir)
	if a, b := strings.Index(out, "event   a.json\n"), strings.Index(out, "event   b.json\n"); code != exitDone || errs != "" || a < 0 || b < a || !strings.Contains(out[b:], `"/b/index.html"`) {
		t.Errorf("exit code %d, %s\n%s", code, errs, out)
	}
	write("aa.json", "/throw")
	code, out, _ = runFunction(t, "", "test", file, "--event", dir, "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitFailed || len(lines) != 3 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for i, name := range []string{"a.json", "aa.json", "b.json"} {
		var got functionTest
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil || got.Event != name || (got.TestResult.FunctionErrorMessage != "") != (name == "aa.json") {
			t.Errorf("%s: %v, %s", name, err, lines[i])
		}
	}
	write("broken.json", "x")
	if code, out, errs := runFunction(t, "", "test", file, "--event", dir); code != exitUsage || out != "" || !strings.Contains(errs, "broken.json: ") {
		t.Errorf("a broken one: %d, %s%s", code, out, errs)
	}
	if code, _, _ := runFunction(t, "", "test", file, "--event", dir+"/none"); code != exitUsage {
		t.Errorf("none: %d", code)
	}
}
