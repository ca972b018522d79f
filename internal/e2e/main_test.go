// Package e2e_test drives the program that people get, as a process of its own,
// through its real doors: S3, the edge, the CloudFront API, the command line.
package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	// All of the program, so that a change to it is a change to these tests and
	// no earlier result of theirs counts any more.
	_ "github.com/freshet/freshet/internal/cli"
)

// long asks for the variants that take minutes and for a child built with the
// race detector, see the soak target of the Makefile.
func long() bool { return os.Getenv("FRESHET_SOAK") != "" }

// program is the freshet that the tests run. TestMain builds it.
var program string

// TestMain builds the program once. The child has the race detector only with
// FRESHET_SOAK: building it takes longer than all tests do without it.
func TestMain(m *testing.M) {
	if dir := os.Getenv("E2E_BARE_STORE"); dir != "" {
		serveBareStore(dir)
	}
	if crowd := os.Getenv("E2E_CROWD"); crowd != "" {
		beCrowd(crowd)
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "freshet-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "freshet")
	args := []string{"build", "-o", program}
	if long() {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../../cmd/freshet")...)
	if text, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, text)
		return 1
	}
	return m.Run()
}
