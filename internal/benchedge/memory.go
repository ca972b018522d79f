package benchedge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// collections is how often a garbage collection is forced.
const collections = 7

// memory tells what the processes take that were filled, and how long a garbage
// collection takes with so many objects.
func (b *bench) memory(ctx context.Context, all []*process) (c chapter, err error) {
	var text strings.Builder
	fmt.Fprintf(&text, "%d objects of %d bytes, with the headers that S3 sends. What a process has in memory, and its files that are there.\n\n"+
		"| server | empty, MB | full, MB | bytes for each object beside its body | found again of 1,000 |\n|---|---|---|---|---|\n", b.objects, smallBody)
	for _, p := range all {
		found, err := b.found(ctx, p, smallBody, 1000)
		if err != nil {
			return c, err
		}
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %d |\n", p.name, p.empty>>20, p.filled>>20, (p.filled-p.empty)/int64(b.objects)-smallBody, found)
	}
	c.rows = rowOf(memoryTitle+": in memory", all, func(k int) string { return fmt.Sprintf("%d MB", all[k].filled>>20) })
	for _, p := range all {
		if p.name != ourName {
			continue
		}
		took, err := p.collect(ctx)
		if err != nil {
			return c, err
		}
		pause, whole := spreadOf(each(took, func(c collection) float64 { return c.Pause })), spreadOf(each(took, func(c collection) float64 { return c.Took }))
		fmt.Fprintf(&text, "\nA forced garbage collection with that stops the program for %s ms and takes %s ms from beginning to end, in which requests are answered,\nand %s ms of the processor. The heap has %.0f MB then.\n",
			pause, whole, spreadOf(each(took, func(c collection) float64 { return c.CPU })), spreadOf(each(took, func(c collection) float64 { return c.Heap })).median)
		c.rows = append(c.rows, row{memoryTitle + ": a forced garbage collection", fmt.Sprintf("stops for %s ms, over after %s ms", short(pause.median), short(whole.median)), ""})
	}
	c.text = text.String()
	return c, nil
}

// found asks for some of the objects, evenly spread, and returns how many came
// without the origin.
func (b *bench) found(ctx context.Context, p *process, size, some int) (int, error) {
	some = min(some, b.objects)
	before := b.origin.asked.Load()
	if err := fill(ctx, p.addr, some, 1, func(i int) string { return b.path(size, i*(b.objects/some)) }); err != nil {
		return 0, fmt.Errorf("look what %s still has: %w", p.name, err)
	}
	return some - int(b.origin.asked.Load()-before), nil
}

// collection is what a forced garbage collection took, in milliseconds, and left,
// in MB.
type collection struct{ Took, Pause, CPU, Heap float64 }

// collect has our own program collect its garbage some times.
func (p *process) collect(ctx context.Context) (all []collection, err error) {
	e, err := p.endpoints()
	if err != nil {
		return nil, err
	}
	for range collections {
		resp, err := send(ctx, http.MethodPost, strings.TrimSuffix(e.Pprof, "pprof/")+"gc")
		if err != nil {
			return nil, err
		}
		var said struct {
			Took  time.Duration `json:"took_ns"`
			Pause time.Duration `json:"pause_ns"`
			CPU   time.Duration `json:"cpu_ns"`
			Heap  uint64        `json:"heap_bytes"`
		}
		err = json.NewDecoder(resp.Body).Decode(&said)
		_ = resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("read how long a garbage collection took: %w", err)
		}
		all = append(all, collection{said.Took.Seconds() * 1e3, said.Pause.Seconds() * 1e3, said.CPU.Seconds() * 1e3, float64(said.Heap) / (1 << 20)})
	}
	return all, nil
}
