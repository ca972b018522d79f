package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// quoted is a text as JSON has it in a string.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Every shape through the program as it is deployed: what follows from it is
// invalidated, and who waits for an answer gets one.
func TestLambdaTakesEveryShape(t *testing.T) {
	f := start(t, options{})
	rt, a := newLambdaRuntime(t), newAccount(t)
	a.update = "Successful"
	document := fmt.Sprintf("distributions: [%s]\n%son:\n  - {stack: site, invalidate: [\"/stack\"]}\n  - {function: render, invalidate: [\"/render\"]}\n", f.Distribution, pathByPath)
	fn := startLambdaIn(t, f, rt, a.environ(), document, buildBootstrap(t))
	record := func(key string) string { return f.letter(1, key).body }
	bridge := func(key string) string {
		return fmt.Sprintf(`{"version":"0","id":"e-%[2]s","detail-type":"Object Created","source":"aws.s3","time":"2026-01-01T00:00:00Z","detail":{"version":"0","bucket":{"name":%[1]q},"object":{"key":%[2]q,"size":1,"etag":"e","sequencer":"01"},"reason":"PutObject"}}`, f.Bucket, key)
	}
	topic := func(text string) string {
		return `{"Type":"Notification","MessageId":"x","TopicArn":"arn:aws:sns:us-east-1:1:t","Message":` + quoted(text) + `}`
	}
	job := func(id, parameters string) string {
		return `{"CodePipeline.job":{"id":"` + id + `","accountId":"1","data":{"actionConfiguration":{"configuration":{"FunctionName":"f","UserParameters":` + quoted(parameters) + `}}}}}`
	}
	for _, c := range []struct{ name, event, kind, want string }{
		{"S3", record("s3"), "response", `"state"`},
		{"SNS", `{"Records":[{"EventSource":"aws:sns","Sns":` + topic(record("sns")) + `}]}`, "response", ""},
		{"EventBridge", bridge("bridge a+b"), "response", ""},
		{"a pipe", "[" + bridge("pipe") + "]", "response", ""},
		{"SQS", batchOf([]letter{{id: "1", body: record("sqs")}, {id: "2", body: topic(record("sns-sqs"))}, {id: "3", body: bridge("bridge-sqs")}}), "response", `{"batchItemFailures":[]}`},
		{"a test", `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-01T00:00:00Z","Bucket":"b","RequestId":"r","HostId":"h"}`, "response", ""},
		{"a stack", `{"id":"1","source":"aws.cloudformation","detail-type":"CloudFormation Stack Status Change","detail":{"stack-id":"arn:aws:cloudformation:us-east-1:1:stack/site/1","status-details":{"status":"UPDATE_COMPLETE"}}}`, "response", ""},
		{"a stack that failed", `{"id":"2","source":"aws.cloudformation","detail-type":"CloudFormation Stack Status Change","detail":{"stack-id":"arn:aws:cloudformation:us-east-1:1:stack/site/1","status-details":{"status":"UPDATE_ROLLBACK_FAILED"}}}`, "response", `{"invalidations":[]}`},
		{"a function", `{"id":"3","source":"aws.lambda","detail-type":"AWS API Call via CloudTrail","detail":{"eventSource":"lambda.amazonaws.com","eventName":"UpdateFunctionCode20150331v2","requestParameters":{"functionName":"render"}}}`, "response", ""},
		{"a pipeline's job", job("good", f.Distribution+" /job"), "response", ""},
		{"a pipeline's job that fails", job("bad", "ENOSUCH /job"), "response", ""},
		{"a pipeline's job that cannot be read", job("odd", "E1 E2 /job"), "response", ""},
		{"another service", `{"id":"4","source":"aws.ec2","detail-type":"EC2 Instance State-change Notification","detail":{}}`, "error", "is not known here; expected aws.s3"},
		{"nothing known", `{"a":1}`, "error", "its shape is unknown: it has a"},
		{"no JSON object", `7`, "error", "read the event"},
	} {
		if got := rt.invoke(t, c.event, patience); got.kind != c.kind || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: got %+v, want %s %s\n%s", c.name, got, c.kind, c.want, tail(fn.out.String(), 1500))
		}
	}
	paths, _ := f.invalidated(t)
	slices.Sort(paths)
	if got, want := strings.Join(slices.Compact(paths), " "), "/bridge%20a%2Bb /bridge+a%2Bb /bridge-sqs /job /pipe /render /s3 /sns /sns-sqs /sqs /stack"; got != want {
		t.Errorf("invalidated %s, want %s", got, want)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	told := strings.Join(a.jobs, "\n")
	for i, want := range []string{"PutJobSuccessResult", "PutJobFailureResult invalidate at ENOSUCH", "PutJobFailureResult read the user parameters"} {
		if len(a.jobs) != 3 || !strings.Contains(a.jobs[i], strings.Split(want, " ")[0]) || !strings.Contains(told, strings.TrimPrefix(want, "PutJobFailureResult ")) {
			t.Errorf("CodePipeline was told\n%s\nwant %s", told, want)
		}
	}
}

// Duplicates, another order, and one of twenty messages damaged: no change is
// missed or invalidated twice, and the damaged come again, alone, so that they end
// among the dead letters.
func TestPromiseLambdaMissesNothing(t *testing.T) {
	f := start(t, options{})
	rt := newLambdaRuntime(t)
	startLambda(t, f, rt, pathByPath+"distributions: ["+f.Distribution+"]\n", buildBootstrap(t))
	random := rand.New(rand.NewPCG(3, 4))
	letters, keys := f.letters(300)
	damaged := make(map[string]bool)
	for i := range 15 {
		whole := letters[random.IntN(300)].body
		l := letter{id: fmt.Sprint("damaged-", i), body: []string{whole[:len(whole)/2], "", `{"Records":[{"eventSource":"aws:s3"}]}`, "\x00\xff", `{"Records":{}}`}[i%5]}
		damaged[l.id] = true
		letters = append(letters, l)
	}
	for i := range 30 {
		again := letters[random.IntN(300)]
		again.id = fmt.Sprint("again-", i)
		letters = append(letters, again)
	}
	random.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
	for some := range slices.Chunk(letters, 120) {
		for _, l := range rt.deliver(t, some, patience) {
			if !damaged[l.id] {
				t.Errorf("%s comes again: %s", l.id, l.body)
			}
			delete(damaged, l.id)
		}
	}
	if len(damaged) > 0 {
		t.Errorf("taken for done: %v", damaged)
	}
	f.wantInvalidatedOnce(t, keys)
}
