package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
)

// Jobs is what a function asks of CodePipeline; *codepipeline.Client has it. It
// needs the permissions codepipeline:PutJobSuccessResult and PutJobFailureResult
// on *.
type Jobs interface {
	PutJobSuccessResult(context.Context, *codepipeline.PutJobSuccessResultInput, ...func(*codepipeline.Options)) (*codepipeline.PutJobSuccessResultOutput, error)
	PutJobFailureResult(context.Context, *codepipeline.PutJobFailureResultInput, ...func(*codepipeline.Options)) (*codepipeline.PutJobFailureResultOutput, error)
}

// job is an action of CodePipeline that waits for an answer.
// https://docs.aws.amazon.com/codepipeline/latest/userguide/actions-invoke-lambda-function.html
type job struct {
	ID   string `json:"id"`
	Data struct {
		ActionConfiguration struct {
			Configuration struct {
				UserParameters string
			} `json:"configuration"`
		} `json:"actionConfiguration"`
		ContinuationToken string `json:"continuationToken"`
	} `json:"data"`
}

// job does what the action's user parameters say, waits for completion, and tells
// CodePipeline. When the function's time is up before, CodePipeline asks again.
// An error is returned only where CodePipeline could not be told.
func (r *run) job(ctx context.Context, j *job) error {
	if r.world.Jobs == nil {
		return fmt.Errorf("job %s of CodePipeline: there is no client to answer it", j.ID)
	}
	r.meter.add(received, 1)
	pending, err := r.work(ctx, j)
	// The answer has to go out even if the time for the work is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err != nil {
		r.fail("", err)
		_, failed := r.world.Jobs.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{JobId: &j.ID, FailureDetails: &types.FailureDetails{
			Type: types.FailureTypeJobFailed, Message: aws.String(clip(err.Error(), 4000)), ExternalExecutionId: aws.String(r.id),
		}})
		if failed != nil {
			return fmt.Errorf("tell CodePipeline that job %s failed (%w): %w", j.ID, err, failed)
		}
		return nil
	}
	in := &codepipeline.PutJobSuccessResultInput{JobId: &j.ID}
	if pending != nil {
		token, err := pending.token()
		if err != nil {
			return err
		}
		in.ContinuationToken = &token
	}
	if _, err := r.world.Jobs.PutJobSuccessResult(ctx, in); err != nil {
		return fmt.Errorf("tell CodePipeline of job %s: %w", j.ID, err)
	}
	return nil
}

// continuation is what a continuation token holds: the job goes on under another
// ID then.
type continuation struct {
	Reference string                `json:"r"`           // of the order
	Pending   []pendingInvalidation `json:"p,omitempty"` // empty: the order is to be given again, which invalidates nothing again
}

type pendingInvalidation struct {
	Distribution string `json:"d"`
	ID           string `json:"i"`
}

// maxToken is what CodePipeline takes.
// https://docs.aws.amazon.com/codepipeline/latest/APIReference/API_PutJobSuccessResult.html
const maxToken = 2048

func (c continuation) token() (string, error) {
	text, err := json.Marshal(c)
	if err == nil && len(text) > maxToken {
		c.Pending = nil
		text, err = json.Marshal(c)
	}
	if err != nil {
		return "", fmt.Errorf("write the continuation token: %w", err)
	}
	return string(text), nil
}

// work returns what is left to do when the time is over; nil if that is nothing.
func (r *run) work(ctx context.Context, j *job) (*continuation, error) {
	next := &continuation{Reference: "codepipeline " + j.ID}
	if token := j.Data.ContinuationToken; token != "" {
		if err := json.Unmarshal([]byte(token), next); err != nil {
			return nil, fmt.Errorf("read the continuation token %q: %w", clip(token, 200), err)
		}
	}
	if len(next.Pending) == 0 {
		o, err := parameters(j.Data.ActionConfiguration.Configuration.UserParameters)
		if err != nil {
			return nil, err
		}
		o.Wait, o.Reference = false, cmp.Or(o.Reference, next.Reference)
		var receipts []freshet.Receipt
		if err = r.hold(ctx); err == nil {
			receipts, err = r.order(ctx, o)
		}
		if err = errors.Join(err, r.failed[""]); err != nil {
			if ctx.Err() != nil {
				return next, nil
			}
			return nil, err
		}
		for _, receipt := range receipts {
			next.Pending = append(next.Pending, pendingInvalidation{receipt.Distribution, receipt.ID})
		}
	}
	var left []pendingInvalidation
	for _, p := range next.Pending {
		receipt := freshet.Receipt{Distribution: p.Distribution, ID: p.ID, State: freshet.Accepted}
		if _, err := apply.Wait(ctx, r.broker, receipt, cloudFrontProfile(p.Distribution, r.cfg)); err != nil {
			if ctx.Err() == nil {
				return nil, err
			}
			left = append(left, p)
		}
	}
	if len(left) == 0 {
		return nil, nil
	}
	next.Pending = left
	return next, nil
}

// parameters reads the user parameters of an action: what a direct invocation has
// below "freshet", or a distribution and paths with white space in between.
func parameters(text string) (o order, err error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") {
		var wrapped struct{ Freshet *order }
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return o, fmt.Errorf("read the user parameters: %w", err)
		}
		if err := json.Unmarshal([]byte(text), &wrapped); err == nil && wrapped.Freshet != nil {
			o = *wrapped.Freshet
		}
	} else {
		for _, word := range strings.Fields(text) {
			if strings.HasPrefix(word, "/") || strings.HasPrefix(word, "#") {
				o.Invalidate = append(o.Invalidate, word)
			} else if o.Distribution == "" {
				o.Distribution = word
			} else {
				return o, fmt.Errorf("read the user parameters: %q is neither a path nor the only distribution", word)
			}
		}
	}
	if err := o.check(); err != nil {
		return o, fmt.Errorf(`read the user parameters %q: %w; write {"distribution": "E…", "invalidate": ["/*"]}, or E… /index.html /news/*`, clip(text, 200), err)
	}
	return o, nil
}
