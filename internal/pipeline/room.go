package pipeline

import (
	"encoding/json"
	"time"

	"github.com/freshet/freshet"
)

// A plan has to fit into the journal whatever keys are in it: one that cannot
// be written down could never be sent. Half of the room is for the batch it is
// made for, a quarter for changes that come to follow those of the batch, and
// the rest for the last change that is let in, which may be a long one.

func (p *Pipeline) roomForBatch() int {
	return int(p.cfg.Journal.Room()/2) - costings
}

func (p *Pipeline) roomForFollowers() int { return int(p.cfg.Journal.Room() / 4) }

// What a plan holds beside what comes from the source, in bytes.
const (
	perChange  = 256     // names, ID and time in the map of times
	perRequest = 384     // names, distribution, caller reference and effect; each target may have one of its own
	costings   = 1 << 16 // of all distributions
)

// weigh returns at least as many bytes as c adds to a plan.
func (p *Pipeline) weigh(c freshet.Change) int {
	targets, unrouted := p.router().Targets([]freshet.Change{c}, nil)
	n := perChange + jsonLength(c) + jsonLength(unrouted) + perRequest*len(targets)
	for _, t := range targets {
		n += jsonLength(t) + 2*jsonLength(t.Pattern) + len(",,")
	}
	return n
}

// jsonLength is 0 for what cannot be written at all.
func jsonLength(v any) int {
	text, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return len(text)
}

// followersOf returns what follows leaders, as far as there is room for it, and
// notes when each was received, the leaders included. The caller holds p.mu.
func (p *Pipeline) followersOf(leaders []*change, received map[string]time.Time) (followers []freshet.Change) {
	room := p.roomForFollowers()
	for _, c := range leaders {
		received[c.ID()] = c.received
		for _, f := range c.followers {
			if room -= perChange + jsonLength(f.Change); room > 0 {
				followers = append(followers, f.Change)
				received[f.ID()] = f.received
			}
		}
	}
	return followers
}
