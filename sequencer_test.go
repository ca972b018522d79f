package freshet_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

func sequencers() *rapid.Generator[freshet.Sequencer] {
	return rapid.Custom(func(t *rapid.T) freshet.Sequencer {
		// Few digits and many zeros, so that equal ones and prefixes are common.
		return freshet.Sequencer(rapid.StringMatching(`[0]{0,2}[019aAfF]{0,4}[0]{0,3}`).Draw(t, "sequencer"))
	})
}

func TestSequencerCompare(t *testing.T) {
	tests := []struct {
		a, b freshet.Sequencer
		want int
	}{
		{"0055AED6DCD90281E5", "0055AED6DCD90281E6", -1},
		{"0055aed6dcd90281e5", "0055AED6DCD90281E5", 0}, // MinIO writes upper case
		{"1", "10", 0},                  // 10 and 10
		{"1", "1001", -1},               // 1000 and 1001
		{"2", "1001", 1},                // 2000 and 1001: not numbers aligned on the right
		{"9", "10", 1},                  // 90 and 10
		{"", "0", 0},                    //
		{"", "00001", -1},               //
		{"00A", "00a0", 0},              //
		{"17C2A3B4D5E6F708", "17C2", 1}, //
	}
	for _, tt := range tests {
		if got := tt.a.Compare(tt.b); got != tt.want {
			t.Errorf("%q.Compare(%q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := tt.b.Compare(tt.a); got != -tt.want {
			t.Errorf("%q.Compare(%q) = %d, want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

func TestSequencerIsTotallyOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := sequencers().Draw(t, "a"), sequencers().Draw(t, "b"), sequencers().Draw(t, "c")
		if a.Compare(b) != -b.Compare(a) {
			t.Errorf("%q and %q: %d there, %d back", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Errorf("%q ≤ %q ≤ %q, but not the ends", a, b, c)
		}
		if lower := freshet.Sequencer(strings.ToLower(string(a))); a.Compare(lower) != 0 {
			t.Errorf("%q differs from %q", a, lower)
		}
		if padded := a + "00"; a.Compare(padded) != 0 || a.Compare(b) != padded.Compare(b) {
			t.Errorf("zeros on the right of %q change its place", a)
		}
		// The rule as S3's guide words it.
		n := max(len(a), len(b))
		pad := func(s freshet.Sequencer) string {
			return strings.ToLower(string(s) + strings.Repeat("0", n-len(s)))
		}
		if want := strings.Compare(pad(a), pad(b)); a.Compare(b) != want {
			t.Errorf("%q.Compare(%q) = %d, want %d", a, b, a.Compare(b), want)
		}
	})
}

func TestSequencerValid(t *testing.T) {
	for s, want := range map[freshet.Sequencer]bool{
		"0": true, "0055AED6dcd9": true, "": false, "g": false, "0x1": false, "1 ": false, "é": false, "1\n": false,
	} {
		if got := s.Valid(); got != want {
			t.Errorf("%q.Valid() = %v", s, got)
		}
	}
}
