package journal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshet/freshet"
)

// Work is a plan that was decided and is not finished: it was or may have been
// sent. Sending it again is harmless, since its caller references stay.
type Work struct {
	Plan     freshet.Plan         `json:"plan"`
	Received map[string]time.Time `json:"received,omitempty"` // by change ID
	Planned  time.Time            `json:"planned"`
	Attempt  int                  `json:"attempt,omitempty"` // how often the same changes were completed and found stale before
	Only     []string             `json:"only,omitempty"`    // IDs of the changes still to be settled; empty means all
	Reason   string               `json:"reason,omitempty"`  // of a dead letter
	Stale    bool                 `json:"stale,omitempty"`   // a dead letter that was completed and found stale
	Refused  bool                 `json:"refused,omitempty"` // no plan was within the guard rails, or its time never came, so this one sends nothing
	Rule     string               `json:"rule,omitempty"`    // of work after a change, which was given up; there is no plan then
}

// Room is the longest Work, in bytes of JSON, that can be stored.
func (j *Journal) Room() int64 { return j.js.Conn().MaxPayload() - 1<<12 } // the rest is for the headers

// SavePlan stores w, replacing what was saved of the same plan before. It returns when w is synced to disk.
func (j *Journal) SavePlan(ctx context.Context, w Work) error {
	return put(ctx, j.plans, w.Name(), w)
}

// FinishPlan forgets an unfinished plan. It may be called twice.
func (j *Journal) FinishPlan(ctx context.Context, w Work) error {
	return remove(ctx, j.plans, w.Name())
}

// Plans returns the unfinished plans in the order in which they were saved.
func (j *Journal) Plans(ctx context.Context) ([]Work, error) {
	return each[Work](ctx, j.js, j.plans)
}

// Bury stores a dead letter.
func (j *Journal) Bury(ctx context.Context, w Work) error {
	return put(ctx, j.dead, w.Name(), w)
}

// Name is where w is kept. One plan can leave two dead letters: what was never
// completed, and what was completed and is stale. Both may be revived while the
// rest of the plan is still under way, so they keep their names then.
func (w Work) Name() string {
	switch {
	case w.Stale:
		return w.Plan.ID + "-stale"
	case w.Reason != "":
		return w.Plan.ID + "-dead"
	}
	return w.Plan.ID
}

// Left returns the newest changes that w is still to settle.
func (w Work) Left() []freshet.Change {
	if len(w.Only) == 0 {
		return w.Plan.Changes
	}
	only := make(map[string]bool, len(w.Only))
	for _, id := range w.Only {
		only[id] = true
	}
	var left []freshet.Change
	for _, c := range w.Plan.Changes {
		if only[c.ID()] {
			left = append(left, c)
		}
	}
	return left
}

// Dead returns the dead letters in the order in which they were buried.
func (j *Journal) Dead(ctx context.Context) ([]Work, error) {
	return each[Work](ctx, j.js, j.dead)
}

// Revive makes a dead letter an unfinished plan again. Between the two it is in
// both places, never in none.
func (j *Journal) Revive(ctx context.Context, w Work) error {
	if err := j.SavePlan(ctx, w); err != nil {
		return err
	}
	return remove(ctx, j.dead, w.Name())
}

// Seen is what was last verified of an object.
type Seen struct {
	Origin    string            `json:"origin"`
	Key       string            `json:"key"`
	ETag      string            `json:"etag,omitempty"`
	Gone      bool              `json:"gone,omitempty"` // the object did not exist
	Size      int64             `json:"size,omitempty"` // bytes
	Served    string            `json:"served,omitempty"`
	Sequencer freshet.Sequencer `json:"sequencer,omitempty"`
	Change    string            `json:"change,omitempty"` // ID of one without a sequencer
	Tags      string            `json:"tags,omitempty"`   // as the change had them
	Era       string            `json:"era,omitempty"`    // how distributions were configured while the invalidation was made that removed all that is older; empty where there was none
	At        time.Time         `json:"at"`
}

// keepGone is how long the inventory remembers objects that are gone: longer
// than any redelivery of a change of theirs.
const keepGone = 7 * 24 * time.Hour

// Remember stores what was verified.
func (j *Journal) Remember(ctx context.Context, seen []Seen) error {
	var acks []jetstream.PubAckFuture
	for _, s := range seen {
		payload, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("remember %s: %w", s.Key, err)
		}
		ack, err := j.js.PublishAsync("$KV.INVENTORY."+inventoryKey(s.Origin, s.Key), payload, jetstream.WithStallWait(stallWait))
		if err != nil {
			return fmt.Errorf("remember %s: %w", s.Key, err)
		}
		acks = append(acks, ack)
	}
	return await(ctx, acks, "remember what was verified")
}

// Inventory returns what was last verified, by origin and key, and forgets
// objects that have been gone for a week. It is for the start, before anything
// else is removed.
func (j *Journal) Inventory(ctx context.Context) (map[[2]string]Seen, error) {
	list, err := watched[Seen](ctx, j.inventory)
	if err != nil {
		return nil, err
	}
	inventory := make(map[[2]string]Seen, len(list))
	for _, s := range list {
		if s.Gone && time.Since(s.At) > keepGone {
			if err := remove(ctx, j.inventory, inventoryKey(s.Origin, s.Key)); err != nil {
				return nil, err
			}
			continue
		}
		inventory[[2]string{s.Origin, s.Key}] = s
	}
	return inventory, nil
}

// inventoryKey spells an object key in the letters that JetStream allows.
func inventoryKey(origin, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(origin)) + "." + base64.RawURLEncoding.EncodeToString([]byte(key))
}

func put(ctx context.Context, kv jetstream.KeyValue, key string, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", kv.Bucket(), err)
	}
	if _, err := kv.Put(ctx, key, payload); err != nil {
		return fmt.Errorf("write %s: %w", kv.Bucket(), err)
	}
	return nil
}

// keepMarkers is how long a marker stands in the place of a removed value. The
// store needs it until it has written by itself that the value is gone, which it
// does every two to three minutes.
const keepMarkers = 15 * time.Minute

// keep opens or makes the bucket called name, which keeps the last value of each
// key, and the markers of what was removed only for a while.
func keep(ctx context.Context, js jetstream.JetStream, name string) (jetstream.KeyValue, error) {
	return js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: name, History: 1, Storage: jetstream.FileStorage, LimitMarkerTTL: keepMarkers,
	})
}

// remove returns when the removal is synced to disk. It leaves a marker, since
// what is only purged comes back when the process is killed soon after.
func remove(ctx context.Context, kv jetstream.KeyValue, key string) error {
	if err := kv.Purge(ctx, key, jetstream.PurgeTTL(keepMarkers)); err != nil {
		return fmt.Errorf("remove from %s: %w", kv.Bucket(), err)
	}
	return nil
}

// each returns the values of kv, oldest first, looking them up one by one: a
// watch never learns that it has seen everything when values are removed while
// it begins.
func each[T any](ctx context.Context, js jetstream.JetStream, kv jetstream.KeyValue) ([]T, error) {
	s, err := js.Stream(ctx, "KV_"+kv.Bucket())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kv.Bucket(), err)
	}
	var list []T
	for seq := uint64(1); ; seq++ {
		m, err := s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject("$KV."+kv.Bucket()+".>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Bucket(), err)
		}
		seq = m.Sequence
		if m.Header.Get("KV-Operation") != "" {
			continue // a marker in the place of what was deleted
		}
		var v T
		if err := json.Unmarshal(m.Data, &v); err != nil {
			return nil, fmt.Errorf("read %s: message %d: %w", kv.Bucket(), m.Sequence, err)
		}
		list = append(list, v)
	}
}

// watched returns the values of kv, oldest first, all in one go. Nothing may be
// removed from kv meanwhile; see each.
func watched[T any](ctx context.Context, kv jetstream.KeyValue) ([]T, error) {
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kv.Bucket(), err)
	}
	defer func() { _ = w.Stop() }()
	var list []T
	for {
		select {
		case entry, ok := <-w.Updates():
			if !ok {
				return nil, errors.New("read " + kv.Bucket() + ": the store has stopped")
			}
			if entry == nil { // all there was has been seen
				return list, nil
			}
			var v T
			if err := json.Unmarshal(entry.Value(), &v); err != nil {
				return nil, fmt.Errorf("read %s %s: %w", kv.Bucket(), entry.Key(), err)
			}
			list = append(list, v)
		case <-ctx.Done():
			return nil, fmt.Errorf("read %s: %w", kv.Bucket(), ctx.Err())
		}
	}
}
