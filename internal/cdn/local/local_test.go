package local_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cdntest"
	"github.com/freshet/freshet/internal/cdn/cdntest/edgetest"
	"github.com/freshet/freshet/internal/cdn/local"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	cdntest.Run(t, func(t *testing.T) cdntest.Fixture {
		register, fixture := edgetest.Open(t)
		fixture.Driver = local.New(register)
		return fixture
	})
}

// What comes over the API and what comes from inside share caller references.
func TestSharesTheRegister(t *testing.T) {
	register, fixture := edgetest.Open(t)
	at := fixture.Distributions[0]
	byAPI, err := register.Create(t.Context(), at, api.Batch{CallerReference: "r", Paths: []string{"/b", "/a"}})
	if err != nil {
		t.Fatal(err)
	}
	d := local.New(register)
	inside, err := d.Invalidate(t.Context(), freshet.Invalidation{Distribution: at, CallerReference: "r", Patterns: []freshet.Pattern{"/a", "/b", "/a"}})
	if err != nil || inside.ID != byAPI.ID {
		t.Errorf("got %+v, %v, want the ID %s", inside, err, byAPI.ID)
	}
}

func TestProfileOfTheEdge(t *testing.T) {
	register, _ := edgetest.Open(t)
	profiles, err := local.New(register).Profiles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p := profiles[0]; p.PatternPrice != 0 || p.MaxPatterns != 3000 || p.MaxWildcards != 15 || p.Tags {
		t.Errorf("profile %+v", p)
	}
}

func TestClasses(t *testing.T) {
	for code, want := range map[string]cdn.Class{
		api.NoSuchDistribution:             cdn.NotFound,
		api.NoSuchInvalidation:             cdn.NotFound,
		api.BatchTooLarge:                  cdn.TooLarge,
		api.TooManyInvalidationsInProgress: cdn.Busy,
		api.ServiceUnavailable:             cdn.Unavailable,
		api.InvalidArgument:                cdn.Rejected,
	} {
		_, err := local.New(failing{&api.Error{Code: code}}).Invalidate(t.Context(), freshet.Invalidation{})
		if cdn.ClassOf(err) != want {
			t.Errorf("%s: %v, want %s", code, err, want)
		}
	}
	if _, err := local.New(failing{errors.New("something else")}).Invalidate(t.Context(), freshet.Invalidation{}); cdn.ClassOf(err) != cdn.Unavailable {
		t.Errorf("something else: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Create(context.Context, string, api.Batch) (api.Invalidation, error) {
	return api.Invalidation{}, f.err
}
func (f failing) Get(string, string) (api.Invalidation, error) { return api.Invalidation{}, f.err }
func (f failing) Distributions() []distribution.Distribution   { return nil }
