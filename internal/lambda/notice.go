package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	ltypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/freshet/freshet/internal/source/batch"
)

// Updates is what a function asks of Lambda about another one; *lambda.Client has
// it. It needs the permission lambda:GetFunction on it.
type Updates interface {
	GetFunction(context.Context, *lambda.GetFunctionInput, ...func(*lambda.Options)) (*lambda.GetFunctionOutput, error)
}

// notice turns an event of EventBridge into changes of objects or orders. One that
// no part of the configuration is about is passed over.
func (r *run) notice(ctx context.Context, n notice) ([]batch.Change, []order, error) {
	switch {
	case n.Source == "aws.codecommit" && n.DetailType == "CodeCommit Repository State Change":
		changes, err := r.commit(ctx, n)
		return changes, nil, err
	case n.Source == "aws.cloudformation" && n.DetailType == "CloudFormation Stack Status Change":
		orders, err := r.stack(n)
		return nil, orders, err
	case n.Source == "aws.lambda" && n.DetailType == "AWS API Call via CloudTrail":
		orders, err := r.function(ctx, n)
		return nil, orders, err
	}
	return nil, nil, fmt.Errorf("an event of EventBridge about %q from %q is not known here; expected aws.s3, aws.codecommit, aws.cloudformation or aws.lambda", n.DetailType, n.Source)
}

// skip notes that nobody asked to react.
func (r *run) skip(n notice, reason string) {
	r.meter.add(skipped, 1)
	r.log.Info("passed over", "event", n.DetailType, "reason", reason)
}

// stack reacts to stacks that were created or updated.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacks-event-detail.html
func (r *run) stack(n notice) ([]order, error) {
	var detail struct {
		StackID string `json:"stack-id"`
		Status  struct {
			Status string `json:"status"`
		} `json:"status-details"`
	}
	if err := json.Unmarshal(n.Detail, &detail); err != nil {
		return nil, fmt.Errorf("read a change of a stack: %w", err)
	}
	name := detail.StackID
	if parts := strings.Split(detail.StackID, "/"); len(parts) >= 2 {
		name = parts[1] // arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME/ID
	}
	switch detail.Status.Status {
	case "CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_ROLLBACK_COMPLETE":
		return r.reactions(n, func(x Reaction) bool { return x.Stack == name }, "nothing is to be done about the stack "+name), nil
	}
	r.skip(n, name+" is "+detail.Status.Status)
	return nil, nil
}

// function reacts to new code of a Lambda function, as soon as it is the one that
// answers: until then the old code would fill the cache again.
func (r *run) function(ctx context.Context, n notice) ([]order, error) {
	var detail struct {
		EventName string `json:"eventName"`
		ErrorCode string `json:"errorCode"`
		Request   struct {
			FunctionName string `json:"functionName"`
		} `json:"requestParameters"`
	}
	if err := json.Unmarshal(n.Detail, &detail); err != nil {
		return nil, fmt.Errorf("read a call of Lambda: %w", err)
	}
	call := strings.TrimRight(detail.EventName, "0123456789v_") // UpdateFunctionCode20150331v2
	name := functionName(detail.Request.FunctionName)
	orders := r.reactions(n, func(x Reaction) bool { return functionName(x.Function) == name && name != "" }, "nothing is to be done about the function "+name)
	switch {
	case len(orders) == 0:
		return nil, nil
	case detail.ErrorCode != "":
		r.skip(n, call+" failed: "+detail.ErrorCode)
		return nil, nil
	case call == "UpdateAlias":
		return orders, nil
	case call == "UpdateFunctionCode" || call == "UpdateFunctionConfiguration":
		if answers, err := r.updated(ctx, name); err != nil || !answers {
			return nil, err
		}
		return orders, nil
	}
	r.skip(n, call+" changes no answer")
	return nil, nil
}

// functionName takes the name out of an ARN or a partial one.
func functionName(name string) string {
	if _, after, ok := strings.Cut(name, "function:"); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// updated waits until the function's new code answers, and returns false if it
// never will.
func (r *run) updated(ctx context.Context, name string) (answers bool, err error) {
	if r.world.Updates == nil {
		return false, fmt.Errorf("the function %s was updated, but there is no client to see when that is done", name)
	}
	waiter := lambda.NewFunctionUpdatedV2Waiter(r.world.Updates, func(o *lambda.FunctionUpdatedV2WaiterOptions) {
		o.MinDelay, o.MaxDelay = 500*time.Millisecond, 5*time.Second // its own go up to five minutes
	})
	limit := r.left(ctx)
	if err := waiter.Wait(ctx, &lambda.GetFunctionInput{FunctionName: &name}, limit); err != nil {
		out, asked := r.world.Updates.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name})
		if asked == nil && out.Configuration != nil && out.Configuration.LastUpdateStatus == ltypes.LastUpdateStatusFailed {
			r.log.Error("the function's update failed, so its old code answers still: nothing is invalidated", "function", name,
				"reason", aws.ToString(out.Configuration.LastUpdateStatusReason), "code", string(out.Configuration.LastUpdateStatusReasonCode))
			return false, nil
		}
		return false, fmt.Errorf("wait for the update of the function %s: %w", name, err)
	}
	return true, nil
}

// reactions are the orders of those parts of the configuration that match.
func (r *run) reactions(n notice, match func(Reaction) bool, otherwise string) (orders []order) {
	for i, x := range r.cfg.Reactions {
		if !match(x) {
			continue
		}
		o := order{message: n.message, Distribution: x.Distribution, Reference: fmt.Sprintf("%s %d", n.ID, i)}
		for _, p := range x.Invalidate {
			o.Invalidate = append(o.Invalidate, string(p))
		}
		orders = append(orders, o)
	}
	if len(orders) == 0 {
		r.skip(n, otherwise)
	}
	return orders
}
