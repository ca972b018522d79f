package lambda

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/source/s3event"
)

// said is what was found in an event, in a line.
func said(m mail) string {
	var parts []string
	for _, c := range m.objects.Changes {
		parts = append(parts, fmt.Sprintf("%s:%s %s", c.At.Message, c.Op, c.Key))
	}
	for _, s := range m.objects.Skipped {
		parts = append(parts, s.At.Message+":skip "+s.Event)
	}
	for _, p := range m.objects.Problems {
		parts = append(parts, p.At.Message+":bad")
	}
	for _, n := range m.notices {
		parts = append(parts, n.message+":notice "+n.Source)
	}
	for _, o := range m.orders {
		parts = append(parts, fmt.Sprintf("%s:order %s %v %d", o.message, o.Distribution, o.Invalidate, len(o.Changes)))
	}
	if m.job != nil {
		parts = append(parts, "job "+m.job.ID)
	}
	for _, l := range m.messages {
		parts = append(parts, "<"+l.id+l.group+">")
	}
	if m.again {
		parts = append(parts, "again")
	}
	return strings.Join(parts, "; ")
}

func TestShapes(t *testing.T) {
	order := map[string]any{"freshet": map[string]any{"distribution": "E1", "invalidate": []string{"/a", "/b*"}}}
	commit := map[string]any{"source": "aws.codecommit", "detail-type": "CodeCommit Repository State Change", "id": "1", "detail": map[string]any{}}
	bridge := map[string]any{
		"source": "aws.s3", "detail-type": "Object Created", "time": "2026-11-20T10:00:00Z",
		"detail": map[string]any{"bucket": map[string]any{"name": "site"}, "object": map[string]any{"key": "a b", "sequencer": "01"}, "reason": "PutObject"},
	}
	test := map[string]any{"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-11-20T10:00:00Z", "Bucket": "site"}
	sns := func(v any) map[string]any { return records(map[string]any{"EventSource": "aws:sns", "Sns": inSNS(v)}) }
	fifo := map[string]any{"eventSourceARN": "arn:aws:sqs:eu-west-1:1:q.fifo", "attributes": map[string]any{"ApproximateReceiveCount": "1", "MessageGroupId": "g"}}
	fair := map[string]any{"eventSourceARN": "arn:aws:sqs:eu-west-1:1:q", "attributes": map[string]any{"ApproximateReceiveCount": "1", "MessageGroupId": "g"}}
	damaged := map[string]any{"messageId": "m2", "body": 7, "eventSource": "aws:sqs"}
	for name, c := range map[string]struct {
		event any
		want  string // what was found, or the error after an exclamation mark
	}{
		"S3":                       {records(put("a+b%2B.txt", 1), put("c", 2)), ":put a b+.txt; :put c"},
		"S3, a record damaged":     {records(put("a", 1), map[string]any{"eventSource": 5, "s3": "?"}), ":put a; :bad"},
		"a record by itself":       {put("a", 1), ":put a"},
		"test event":               {test, ":skip s3:TestEvent"},
		"SNS":                      {sns(records(put("a", 1))), ":put a"},
		"SNS, no message":          {records(map[string]any{"Sns": map[string]any{"Type": "Notification"}}, map[string]any{"Sns": inSNS(records(put("a", 1)))}), ":put a; :bad"},
		"SNS, order":               {sns(order), ":order E1 [/a /b*] 0"},
		"SQS":                      {records(letter("m1", records(put("a", 1))), letter("m2", test)), "m1:put a; m2:skip s3:TestEvent; <m1>; <m2>"},
		"SQS, delivered again":     {records(letter("m1", records(put("a", 1)), again(2))), "m1:put a; <m1>; again"},
		"SQS, a body damaged":      {records(letter("m1", "{"), letter("m2", records(put("a", 1)))), "m2:put a; m1:bad; <m1>; <m2>"},
		"SQS, a first one damaged": {records(damaged, letter("m1", commit)), "m2:bad; m1:notice aws.codecommit; <m2>; <m1>"},
		"SQS, all but damaged":     {`{"Records":[7,` + textFrom(letter("m1", records(put("a", 1)))) + `]}`, "m1:put a; :bad; <m1>"},
		"SQS, FIFO":                {records(letter("m1", records(put("a", 1)), fifo)), "m1:put a; <m1g>"},
		"SQS, fair":                {records(letter("m1", records(put("a", 1)), fair)), "m1:put a; <m1>"},
		"SNS in SQS":               {records(letter("m1", inSNS(records(put("a", 1))))), "m1:put a; <m1>"},
		"SNS in SQS asks":          {records(letter("m1", map[string]any{"Type": "SubscriptionConfirmation", "Message": "You", "TopicArn": "a"})), "m1:skip SubscriptionConfirmation; <m1>"},
		"EventBridge":              {bridge, ":put a b"},
		"EventBridge in SQS":       {records(letter("m1", bridge), letter("m2", commit)), "m1:put a b; m2:notice aws.codecommit; <m1>; <m2>"},
		"EventBridge in SNS":       {sns(bridge), ":put a b"},
		"pipe of EventBridge":      {`[` + textFrom(letter("m1", records(put("a", 1)))) + `,` + textFrom(letter("m2", "?")) + `]`, "m1:put a; m2:bad; <m1>; <m2>"},
		"array":                    {`[` + textFrom(bridge) + `,` + textFrom(order) + `,7]`, ":put a b; :bad; :order E1 [/a /b*] 0"},
		"notice":                   {commit, ":notice aws.codecommit"},
		"order":                    {order, ":order E1 [/a /b*] 0"},
		"order in SQS":             {records(letter("m1", order)), "m1:order E1 [/a /b*] 0; <m1>"},
		"order of objects":         {`{"freshet":{"changes":[{"bucket":"site","key":"a"}]}}`, ":order  [] 1"},
		"order of nothing":         {`{"freshet":{"distribution":"E1"}}`, `!needs either "invalidate"`},
		"order of both":            {`{"freshet":{"invalidate":["/a"],"changes":[{"bucket":"site","key":"a"}]}}`, `!needs either "invalidate"`},
		"order, misspelt":          {`{"freshet":{"distribution":"E1","paths":["/a"]}}`, `!unknown field "paths"`},
		"order, no path":           {`{"freshet":{"distribution":"E1","invalidate":["a"]}}`, `!"a"`},
		"order, no key":            {`{"freshet":{"changes":[{"bucket":"site"}]}}`, "!changes[0]: it needs a bucket and a key"},
		"job":                      {`{"CodePipeline.job":{"id":"j1","data":{}}}`, "job j1"},
		"job without ID":           {`{"CodePipeline.job":{}}`, "!it has no id"},
		"job in SQS":               {records(letter("m1", `{"CodePipeline.job":{"id":"j1"}}`)), "m1:bad; <m1>"},
		"unknown":                  {`{"version":"2.0","routeKey":"$default","body":"x"}`, "!its shape is unknown: it has body, routeKey, version; expected"},
		"empty":                    {`{}`, "!it has no properties"},
		"null":                     {`null`, "!it has no properties"},
		"text":                     {`"hello"`, "!expected a JSON object or array"},
		"no JSON":                  {`{"Records"`, "!not JSON"},
		"records of nobody":        {`{"Records":{"a":1}}`, "!Records: found an object"},
		"too deep":                 {records(letter("m1", inSNS(inSNS(inSNS(records(put("a", 1))))))), "m1:bad; <m1>"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := open([]byte(textFrom(c.event)))
			if want, wrong := strings.CutPrefix(c.want, "!"); wrong {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, %v, want the error %q", said(m), err, want)
				}
				return
			}
			if err != nil || said(m) != c.want {
				t.Errorf("got  %q, %v\nwant %q", said(m), err, c.want)
			}
		})
	}
}

// Whatever s3event reads is read here too, record by record.
func TestRecordedEvents(t *testing.T) {
	files, err := filepath.Glob("../source/s3event/testdata/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "-- input --\n")
		input, _, _ := strings.Cut(rest, "-- want --")
		want, err := s3event.Parse([]byte(input), s3event.Options{})
		m, opened := open([]byte(input))
		if err != nil {
			if opened == nil && m.objects.Records()+len(m.notices) > 0 && len(m.objects.Problems) == 0 {
				t.Errorf("%s: read as %q, want an error like %v", file, said(m), err)
			}
			continue
		}
		if opened != nil && len(want.Changes) > 0 {
			t.Errorf("%s: %v", file, opened)
		}
		if got := len(m.objects.Changes); got != len(want.Changes) {
			t.Errorf("%s: %d changes, want %d: %s", file, got, len(want.Changes), said(m))
		}
		if opened == nil && len(want.Problems) > 0 && len(m.objects.Problems)+len(m.notices) == 0 {
			t.Errorf("%s: problems got lost", file)
		}
	}
}
