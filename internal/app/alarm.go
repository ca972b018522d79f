package app

import (
	"context"
	"time"

	"github.com/freshet/freshet/internal/alarm"
	"github.com/freshet/freshet/internal/journal"
)

// giveAlarms is for how long an alarm that nobody takes is sent again.
const giveAlarms = 15 * time.Minute

// openAlarms prepares to tell people of what is not fresh.
func (u *Up) openAlarms(ctx context.Context) error {
	shelf, err := journal.OpenShelf(ctx, u.store.JetStream(), "ALARMS")
	if err != nil {
		return err
	}
	senders := make(map[string]alarm.Sender)
	if u.cfg.Alarm.Webhook != "" {
		secret, err := u.cfg.Alarm.Secret()
		if err != nil {
			return err
		}
		senders["webhook"] = alarm.NewWebhook(u.cfg.Alarm.Webhook, secret)
	}
	if u.cfg.Alarm.Topic != "" {
		if senders["sns"], err = alarm.NewTopic(ctx, u.cfg.Alarm.Topic); err != nil {
			return err
		}
	}
	dead, err := u.journal.Dead(ctx)
	if err != nil {
		return err
	}
	u.alarms, err = alarm.Open(ctx, alarm.Config{Shelf: shelf, Senders: senders, Give: giveAlarms, Log: u.opts.Log}, dead)
	return err
}
