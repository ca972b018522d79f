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
	old := b.old(time.Now())
	b.mu.Unlock()
	if !old {
		return nil
	}
	return b.reload(ctx)
}

func (b *Broker) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	text, revision, err := b.cfg.Store.Load(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	k, err := readBook(text, revision, now)
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
	text, err := k.text()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeFor)
	defer cancel()
	revision, ok, err := b.cfg.Store.Swap(ctx, text, k.revision)
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
