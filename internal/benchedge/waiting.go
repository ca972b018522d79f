package benchedge

import (
	"context"
	"fmt"
	"strings"
)

// The cases in which viewers wait for the same object, and the one with a log.
const (
	collapsedTitle = "1 KiB, misses of the same object at once"
	expiringTitle  = "1 KiB, expires each second"
	logTitle       = "1 KiB, access log"
)

// sameObjects has as many requests as there are connections ask for one object
// that nobody has asked for yet, then for the next. The origin takes 5 ms.
const sameObjects = `local n, id, sent = 0, 0, 0
init = function() math.randomseed(os.time()); n = math.random(1e9) * 1e6 end
request = function()
	if sent % 64 == 0 then id = id + 1 end
	sent = sent + 1
	return "GET /1024/d5/" .. string.format("%d", n + id) .. " HTTP/1.1\r\nHost: " .. wrk.headers.Host .. "\r\n\r\n"
end
`

// expiringObject asks again and again for an object that may be kept for a second.
const expiringObject = `request = function() return "GET /1024/e1/a HTTP/1.1\r\nHost: " .. wrk.headers.Host .. "\r\n\r\n" end
`

// played starts all contenders and plays one load on each in turns.
func (b *bench) played(ctx context.Context, l load) ([]*process, [][][]round, error) {
	all, err := startAll(b.contenders, setting{origin: b.origin.addr, own: b.own}, "0")
	if err != nil {
		return nil, nil, err
	}
	defer stopAll(all)
	for _, p := range all {
		if err := b.warm(ctx, p, load{path: "/1024/warm"}); err != nil {
			return nil, nil, err
		}
	}
	rounds, err := b.inTurns(ctx, all, []load{l})
	return all, rounds, err
}

func (b *bench) collapsedTrial() trial {
	return trial{[]string{collapsedTitle}, func(ctx context.Context) ([]chapter, error) {
		all, rounds, err := b.played(ctx, load{name: collapsedTitle, path: "/", connections: 64, script: sameObjects, lenient: true})
		if err != nil {
			return nil, err
		}
		per := func(r round) float64 { return r.asked / r.requests * 64 }
		const head = "64 viewers at a time ask for an object that is not cached, of an origin that takes 5 ms.\nOne request to the origin for 64 viewers is the least.\n\n"
		return []chapter{waitingChapter(collapsedTitle, head, "requests to the origin for 64 viewers", all, rounds, per)}, nil
	}}
}

func (b *bench) expiringTrial() trial {
	return trial{[]string{expiringTitle}, func(ctx context.Context) ([]chapter, error) {
		all, rounds, err := b.played(ctx, load{name: expiringTitle, path: "/", connections: 64, script: expiringObject, lenient: true})
		if err != nil {
			return nil, err
		}
		per := func(r round) float64 { return r.asked / (r.requests / r.perSecond) }
		const head = "64 viewers ask for an object that may be kept for a second.\nVarnish goes on to serve what has expired while it asks; the others have viewers wait.\n\n"
		return []chapter{waitingChapter(expiringTitle, head, "requests to the origin a second", all, rounds, per)}, nil
	}}
}

// waitingChapter says what requests to the origin there were, counted by per.
func waitingChapter(title, head, of string, all []*process, rounds [][][]round, per func(round) float64) chapter {
	var text strings.Builder
	text.WriteString(head)
	fmt.Fprintf(&text, "| server | %s | CPU per request, us | times better than nginx | requests/s | p99, us |\n|---|---|---|---|---|---|\n", of)
	first := cpuOf(rounds[0][0])
	for k, p := range all {
		r := rounds[k][0]
		fmt.Fprintf(&text, "| %s | %s | %s | %.2f | %.0f | %.0f |\n", p.name, spreadOf(each(r, per)), cpuSpread(r), first/cpuOf(r), median(r, perSecond), median(r, p99))
	}
	return chapter{title: title, text: text.String(), rows: rowOf(title, all, func(k int) string {
		return fmt.Sprintf("%s us, %s %s", short(cpuOf(rounds[k][0])), short(median(rounds[k][0], per)), of)
	})}
}

// logTrial has each contender twice, once with a log.
func (b *bench) logTrial() trial {
	return trial{[]string{logTitle}, func(ctx context.Context) ([]chapter, error) {
		all, err := startAll(b.contenders, setting{origin: b.origin.addr, own: b.own}, "0")
		if err != nil {
			return nil, err
		}
		defer func() { stopAll(all) }()
		logging, err := startAll(b.contenders, setting{origin: b.origin.addr, own: b.own, log: "access.log"}, "0")
		if err != nil {
			return nil, err
		}
		all = append(all, logging...)
		l := load{name: logTitle, path: "/1024/a", connections: 64}
		for _, p := range all {
			if err := b.warm(ctx, p, l); err != nil {
				return nil, err
			}
		}
		rounds, err := b.inTurns(ctx, all, []load{l})
		if err != nil {
			return nil, err
		}
		return []chapter{logChapter(logging, rounds)}, nil
	}}
}

// logChapter is given the rounds without a log, and then those with one.
func logChapter(logging []*process, rounds [][][]round) chapter {
	var text strings.Builder
	text.WriteString("| server | CPU per request without, us | with, us | dearer by | times better than nginx with | requests/s with | p99 with, us |\n|---|---|---|---|---|---|---|\n")
	n := len(logging)
	first := cpuOf(rounds[n][0])
	for k, p := range logging {
		without, with := rounds[k][0], rounds[n+k][0]
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %.2f | %.0f | %.0f |\n", p.name, cpuSpread(without), cpuSpread(with), dearer(cpuOf(without), cpuOf(with)),
			first/cpuOf(with), median(with, perSecond), median(with, p99))
	}
	return chapter{title: logTitle, text: text.String(), rows: rowOf(logTitle, logging, func(k int) string {
		return short(cpuOf(rounds[n+k][0])) + " us, " + dearer(cpuOf(rounds[k][0]), cpuOf(rounds[n+k][0]))
	})}
}
