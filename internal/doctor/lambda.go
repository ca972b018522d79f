package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Queues is what is asked of SQS; *sqs.Client has it.
type Queues interface {
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
}

// Logs is what is asked of CloudWatch; *cloudwatchlogs.Client has it.
type Logs interface {
	FilterLogEvents(context.Context, *cloudwatchlogs.FilterLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error)
}

// Lambda is what is asked of it; *lambda.Client has it.
type Lambda interface {
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
	lambda.ListEventSourceMappingsAPIClient
}

// Worker is the Lambda function that invalidates.
type Worker struct {
	State, Update, Reason string
	Reserved              *int32 // concurrency; nil: not limited
	DeadLetters           bool   // it has a dead-letter target of its own
	Ours                  bool   // it is freshet's, by its environment
	Table                 string // in which it shares its quota
	Sources               []Feed
	Failures              []Failure // within the last day, the newest last
	Unread                error     // why its log cannot be read
}

// Feed is an event source mapping.
type Feed struct {
	ARN, State string
	Queue      *Backlog // of SQS; nil: it is none
}

// Backlog is what a queue holds.
type Backlog struct {
	Waiting, Dead int
	DeadLetters   string // ARN of the dead-letter queue; empty: it has none
	Err           error  // why it cannot be read
}

// Failure is a line of the function's log.
type Failure struct {
	At   time.Time
	Text string
}

// worker judges the function, where one was named.
func (s Seen) worker() (findings []Finding) {
	const check = "lambda"
	if s.Function == "" {
		return nil
	}
	add := func(l Level, saw, do string) {
		findings = append(findings, Finding{Level: l, Check: check, Saw: s.Function + ": " + saw, Do: do})
	}
	w, err := s.Worker.Is, s.Worker.Err
	if s.Own {
		add(Note, "not looked at: a running freshet invalidates by itself", "")
		return findings
	}
	if codeOf(err) == "ResourceNotFoundException" {
		add(Error, "there is no such function in "+cmp.Or(s.Home.Is, s.Region), "look at its name, account and region")
		return findings
	} else if err != nil {
		add(Warning, "it cannot be read: "+why(err), remedy(err, "lambda:GetFunction and lambda:ListEventSourceMappings"))
		return findings
	}
	if w.State == "Failed" || w.State == "Pending" {
		add(Error, "its state is "+w.State+reason(w), "wait a minute if it was just made; otherwise deploy it again")
	}
	if w.Update == "Failed" {
		add(Warning, "its last update failed"+reason(w)+": the code before still runs", "deploy it again")
	}
	if w.Reserved != nil && *w.Reserved == 0 {
		add(Error, "its reserved concurrency is 0: it never runs", "raise it, or remove the reservation")
	}
	for _, f := range w.Sources {
		if f.State != "Enabled" {
			add(Error, fmt.Sprintf("the event source mapping of %s is %s: its events wait", f.ARN, f.State), "enable it: aws lambda update-event-source-mapping --enabled")
		}
	}
	if len(w.Sources) == 0 && !w.DeadLetters {
		add(Warning, "it is invoked directly and has no dead-letter target: events that fail three times are lost", "put a queue between the bucket and the function, or give it a dead-letter target or a destination on failure")
	}
	if w.Ours && w.Table == "" && (w.Reserved == nil || *w.Reserved > 1) {
		add(Warning, "several may run at a time, and no table shares CloudFront's quota among them", "freshet aws install --concurrency 1, or --table NAME")
	}
	w.backlog(add)
	w.failures(s.Function, add)
	if len(findings) == 0 {
		add(OK, "active, fed by "+count(len(w.Sources), "event source mapping"), "")
	}
	return findings
}

// backlog judges the queues that feed the function.
func (w Worker) backlog(add func(l Level, saw, do string)) {
	for _, f := range w.Sources {
		q := f.Queue
		switch {
		case q == nil:
		case q.Err != nil:
			add(Warning, "its queue "+f.ARN+" cannot be read: "+why(q.Err), remedy(q.Err, "sqs:GetQueueUrl and sqs:GetQueueAttributes"))
		case q.DeadLetters == "":
			add(Warning, "the queue "+f.ARN+" has no dead-letter queue: what cannot be done is tried until SQS drops it", "give it one, or let freshet aws install make the queues")
		case q.Dead > 0:
			add(Error, count(q.Dead, "change")+" could not be invalidated and lie in "+q.DeadLetters,
				"read why in the function's log, mend it, and have them done again: aws sqs start-message-move-task --source-arn "+q.DeadLetters)
		}
	}
}

// failures judges what the function wrote.
func (w Worker) failures(name string, add func(l Level, saw, do string)) {
	const permission = "logs:FilterLogEvents on its log group"
	switch {
	case w.Unread != nil && codeOf(w.Unread) != "ResourceNotFoundException": // it has not run yet
		add(Warning, "its log cannot be read: "+why(w.Unread), remedy(w.Unread, permission))
	case len(w.Failures) > 0:
		last := w.Failures[len(w.Failures)-1]
		add(Warning, fmt.Sprintf("%s in its log within a day, the last at %s: %s", count(len(w.Failures), "error"), last.At.UTC().Format(time.RFC3339), last.Text),
			"aws logs tail "+logGroup(name)+" --since 1d")
	}
}

func logGroup(function string) string { return "/aws/lambda/" + function }

func reason(w Worker) string {
	if w.Reason == "" {
		return ""
	}
	return " (" + w.Reason + ")"
}

// lambda reads the function in the bucket's region, from where it is told.
func (c Config) lambda(ctx context.Context, name, region string) (w Worker, err error) {
	in := func(o *lambda.Options) {
		if region != "" && o.BaseEndpoint == nil {
			o.Region = region
		}
	}
	out, err := c.Lambda.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name}, in)
	if err != nil {
		return w, err
	}
	if f := out.Configuration; f != nil {
		w.State, w.Update, w.Reason = string(f.State), string(f.LastUpdateStatus), aws.ToString(f.StateReason)
		if w.Update == "Failed" {
			w.Reason = aws.ToString(f.LastUpdateStatusReason)
		}
		if f.Environment != nil {
			w.Table = f.Environment.Variables["FRESHET_QUOTA_TABLE"]
			for variable := range f.Environment.Variables {
				w.Ours = w.Ours || strings.HasPrefix(variable, "FRESHET_")
			}
		}
		w.DeadLetters = f.DeadLetterConfig != nil && aws.ToString(f.DeadLetterConfig.TargetArn) != ""
	}
	if out.Concurrency != nil {
		w.Reserved = out.Concurrency.ReservedConcurrentExecutions
	}
	pages := lambda.NewListEventSourceMappingsPaginator(c.Lambda, &lambda.ListEventSourceMappingsInput{FunctionName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, in)
		if err != nil {
			return w, err
		}
		for _, m := range page.EventSourceMappings {
			feed := Feed{ARN: aws.ToString(m.EventSourceArn), State: aws.ToString(m.State)}
			if strings.Contains(feed.ARN, ":sqs:") && c.SQS != nil {
				feed.Queue = c.backlog(ctx, feed.ARN, region)
			}
			w.Sources = append(w.Sources, feed)
		}
	}
	if c.Logs != nil {
		w.Failures, w.Unread = c.failures(ctx, name, region)
	}
	return w, nil
}

// backlog reads a queue and its dead-letter queue.
func (c Config) backlog(ctx context.Context, arn, region string) *Backlog {
	attributes, err := c.queue(ctx, arn, region)
	if err != nil {
		return &Backlog{Err: err}
	}
	b := &Backlog{Waiting: waiting(attributes)}
	var redrive struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if json.Unmarshal([]byte(attributes["RedrivePolicy"]), &redrive) != nil || redrive.Target == "" {
		return b
	}
	b.DeadLetters = redrive.Target
	if attributes, b.Err = c.queue(ctx, redrive.Target, region); b.Err == nil {
		b.Dead = waiting(attributes)
	}
	return b
}

func waiting(attributes map[string]string) int {
	n, _ := strconv.Atoi(attributes[string(types.QueueAttributeNameApproximateNumberOfMessages)]) // SQS's own number
	return n
}

func (c Config) queue(ctx context.Context, arn, region string) (map[string]string, error) {
	in := func(o *sqs.Options) {
		if region != "" && o.BaseEndpoint == nil {
			o.Region = region
		}
	}
	parts := strings.Split(arn, ":") // arn:aws:sqs:REGION:ACCOUNT:NAME
	if len(parts) != 6 {
		return nil, fmt.Errorf("%q is no ARN of a queue", arn)
	}
	at, err := c.SQS.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &parts[5], QueueOwnerAWSAccountId: &parts[4]}, in)
	if err != nil {
		return nil, err
	}
	out, err := c.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: at.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}}, in)
	if err != nil {
		return nil, err
	}
	return out.Attributes, nil
}

const (
	failuresFor  = 24 * time.Hour
	mostFailures = 100
)

// failures reads what the function logged as errors, and what Lambda says of its
// end.
func (c Config) failures(ctx context.Context, name, region string) (found []Failure, err error) {
	out, err := c.Logs.FilterLogEvents(ctx, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String(logGroup(name)), StartTime: aws.Int64(time.Now().Add(-failuresFor).UnixMilli()), Limit: aws.Int32(mostFailures),
		FilterPattern: aws.String(`?"\"level\":\"ERROR\"" ?"Task timed out" ?"Runtime exited"`),
	}, func(o *cloudwatchlogs.Options) {
		if region != "" && o.BaseEndpoint == nil {
			o.Region = region
		}
	})
	if err != nil {
		return nil, err
	}
	for _, e := range out.Events {
		text := strings.TrimSpace(aws.ToString(e.Message))
		if len(text) > 300 {
			text = strings.ToValidUTF8(text[:300], "") + "…"
		}
		found = append(found, Failure{time.UnixMilli(aws.ToInt64(e.Timestamp)), text})
	}
	return found, nil
}
