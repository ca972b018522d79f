package app

import (
	"testing"

	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/function"
)

// What runs is what was published last, and code that does not compile is
// throttled, as CloudFront does, until other code is published.
func TestScriptsRunWhatWasPublishedLast(t *testing.T) {
	s := newScripts(nil)
	if _, _, err := s.find("arn:f"); err == nil {
		t.Error("a function was found that nobody made")
	}
	live := api.LiveFunction{Name: "f", ARN: "arn:f", Runtime: string(function.JS20)}
	s.published = func(arn string) (api.LiveFunction, bool) { return live, arn == live.ARN }
	var last *function.Program
	for _, c := range []struct {
		code  string
		works bool
	}{{"function handler(e) { return e.request; }", true}, {"function handler(e) {", false}, {"function handler(e) { return {statusCode: 200}; }", true}} {
		live.Code = []byte(c.code)
		program, _, err := s.find("arn:f")
		if (err == nil) != c.works {
			t.Errorf("%s: %v", c.code, err)
		}
		if failure, ok := err.(*function.Error); !c.works && (!ok || failure.Kind != function.ThrottledError) { //nolint:errorlint // it is returned as it is
			t.Errorf("%s: %v is not throttled", c.code, err)
		}
		if again, _, _ := s.find("arn:f"); again != program {
			t.Errorf("%s: compiled again", c.code)
		}
		if program != nil && program == last {
			t.Errorf("%s: the former code runs", c.code)
		}
		last = program
	}
	if _, _, err := s.find("arn:other"); err == nil {
		t.Error("another function was found")
	}
}
