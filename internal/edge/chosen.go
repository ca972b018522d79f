package edge

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/function"
)

// choice is where a request goes, in terms of the configuration: what its
// behavior says, changed by a function.
type choice struct {
	primary   member
	secondary *member // nil without a group
	failover  []int
}

// member is one origin of a choice.
type member struct {
	distribution.Origin

	changed bool     // it is not as the distribution has it
	host    string   // for the Host header; empty for what the policies say
	sni     string   // in the TLS handshake; empty for host, or else the domain name
	names   []string // one of which the certificate must have; empty for that of the handshake
}

// maxChosen is how many destinations of functions a site keeps ready, with the
// connections to them. A function can make names without end.
const maxChosen = 64

// chosen are the destinations that functions have made. It may be used
// concurrently.
type chosen struct {
	mu      sync.Mutex
	made    map[string]*destination
	dialing []*dialing
}

// close lets go of the connections that nobody uses. Destinations that are in use
// stay so.
func (c *chosen) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
}

func (c *chosen) forget() {
	for _, d := range c.dialing {
		d.hangUp()
	}
	c.made, c.dialing = make(map[string]*destination), nil
}

// chosen returns where requests go that a function has changed the origin of. The
// changes count one after another. The error is what the function did wrong.
//
// The cache key does not change: it consists of what the cache policy lists, so
// that what decides on the origin has to be in there.
func (s *site) chosen(b *behavior, changes []function.OriginChange) (*destination, error) {
	var key strings.Builder
	key.WriteString(b.TargetOriginID)
	for _, c := range changes {
		key.WriteString("\x00" + c.Method)
		key.Write(c.Arguments)
	}
	s.choices.mu.Lock()
	defer s.choices.mu.Unlock()
	if d := s.choices.made[key.String()]; d != nil {
		return d, nil
	}
	choice, err := s.choose(b.TargetOriginID, changes)
	if err != nil {
		return nil, &function.Error{Kind: function.ValidationError, Message: err.Error()}
	}
	made, err := s.destination(choice)
	if err != nil {
		return nil, &function.Error{Kind: function.ValidationError, Message: err.Error()}
	}
	if len(s.choices.made) >= maxChosen || s.choices.made == nil {
		s.choices.forget()
	}
	s.choices.made[key.String()] = made
	return made, nil
}

// choose applies changes to what a behavior's target is.
func (s *site) choose(target string, changes []function.OriginChange) (choice, error) {
	c := choice{}
	if i := slices.IndexFunc(s.config.Config.OriginGroups, func(g distribution.OriginGroup) bool { return g.ID == target }); i >= 0 {
		g := s.config.Config.OriginGroups[i]
		c.primary.Origin, _ = s.config.Config.Origin(g.Members[0])
		second, _ := s.config.Config.Origin(g.Members[1])
		c.secondary, c.failover = &member{Origin: second}, g.StatusCodes
	} else {
		c.primary.Origin, _ = s.config.Config.Origin(target)
	}
	for _, change := range changes {
		var err error
		switch {
		case change.Update != nil:
			err = c.primary.update(change.Update)
		case change.Group != nil:
			c, err = s.pair(change.Group)
		default:
			c = choice{}
			c.primary, err = s.byID(*change.Select)
		}
		if err != nil {
			return choice{}, fmt.Errorf("cf.%s: %w", change.Method, err)
		}
	}
	return c, nil
}

func (s *site) pair(p *function.OriginPair) (c choice, err error) {
	if c.primary, err = s.byID(p.Origins[0]); err != nil {
		return choice{}, err
	}
	second, err := s.byID(p.Origins[1])
	if err != nil {
		return choice{}, err
	}
	for _, status := range p.Failover.StatusCodes {
		if !slices.Contains(failoverStatuses[:], status) {
			return choice{}, fmt.Errorf("status %d is none of %v", status, failoverStatuses)
		}
	}
	c.secondary, c.failover = &second, p.Failover.StatusCodes
	return c, nil
}

func (s *site) byID(chosen function.OriginChoice) (member, error) {
	o, ok := s.config.Config.Origin(chosen.ID)
	switch {
	case !ok:
		return member{}, fmt.Errorf("the distribution has no origin %q", chosen.ID)
	case o.CustomOriginConfig != nil && o.CustomOriginConfig.OriginMtlsConfig != nil:
		return member{}, fmt.Errorf("the origin %q uses mutual TLS, and cannot be chosen so", chosen.ID)
	}
	m := member{Origin: o}
	m.override(chosen.Overrides)
	return m, nil
}

// override ignores what is only there for origins that are no buckets.
func (m *member) override(o function.OriginOverrides) {
	if _, bucket := m.Bucket(); bucket && m.CustomOriginConfig == nil {
		return
	}
	if o.HostHeader != nil {
		m.host, m.changed = *o.HostHeader, true
	}
	if o.SNI != nil {
		m.sni, m.changed = *o.SNI, true
	}
	if o.CertificateNames != nil {
		m.names, m.changed = o.CertificateNames, true
	}
}

// update changes what is given and leaves the rest.
func (m *member) update(u *function.OriginUpdate) error {
	if m.VPCOriginConfig != nil {
		return errors.New("the origin of the request is a VPC origin, which cannot be updated")
	}
	m.changed = true
	if u.DomainName != nil {
		m.DomainName, m.host, m.sni = *u.DomainName, *u.DomainName, ""
	}
	if u.OriginPath != nil {
		m.OriginPath = *u.OriginPath
	}
	if u.CustomHeaders != nil {
		m.CustomHeaders = nil
		for name, value := range u.CustomHeaders {
			m.CustomHeaders = append(m.CustomHeaders, distribution.OriginHeader{HeaderName: name, HeaderValue: value})
		}
	}
	if u.ConnectionAttempts != nil {
		m.ConnectionAttempts = *u.ConnectionAttempts
	}
	m.updateConfig(u.Custom)
	m.updateTimeouts(u.Timeouts)
	m.override(u.OriginOverrides)
	return nil
}

// updateConfig also makes the origin that of a bucket or of another server,
// whichever its domain name now is.
func (m *member) updateConfig(c *function.CustomOrigin) {
	if _, bucket := m.Bucket(); bucket && !strings.Contains(m.DomainName, ".s3-website") {
		s3 := distribution.S3OriginConfig{OriginReadTimeout: readTimeout(m.Origin)}
		if m.S3OriginConfig != nil {
			s3 = *m.S3OriginConfig
		}
		m.S3OriginConfig, m.CustomOriginConfig = &s3, nil
		return
	}
	custom := distribution.CustomOriginConfig{OriginProtocolPolicy: "match-viewer", OriginReadTimeout: readTimeout(m.Origin)}
	if m.CustomOriginConfig != nil {
		custom = *m.CustomOriginConfig
	}
	if c != nil {
		custom.HTTPPort, custom.HTTPSPort = c.Port, c.Port
		custom.OriginProtocolPolicy = c.Protocol + "-only"
		custom.OriginSSLProtocols, custom.IPAddressType = c.SSLProtocols, cmp.Or(c.IPAddressType, custom.IPAddressType)
	}
	m.CustomOriginConfig, m.S3OriginConfig = &custom, nil
}

func (m *member) updateTimeouts(t *function.OriginTimeouts) {
	if t == nil {
		return
	}
	if t.Connection != nil {
		m.ConnectionTimeout = *t.Connection
	}
	if t.ResponseCompletion != nil {
		m.ResponseCompletionTimeout = *t.ResponseCompletion
	}
	if t.Read != nil {
		if m.CustomOriginConfig != nil {
			m.CustomOriginConfig.OriginReadTimeout = *t.Read
		} else {
			m.S3OriginConfig.OriginReadTimeout = *t.Read
		}
	}
	if t.KeepAlive != nil && m.CustomOriginConfig != nil {
		m.CustomOriginConfig.OriginKeepaliveTimeout = *t.KeepAlive
	}
}

// destination prepares the origins of a choice. The lock of choices is held.
func (s *site) destination(c choice) (d *destination, err error) {
	d = &destination{failover: make(map[int]bool, len(c.failover))}
	if d.primary, err = s.member(c.primary); err != nil {
		return nil, err
	}
	if c.secondary != nil {
		d.secondary, err = s.member(*c.secondary)
	}
	for _, status := range c.failover {
		d.failover[status] = true
	}
	return d, err
}

func (s *site) member(m member) (*origin, error) {
	if !m.changed {
		return s.targets[m.ID].primary, nil
	}
	made, dialing, err := s.reach(m.Origin)
	if err != nil {
		return nil, err
	}
	made.forced = m.host
	if dialing != nil {
		m.handshake(dialing.transport.TLSClientConfig)
		s.choices.dialing = append(s.choices.dialing, dialing)
	}
	return made, nil
}

// handshake has the server asked for, and its certificate checked against, other
// names than its own.
func (m *member) handshake(c *tls.Config) {
	c.ServerName = cmp.Or(m.sni, m.host, m.DomainName)
	if len(m.names) == 0 {
		return
	}
	names := m.names
	c.InsecureSkipVerify = true // VerifyConnection does it, for other names
	c.VerifyConnection = func(state tls.ConnectionState) error { return verifyNames(state, c.RootCAs, names) }
}

// verifyNames checks a certificate as crypto/tls does, but for the name: it must
// have one of names, of which *.example.com stands for all with one more label
// and for itself.
func verifyNames(state tls.ConnectionState, roots *x509.CertPool, names []string) error {
	leaf, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	for _, name := range names {
		parent, wildcard := strings.CutPrefix(strings.ToLower(name), "*.")
		if !wildcard && leaf.VerifyHostname(name) == nil {
			return nil
		}
		for _, has := range leaf.DNSNames {
			if _, above, ok := strings.Cut(strings.ToLower(has), "."); wildcard && ok && above == parent {
				return nil
			}
		}
	}
	return fmt.Errorf("the certificate has none of the allowed names %v", names)
}
