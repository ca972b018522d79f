package source

import (
	"strings"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/source/s3event"
)

func TestDetect(t *testing.T) {
	tests := []struct {
		input string
		want  Format
	}{
		{`{"Records": []}`, Events},
		{"\ufeff \n{", Events},
		{"[ {", Events},
		{"[[{", Events},
		{`["a", "b"]`, Keys},
		{"[]", Keys},
		{"[", Keys},
		{"[slug].js", Keys},
		{"index.html", Keys},
		{"s3://site/index.html", Keys},
		{"", Keys},
	}
	for _, tt := range tests {
		if got := Detect([]byte(tt.input)); got != tt.want {
			t.Errorf("Detect(%q) = %q, want %q", tt.input, got, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	const event = `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventTime":"2026-11-20T10:00:00.000Z","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"site"},"object":{"key":"a+b.html"}}}]}`
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, input string
		opts        Options
		want        string // origin, key and time of the only change
		wantErr     string
	}{
		{"event", event, Options{Now: now, Origin: "other"}, "site a b.html 10:00", ""},
		{"event in a dialect", event, Options{Dialect: s3event.Raw}, "site a+b.html 10:00", ""},
		{"key", "a+b.html", Options{Now: now, Origin: "other"}, "other a+b.html 12:00", ""},
		{"key that looks like events", "{id}.js", Options{Now: now, Origin: "other", Format: Keys}, "other {id}.js 12:00", ""},
		{"key taken for events", "{id}.js", Options{Now: now, Origin: "other"}, "", "it is not JSON"},
		{"no such format", event, Options{Format: "yaml"}, "", `"yaml"`},
		{"too many keys", strings.Repeat("x\n", MaxListBytes/2+1), Options{Origin: "other"}, "", "over the limit"},
		{"no such dialect", event, Options{Dialect: "s4"}, "", `"s4"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := Parse([]byte(tt.input), tt.opts)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || res.Records() != 0 {
					t.Fatalf("Parse: %+v, %v; want an error with %q", res, err, tt.wantErr)
				}
				return
			}
			plain := res.Plain()
			if err != nil || len(plain) != 1 || res.Records() != 1 {
				t.Fatalf("Parse: %+v, %v", res, err)
			}
			if got := plain[0].Origin + " " + plain[0].Key + " " + plain[0].Time.Format("15:04"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
