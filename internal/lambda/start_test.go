package lambda

import (
	"runtime"
	"testing"
)

func TestOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	for _, x := range []struct {
		memory, asked string
		want          int
	}{
		{"", "", 4},
		{"some", "", 4},
		{"256", "", 1},
		{"1769", "", 1},
		{"1770", "", 4},
		{"256", "3", 4},
	} {
		runtime.GOMAXPROCS(4)
		environ := map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": x.memory, "GOMAXPROCS": x.asked}
		oneProcessor(func(name string) string { return environ[name] })
		if got := runtime.GOMAXPROCS(0); got != x.want {
			t.Errorf("with memory %q and GOMAXPROCS %q: %d, want %d", x.memory, x.asked, got, x.want)
		}
	}
}
