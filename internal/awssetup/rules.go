package awssetup

import (
	"fmt"
	"net/url"
	"strings"
)

// Events are what makes cached copies stale. ObjectRemoved is silent about what
// lifecycle rules remove.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
func Events() []string {
	return []string{"s3:LifecycleExpiration:*", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"}
}

// Rule is a notification rule of a bucket. Prefix and Suffix are as S3 keeps
// them, with + for a space; empty ones match every key.
type Rule struct {
	ID             string
	To             string // ARN
	Events         []string
	Prefix, Suffix string
}

// Rule is what the bucket is to be told.
func (s Site) Rule() Rule {
	return Rule{ID: s.RuleID(), To: s.QueueARN(), Events: Events(), Prefix: filterValue(s.Prefix), Suffix: filterValue(s.Suffix)}
}

// Mine reports whether r was made for s, with whatever filter.
func (s Site) Mine(r Rule) bool { return r.ID == s.RuleID() && r.To == s.QueueARN() }

// filterValue spells a part of a key as S3 wants it in a rule.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
func filterValue(key string) string {
	plain := strings.NewReplacer("%2F", "/", "%21", "!", "%2A", "*", "%27", "'", "%28", "(", "%29", ")")
	return plain.Replace(url.QueryEscape(key))
}

// keyPart undoes filterValue. What is not escaped well means itself.
func keyPart(value string) string {
	if key, err := url.QueryUnescape(value); err == nil {
		return key
	}
	return value
}

// Overlaps reports whether S3 refuses both rules in one bucket: when they have an
// event type in common, and each one's prefix begins or continues the other's,
// and so do the suffixes. It does not matter where the rules send their events.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
func (r Rule) Overlaps(o Rule) bool {
	p, q := keyPart(r.Prefix), keyPart(o.Prefix)
	x, y := keyPart(r.Suffix), keyPart(o.Suffix)
	return r.event(o) != "" &&
		(strings.HasPrefix(p, q) || strings.HasPrefix(q, p)) &&
		(strings.HasSuffix(x, y) || strings.HasSuffix(y, x))
}

// event is one that both rules are for, or empty.
func (r Rule) event(o Rule) string {
	for _, e := range r.Events {
		for _, f := range o.Events {
			switch {
			case e == f, within(f, e):
				return f
			case within(e, f):
				return e
			}
		}
	}
	return ""
}

// within reports whether all is a wildcard that includes event.
func within(event, all string) bool {
	kind, ok := strings.CutSuffix(all, "*")
	return ok && strings.HasPrefix(event, kind)
}

// CheckRules refuses what S3 would refuse, and says which rule is in the way.
// Rules that are freshet's own are replaced and are in nobody's way.
func (s Site) CheckRules(there []Rule) error {
	mine := s.Rule()
	for _, r := range there {
		switch {
		case s.Mine(r):
		case r.ID == mine.ID:
			return fmt.Errorf("the bucket %s has a rule %q that sends to %s: give another --name", s.Bucket, r.ID, r.To)
		case mine.Overlaps(r):
			return fmt.Errorf("the bucket %s has a rule that gets the same events, which S3 does not allow twice: %s; narrow one of the two with a prefix or suffix, or have %s pass on what it gets", s.Bucket, r, r.To)
		}
	}
	return nil
}

// String is the rule in one line.
func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q sends %s", r.ID, strings.Join(r.Events, ", "))
	if r.Prefix != "" {
		fmt.Fprintf(&b, " below %q", r.Prefix)
	}
	if r.Suffix != "" {
		fmt.Fprintf(&b, " ending in %q", r.Suffix)
	}
	fmt.Fprintf(&b, " to %s", r.To)
	return b.String()
}
