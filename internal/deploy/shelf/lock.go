package shelf

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"
)

// lockName is the document that says who deploys.
const lockName = "lock"

// Who takes a lock.
type Who struct {
	Name    string `json:"holder"`            // for people
	Machine string `json:"machine,omitempty"` // on which PID means something; empty: nowhere
	PID     int    `json:"pid,omitempty"`
}

// Me is this process.
func Me() Who {
	host, _ := os.Hostname()
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	w := Who{Name: fmt.Sprintf("%s@%s (process %d)", name, host, os.Getpid()), PID: os.Getpid()}
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		w.Machine = host + " " + strings.TrimSpace(string(boot))
	}
	return w
}

// dead reports whether w is certainly no more, as seen by me.
func (w Who) dead(me Who) bool {
	if w.Machine == "" || w.Machine != me.Machine || w.PID <= 0 || w.PID == me.PID {
		return false
	}
	_, err := os.Stat(fmt.Sprintf("/proc/%d", w.PID))
	return errors.Is(err, fs.ErrNotExist)
}

// holder is what the document says.
type holder struct {
	Who

	Token string `json:"token"` // tells holders apart
	Lease int    `json:"lease"` // seconds from the writing in which it is held; 0: it was given back
}

// Held is the error of a lock that somebody else has.
type Held struct {
	Holder string
	Where  string
	Left   time.Duration // until it may be taken over
}

func (e *Held) Error() string {
	return fmt.Sprintf("another deploy is running: %s holds the lock at %s/%s; if it is no more, the lock is free in %v: try again then", e.Holder, e.Where, lockName, e.Left.Round(time.Second))
}

// Lock keeps others from deploying until it is released or the process has been
// silent for its lease.
type Lock struct {
	shelf   Shelf
	who     Who
	text    []byte
	lease   time.Duration
	taken   string // from whom it was taken over; empty where it was free
	mu      sync.Mutex
	version string
}

// Acquire takes the lock. The error is a *Held when somebody else has it, and
// ErrUnconditional where the shelf cannot keep two apart.
func Acquire(ctx context.Context, s Shelf, who Who, lease time.Duration) (*Lock, error) {
	text, err := json.Marshal(holder{Who: who, Token: rand.Text(), Lease: int(lease / time.Second)})
	if err != nil {
		return nil, fmt.Errorf("take the lock: %w", err)
	}
	l := &Lock{shelf: s, who: who, text: text, lease: lease}
	for range 5 {
		l.version, err = s.Put(ctx, lockName, text, None)
		if err == nil {
			return l, l.probe(ctx)
		}
		if !errors.Is(err, ErrChanged) {
			return nil, fmt.Errorf("take the lock: %w", err)
		}
		err = l.takeOver(ctx)
		if !errors.Is(err, ErrChanged) && !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return nil, fmt.Errorf("take the lock: %w", err)
			}
			return l, nil
		}
	}
	return nil, fmt.Errorf("take the lock at %s: others take it again and again", s)
}

// probe finds out whether the shelf heeds conditions at all: one that does not
// gave the lock to everybody.
func (l *Lock) probe(ctx context.Context) error {
	switch _, err := l.shelf.Put(ctx, lockName, l.text, None); {
	case err == nil:
		return fmt.Errorf("take the lock: %w", ErrUnconditional)
	case !errors.Is(err, ErrChanged):
		return fmt.Errorf("take the lock: %w", err)
	}
	return nil
}

// takeOver takes a lock whose holder has given it back or is silent.
func (l *Lock) takeOver(ctx context.Context) error {
	d, err := l.shelf.Get(ctx, lockName)
	if err != nil {
		return err
	}
	var by holder
	if err := json.Unmarshal(d.Text, &by); err != nil {
		return fmt.Errorf("%s/%s is no lock of a deploy: %w", l.shelf, lockName, err)
	}
	if string(d.Text) == string(l.text) { // written, and the answer was lost
		l.version = d.Version
		return nil
	}
	if left := time.Duration(by.Lease)*time.Second - d.Age; by.Lease > 0 && left > 0 && !by.dead(l.who) {
		return &Held{by.Name, l.shelf.String(), left}
	}
	if by.Lease > 0 {
		l.taken = by.Name
	}
	l.version, err = l.shelf.Put(ctx, lockName, l.text, d.Version)
	return err
}

// TakenFrom is who had the lock and fell silent; empty where nobody had it.
func (l *Lock) TakenFrom() string { return l.taken }

// ErrLost is the cause of a context whose lock somebody else has taken.
var ErrLost = errors.New("the lock was lost: this process was silent for too long, and another deploy may be running")

// Keep renews the lock until ctx is done. It returns earlier, with an error,
// only when the lock is lost.
func (l *Lock) Keep(ctx context.Context) error {
	renewed := time.Now()
	tick := time.NewTicker(l.lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		begun := time.Now()
		err := l.write(ctx, l.text)
		switch {
		case err == nil:
			renewed = begun
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrChanged) || time.Since(renewed)+l.lease/4 >= l.lease:
			return fmt.Errorf("%w (%w)", ErrLost, err)
		}
	}
}

func (l *Lock) write(ctx context.Context, text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	version, err := l.shelf.Put(ctx, lockName, text, l.version)
	if err == nil {
		l.version = version
	}
	return err
}

// Release gives the lock back, so that the next one need not wait. Keep must
// have returned.
func (l *Lock) Release(ctx context.Context) error {
	if err := l.write(ctx, []byte(`{"holder":"","token":"","lease":0}`)); err != nil && !errors.Is(err, ErrChanged) {
		return fmt.Errorf("release the lock: %w", err)
	}
	return nil
}
