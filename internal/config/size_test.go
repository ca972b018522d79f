package config

import "testing"

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "1500": 1500, "64MiB": 64 << 20, "64 MiB": 64 << 20, "2GiB": 2 << 30, "3KiB": 3 << 10} {
		var s, again Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
		if err := again.UnmarshalText([]byte(s.String())); err != nil || again != s {
			t.Errorf("%s: written as %s", text, s)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5GiB", "1MB", "99999999999GiB", "9223372036854775808"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %d", text, s)
		}
	}
}
