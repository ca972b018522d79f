package quota

import (
	"context"
	"time"
)

// lock waits for the desk: one at a time works with the store's record. Nobody
// sits there while the CDN is asked.
func (b *Broker) lock(ctx context.Context) error {
	select {
	case b.desk <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Broker) unlock() { <-b.desk }

// old reports whether others may have written meanwhile. The caller holds b.mu.
func (b *Broker) old(now time.Time) bool { return !b.book.read || now.Sub(b.loaded) >= stale }

// load reads the record if it was not read lately. The caller is at the desk.
func (b *Broker) load(ctx context.Context) error {
	b.mu.Lock()
	old := b.old(wall())
	b.mu.Unlock()
	if !old {
		return nil
	}
	return b.reload(ctx)
}

func (b *Broker) reload(ctx context.Context) error {
	now := wall()
	k, err := b.record(ctx, now)
	if err != nil {
		return err
	}
	k.pauses = b.cfg.Pause
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.done {
		k.completed(id)
	}
	b.book, b.loaded = k, now
	return nil
}

// record is the book as the store has it or, without one, as it is here.
func (b *Broker) record(ctx context.Context, now time.Time) (book, error) {
	if b.alone {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.book.read {
			return b.book.again(now), nil
		}
		return readBook(nil, "", now)
	}
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	text, revision, err := b.cfg.Store.Load(ctx)
	if err != nil {
		return book{}, err
	}
	return readBook(text, revision, now)
}

// wall is the time without the monotonic clock's: that stands still while Lambda
// has a function frozen, and says nothing to others.
func wall() time.Time { return time.Now().Round(0) }

// draft is a copy of the record to change, and what is completed in it.
func (b *Broker) draft() (k book, done []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k = b.book.clone()
	for id := range b.done {
		k.completed(id)
		done = append(done, id)
	}
	return k, done
}

// write changes the record, once more whenever somebody else has changed it
// meanwhile. change returns false if there is nothing to write. The caller is
// at the desk.
func (b *Broker) write(ctx context.Context, change func(*book) bool) error {
	if err := b.load(ctx); err != nil {
		return err
	}
	for {
		k, done := b.draft()
		if !change(&k) {
			return nil
		}
		if ok, err := b.swap(ctx, k, done); ok || err != nil {
			return err
		}
		if err := b.reload(ctx); err != nil {
			return err
		}
	}
}

// swap stores k if nobody else has changed the record.
func (b *Broker) swap(ctx context.Context, k book, done []string) (ok bool, err error) {
	revision, ok, err := b.publish(ctx, k)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil:
		b.book.read = false // it may have been written or not
	case ok:
		for _, id := range done {
			delete(b.done, id)
		}
		for id := range b.done { // seen since
			k.completed(id)
		}
		k.revision = revision
		b.book = k
	}
	return ok, err
}

// publish writes k to the store, if there is one.
func (b *Broker) publish(ctx context.Context, k book) (revision string, ok bool, err error) {
	if b.alone {
		return "", true, nil
	}
	text, err := k.text()
	if err != nil {
		return "", false, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	return b.cfg.Store.Swap(ctx, text, k.revision)
}
