package benchedge

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// scarce is a case of bodies of which the memory that a cache was given holds a part
// only, so that most of them are sent from files.
type scarce struct {
	title   string
	size    int
	objects int
}

// scarceMemory is how many MiB of memory those have that are told.
const scarceMemory = 64

func scarces() []scarce {
	return []scarce{
		{"1 MiB, one of 256 on disk", 1 << 20, 256},
		{"10 MiB, one of 32 on disk", 10 << 20, 32},
	}
}

// keepers are the contenders that keep bodies in files.
func (b *bench) keepers() []contender {
	return slices.DeleteFunc(slices.Clone(b.contenders), func(c contender) bool { return c.name == "HAProxy" })
}

func (b *bench) scarceTrial(s scarce) trial {
	return trial{[]string{s.title}, func(ctx context.Context) ([]chapter, error) {
		all, err := startAll(b.keepers(), setting{origin: b.origin.addr, own: b.own, large: true, disk: true, scarce: true}, "0")
		if err != nil {
			return nil, err
		}
		defer stopAll(all)
		time.Sleep(time.Second) // some are not ready to keep anything at once
		for _, p := range all {
			for range 3 { // until all is where it will be
				if err := fill(ctx, p.addr, s.objects, 4, func(i int) string { return fmt.Sprintf("/%d/rest/%d", s.size, i) }); err != nil {
					return nil, fmt.Errorf("%s: %w", p.name, err)
				}
			}
		}
		l := b.among(s.size, 0, s.objects-1)
		l.name, l.connections, l.scarce = s.title, 16, true
		rounds, err := b.inTurns(ctx, all, []load{l})
		if err != nil {
			return nil, err
		}
		r := result{load: l, rounds: make([][]round, len(b.contenders))}
		for k, p := range all {
			at := slices.IndexFunc(b.contenders, func(c contender) bool { return c.name == p.name })
			r.rounds[at] = rounds[k][0]
		}
		c := b.chapter(r)
		c.text = fmt.Sprintf("Varnish, Traffic Server and freshet have %d MiB of memory for what they cache, and files beside that on a file system of a disk, as nginx has for all of it. The system's memory holds these files.\n\n", scarceMemory) + c.text
		return []chapter{c}, nil
	}}
}
