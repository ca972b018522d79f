package doctor

import (
	"cmp"
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

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
	Sources               []Feed
}

// Feed is an event source mapping.
type Feed struct{ ARN, State string }

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
	if len(findings) == 0 {
		add(OK, "active, fed by "+count(len(w.Sources), "event source mapping"), "")
	}
	return findings
}

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
			w.Sources = append(w.Sources, Feed{aws.ToString(m.EventSourceArn), aws.ToString(m.State)})
		}
	}
	return w, nil
}
