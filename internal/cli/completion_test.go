package cli

import (
	"io"
	"testing"
)

// A shell asks by running the program with the line so far in COMP_LINE.
func TestCompletionEndsQuietly(t *testing.T) {
	t.Setenv("COMP_LINE", "freshet lo")
	t.Setenv("COMP_POINT", "10")
	if code := Main(t.Context(), nil, nil, io.Discard, t.Output()); code != exitDone {
		t.Errorf("exit code %d, want %d", code, exitDone)
	}
}
