// Package deploy_test holds what lies in deploy against what reads it.
package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"go.yaml.in/yaml/v3"
)

// action is what GitHub reads of an action.
type action struct {
	Inputs map[string]struct {
		Required bool
		Default  *string
	}
	Outputs map[string]struct{ Value string }
	Runs    struct {
		Using string
		Steps []struct {
			ID, Uses, Shell, Run string
			Env                  map[string]string
		}
	}
}

func documents[T any](t *testing.T, name string) []T {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var all []T
	for decoder := yaml.NewDecoder(file); ; {
		var v T
		if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, v)
	}
}

var expression = regexp.MustCompile(`\$\{\{\s*inputs\.([a-z-]+)\s*\}\}`)

// TestActionUsesItsInputs: each that is declared, and no other; and none stands in
// a script, where it would be read as shell.
func TestActionUsesItsInputs(t *testing.T) {
	a := documents[action](t, "github/action.yml")[0]
	used := map[string]bool{}
	for _, step := range a.Runs.Steps {
		if strings.Contains(step.Run, "${{") {
			t.Errorf("an expression in a script: %s", step.Run)
		}
		if step.Run != "" && step.Shell == "" {
			t.Errorf("%s: a composite action has to say its shell", step.Run)
		}
		for _, value := range step.Env {
			for _, m := range expression.FindAllStringSubmatch(value, -1) {
				used[m[1]] = true
			}
		}
	}
	if declared := slices.Sorted(maps.Keys(a.Inputs)); !slices.Equal(declared, slices.Sorted(maps.Keys(used))) || len(declared) < 5 {
		t.Errorf("declared %q, used %q", declared, slices.Sorted(maps.Keys(used)))
	}
	for name, in := range a.Inputs {
		if in.Required == (in.Default != nil) {
			t.Errorf("%s: either it has to be given or there is a default", name)
		}
	}
}

// TestActionlint reads the example as GitHub does: expressions, events, the names
// of contexts and of runners. It does not know this action, which is checked by
// TestExampleGivesWhatTheActionTakes.
func TestActionlint(t *testing.T) {
	text, err := os.ReadFile("github/example.yml")
	if err != nil {
		t.Fatal(err)
	}
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{Shellcheck: "", Pyflakes: ""})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := linter.Lint("example.yml", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
	broken := bytes.ReplaceAll(text, []byte("github.ref"), []byte("github.reff"))
	if problems, _ := linter.Lint("example.yml", broken, nil); len(problems) == 0 {
		t.Error("the linter finds nothing in a workflow that is wrong")
	}
}

func TestExampleGivesWhatTheActionTakes(t *testing.T) {
	a := documents[action](t, "github/action.yml")[0]
	type workflow struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Steps []struct {
				Uses string
				With map[string]string
			}
		}
	}
	w := documents[workflow](t, "github/example.yml")[0]
	if w.Permissions["id-token"] != "write" || w.Permissions["contents"] != "read" || len(w.Permissions) != 2 {
		t.Errorf("permissions %v", w.Permissions)
	}
	calls := 0
	for name, job := range w.Jobs {
		for _, step := range job.Steps {
			if !strings.Contains(step.Uses, "/deploy/github@") {
				continue
			}
			calls++
			for in := range step.With {
				if _, ok := a.Inputs[in]; !ok {
					t.Errorf("%s: the action has no input %s", name, in)
				}
			}
			for in, declared := range a.Inputs {
				if declared.Required && step.With[in] == "" {
					t.Errorf("%s: the input %s is not given", name, in)
				}
			}
		}
	}
	if calls != 2 {
		t.Errorf("the action is called %d times", calls)
	}
}

// gitlabScript is the template's script, after its inputs were checked.
func gitlabScript(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("gitlab/freshet.gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	docs := documents[map[string]any](t, "gitlab/freshet.gitlab-ci.yml")
	if len(docs) != 2 {
		t.Fatalf("%d documents, want the inputs and the jobs", len(docs))
	}
	declared := slices.Sorted(maps.Keys(docs[0]["spec"].(map[string]any)["inputs"].(map[string]any)))
	var used []string
	_, jobs, _ := bytes.Cut(text, []byte("\n---\n"))
	for _, m := range regexp.MustCompile(`\$\[\[\s*inputs\.([a-z-]+)\s*\]\]`).FindAllSubmatch(jobs, -1) {
		used = append(used, string(m[1]))
	}
	slices.Sort(used)
	if used = slices.Compact(used); !slices.Equal(declared, used) {
		t.Errorf("declared %q, used %q", declared, used)
	}
	return docs[1][".freshet"].(map[string]any)["script"].([]any)[0].(string)
}

// TestScriptsAreShell as POSIX has it: read by sh, and by shellcheck where it is
// installed, which it is not in CI.
func TestScriptsAreShell(t *testing.T) {
	gitlab := filepath.Join(t.TempDir(), "gitlab.sh")
	if err := os.WriteFile(gitlab, []byte("#!/bin/sh\n"+gitlabScript(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	checker, noChecker := exec.LookPath("shellcheck")
	for _, script := range []string{"github/install.sh", "github/deploy.sh", gitlab} {
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
		if noChecker == nil {
			if out, err := exec.CommandContext(t.Context(), checker, "-s", "sh", script).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
		}
	}
}

// job is a job of a CI system whose programs are stand-ins: freshet writes down
// what it was given.
type job struct {
	dir string
	env []string
}

func newJob(t *testing.T, env ...string) job {
	t.Helper()
	dir := t.TempDir()
	stand := func(name, script string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	stand("freshet", `for a in "$@"; do printf '[%s]' "$a"; done >"$RUNNER_TEMP/args"
env | grep ^AWS_ | sort >"$RUNNER_TEMP/env"
if [ -n "${AWS_WEB_IDENTITY_TOKEN_FILE:-}" ]; then cat "$AWS_WEB_IDENTITY_TOKEN_FILE" >"$RUNNER_TEMP/token-seen"; fi
echo '{"report":1}'
exit ${FRESHET_EXIT:-0}
`)
	stand("go", "exit 0\n")
	return job{dir, append([]string{"PATH=" + dir + ":" + os.Getenv("PATH"), "RUNNER_TEMP=" + dir, "GITHUB_OUTPUT=" + filepath.Join(dir, "output")}, env...)}
}

func (j job) run(t *testing.T, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env, cmd.Dir = j.env, j.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (j job) file(name string) string {
	text, err := os.ReadFile(filepath.Join(j.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func deployScript(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return "exec sh " + filepath.Join(here, "github", "deploy.sh")
}

// TestScriptsGiveFreshetWhatTheyAreGiven, word by word and whatever is in it.
func TestScriptsGiveFreshetWhatTheyAreGiven(t *testing.T) {
	scripts := map[string]string{"github": deployScript(t), "gitlab": gitlabScript(t)}
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"least", []string{"DISTRIBUTIONS=E1"}, "[deploy][a dir][s3://b/p][--json][--distribution][E1]"},
		{"most", []string{"DISTRIBUTIONS=E1, E2,E3", "DRY_RUN=true", "GIT_RANGE=v1..HEAD", "ARGUMENTS=--concurrency 8 --max-delete 5%"},
			"[deploy][s3://b/p][--json][--git][v1..HEAD][--path][a dir][--distribution][E1][--distribution][E2][--distribution][E3][--dry-run][--concurrency][8][--max-delete][5%]"},
		{"nothing is shell", []string{"DISTRIBUTIONS=$(touch${IFS}x);`id`", "ARGUMENTS=* $(id)", "GIT_RANGE=a b;c"},
			"[deploy][s3://b/p][--json][--git][a b;c][--path][a dir][--distribution][$(touch${IFS}x);`id`][*][$(id)]"},
	}
	for system, script := range scripts {
		for _, tt := range tests {
			j := newJob(t, append([]string{"DIRECTORY=a dir", "DESTINATION=s3://b/p", "VERSION=v1", "ROLE=", "FRESHET_ID_TOKEN=t"}, tt.env...)...)
			if out, err := j.run(t, script); err != nil || j.file("args") != tt.want || !strings.Contains(out, `{"report":1}`) {
				t.Errorf("%s, %s: %v\n%s\n%s\nwant\n%s", system, tt.name, err, out, j.file("args"), tt.want)
			}
		}
		failing := newJob(t, "DIRECTORY=d", "DESTINATION=s3://b", "DISTRIBUTIONS=E1", "VERSION=v1", "ROLE=", "FRESHET_ID_TOKEN=t", "FRESHET_EXIT=3")
		out, err := failing.run(t, script)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(out, `{"report":1}`) {
			t.Errorf("%s: freshet's exit code 3 becomes %v\n%s", system, err, out)
		}
	}
}

// TestIdentityTokens reach the SDK as a file that is gone afterwards, and no
// other credentials are in their way.
func TestIdentityTokens(t *testing.T) {
	var audience, authorization string
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		audience, authorization = r.URL.Query().Get("audience"), r.Header.Get("Authorization")
		_, _ = fmt.Fprint(w, `{"count":1,"value":"ey.J.t"}`)
	}))
	defer github.Close()
	role := "arn:aws:iam::123456789012:role/site"
	common := []string{"DIRECTORY=d", "DESTINATION=s3://b", "DISTRIBUTIONS=E1", "VERSION=v1", "ROLE=" + role, "AWS_ACCESS_KEY_ID=old", "AWS_PROFILE=old"}
	for system, tt := range map[string]struct {
		script string
		env    []string
	}{
		"github": {deployScript(t), []string{"ACTIONS_ID_TOKEN_REQUEST_URL=" + github.URL + "/?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=secret", "REGION=eu-west-1", "GITHUB_RUN_ID=7"}},
		"gitlab": {gitlabScript(t), []string{"FRESHET_ID_TOKEN=ey.J.t", "AWS_REGION=eu-west-1", "CI_JOB_ID=7"}},
	} {
		j := newJob(t, append(tt.env, common...)...)
		out, err := j.run(t, tt.script)
		if err != nil || j.file("token-seen") != "ey.J.t" {
			t.Errorf("%s: %v, token %q\n%s", system, err, j.file("token-seen"), out)
		}
		seen := j.file("env")
		for _, want := range []string{"AWS_ROLE_ARN=" + role + "\n", "AWS_REGION=eu-west-1\n", "AWS_ROLE_SESSION_NAME=freshet-7\n"} {
			if !strings.Contains(seen, want) {
				t.Errorf("%s: no %s in\n%s", system, want, seen)
			}
		}
		if strings.Contains(seen, "old") {
			t.Errorf("%s: other credentials are in the way:\n%s", system, seen)
		}
		_, after, _ := strings.Cut(seen, "AWS_WEB_IDENTITY_TOKEN_FILE=")
		file, _, _ := strings.Cut(after, "\n")
		if _, err := os.Stat(file); file == "" || !os.IsNotExist(err) {
			t.Errorf("%s: the token still lies in %q: %v", system, file, err)
		}
		masked := system == "gitlab" || strings.Contains(out, "::add-mask::ey.J.t\n")
		if !masked || strings.Contains(strings.ReplaceAll(out, "::add-mask::ey.J.t\n", ""), "ey.J.t") {
			t.Errorf("%s: the token is shown:\n%s", system, out)
		}
	}
	if audience != "sts.amazonaws.com" || authorization != "Bearer secret" {
		t.Errorf("asked for %q as %q", audience, authorization)
	}

	j := newJob(t, append(common, "ACTIONS_ID_TOKEN_REQUEST_URL=")...)
	if out, err := j.run(t, deployScript(t)); err == nil || !strings.Contains(out, "id-token: write") {
		t.Errorf("without permission: %v\n%s", err, out)
	}
}

// TestInstallScript builds what came with the action, or installs the version.
func TestInstallScript(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{
		"":       "[build][-trimpath][-o][%s/freshet-bin/freshet][./cmd/freshet] " + filepath.Dir(here),
		"v1.2.3": "[install][github.com/freshet/freshet/cmd/freshet@v1.2.3] ",
	} {
		j := newJob(t, "VERSION="+version, "GITHUB_ACTION_PATH="+filepath.Join(here, "github"))
		j.env = append(j.env, "GITHUB_PATH="+filepath.Join(j.dir, "path"))
		script := "#!/bin/sh\nfor a in \"$@\"; do printf '[%s]' \"$a\"; done >\"$RUNNER_TEMP/go-args\"\nprintf ' %s' \"$(pwd)\" >>\"$RUNNER_TEMP/go-args\"\n"
		if err := os.WriteFile(filepath.Join(j.dir, "go"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := j.run(t, "exec sh "+filepath.Join(here, "github", "install.sh"))
		if strings.Contains(want, "%s") {
			want = fmt.Sprintf(want, j.dir)
		}
		if err != nil || !strings.HasPrefix(j.file("go-args"), want) || j.file("path") != j.dir+"/freshet-bin\n" {
			t.Errorf("%q: %v %s\n%s, want %s\n%s", version, err, out, j.file("go-args"), want, j.file("path"))
		}
	}
}
