// Package lambda is the door by which events come in under AWS Lambda. The queue
// is SQS or Lambda's own, the receipts are CloudFront's: nothing is kept here but
// what saves a question.
//
// An event is answered when the CDN has accepted what follows from it. What it has
// not accepted comes again: the messages of SQS one by one, everything else as a
// whole, under the same caller references.
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/apply"
	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/quota"
	"github.com/freshet/freshet/internal/survey"
)

// CDN is what the function asks of CloudFront; *cloudfront.Driver has it.
type CDN interface {
	cdn.Driver
	Listed(ctx context.Context, distribution string, from time.Time, most int) ([]cloudfront.Sent, error)
	Patterns(ctx context.Context, distribution, id string) ([]freshet.Pattern, error)
}

// Handler answers invocations, one after the other, as Lambda calls them.
type Handler struct {
	cfg    Config
	world  World
	broker *quota.Broker
	sites  sites
	done   recent
	meter  *meter

	followers []*follower
}

// World is everything outside that a Handler talks to.
type World struct {
	CDN       CDN
	Account   survey.API
	Jobs      Jobs                          // of CodePipeline; nil: such events are refused
	Commits   Commits                       // of CodeCommit; nil likewise
	Asked     barrier.Clients               // about what is waited for
	Updates   Updates                       // of Lambda functions; nil likewise
	Shared    quota.Store                   // nil: no other instance sends
	Sightings func(name string) quota.Store // where branches were; nil: only this instance remembers
	Log       *slog.Logger
	Metrics   Metrics
}

// New returns a handler.
func New(cfg Config, world World) *Handler {
	h := &Handler{cfg: cfg, world: world, meter: &meter{out: world.Metrics}}
	h.followers = followers(cfg, world)
	h.sites = sites{cfg: cfg, api: world.Account, held: make(map[string]*site)}
	h.broker = quota.New(quota.Config{
		Driver: world.CDN, Store: world.Shared, Default: cfg.quota(), Log: world.Log,
		Pushed: func(string, error) { h.meter.add(throttled, 1) },
	})
	return h
}

// Invoke is lambda.Handler.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	h.meter.begin(time.Now())
	defer h.meter.end()
	ctx, cancel := h.deadline(ctx)
	defer cancel()
	log := h.world.Log
	var id string
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		id = lc.AwsRequestID
		log = log.With("request_id", id)
	}
	mail, err := open(payload)
	if err != nil {
		h.meter.add(unreadable, 1)
		log.Error("cannot read the event", "err", err, "event", clip(string(payload), 2000))
		return nil, err
	}
	run := &run{Handler: h, log: log, id: id, failed: make(map[string]error), mail: mail}
	switch {
	case mail.job != nil:
		return nil, run.job(ctx, mail.job)
	default:
		return run.letters(ctx)
	}
}

// deadline leaves time to answer: a function that is killed gives no partial
// answer, and has its whole event delivered again.
func (h *Handler) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	at, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	left := time.Until(at)
	margin := min(max(left/10, 250*time.Millisecond), 3*time.Second)
	return context.WithDeadlineCause(ctx, at.Add(-margin), errors.New("the function's timeout is near; what is left comes again"))
}

// run is one invocation.
type run struct {
	*Handler
	log    *slog.Logger
	id     string // of the request
	mail   mail
	failed map[string]error // by SQS message ID; "" outside SQS

	mu       sync.Mutex
	receipts []freshet.Receipt
}

// letters does what the events say, and answers which of them have to come again.
func (r *run) letters(ctx context.Context) ([]byte, error) {
	read := r.mail.objects
	r.meter.add(received, read.Records()+len(r.mail.orders)+len(r.mail.notices))
	r.meter.add(skipped, len(read.Skipped))
	for _, s := range read.Skipped {
		r.log.Debug("passed over", "at", s.At.String(), "event", s.Event, "reason", s.Reason)
	}
	for _, p := range read.Problems {
		r.meter.add(unreadable, 1)
		r.fail(p.At.Message, p)
	}
	changes := r.touched(ctx, read.Changes)
	for _, n := range r.mail.notices {
		found, orders, err := r.notice(ctx, n)
		if err != nil {
			r.fail(n.message, err)
			continue
		}
		changes = append(changes, found...)
		r.mail.orders = append(r.mail.orders, orders...)
	}
	if len(changes)+len(r.mail.orders) > 0 {
		if err := r.hold(ctx); err != nil {
			r.fail("", err)
			return r.answer()
		}
	}
	r.refresh(ctx, changes)
	for _, o := range r.mail.orders {
		if _, err := r.order(ctx, o); err != nil {
			r.fail(o.message, err)
		}
	}
	return r.answer()
}

func (r *run) fail(message string, err error) {
	r.meter.add(failed, 1)
	r.log.Error("not done; it comes again", "message", message, "err", err)
	r.failed[message] = errors.Join(r.failed[message], err)
}

// answer is what Lambda reports to SQS, or the error that has it deliver the event
// again.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func (r *run) answer() ([]byte, error) {
	if len(r.mail.messages) == 0 {
		if len(r.failed) > 0 {
			return nil, errors.Join(slices.Collect(maps.Values(r.failed))...)
		}
		return r.receipt()
	}
	type failure struct {
		ItemIdentifier string `json:"itemIdentifier"`
	}
	answer := struct {
		BatchItemFailures []failure `json:"batchItemFailures"`
	}{[]failure{}}
	stopped := make(map[string]bool) // message groups of a FIFO queue, whose order has to be kept
	all := r.failed[""] != nil
	for _, m := range r.mail.messages {
		if r.failed[m.id] == nil && !stopped[m.group] && !all {
			continue
		}
		if m.group != "" {
			stopped[m.group] = true
		}
		answer.BatchItemFailures = append(answer.BatchItemFailures, failure{m.id})
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return text, nil
}

// receipt is what somebody is told who has invoked the function and waits.
func (r *run) receipt() ([]byte, error) {
	type receipt struct {
		Distribution string               `json:"distribution"`
		ID           string               `json:"id"`
		State        freshet.ReceiptState `json:"state"`
	}
	answer := struct {
		Invalidations []receipt `json:"invalidations"`
	}{[]receipt{}}
	for _, given := range r.receipts {
		answer.Invalidations = append(answer.Invalidations, receipt{given.Distribution, given.ID, given.State})
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return text, nil
}

// accepted notes what the CDN has taken.
func (r *run) accepted(inv freshet.Invalidation, receipt freshet.Receipt) {
	r.mu.Lock()
	r.receipts = append(r.receipts, receipt)
	r.mu.Unlock()
	r.meter.add(sent, 1)
	r.meter.add(patterns, len(inv.Patterns))
	r.log.Info("accepted", "distribution", inv.Distribution, "invalidation", receipt.ID, "caller_reference", inv.CallerReference,
		"paths", len(inv.Patterns), "first", inv.Patterns[0], "objects", len(inv.Targets))
}

// completed waits for what was accepted to be completed, and notes it.
func (r *run) completed(ctx context.Context, receipt freshet.Receipt, profile freshet.Profile) (freshet.Receipt, error) {
	done, err := apply.Wait(ctx, r.broker, receipt, profile)
	if err != nil {
		return receipt, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.receipts {
		if given := &r.receipts[i]; given.Distribution == done.Distribution && given.ID == done.ID {
			*given = done
		}
	}
	return done, nil
}

// clip keeps at most so many bytes.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// left is the time until ctx ends, or a minute.
func (r *run) left(ctx context.Context) time.Duration {
	if at, ok := ctx.Deadline(); ok {
		return max(time.Until(at), time.Millisecond)
	}
	return time.Minute
}
