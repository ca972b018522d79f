package signed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// policy is a custom policy. Until is always there.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html
type policy struct {
	resource    string // pattern of URLs; empty for all
	from, until time.Time
	viewers     netip.Prefix // not valid for all
}

// readPolicy takes a policy with exactly one statement. What it does not know it
// refuses, as it could be a condition.
func readPolicy(text []byte) (policy, error) {
	type moment struct {
		Epoch json.Number `json:"AWS:EpochTime"`
	}
	var given struct {
		Statement []struct {
			Resource  string
			Condition struct {
				DateLessThan    *moment
				DateGreaterThan *moment
				IPAddress       *struct {
					SourceIP string `json:"AWS:SourceIp"`
				} `json:"IpAddress"`
			}
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&given); err != nil {
		return policy{}, fmt.Errorf("read policy: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return policy{}, errors.New("read policy: something follows it")
	}
	if len(given.Statement) != 1 {
		return policy{}, fmt.Errorf("read policy: it has %d statements instead of one", len(given.Statement))
	}
	s := given.Statement[0]
	p := policy{resource: s.Resource}
	if s.Condition.DateLessThan == nil {
		return policy{}, errors.New("read policy: it does not say until when")
	}
	var ok bool
	if p.until, ok = epoch(s.Condition.DateLessThan.Epoch.String()); !ok {
		return policy{}, errors.New("read policy: DateLessThan is no time")
	}
	if from := s.Condition.DateGreaterThan; from != nil {
		if p.from, ok = epoch(from.Epoch.String()); !ok {
			return policy{}, errors.New("read policy: DateGreaterThan is no time")
		}
	}
	if ip := s.Condition.IPAddress; ip != nil {
		var err error
		if p.viewers, err = readPrefix(ip.SourceIP); err != nil {
			return policy{}, fmt.Errorf("read policy: %w", err)
		}
	}
	return p, nil
}

// readPrefix takes an address or a range of them.
func readPrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// epoch reads seconds since 1970.
func epoch(s string) (time.Time, bool) {
	n, err := strconv.ParseUint(s, 10, 32+8)
	return time.Unix(int64(n), 0), err == nil && s[0] != '+'
}

// allows reports whether the conditions hold for a request.
func (p policy) allows(r Request) bool {
	if !r.Now.Before(p.until) || !p.from.IsZero() && !r.Now.After(p.from) {
		return false
	}
	if p.viewers.IsValid() && !p.viewers.Contains(r.Viewer.Unmap()) {
		return false
	}
	// A ? that begins the query string also stands for itself.
	return p.resource == "" || slices.ContainsFunc(r.URLs, func(url string) bool { return distribution.Glob(p.resource, url) })
}
