package server_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/edge"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/server"
)

func TestExplain(t *testing.T) {
	var asked edge.Question
	want := server.Explained{
		Explanation: route.Explanation{Host: "www.example.com", URL: "/a", Distributions: []route.Stop{{Distribution: "E1"}}},
		Ways:        []edge.Way{{Distribution: "E1", Key: &edge.Key{URL: "/a", Variant: "br\n\nCookie:a=1"}, Live: &edge.Live{XCache: "Hit from cloudfront", Copy: &edge.Copy{Status: 200}}}},
	}
	answer := error(nil)
	c := open(t, server.Config{Explain: func(q edge.Question) (server.Explained, error) {
		asked = q
		return want, answer
	}})
	q := edge.Question{Host: "www.example.com", Target: "/a", Method: "HEAD", Secure: true, Header: map[string][]string{"Cookie": {"a=1"}}, Answers: []edge.Answer{{Status: 404}}}
	got, err := c.Explain(context.Background(), q)
	if err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(asked, q) {
		t.Errorf("asked %+v, got %+v, %v", asked, got, err)
	}
	for _, answer = range []error{fmt.Errorf("%w: x", edge.ErrQuestion), fmt.Errorf("explain: %w", edge.ErrUnknownDistribution), errors.New("broken")} {
		if _, err := c.Explain(context.Background(), q); err == nil || !strings.Contains(err.Error(), answer.Error()) {
			t.Errorf("%v: %v", answer, err)
		}
	}
	c.Token = "guessed"
	asked = edge.Question{}
	if _, err := c.Explain(context.Background(), q); err == nil || asked.Target != "" {
		t.Errorf("without the token: %v", err)
	}
}
