package barrier_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/release/lambdatest"
)

// inProcess calls a handler where a connection would be, so that time may stand
// still.
type inProcess struct{ http.Handler }

func (p inProcess) Do(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the connection was cut")
		}
	}()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	resp = w.Result()
	resp.Request = r
	return resp, nil
}

// asked is a waiter that asks l, and notes when it looked.
func asked(l *lambdatest.Lambda) *barrier.Waiter {
	client := lambda.New(lambda.Options{
		Region: "eu-west-1", HTTPClient: inProcess{l}, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "secret", ""),
	})
	return &barrier.Waiter{Clients: barrier.Clients{Lambda: func(string) barrier.Functions { return client }}}
}

func fact(t *testing.T, text string) []barrier.Fact {
	t.Helper()
	f, err := barrier.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []barrier.Fact{f}
}

func update(t *testing.T, l *lambdatest.Lambda, zip string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/2015-03-31/functions/site/code", strings.NewReader(`{"ZipFile":"`+zip+`"}`))
	w := httptest.NewRecorder()
	if l.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Fatalf("update: %d %s", w.Code, w.Body)
	}
}

func TestLambda(t *testing.T) {
	tests := []struct {
		name   string
		fact   string
		script lambdatest.Script
		fault  func(op string, n int) *lambdatest.Fault
		least  time.Duration
		most   time.Duration
		want   []string // in the error; none is success
	}{
		{name: "four seconds take no twenty", fact: "lambda site updated", script: lambdatest.Script{Takes: 4 * time.Second}, least: 4 * time.Second, most: 6 * time.Second},
		{name: "one takes no five", fact: "lambda site updated", script: lambdatest.Script{Takes: time.Second}, least: time.Second, most: 1600 * time.Millisecond},
		{
			name: "failed", fact: "lambda site updated", script: lambdatest.Script{Takes: 3 * time.Second, Failed: "FunctionError.InitTimeout"}, least: 3 * time.Second, most: 5 * time.Second,
			want: []string{"lambda site updated: the update failed, and the old code goes on answering", "FunctionError.InitTimeout", "did not get ready in time", "as the test wants it"},
		},
		{
			name: "empty status", fact: "lambda site updated within 20s", script: lambdatest.Script{Takes: lambdatest.Never, Silent: true}, least: 20 * time.Second, most: 21 * time.Second,
			want: []string{"lambda site updated: not true within 20s; last seen: LastUpdateStatus is empty"},
		},
		{
			name: "never ends", fact: "lambda site updated within 1m", script: lambdatest.Script{Takes: lambdatest.Never}, least: time.Minute, most: 61 * time.Second,
			want: []string{"not true within 1m0s; last seen: LastUpdateStatus InProgress: Creating"},
		},
		{name: "other code", fact: "lambda site updated sha256 xyz within 10s", least: 10 * time.Second, most: 11 * time.Second, want: []string{"last seen: its code has SHA-256 "}},
		{name: "alias", fact: "lambda site:live updated version 1", most: time.Second},
		{name: "alias elsewhere", fact: "lambda site:live updated version 2 within 3s", least: 3 * time.Second, most: 4 * time.Second, want: []string{"the alias points to version 1"}},
		{
			name: "pushed back, cut and broken", fact: "lambda site updated", most: 3 * time.Second, fault: func(_ string, n int) *lambdatest.Fault {
				return []*lambdatest.Fault{{Status: 429, Code: "TooManyRequestsException"}, {}, {Status: 500, Code: "ServiceException"}, {Status: 400, Code: "ThrottlingException"}, nil}[min(n, 4)]
			},
		},
		{
			name: "denied", fact: "lambda site updated", most: time.Second, want: []string{"AccessDeniedException", "lambda:GetFunctionConfiguration"},
			fault: func(string, int) *lambdatest.Fault {
				return &lambdatest.Fault{Status: 403, Code: "AccessDeniedException"}
			},
		},
		{name: "no such function", fact: "lambda nosite updated", most: time.Second, want: []string{"lambda nosite updated", "ResourceNotFoundException", "region"}},
		{name: "no such alias", fact: "lambda site:lief updated", most: time.Second, want: []string{"lambda site:lief updated", "ResourceNotFoundException", "region"}},
		{
			name: "concurrency may not be asked for", fact: "lambda site:live updated", most: time.Second,
			fault: func(op string, _ int) *lambdatest.Fault {
				if op != "GetProvisionedConcurrencyConfig" {
					return nil
				}
				return &lambdatest.Fault{Status: 403, Code: "AccessDeniedException"}
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := lambdatest.New()
				l.Create("site", "live", []byte("old"))
				if tt.script != (lambdatest.Script{}) {
					l.Next(tt.script)
					update(t, l, "bmV3")
				}
				l.Break(tt.fault)
				began := time.Now()
				err := asked(l).Wait(t.Context(), fact(t, tt.fact))
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("%v, want %v to %v", took, tt.least, tt.most)
				}
				if len(tt.want) == 0 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var abort *barrier.Abort
				if !errors.As(err, &abort) {
					t.Fatalf("%v is no abort", err)
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v\nlacks %q", err, want)
					}
				}
			})
		})
	}
}

// Whatever something takes, it is seen soon after, and in few looks.
func TestPause(t *testing.T) {
	for takes := 100 * time.Millisecond; takes < 10*time.Minute; takes = takes * 5 / 4 {
		at, looks := time.Duration(0), 1
		for at < takes {
			at += barrier.Pause(at, 5*time.Second)
			looks++
		}
		if late := at - takes; late > max(takes/4, 250*time.Millisecond) {
			t.Errorf("%v is seen %v late", takes, late)
		}
		if looks > 20+int(takes/(5*time.Second)) {
			t.Errorf("%v takes %d looks", takes, looks)
		}
	}
}

// Facts are waited for side by side, and the first that is lost ends the waiting
// for the others.
func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lambdatest.New()
		l.Create("site", "live", []byte("old"))
		l.Create("other", "", []byte("old"))
		l.Next(lambdatest.Script{Takes: 30 * time.Second})
		update(t, l, "bmV3")
		both := append(fact(t, "lambda site updated"), fact(t, "lambda other updated")...)
		w := asked(l)
		var mu sync.Mutex
		held := make(map[string]time.Duration)
		w.Each = func(p barrier.Progress) {
			mu.Lock()
			defer mu.Unlock()
			if p.Holds {
				held[p.Fact.Name] = p.After
			}
		}
		if err := w.Wait(t.Context(), both); err != nil {
			t.Error(err)
		}
		if held["other"] > time.Second || held["site"] < 30*time.Second || held["site"] > 36*time.Second {
			t.Errorf("%v", held)
		}
		lost := append(fact(t, "lambda site updated sha256 none"), fact(t, "lambda nobody updated")...)
		began := time.Now()
		err := w.Wait(t.Context(), lost)
		if err == nil || !strings.Contains(err.Error(), "lambda nobody updated") || strings.Contains(err.Error(), "lambda site") || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lambdatest.New()
		l.Create("site", "", []byte("old"))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 7*time.Second, errors.New("enough"))
		defer cancel()
		err := asked(l).Wait(ctx, fact(t, "lambda site updated sha256 none"))
		if err == nil || err.Error() != "wait for lambda site updated sha256 none: enough" {
			t.Error(err)
		}
	})
}

// fakeDistribution answers with a status after another.
type fakeDistribution struct {
	answers []any // string or error
	asked   int
}

func (d *fakeDistribution) GetDistribution(context.Context, *cloudfront.GetDistributionInput, ...func(*cloudfront.Options)) (*cloudfront.GetDistributionOutput, error) {
	a := d.answers[min(d.asked, len(d.answers)-1)]
	d.asked++
	switch a := a.(type) {
	case error:
		return nil, a
	case string:
		return &cloudfront.GetDistributionOutput{Distribution: &cftypes.Distribution{Status: &a}}, nil
	}
	return &cloudfront.GetDistributionOutput{}, nil
}

func TestDistribution(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers []any
		want    string
	}{
		{"deployed in the end", []any{"InProgress", "", nil, &smithy.GenericAPIError{Code: "Throttling"}, "InProgress", "Deployed"}, ""},
		{"stays in progress", []any{"InProgress"}, "distribution E2EXAMPLE1234 deployed: not true within 15m0s; last seen: Status InProgress"},
		{"none", []any{&smithy.GenericAPIError{Code: "NoSuchDistribution"}}, "NoSuchDistribution"},
		{"denied", []any{&smithy.GenericAPIError{Code: "AccessDenied"}}, "cloudfront:GetDistribution"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &fakeDistribution{answers: tt.answers}
				w := &barrier.Waiter{Clients: barrier.Clients{CloudFront: func(string) barrier.Distributions { return d }}}
				err := w.Wait(t.Context(), fact(t, "distribution E2EXAMPLE1234 deployed"))
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("%v, want %q", err, tt.want)
				}
			})
		})
	}
}

// An alias that shares its requests between two versions, or whose provisioned
// concurrency is not there yet, is not updated.
func TestAliasWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lambdatest.New()
		l.Create("site", "live", []byte("old"))
		l.Provision("site", "live", 5)
		l.Next(lambdatest.Script{Version: 8 * time.Second, Shared: 20 * time.Second})
		update(t, l, "bmV3")
		call := func(method, path, body string) {
			w := httptest.NewRecorder()
			l.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/2015-03-31/functions/site"+path, strings.NewReader(body)))
			if w.Code >= 300 {
				t.Fatalf("%s: %s", path, w.Body)
			}
		}
		call(http.MethodPost, "/versions", `{}`)
		call(http.MethodPut, "/aliases/live", `{"RoutingConfig":{"AdditionalVersionWeights":{"2":0.1}}}`)
		w := asked(l)
		err := w.Wait(t.Context(), fact(t, "lambda site:live updated within 2s"))
		if err == nil || !strings.Contains(err.Error(), "sends 10 % of the requests to version 2, and the others to version 1") {
			t.Error(err)
		}
		call(http.MethodPut, "/aliases/live", `{"FunctionVersion":"2","RoutingConfig":{"AdditionalVersionWeights":{}}}`)
		var saw []string
		w.Each = func(p barrier.Progress) { saw = append(saw, p.Saw) }
		began := time.Now()
		if err := w.Wait(t.Context(), fact(t, "lambda site:live updated version 2")); err != nil || time.Since(began) < 20*time.Second || time.Since(began) > 26*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		all := strings.Join(saw, "\n")
		for _, want := range []string{"State Pending: Creating", "provisioned concurrency: 0 of 5 are ready", "version 2 Successful, Active"} {
			if !strings.Contains(all, want) {
				t.Errorf("%q is not in\n%s", want, all)
			}
		}
	})
}
