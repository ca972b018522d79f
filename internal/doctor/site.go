package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/distribution"
)

// distribution looks whether viewers get anything from it at all.
func (s Seen) distribution(site *Site) (findings []Finding) {
	const check = "distribution"
	d := &site.Distribution
	add := func(l Level, saw, do string) {
		findings = append(findings, Finding{Level: l, Check: check, Saw: saw, Do: do})
	}
	if !d.Config.Enabled {
		add(Error, "it is disabled: viewers get nothing from it", "enable it in its configuration (Enabled: true), or name another with --distribution")
	}
	if site.Status != "" && site.Status != "Deployed" {
		add(Note, "its status is "+site.Status+": a change of its configuration is on its way to the edge", "wait some minutes and look again")
	}
	if d.Config.Staging {
		add(Note, "it is a staging distribution: only some viewers reach it", "name the primary one with --distribution")
	}
	if mine := s.Caller.Is.Account; mine != "" && site.Account != "" && mine != site.Account {
		add(Error, fmt.Sprintf("it belongs to account %s, and the credentials to %s", site.Account, mine), "use credentials of account "+site.Account)
	}
	if len(findings) == 0 {
		add(OK, "enabled and deployed, at "+strings.Join(d.Hosts(), ", "), "")
	}
	return findings
}

// reach looks at what a viewer of the root gets, for whatever reason.
func (s Seen) reach(site *Site) []Finding {
	const check = "reachable"
	host, f := site.Distribution.DomainName, site.Front
	switch {
	case f.Err != nil:
		return []Finding{{Level: Error, Check: check, Saw: fmt.Sprintf("%s does not answer: %v", host, f.Err), Do: "look at the network between here and the edge, proxies included; a distribution that was just made takes some minutes"}}
	case f.Is.Status >= 500:
		return []Finding{{Level: Warning, Check: check, Saw: fmt.Sprintf("https://%s/ answers %d (%s)", host, f.Is.Status, f.Is.Cache), Do: "look whether the origin answers, and at the functions of the default behavior"}}
	case f.Is.Status == 403 && s.originIsBucket(site):
		return []Finding{{Level: Note, Check: check, Saw: fmt.Sprintf("%s answers; its root is 403", host), Do: "if that is not wanted: the bucket's policy must let the distribution read (s3:GetObject, and s3:ListBucket for 404 in place of 403), and there must be a default root object"}}
	}
	return []Finding{{Level: OK, Check: check, Saw: fmt.Sprintf("%s answers (%d)", host, f.Is.Status)}}
}

func (s Seen) originIsBucket(site *Site) bool { return len(s.feeding(site)) > 0 }

// feeding returns the origins that are the bucket.
func (s Seen) feeding(site *Site) (origins []distribution.Origin) {
	for _, o := range site.Distribution.Config.Origins {
		if name, ok := o.Bucket(); ok && strings.EqualFold(name, s.Bucket) {
			origins = append(origins, o)
		}
	}
	return origins
}

// origins looks whether the bucket is behind the distribution, and a behavior
// leads to it.
func (s Seen) origins(site *Site) []Finding {
	const check = "origin"
	config := &site.Distribution.Config
	var all []string
	for _, o := range config.Origins {
		all = append(all, o.DomainName)
	}
	if s.Bucket == "" {
		return []Finding{{Level: Error, Check: check, Saw: "none of its origins is a bucket: " + strings.Join(all, ", "), Do: "if a bucket is behind one of them, name it with --bucket and declare under routes.derived what is made of it"}}
	}
	origins := s.feeding(site)
	if len(origins) == 0 {
		return []Finding{{Level: Error, Check: check, Saw: fmt.Sprintf("the bucket %s is not among its origins, which are %s", s.Bucket, strings.Join(all, ", ")),
			Do: "look whether this is the right bucket and distribution; a server between them has to be declared under routes.derived"}}
	}
	var names []string
	for _, o := range origins {
		names = append(names, o.DomainName+o.OriginPath)
	}
	if len(s.behaviors(site)) == 0 {
		return []Finding{{Level: Error, Check: check, Saw: strings.Join(names, ", ") + " is an origin that no behavior leads to", Do: "make it the target of a behavior"}}
	}
	return []Finding{{Level: OK, Check: check, Saw: "the bucket is behind it as " + strings.Join(names, ", ")}}
}

// behaviors returns those that lead to the bucket, in their order.
func (s Seen) behaviors(site *Site) (led []*distribution.CacheBehavior) {
	config := &site.Distribution.Config
	for i := range len(config.CacheBehaviors) + 1 {
		b := config.BehaviorAt(i)
		if slices.ContainsFunc(s.feeding(site), func(o distribution.Origin) bool { return config.Feeds(b.TargetOriginID, o.ID) }) {
			led = append(led, b)
		}
	}
	return led
}

// named is how a behavior is called in findings.
func named(b *distribution.CacheBehavior) string {
	if b.PathPattern == "" {
		return "the default behavior"
	}
	return "behavior " + b.PathPattern
}

// quota looks at what is in progress, whoever began it, beside what CloudFront
// takes.
func (s Seen) quota(site *Site) []Finding {
	const check = "quota"
	var refused *cdn.Error
	if err := site.InProgress.Err; errors.As(err, &refused) && refused.Class.Temporary() && refused.Class != cdn.Unavailable {
		return []Finding{{Level: Warning, Check: check, Saw: "CloudFront slows this account down: " + why(err), Do: "find out who calls its API that often; freshet slows down by itself"}}
	} else if err != nil {
		return []Finding{{Level: Warning, Check: check, Saw: "what is in progress cannot be seen: " + why(err), Do: remedy(err, "cloudfront:ListInvalidations and cloudfront:GetInvalidation")}}
	}
	var patterns, wildcards int
	for _, p := range site.InProgress.Is {
		patterns, wildcards = patterns+p.Patterns, wildcards+p.Wildcards
	}
	if s.Own {
		return []Finding{{Level: OK, Check: check, Saw: fmt.Sprintf("%d paths in progress, %d of them wildcards", patterns, wildcards)}}
	}
	q := cloudfront.Quota()
	saw := fmt.Sprintf("%d of %d paths and %d of %d wildcards in progress", patterns, q.PatternsInProgress, wildcards, q.WildcardsInProgress)
	if patterns*5 >= q.PatternsInProgress*4 || wildcards*5 >= q.WildcardsInProgress*4 {
		return []Finding{{Level: Warning, Check: check, Saw: saw, Do: "find out who invalidates so much (aws cloudfront list-invalidations), or have the quota raised"}}
	}
	return []Finding{{Level: OK, Check: check, Saw: saw}}
}
