package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lambdaRuntime stands in for the API by which a function gets its events.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
type lambdaRuntime struct {
	*httptest.Server
	events   chan lambdaEvent
	answers  chan lambdaAnswer
	requests atomic.Int64
}

type lambdaEvent struct {
	id, payload string
	timeout     time.Duration
}

type lambdaAnswer struct {
	id, kind string // kind: response, error or init
	body     string
	at       time.Time
}

func newLambdaRuntime(t testing.TB) *lambdaRuntime {
	t.Helper()
	rt := &lambdaRuntime{events: make(chan lambdaEvent), answers: make(chan lambdaAnswer, 16)}
	const root = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case e := <-rt.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", e.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(e.timeout).UnixMilli(), 10))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:freshet")
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, e.payload)
		case <-r.Context().Done(): // the function was killed, or the test is over
		}
	})
	answered := func(kind string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return // it was killed while it answered
			}
			rt.answers <- lambdaAnswer{id: r.PathValue("id"), kind: kind, body: string(body), at: time.Now()}
			w.WriteHeader(http.StatusAccepted)
		}
	}
	mux.HandleFunc("POST "+root+"invocation/{id}/response", answered("response"))
	mux.HandleFunc("POST "+root+"invocation/{id}/error", answered("error"))
	mux.HandleFunc("POST "+root+"init/error", answered("init"))
	rt.Server = httptest.NewServer(mux)
	t.Cleanup(func() { rt.CloseClientConnections(); rt.Close() })
	return rt
}

// send hands an event to the function that asks next, and returns its request ID.
func (rt *lambdaRuntime) send(t testing.TB, payload string, timeout time.Duration) (id string) {
	t.Helper()
	id = fmt.Sprintf("00000000-0000-4000-8000-%012d", rt.requests.Add(1))
	select {
	case rt.events <- lambdaEvent{id, payload, timeout}:
	case <-time.After(patience):
		t.Fatal("no function asks for an event")
	}
	return id
}

// invoke sends an event and returns what the function answers.
func (rt *lambdaRuntime) invoke(t testing.TB, payload string, timeout time.Duration) lambdaAnswer {
	t.Helper()
	id, due := rt.send(t, payload, timeout), time.Now().Add(timeout)
	select {
	case a := <-rt.answers:
		if a.id != id {
			t.Fatalf("%s was answered in place of %s: %s", a.id, id, a.body)
		}
		if late := a.at.Sub(due); late > patience/6 { // who stands still cannot answer
			t.Errorf("answered %v after the deadline", late)
		}
		return a
	case <-time.After(timeout + patience):
		t.Fatal("the function does not answer")
	}
	return lambdaAnswer{}
}

// lambdaFunction is a process of the function.
type lambdaFunction struct {
	command *exec.Cmd
	out     *safeBuffer
	exited  chan struct{}
	err     error // how it ended; to be read after exited
}

// buildBootstrap builds the function as it is put into the zip.
func buildBootstrap(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-ldflags=-s -w", "-o", file, "../../cmd/freshet-lambda")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the function: %v\n%s", err, text)
	}
	return file
}

// startLambda runs a program as Lambda would, with the API of f for CloudFront's
// and a configuration as if it were in the zip.
func startLambda(t testing.TB, f *running, rt *lambdaRuntime, document string, program ...string) *lambdaFunction {
	t.Helper()
	return startLambdaIn(t, f, rt, nil, document, program...)
}

// startLambdaIn adds to the environment.
func startLambdaIn(t testing.TB, f *running, rt *lambdaRuntime, environ []string, document string, program ...string) *lambdaFunction {
	t.Helper()
	task := t.TempDir()
	if err := os.WriteFile(filepath.Join(task, "freshet.yaml"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	fn := &lambdaFunction{command: exec.Command(program[0], program[1:]...), out: new(safeBuffer), exited: make(chan struct{})}
	fn.command.Dir, fn.command.Stdout, fn.command.Stderr = task, fn.out, fn.out
	fn.command.Env = append(f.environ(), "AWS_REGION="+f.Region, "AWS_ENDPOINT_URL_CLOUDFRONT="+f.API, "AWS_LAMBDA_FUNCTION_NAME=freshet", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256",
		"AWS_LAMBDA_RUNTIME_API="+hostOf(rt.URL))
	fn.command.Env = append(fn.command.Env, environ...)
	if err := fn.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		fn.err = fn.command.Wait()
		close(fn.exited)
	}()
	t.Cleanup(fn.kill)
	return fn
}

func (fn *lambdaFunction) kill() {
	_ = fn.command.Process.Kill()
	<-fn.exited
}

// await waits until the function has written a text so many times.
func (fn *lambdaFunction) await(t testing.TB, text string, times int) {
	t.Helper()
	for limit := time.Now().Add(patience); strings.Count(fn.out.String(), text) < times; {
		if time.Now().After(limit) {
			t.Fatalf("the function does not write %q:\n%s", text, tail(fn.out.String(), 4000))
		}
		<-time.After(10 * time.Millisecond)
	}
}

// letter is a message of SQS about an object of f's bucket.
type letter struct {
	id, body string
	received int
}

func (f *running) letter(n int, key string) letter {
	body := fmt.Sprintf(`{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","eventTime":%q,"s3":{"bucket":{"name":%q},"object":{"key":%q,"size":1,"eTag":"e","sequencer":"%016X"}}}]}`,
		time.Now().UTC().Format(time.RFC3339Nano), f.Bucket, key, n)
	return letter{id: fmt.Sprint("m-", n), body: body}
}

// deliver has the function invoked with messages as SQS does it, and returns
// those that come again.
func (rt *lambdaRuntime) deliver(t testing.TB, letters []letter, timeout time.Duration) (again []letter) {
	t.Helper()
	answer := rt.invoke(t, batchOf(letters), timeout)
	var said struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal([]byte(answer.body), &said); err != nil || answer.kind != "response" {
		t.Fatalf("%+v: %v", answer, err)
	}
	failed := make(map[string]bool)
	for _, x := range said.BatchItemFailures {
		failed[x.ItemIdentifier] = true
	}
	for _, l := range letters {
		if failed[l.id] {
			again = append(again, l)
			delete(failed, l.id)
		}
	}
	if len(failed) > 0 {
		t.Errorf("failures of nobody: %v", failed)
	}
	return again
}

// batchOf counts another delivery of each message.
func batchOf(letters []letter) string {
	records := make([]map[string]any, len(letters))
	for i := range letters {
		l := &letters[i]
		l.received++
		records[i] = map[string]any{"messageId": l.id, "receiptHandle": "h", "body": l.body, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
			"eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:changes", "attributes": map[string]string{"ApproximateReceiveCount": strconv.Itoa(l.received)}}
	}
	text, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		panic(err)
	}
	return string(text)
}
