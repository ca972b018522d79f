package alarm

import (
	"context"
	"errors"
	"time"
)

// Sender tells people of an alarm.
type Sender interface {
	// Send returns when the notice was taken. An error that wraps ErrRefused is
	// not tried again.
	Send(ctx context.Context, n Notice) error
}

// ErrRefused says that a notice will never be taken.
var ErrRefused = errors.New("refused for good")

const (
	firstPause   = time.Second
	longestPause = time.Minute
	sendWithin   = 15 * time.Second // one try
)

// tell has a sender told of each alarm whose state it does not know, until ctx is
// done.
func (b *Book) tell(ctx context.Context, name string, s Sender) {
	for {
		for {
			a, n := b.untold(name)
			if a == nil {
				break
			}
			if err := b.send(ctx, name, s, n); ctx.Err() != nil {
				return
			} else if err != nil {
				b.cfg.Log.Error("nobody could be told of an alarm", "by", name, "alarm", n.Text, "err", err)
			}
			b.told(ctx, name, a, n.State)
		}
		select {
		case <-b.kick[name]:
		case <-ctx.Done():
			return
		}
	}
}

// untold returns an alarm that is not as the sender was told last; one that was
// raised and cleared meanwhile is nobody's business.
func (b *Book) untold(name string) (*alarm, Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.alarms {
		before := a.Told[name]
		if before == "" {
			before = Cleared
		}
		if before != a.State {
			return a, a.notice()
		}
	}
	return nil, Notice{}
}

func (b *Book) told(ctx context.Context, name string, a *alarm, s State) {
	b.mu.Lock()
	a.Told[name] = s
	b.mu.Unlock()
	b.write(ctx, a)
}

// send tries until the notice is taken, refused for good, or b.cfg.Give is over.
func (b *Book) send(ctx context.Context, name string, s Sender, n Notice) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		try, cancel := context.WithTimeout(ctx, sendWithin)
		err := s.Send(try, n)
		cancel()
		if err == nil || errors.Is(err, ErrRefused) || time.Since(began)+pause > b.cfg.Give {
			return err
		}
		b.cfg.Log.Warn("an alarm will be sent again", "by", name, "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
