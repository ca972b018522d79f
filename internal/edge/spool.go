package edge

import "github.com/freshet/freshet/internal/edge/disk"

// spool has what a fill brings written to disk while it arrives, since it is too
// large for memory. Of the nil spool nothing is.
type spool struct {
	site *site
	disk *disk.Spool // nil once it has failed
}

// spool begins to write a response to disk that cannot be kept in memory. It
// returns nil if that is not wanted, or not possible.
func (s *site) spool(head *entry, announced int64) *spool {
	t := s.tier
	if t == nil || !keepable(head) || !t.trusted.Load() || announced > t.store.Largest() {
		return nil
	}
	begun, err := t.store.Begin()
	if err != nil {
		return nil
	}
	return &spool{s, begun}
}

// add writes what has arrived.
func (p *spool) add(b []byte) {
	if p == nil || p.disk == nil {
		return
	}
	if _, err := p.disk.Write(b); err != nil {
		p.giveUp()
	}
}

// giveUp forgets what was written. It may be called at any time.
func (p *spool) giveUp() {
	if p != nil && p.disk != nil {
		p.disk.GiveUp()
		p.disk = nil
	}
}

// keep has the whole response in the cache, and reports whether it is there.
func (p *spool) keep(whole *entry) bool {
	if p == nil || p.disk == nil {
		return false
	}
	t := p.site.tier
	defer t.inOrder(p.site, whole)()
	b, err := p.disk.Commit(t.record(p.site, whole, nil))
	p.disk = nil
	if err != nil {
		return false
	}
	whole.remote = b
	if !p.site.keep(whole) {
		b.Drop()
		return false
	}
	return true
}

// startingWith is a spool with what is in a stream already, which is about to become
// a window.
func (p *spool) startingWith(s *stream) *spool {
	if p == nil {
		return nil
	}
	s.mu.Lock()
	body := s.body // of which nobody changes what is there
	whole := s.base == 0
	s.mu.Unlock()
	if !whole {
		p.giveUp()
	}
	p.add(body)
	return p
}
