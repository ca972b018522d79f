package e2e_test

import (
	"os"
	"os/exec"
	"testing"
)

// missing skips a test for want of a program, or fails it where CI promises
// that the program is there.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

// awsCLI is the path of the AWS CLI.
func awsCLI(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"aws", "/usr/bin/aws"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "--version").Run() == nil {
			return path
		}
	}
	missing(t, "the AWS CLI")
	return ""
}

// python is the path of a Python that has boto3.
func python(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import boto3").Run() == nil {
			return path
		}
	}
	missing(t, "python3 with boto3")
	return ""
}

// environ is what AWS's clients need to know, and keeps out what else is
// configured on the machine.
func (f *running) environ() []string {
	return append(os.Environ(),
		"AWS_ACCESS_KEY_ID="+f.AccessKey, "AWS_SECRET_ACCESS_KEY="+f.SecretKey, "AWS_DEFAULT_REGION="+f.Region,
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_PAGER=", "AWS_MAX_ATTEMPTS=1", "PYTHONWARNINGS=ignore", "NO_PROXY=*")
}
