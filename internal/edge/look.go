package edge

import (
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/edge/packed"
)

// look says what is in the cache for a request, and leaves it as it is.
func (x *explaining) look(r *http.Request, q *query) *Live {
	if x.way.Uncached != "" {
		return &Live{XCache: miss.header(), Course: "the origin is asked, for this viewer alone"}
	}
	whole := *q
	stored := x.found(q)
	how, asked := q.course(r, stored, x.now, x.edge.multiple)
	if how == inPart && !x.site.isFilling(q.key) {
		part := *q
		part.asked = asked
		part.key.variant += "\nRange:" + asked
		if p := x.found(&part); p != nil && p.holds(r) {
			q, stored = &part, p
			how = partCourse(p, x.now)
		}
	}
	made := &Live{XCache: miss.header(), Course: courseOf(how, stored)}
	made.Fetching = x.site.isFilling(q.key)
	made.Variants = x.variants(&whole, stored)
	if stored != nil {
		if how == fromCache || how == behindTheViewer {
			made.XCache = told(stored.status, hit).header()
		} else {
			made.XCache = refreshHit.header()
		}
		made.Copy = x.copy(r, q, stored)
		if rule, ok := x.site.page(stored.status); ok {
			made.Course += "; the viewer gets the page " + rule.ResponsePagePath + " in its place"
		}
	}
	return made
}

// found is peek for what is a response.
func (x *explaining) found(q *query) *entry {
	if e := x.site.peek(q); e != nil {
		if e.isMark() {
			return nil
		}
		return e
	}
	return x.site.glance(q)
}

// partCourse is what a fill does with a stored part: it is served if it is fresh,
// and confirmed otherwise.
func partCourse(p *entry, now time.Time) course {
	if p.answers(now) {
		return fromCache
	}
	return filled
}

func courseOf(how course, stored *entry) string {
	switch how {
	case fromCache:
		return "served from the cache"
	case behindTheViewer:
		return "served from the cache, and the origin is asked behind the viewer's back"
	case inPart:
		return "the origin is asked for a range, which is kept"
	case passed:
		return "the origin is asked, for this viewer alone"
	}
	if stored != nil {
		return "the origin is asked whether the expired copy is still right: RefreshHit if it answers 304"
	}
	return "the origin is asked"
}

// variants are the keys of other valid copies of the URL, sorted.
func (x *explaining) variants(q *query, but *entry) (all []string) {
	x.site.store.arena.Scan(func(v packed.View) {
		if v.Status() == 0 || v.Site() != q.key.site || v.URL() != q.key.url || but != nil && v.Serial() == but.serial {
			return
		}
		s := stamp{birth: v.Birth()}
		s.checked.Store(v.Checked().Load())
		if x.site.epochs.admits(&s, slices.Collect(v.Names())) {
			all = append(all, strings.Clone(v.Variant()))
		}
	}, runtime.Gosched)
	slices.Sort(all)
	return all
}

// copy describes a stored response as the viewer would get it.
func (x *explaining) copy(r *http.Request, q *query, e *entry) *Copy {
	h := e.header.Clone()
	addAge(h, answer{entry: e, outcome: hit})
	since := x.now.Sub(e.received)
	made := &Copy{
		Status: e.status, Header: h, Bytes: e.size(), Part: e.part != nil, Disk: e.remote != nil || e.recalled, Fetched: e.received.UTC().Format(time.RFC3339),
		Age: int64((e.age + since) / time.Second), Left: int64((e.life.fresh - since) / time.Second),
	}
	if e.status == http.StatusOK && r.Method != http.MethodOptions {
		made.Status = answeredWith(r, e)
	}
	judged := e.header.Clone()
	judged.Set("Age", strconv.FormatInt(int64(e.age/time.Second), 10))
	made.Lifetime = x.lifetime(q, Answer{e.status, judged}, e.received)
	made.Lifetime.Answer.Header = nil // it is the copy's
	if d := q.behavior.dressing; d != nil {
		d.applySteady(h, r)
	}
	return made
}

// answeredWith is the status that a viewer gets of a stored 200: that of its
// conditions, or else of its range.
func answeredWith(r *http.Request, e *entry) int {
	if status := precondition(r.Header, e.header); status != 0 {
		return status
	}
	size := e.size()
	if e.part != nil {
		size = e.part.total
	}
	if !asksForPart(r, e, size) {
		return http.StatusOK
	}
	_, status := selectSpans(r.Header.Get("Range"), size)
	return status
}
