package all_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/freshet/freshet/internal/cdn/all"
	"github.com/freshet/freshet/internal/cdn/cdntest/edgetest"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
)

func decoder(text string) func(any) error {
	return func(into any) error {
		return yaml.NewDecoder(bytes.NewBufferString(text), yaml.Strict()).Decode(into)
	}
}

func TestDriversAreSorted(t *testing.T) {
	var names []string
	for _, d := range all.Drivers() {
		names = append(names, d.Name)
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || len(names) < 2 {
		t.Errorf("got %v", names)
	}
}

func TestOpen(t *testing.T) {
	register, _ := edgetest.Open(t)
	for _, tt := range []struct {
		name    string
		setup   all.Setup
		problem string // empty: opens
	}{
		{"edge", all.Setup{Edge: register}, ""},
		{"edge", all.Setup{}, "no edge runs"},
		{"edge", all.Setup{Edge: register, Decode: decoder("endpoint: x")}, "endpoint"},
		{"cloudfront", all.Setup{}, ""},
		{"cloudfront", all.Setup{Decode: decoder("endpoint: http://127.0.0.1:1\nregion: cn-north-1\npoll_every: 5s\n")}, ""},
		{"cloudfront", all.Setup{Decode: decoder("endpiont: x")}, "endpiont"},
		{"cloudfront", all.Setup{Decode: decoder("profile: no-such-profile-anywhere")}, "no-such-profile-anywhere"},
		{"clodufront", all.Setup{}, "only cloudfront, edge"},
	} {
		d, err := all.Open(t.Context(), tt.name, tt.setup)
		if tt.problem == "" && (err != nil || d == nil) || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
			t.Errorf("%s: %v, %v, want %q", tt.name, d, err, tt.problem)
		}
	}
}

func TestCloudFrontConfigReadsDurations(t *testing.T) {
	var cfg cloudfront.Config
	if err := decoder("poll_every: 5s")(&cfg); err != nil || cfg.PollEvery != 5*time.Second {
		t.Errorf("got %+v, %v", cfg, err)
	}
}
