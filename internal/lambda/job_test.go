package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"

	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/memcdn"
)

// told is what CodePipeline was told.
type told struct {
	succeeded, failed int
	token, message    string
	err               error
}

func (c *told) PutJobSuccessResult(ctx context.Context, in *codepipeline.PutJobSuccessResultInput, _ ...func(*codepipeline.Options)) (*codepipeline.PutJobSuccessResultOutput, error) {
	c.succeeded++
	c.token = aws.ToString(in.ContinuationToken)
	return nil, errors.Join(c.err, ctx.Err())
}

func (c *told) PutJobFailureResult(ctx context.Context, in *codepipeline.PutJobFailureResultInput, _ ...func(*codepipeline.Options)) (*codepipeline.PutJobFailureResultOutput, error) {
	c.failed++
	c.message = *in.FailureDetails.Message
	return nil, errors.Join(c.err, ctx.Err())
}

func jobOf(id, parameters, token string) map[string]any {
	return map[string]any{"CodePipeline.job": map[string]any{"id": id, "accountId": "1", "data": map[string]any{
		"actionConfiguration": map[string]any{"configuration": map[string]any{"FunctionName": "freshet", "UserParameters": parameters}},
		"inputArtifacts":      []any{}, "continuationToken": token,
	}}}
}

func TestJobs(t *testing.T) {
	for name, c := range map[string]struct {
		parameters string
		fault      error
		sent       string
		message    string // of the failure
	}{
		"words":          {parameters: " E1 /index.html\n/news/* ", sent: "/index.html /news/*"},
		"JSON":           {parameters: `{"distribution":"E1","invalidate":["/a"]}`, sent: "/a"},
		"wrapped":        {parameters: `{"freshet":{"distribution":"E1","invalidate":["/a"]}}`, sent: "/a"},
		"objects":        {parameters: `{"changes":[{"bucket":"site","key":"a"}]}`, sent: "/a"},
		"nothing":        {message: `{"distribution": "E…", "invalidate": ["/*"]}`},
		"two of them":    {parameters: "E1 E2 /a", message: `"E2" is neither a path`},
		"no JSON":        {parameters: "{", message: "read the user parameters"},
		"misspelt":       {parameters: `{"distribution":"E1","path":["/a"]}`, message: `"invalidate"`},
		"refused":        {parameters: "E1 /a", fault: &cdn.Error{Class: cdn.Denied, Err: errors.New("AccessDenied")}, message: "AccessDenied"},
		"object refused": {parameters: `{"changes":[{"bucket":"site","key":"a"}]}`, fault: &cdn.Error{Class: cdn.Denied, Err: errors.New("AccessDenied")}, message: "AccessDenied"},
		"after a while":  {parameters: "E1 /a", fault: errors.New("503"), sent: "/a"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipeline := new(told)
				f := newFunction(t, newCDN(), "", func(w *World) { w.Jobs = pipeline })
				if c.fault != nil {
					f.cdn.Fail(memcdn.Fault{Err: c.fault})
				}
				if _, err := f.invoke(t.Context(), jobOf("j1", c.parameters, "")); err != nil {
					t.Error(err)
				}
				if got := strings.Join(f.cdn.patterns(), " "); got != c.sent {
					t.Errorf("sent %q, want %q", got, c.sent)
				}
				ok := c.message == ""
				if ok && (pipeline.succeeded != 1 || pipeline.failed != 0 || pipeline.token != "") || !ok && (pipeline.failed != 1 || pipeline.succeeded != 0) || !strings.Contains(pipeline.message, c.message) {
					t.Errorf("told %+v, want the failure %q", pipeline, c.message)
				}
			})
		})
	}
}

// A job that takes longer than an invocation goes on under another ID, whether
// it was waiting for completion or for acceptance, and invalidates nothing twice.
func TestJobGoesOn(t *testing.T) {
	for name, trouble := range map[string]func(*dated) (release func()){
		"slow completion": func(d *dated) func() { return d.Hold() },
		"slow acceptance": func(d *dated) func() {
			d.Fail(memcdn.Fault{LoseAnswer: true}) // of the first of two
			for range 40 {
				d.Fail(memcdn.Fault{Err: errors.New("503")})
			}
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				on, pipeline, token := newCDN(), new(told), ""
				release := trouble(on)
				for n := range 50 {
					if n == 2 {
						release()
					}
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					f := newFunction(t, on, "", func(w *World) { w.Jobs = pipeline })
					if _, err := f.invoke(ctx, jobOf(fmt.Sprint("j", n), "E1 /a /b*", token), fmt.Sprint("r", n)); err != nil || ctx.Err() != nil {
						t.Fatal(err, ctx.Err())
					}
					cancel()
					if token = pipeline.token; token == "" {
						break
					}
					if n == 0 && !json.Valid([]byte(token)) {
						t.Fatalf("token %q", token)
					}
				}
				if pipeline.failed > 0 || pipeline.succeeded < 3 || token != "" {
					t.Errorf("told %+v", pipeline)
				}
				if got := strings.Join(on.patterns(), " "); got != "/a /b*" {
					t.Errorf("sent %q", got)
				}
			})
		})
	}
}

func TestJobThatNobodyHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := &told{err: errors.New("InvalidJobStateException")}
		for _, parameters := range []string{"E1 /a", ""} {
			f := newFunction(t, newCDN(), "", func(w *World) { w.Jobs = gone })
			if _, err := f.invoke(t.Context(), jobOf("j1", parameters, "")); err == nil || !strings.Contains(err.Error(), "InvalidJobStateException") {
				t.Errorf("%q: %v", parameters, err)
			}
		}
		if _, err := newFunction(t, newCDN(), "", nil).invoke(t.Context(), jobOf("j1", "E1 /a", "")); err == nil {
			t.Error("a job without a client is no error")
		}
	})
}

func TestTokenFits(t *testing.T) {
	c := continuation{Reference: "codepipeline 11111111-abcd-1111-abcd-111111abcdef"}
	for range 100 {
		c.Pending = append(c.Pending, pendingInvalidation{"E2ALIASED12345", "I2J0I21PCUYOIK"})
		token, err := c.token()
		if err != nil || len(token) > maxToken {
			t.Fatal(len(token), err)
		}
	}
}
