package account

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/freshet/freshet/internal/awssetup"
)

// Known completes what was not given by what the function and the bucket's rule
// say. The distributions are those of the function, and so on. They are not
// checked: somebody may have changed them by hand.
func (a *Account) Known(ctx context.Context, s awssetup.Site) (awssetup.Site, error) {
	seen, there, err := a.seeFunction(ctx, awssetup.Resource{Kind: awssetup.Function, Name: s.Name})
	if err != nil {
		return s, fmt.Errorf("look at the function %s: %w", s.Name, err)
	}
	if there && seen.Bucket == s.Bucket {
		p := seen.Properties
		if ids := p["FRESHET_DISTRIBUTIONS"]; len(s.Distributions) == 0 && ids != "" {
			s.Distributions = strings.Split(ids, ",")
		}
		if s.Table == "" {
			s.Table = p["FRESHET_QUOTA_TABLE"]
		}
		if s.Config == "" {
			s.Config = p["FRESHET_CONFIG"]
		}
		if n := number(p[awssetup.PropertyConcurrency]); n != nil {
			s.Concurrency = int(*n)
		}
		if arch := p[awssetup.PropertyArch]; arch != "" {
			s.Architecture = arch
		}
	}
	if s, err = a.KnownNeeds(ctx, s); err != nil {
		return s, err
	}
	if s, err = a.knownAlarm(ctx, s); err != nil {
		return s, err
	}
	rules, err := a.Rules(ctx)
	if err != nil {
		return s, err
	}
	for _, r := range rules {
		if a.site.Mine(r) && s.Prefix == "" && s.Suffix == "" {
			s.Prefix, s.Suffix = plain(r.Prefix), plain(r.Suffix)
		}
	}
	a.site = s
	return s, nil
}

// KnownNeeds completes s by what the role that install made for the bucket may do;
// where there is none it is as it was.
func (a *Account) KnownNeeds(ctx context.Context, s awssetup.Site) (awssetup.Site, error) {
	role, there, err := a.seeRole(ctx, awssetup.Resource{Kind: awssetup.Role, Name: s.Name})
	if err != nil {
		return s, fmt.Errorf("look at the role %s: %w", s.Name, err)
	}
	if !there || role.Bucket != s.Bucket {
		return s, nil
	}
	return s.Learn(role.Properties[awssetup.PropertyPolicy]), nil
}

// knownAlarm completes who is told of alarms, and when.
func (a *Account) knownAlarm(ctx context.Context, s awssetup.Site) (awssetup.Site, error) {
	want, err := s.Resources("")
	if err != nil {
		return s, err
	}
	for _, w := range want {
		if w.Kind != awssetup.AgeAlarm {
			continue
		}
		seen, there, err := a.seeAlarm(ctx, w)
		if err != nil {
			return s, fmt.Errorf("look at the alarm %s: %w", w.Name, err)
		}
		if n := number(seen.Properties[awssetup.PropertyThreshold]); there && seen.Bucket == s.Bucket && n != nil {
			s.AlarmTopic, s.FreshWithin = seen.Properties[awssetup.PropertyTopic], int(*n)
		}
	}
	return s, nil
}

func plain(value string) string {
	if key, err := url.QueryUnescape(value); err == nil {
		return key
	}
	return value
}
