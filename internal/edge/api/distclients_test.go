package api_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/edge/api"
)

// pythons finds those that have boto3; the system's is older.
func pythons(t *testing.T) []string {
	var found []string
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import boto3").Run() == nil {
			found = append(found, python)
		}
	}
	if len(found) == 0 {
		missing(t, "python3 with boto3")
	}
	return found
}

// deploying is a server whose changes take a moment.
func deploying(t *testing.T) *httptest.Server {
	cat := catalog(t, func(c *api.CatalogConfig) { c.Deploy = time.Second })
	return serve(t, open(t, &edge{}, func(c *api.RegisterConfig) { c.Distributions = cat.Distributions }), func(c *api.HandlerConfig) { c.Catalog = cat })
}

func TestBoto3MakesDistributions(t *testing.T) {
	for _, python := range pythons(t) {
		t.Run(strings.ReplaceAll(python, "/", "_"), func(t *testing.T) {
			text, err := run(t, secret, python, filepath.Join("testdata", "boto3_distributions.py"), deploying(t).URL)
			if err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			var seen map[string]any
			if err := json.Unmarshal([]byte(text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:]), &seen); err != nil {
				t.Fatal(err)
			}
			for what, want := range map[string]any{
				"made": []any{201.0, true, "InProgress"}, "kept": true, "tags": []any{map[string]any{"Key": "k", "Value": "v"}}, "using": true, "managed": true,
				"errors": []any{[]any{"DistributionAlreadyExists", 409.0}, []any{"CNAMEAlreadyExists", 409.0}, []any{"PreconditionFailed", 412.0},
					[]any{"InvalidIfMatchVersion", 400.0}, []any{"DistributionNotDisabled", 409.0}, []any{"NoSuchCachePolicy", 404.0},
					[]any{"DistributionNotDisabled", 409.0}},
				"gone": []any{"NoSuchDistribution", 404.0},
			} {
				if !reflect.DeepEqual(seen[what], want) {
					t.Errorf("%s: got %v, want %v", what, seen[what], want)
				}
			}
		})
	}
}

func TestAWSCLIMakesDistributions(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the AWS CLI a dozen times")
	}
	clis := awsCLIs()
	if len(clis) == 0 {
		missing(t, "the AWS CLI")
	}
	tested := make(map[string]bool)
	for _, cli := range clis {
		version, err := run(t, secret, cli, "--version")
		if err != nil || tested[version] {
			continue
		}
		tested[version] = true
		t.Run(strings.Fields(version + " ?")[0], func(t *testing.T) { testCLIDistributions(t, cli) })
	}
}

func testCLIDistributions(t *testing.T, cli string) {
	s := deploying(t)
	want := func(want string, args ...string) string {
		t.Helper()
		got, err := run(t, secret, cli, append([]string{"--endpoint-url", s.URL, "--output", "text", "cloudfront"}, args...)...)
		got = strings.TrimSpace(got)
		if (err != nil) != strings.HasPrefix(want, "An error") || !regexp.MustCompile("^(?:"+want+")$").MatchString(got) {
			t.Fatalf("aws %s: %q, %v, want %s", args[0], got, err, want)
		}
		return got
	}
	made := strings.Fields(want(`E[A-Z0-9]{13}\tInProgress\tE[A-Z0-9]{13}`, "create-distribution", "--origin-domain-name", "site.s3.amazonaws.com", "--default-root-object", "index.html",
		"--query", "[Distribution.Id, Distribution.Status, ETag]"))
	id := made[0]
	// The CLI asks again after a minute, so wait for what it would see at once.
	deployed := func() bool {
		return strings.Contains(send(t, s, "GET", "/2020-05-31/distribution/"+id, "").body, "<Status>Deployed</Status>")
	}
	eventually(t, "deployment", deployed)
	want(``, "wait", "distribution-deployed", "--id", id)
	// The CLI asks for the version by itself.
	etag := want(`E[A-Z0-9]{13}`, "update-distribution", "--id", id, "--default-root-object", "start.html", "--query", "ETag")
	copied := strings.Fields(want(`E[A-Z0-9]{13}\tTrue\tstart.html`, "copy-distribution", "--primary-distribution-id", id, "--if-match", etag, "--staging", "--caller-reference", "copy",
		"--query", "Distribution.[Id, DistributionConfig.Staging, DistributionConfig.DefaultRootObject]"))
	if copied[0] == id {
		t.Errorf("the copy of %s is itself", id)
	}
	want(`E[A-Z0-9]{13}`, "create-cloud-front-origin-access-identity", "--cloud-front-origin-access-identity-config", "CallerReference=r,Comment=c", "--query", "CloudFrontOriginAccessIdentity.Id")
	const monitored = "MonitoringSubscription.RealtimeMetricsSubscriptionConfig.RealtimeMetricsSubscriptionStatus"
	want("Enabled", "create-monitoring-subscription", "--distribution-id", id, "--monitoring-subscription", "RealtimeMetricsSubscriptionConfig={RealtimeMetricsSubscriptionStatus=Enabled}", "--query", monitored)
	want("Enabled", "get-monitoring-subscription", "--distribution-id", id, "--query", monitored)
	want("0", "list-field-level-encryption-configs", "--query", "FieldLevelEncryptionList.Quantity")
	config := want(`(?s)\{.*\}`, "get-distribution-config", "--id", id, "--query", "DistributionConfig", "--output", "json")
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(strings.Replace(config, `"Enabled": true`, `"Enabled": false`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	want(`An error occurred \(PreconditionFailed\).*`, "update-distribution", "--id", id, "--if-match", "ESTALE", "--distribution-config", "file://"+file)
	want(`An error occurred \(DistributionNotDisabled\).*`, "delete-distribution", "--id", id, "--if-match", etag)
	next := want(`E[A-Z0-9]{13}`, "update-distribution", "--id", id, "--if-match", etag, "--distribution-config", "file://"+file, "--query", "ETag")
	want("False", "get-distribution", "--id", id, "--query", "Distribution.DistributionConfig.Enabled")
	eventually(t, "deployment of the change", deployed)
	want(``, "delete-distribution", "--id", id, "--if-match", next)
	want(`An error occurred \(NoSuchDistribution\).*`, "get-distribution", "--id", id)
	want("Managed-CachingOptimized\t1", "get-cache-policy", "--id", "658327ea-f89d-4fab-a63d-7e88639e58f6", "--query", "CachePolicy.CachePolicyConfig.[Name, MinTTL]")
	want("(managed\\s*){15}", "list-cache-policies", "--type", "managed", "--query", "CachePolicyList.Items[].Type")
}
