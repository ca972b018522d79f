package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"

	"github.com/freshet/freshet/internal/barrier"
	"github.com/freshet/freshet/internal/config"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/pipeline"
)

// openBarrier returns what changes wait for before they are planned, and nil
// where that is nothing. Facts about our own distributions are asked of our own
// API, and others of AWS, with the credentials that the AWS CLI would use.
func (u *Up) openBarrier(ctx context.Context) (func(context.Context, pipeline.Due) error, error) {
	facts, err := config.Facts(u.cfg.WaitFor)
	if err != nil || len(facts) == 0 {
		return nil, err
	}
	clients, err := u.askedByFacts(ctx, facts)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, due pipeline.Due) error {
		w := &barrier.Waiter{Clients: clients, Getenv: os.Getenv, Each: saying(due.Say)}
		return w.Wait(ctx, facts)
	}, nil
}

// saying keeps what was seen last of each fact that does not hold, and says all
// of it.
func saying(say func(string)) func(barrier.Progress) {
	var mu sync.Mutex
	var open []barrier.Progress
	return func(p barrier.Progress) {
		mu.Lock()
		defer mu.Unlock()
		open = slices.DeleteFunc(open, func(o barrier.Progress) bool { return o.Fact.String() == p.Fact.String() })
		if !p.Holds {
			open = append(open, p)
		}
		if len(open) > 0 {
			oldest := open[0]
			say(fmt.Sprintf("%s: %s, after %v", oldest.Fact, oldest.Saw, oldest.After.Round(time.Second)))
		}
	}
}

func (u *Up) askedByFacts(ctx context.Context, facts []barrier.Fact) (barrier.Clients, error) {
	if !barrier.NeedsAWS(facts) {
		return barrier.Clients{}, nil
	}
	cfg, err := barrier.Load(ctx)
	if err != nil {
		return barrier.Clients{}, err
	}
	clients := barrier.Dial(cfg)
	amazons := clients.CloudFront
	own := cloudfront.New(cloudfront.Options{
		BaseEndpoint: aws.String("http://" + u.apiListener.Addr().String()), Region: u.cfg.Region,
		Credentials: u.credentials(), Retryer: aws.NopRetryer{},
	})
	clients.CloudFront = func(id string) barrier.Distributions {
		if slices.ContainsFunc(u.catalog.Distributions(), func(d distribution.Distribution) bool { return d.ID == id }) {
			return own
		}
		return amazons(id)
	}
	return clients, nil
}
