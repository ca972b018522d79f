package app

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/server"
)

// setChaos has other things go wrong in the CloudFront API.
func (u *Up) setChaos(text string) error {
	spec, err := api.ParseChaos(text)
	if err != nil {
		return err
	}
	u.chaos.Set(spec)
	return nil
}

// chaosNow is what the control API shows.
func (u *Up) chaosNow() server.Chaos {
	shown := server.Chaos{Spec: u.chaos.Spec().String(), Counts: make(map[string]int)}
	for trouble, n := range u.chaos.Counts() {
		shown.Counts[string(trouble)] = n
	}
	return shown
}

// hold keeps an invalidation in progress for as long as it was set, and then for
// as long as the chaos has it.
func (u *Up) hold(ctx context.Context, i api.Invalidation) {
	if left := time.Until(i.Created.Add(time.Duration(u.cfg.Complete))); u.cfg.Complete > 0 && left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
	u.chaos.Hold(ctx, i)
}
