package batch

import (
	"errors"
	"slices"
	"testing"

	"github.com/freshet/freshet"
)

func TestPlace(t *testing.T) {
	tests := []struct {
		place Place
		want  string
	}{
		{Place{}, "input"},
		{Place{}.Inside("Records[3]"), "Records[3]"},
		{Place{Message: "m-7"}, "message m-7"},
		{Place{Message: "m-7"}.Inside("Records[0]"), "message m-7: Records[0]"},
		{Place{Path: "line 3"}.Inside("Message").Inside("Records[0]"), "line 3: Message: Records[0]"},
	}
	for _, tt := range tests {
		if got := tt.place.String(); got != tt.want {
			t.Errorf("%+v is written %q, want %q", tt.place, got, tt.want)
		}
	}
}

func TestResult(t *testing.T) {
	cause := errors.New("broken")
	res := Result{
		Changes: []Change{{Change: freshet.Change{Key: "a"}}, {Change: freshet.Change{Key: "b"}}},
		Skipped: []Skipped{{}},
		Problems: []Problem{
			{At: Place{Message: "m-2"}, Err: cause}, {At: Place{Path: "line 3"}, Err: cause},
			{At: Place{Message: "m-1"}, Err: cause}, {At: Place{Message: "m-2", Path: "Records[1]"}, Err: cause},
		},
	}
	if got := res.Records(); got != 7 {
		t.Errorf("Records() = %d, want 7", got)
	}
	if got, want := res.Unread(), []string{"m-2", "m-1"}; !slices.Equal(got, want) {
		t.Errorf("Unread() = %q, want %q", got, want)
	}
	if got := res.Plain(); len(got) != 2 || got[0].Key != "a" || got[1].Key != "b" {
		t.Errorf("Plain() = %+v", got)
	}
	if err := error(res.Problems[3]); err.Error() != "message m-2: Records[1]: broken" || !errors.Is(err, cause) {
		t.Errorf("problem %v", err)
	}
}
