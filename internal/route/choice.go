package route

import (
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// Choice is where a function before the cache may send requests in place of
// their behavior's target. The zero Choice leaves them there.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/helper-functions-origin-modification.html
type Choice struct {
	IDs       []string // origins of the distribution
	AnyID     bool
	Domains   []string // domain names that an origin may get
	AnyDomain bool
	Paths     []string // origin paths that an origin may get
	AnyPath   bool
}

func (c *Choice) none() bool {
	return !c.AnyID && !c.AnyDomain && !c.AnyPath && len(c.IDs)+len(c.Domains)+len(c.Paths) == 0
}

// Functions is what is known of the functions that behaviors name. Without its
// fields nothing is.
type Functions struct {
	// Choice returns where the function with that ARN may send requests. known is
	// false where its code is not.
	Choice func(arn string) (c Choice, known bool)

	// Destination returns the origin that a plain GET of path goes to once the
	// function ran, and the path that the origin is asked for. ok is false where
	// that is not known or no single origin.
	Destination func(d *distribution.Distribution, arn, path string) (o distribution.Origin, to string, ok bool)
}

// destined is where the function of a behavior may send requests.
type destined struct {
	Choice

	arn     string // of the CloudFront function at viewer-request
	unknown bool   // some function's code is not known
}

func (f *Functions) of(b *behavior) (d destined) {
	for _, a := range b.FunctionAssociations {
		if a.EventType != "viewer-request" {
			continue
		}
		d.arn, d.unknown = a.FunctionARN, true
		if f.Choice != nil {
			c, known := f.Choice(a.FunctionARN)
			d.Choice, d.unknown = c, !known
		}
	}
	for _, a := range b.LambdaFunctionAssociations {
		d.unknown = d.unknown || a.EventType == "origin-request"
	}
	return d
}

// The reasons for URLs that a function has to do with.
const (
	chosenBy   = ", where a function at the edge may choose this origin"
	presumedBy = ", where a function whose code is not known may choose this origin, since no behavior leads to it"
)

// choose has functions lead to the origins that they may choose. Of those whose
// code is not known it is presumed that they choose what nothing else leads to.
// buckets are all that are an origin anywhere.
func (s *site) choose(functions *Functions, buckets []string) {
	var idle []*feed
	for _, f := range s.feeds {
		if !slices.Contains(f.leads, true) {
			idle = append(idle, f.feed)
		}
	}
	for i := range s.behaviors {
		b := &s.behaviors[i]
		d := functions.of(b)
		if d.unknown && len(idle) > 0 || !d.none() {
			b.choice = "a function may send requests to another origin than " + b.TargetOriginID
		}
		if b.chooses = !d.none(); b.chooses && functions.Destination != nil {
			b.destination = func(path string) (distribution.Origin, string, bool) {
				return functions.Destination(&s.Distribution, d.arn, path)
			}
		}
		for _, o := range d.origins(&s.Config, b.TargetOriginID, buckets) {
			s.mayLead(o, i)
		}
		if d.unknown {
			for _, f := range idle {
				f.lead(i, presumedBy)
			}
		}
	}
}

// possible is an origin that a function may make of one of the distribution's.
type possible struct {
	distribution.Origin

	anyPath bool // the origin path may be any
}

// origins lists what a behavior's requests may be sent to. An update is of the
// target, or of what was selected before.
func (d *destined) origins(c *distribution.Config, target string, buckets []string) (all []possible) {
	if d.none() {
		return nil
	}
	updated := d.AnyDomain || d.AnyPath || len(d.Domains)+len(d.Paths) > 0
	for _, o := range c.Origins {
		selected := d.AnyID || slices.Contains(d.IDs, o.ID)
		if selected {
			all = append(all, possible{o, false})
		}
		if updated && (selected || c.Feeds(target, o.ID)) {
			all = append(all, d.updated(o, buckets)...)
		}
	}
	return all
}

// updated lists what an update may make of o.
func (d *destined) updated(o distribution.Origin, buckets []string) (all []possible) {
	names := append([]string{o.DomainName}, d.Domains...)
	if d.AnyDomain {
		for _, b := range buckets {
			names = append(names, b+".s3.amazonaws.com")
		}
	}
	for _, name := range names {
		made := o
		made.DomainName = name
		if d.AnyPath {
			made.OriginPath = ""
			all = append(all, possible{made, true})
			continue
		}
		for _, path := range append([]string{o.OriginPath}, d.Paths...) {
			made.OriginPath = path
			all = append(all, possible{made, false})
		}
	}
	return all
}

// mayLead has behavior i lead to o, which s may have as an origin already.
func (s *site) mayLead(o possible, i int) {
	made := newFeed(s, o.Origin)
	if made == nil {
		return
	}
	made.anyPath = o.anyPath
	for _, f := range s.feeds {
		if f.bucket == made.bucket && f.prefix == made.prefix && f.anyPath == made.anyPath {
			f.lead(i, chosenBy)
			return
		}
	}
	made.made = true
	clear(made.leads)
	clear(made.first)
	clear(made.group)
	made.lead(i, chosenBy)
	s.feeds = append(s.feeds, fed{feed: made})
}

// lead has a function at behavior i lead to f, unless the behavior does.
func (f *feed) lead(i int, reason string) {
	if !f.leads[i] {
		f.leads[i], f.chosen[i] = true, reason
	}
}

// serves reports whether a plain request for w, which behavior b answers, ends at
// the key that is rest in f.
func (f *feed) serves(b *behavior, w *way, key, rest string) bool {
	if b.destination == nil {
		return false
	}
	o, to, ok := b.destination(w.path)
	if !ok {
		return false
	}
	bucket, _ := o.Bucket()
	prefix := strings.Trim(o.OriginPath, "/")
	if prefix != "" {
		prefix = keyOfPath(prefix) + "/"
	}
	return bucket == f.bucket && prefix+rest == key && canonicalPath(to) == canonicalPath(w.path)
}
