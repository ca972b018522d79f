package cli

import (
	"strings"
	"testing"
)

func TestWrongUsage(t *testing.T) {
	tests := []struct {
		args string
		want string // in the error
	}{
		{"log --last=-1", "--last=-1"},
		{"log --follow --last=3", "--follow"},
		{"top -n=-1", "--count"},
		{"chaos set thottle", "thottle"},
		{"chaos set seed=3", "freshet chaos clear"},
		{"chaos set throttle:None", `no operation "None"`},
		{"up --metrics=nowhere", "metrics"},
		{"log --state=gone", `no state is called "gone"`},
		{"plan --format=xml", "xml"},
		{"plan --bucket=Not_A_Bucket", `"Not_A_Bucket"`},
		{"invalidate --timeout=0s /x", "--timeout"},
		{"invalidate x", "must begin with /"},
		{"invalidate", "<pattern>"},
		{"wait lambda site", "updated"},
		{"invalidate --distribution=E2EXAMPLE1234 --wait-for=pigeon /x", `"pigeon"`},
		{"up --bucket=Not_A_Bucket", `"Not_A_Bucket"`},
		{"up --driver=pigeon", `"pigeon"`},
		{"up /no/such/directory", "/no/such/directory"},
		{"--no-such-flag", "--no-such-flag"},
		{"aws policy --bucket=b.ucket --account=1 --region=eu-west-1", `account: "1"`},
		{"aws policy --bucket=A --account=123456789012 --region=eu-west-1", `bucket: "A"`},
		{"aws policy --kind=all --bucket=b.ucket --account=123456789012 --region=eu-west-1", "--for must be one of"},
		{"aws policy --account=123456789012 --region=eu-west-1", "--bucket"},
		{"aws install --bucket=www --zip=/no/such.zip", "/no/such.zip"},
		{"aws install --distribution=E1", "--bucket"},
		{"aws template --format=pulumi", "pulumi"},
		{"verify", "--plan"},
		{"verify / --plan=x", "--plan"},
		{"verify / --expect-gone --expect-etag=x", "only one of"},
		{"verify / --expect-sha256=x", "64 hexadecimal digits"},
		{"verify / --for=1m --within=1m", "--within"},
		{"verify / --every=0s", "--every"},
		{"verify / --since=yesterday", "--since=yesterday"},
		{"verify / --resolve=a:443", "--resolve"},
		{"verify / --address=@/no/such/file", "--address"},
		{"verify / --cookie=x", "NAME=VALUE"},
		{"verify / --timeout=0s", "--timeout"},
		{"verify / --live --distribution=x", "--live"},
		{"warm", "--sitemap"},
		{"warm --top=3", "--access-log"},
		{"warm / --rate=x", `"x" is no rate`},
		{"warm / --concurrency=0", "--concurrency"},
		{"warm http://169.254.169.254/", "not among the configured hosts"},
		{"nonsense", "nonsense"},
	}
	for _, tt := range tests {
		var out, err strings.Builder
		args := append(strings.Fields(tt.args), "--data", t.TempDir())
		code := Main(t.Context(), args, strings.NewReader("a.html\n"), &out, &err)
		if code != exitUsage || out.Len() > 0 || !strings.HasPrefix(err.String(), "freshet: ") || !strings.Contains(err.String(), tt.want) {
			t.Errorf("%s: exit code %d, %q, %q", tt.args, code, out.String(), err.String())
		}
	}
}

// TestPlanKnowsItsDialectsForKeysToo: keys are in none.
func TestPlanKnowsItsDialectsForKeysToo(t *testing.T) {
	var out, err strings.Builder
	args := []string{"plan", "--dialect=s4", "--data", t.TempDir()}
	if code := Main(t.Context(), args, strings.NewReader("a.html\n"), &out, &err); code == exitDone || out.Len() > 0 || !strings.Contains(err.String(), `"s4"`) {
		t.Errorf("exit code %d, %q, %q", code, out.String(), err.String())
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	for _, args := range []string{"--help", "up --help", "top --help", "chaos --help", "chaos set --help", "log --help", "plan --help", "invalidate --help", "retry --help", "config check --help", "apply --help", "explain --help", "doctor --help", "verify --help", "warm --help", "function test --help", "aws policy --help", "aws template --help", "aws install --help", "aws status --help", "aws uninstall --help", "wait --help", "release --help", "release lambda --help"} {
		var out, err strings.Builder
		if code := Main(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &err); code != exitDone || out.Len() == 0 || err.Len() > 0 {
			t.Errorf("%s: exit code %d, %q", args, code, err.String())
		}
	}
}
