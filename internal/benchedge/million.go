package benchedge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The cases with as many objects as -objects says.
const (
	distinctTitle  = "1 KiB, many objects instead of one"
	restartTitle   = "A restart with many objects of 1 KiB"
	memoryTitle    = "Memory for many small objects"
	sustainedTitle = "Hits while 1,000 wildcards a second are invalidated"
	purgeTitle     = "Invalidation among many small objects"
)

// smallBody is the size of a small object.
const smallBody = 128

// largeTrial and smallTrial hold the cases that are measured on the same full
// caches, since filling them takes longest.
func (b *bench) largeTrial() trial {
	return trial{[]string{distinctTitle, restartTitle}, func(ctx context.Context) ([]chapter, error) {
		all, err := b.full(ctx, 1024, setting{origin: b.origin.addr, own: b.own}, b.onDisk()...)
		if err != nil {
			return nil, err
		}
		defer stopAll(all)
		return b.each(ctx, all, []part{{distinctTitle, b.distinct}, {restartTitle, b.restart}})
	}}
}

func (b *bench) smallTrial() trial {
	return trial{[]string{memoryTitle, sustainedTitle, purgeTitle}, func(ctx context.Context) ([]chapter, error) {
		all, err := b.full(ctx, smallBody, setting{origin: b.origin.addr, own: b.own, purge: true})
		if err != nil {
			return nil, err
		}
		defer stopAll(all)
		return b.each(ctx, all, []part{{memoryTitle, b.memory}, {sustainedTitle, b.sustained}, {purgeTitle, b.purge}})
	}}
}

// part is a case that needs full caches.
type part struct {
	title   string
	measure func(ctx context.Context, all []*process) (chapter, error)
}

func (b *bench) each(ctx context.Context, all []*process, parts []part) (chapters []chapter, err error) {
	for _, p := range parts {
		if !b.wants(p.title) {
			continue
		}
		c, err := p.measure(ctx, all)
		if err != nil {
			return chapters, fmt.Errorf("%s: %w", p.title, err) // with what there is by now
		}
		c.title = p.title
		chapters = append(chapters, c)
	}
	return chapters, nil
}

// holders are the contenders that are filled with many objects, and that can be
// told to invalidate.
func (b *bench) holders() []contender {
	return slices.DeleteFunc(slices.Clone(b.contenders), func(c contender) bool {
		return !slices.Contains([]string{"nginx", "Varnish", ourName}, c.name)
	})
}

// full starts the contenders, and more of them, and has each of them fetch as many objects as there
// are, one contender after the other. Of these objects 10 are below /ten/, a
// hundredth below /hundredth/, another hundredth has a tag, and the others are
// below /rest/.
func (b *bench) full(ctx context.Context, size int, s setting, more ...contender) ([]*process, error) {
	all, err := startAll(append(b.holders(), more...), s, "0")
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Second) // what it takes to start is not of the objects
	for _, p := range all {
		p.empty = p.memory()
		began, cpu, asked := time.Now(), p.cpu(), b.origin.asked.Load()
		if err := fill(ctx, p.addr, b.objects, 64, func(i int) string { return b.path(size, i) }); err != nil {
			stopAll(all)
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		p.filled = p.memory()
		fmt.Fprintf(b.progress, "%s has %d objects of %d bytes: %.0f s, %.1f us each, %d fetched, %d MB\n", p.name, b.objects, size, time.Since(began).Seconds(),
			float64((p.cpu()-cpu).Microseconds())/float64(b.objects), b.origin.asked.Load()-asked, (p.filled-p.empty)>>20)
	}
	return all, nil
}

// path is that of one of the many objects.
func (b *bench) path(size, i int) string {
	group := "rest"
	switch {
	case i < 10:
		group = "ten"
	case i < 10+b.objects/100:
		group = "hundredth"
	case i < 10+b.objects/100*2:
		group = "tag"
	}
	return fmt.Sprintf("/%d/%s/%d", size, group, i)
}

// among asks for one of the objects from first to last, each as likely as the others.
func (b *bench) among(size, first, last int) load {
	const script = `init = function() math.randomseed(os.time()) end
request = function() return "GET /%d/rest/" .. math.random(%d, %d) .. " HTTP/1.1\r\nHost: " .. wrk.headers.Host .. "\r\n\r\n" end
`
	return load{name: fmt.Sprintf("one of %d", last-first+1), path: "/", connections: 64, script: fmt.Sprintf(script, size, first, last)}
}

// anyLoad asks for one of the objects below /rest/.
func (b *bench) anyLoad(size int) load { return b.among(size, 10+b.objects/100*2, b.objects-1) }

// oneLoad asks for the last of them, in the same way: what else the client does is
// the same for both.
func (b *bench) oneLoad(size int) load { return b.among(size, b.objects-1, b.objects-1) }

// distinct compares what a hit costs where all ask for one object with what it
// costs where each asks for any.
func (b *bench) distinct(ctx context.Context, all []*process) (chapter, error) {
	for _, p := range all {
		if p.name != "nginx" {
			continue
		}
		// It remembers an open file from the first time on that it reads it.
		if err := fill(ctx, p.addr, b.objects, 64, func(i int) string { return b.path(1024, i) }); err != nil {
			return chapter{}, err
		}
	}
	rounds, err := b.inTurns(ctx, all, []load{b.oneLoad(1024), b.anyLoad(1024)})
	if err != nil {
		return chapter{}, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d objects, each as likely as the others, beside one of them, which the same script asks for.\n\n", b.objects)
	text.WriteString("| server | CPU per request of one, us | of any, us | dearer by | times better than nginx | requests/s of any | p99 of any, us |\n|---|---|---|---|---|---|---|\n")
	first := cpuOf(rounds[0][1])
	for k, p := range all {
		r := rounds[k]
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %.2f | %.0f | %.0f |\n", p.name, cpuSpread(r[0]), cpuSpread(r[1]), dearer(cpuOf(r[0]), cpuOf(r[1])),
			first/cpuOf(r[1]), median(r[1], perSecond), median(r[1], p99))
	}
	return chapter{text: text.String(), rows: rowOf(distinctTitle, all, func(k int) string {
		return short(cpuOf(rounds[k][1])) + " us, " + dearer(cpuOf(rounds[k][0]), cpuOf(rounds[k][1]))
	})}, nil
}

// rowOf is the row of what matters, with the figures of each contender.
func rowOf(what string, all []*process, figure func(k int) string) []row {
	r := row{what: what}
	var others []string
	for k, p := range all {
		if p.name == ourName {
			r.ours = figure(k)
		} else {
			others = append(others, p.name+" "+figure(k))
		}
	}
	r.others = strings.Join(others, "; ")
	return []row{r}
}

// dearer says by how much one figure is above another.
func dearer(before, after float64) string { return fmt.Sprintf("%+.0f %%", (after/before-1)*100) }

func cpuSpread(rounds []round) spread {
	return spreadOf(each(rounds, func(x round) float64 { return x.cpu }))
}

func median(rounds []round, of func(round) float64) float64 { return spreadOf(each(rounds, of)).median }

func perSecond(r round) float64 { return r.perSecond }
func p99(r round) float64       { return r.p99 }
