package function

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// OriginChange is a call of one of CloudFront's methods that change the origin
// of a request. One of Update, Select and Group is set.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/helper-functions-origin-modification.html
type OriginChange struct {
	Method    string // updateRequestOrigin, selectRequestOriginById or createRequestOriginGroup
	Arguments []byte // JSON array, as they were given

	Update *OriginUpdate
	Select *OriginChoice
	Group  *OriginPair
}

// OriginUpdate is what updateRequestOrigin changes of the origin that a request
// has. What is nil stays as it is.
type OriginUpdate struct {
	OriginOverrides
	DomainName         *string              `json:"domainName"`
	OriginPath         *string              `json:"originPath"`
	CustomHeaders      map[string]string    `json:"customHeaders"` // in place of all there are; nil for those
	ConnectionAttempts *int                 `json:"connectionAttempts"`
	OriginShield       *OriginShield        `json:"originShield"`
	AccessControl      *OriginAccessControl `json:"originAccessControlConfig"`
	Timeouts           *OriginTimeouts      `json:"timeouts"`
	Custom             *CustomOrigin        `json:"customOriginConfig"`
	MutualTLS          string               `json:"mTLSConfig"` // inherit, which is the default, or off
}

// OriginOverrides are what may be changed of an origin that is chosen by its ID.
type OriginOverrides struct {
	HostHeader       *string  `json:"hostHeader"`
	SNI              *string  `json:"sni"`
	CertificateNames []string `json:"allowedCertificateNames"`
}

// OriginShield is one more layer of cache before the origin.
type OriginShield struct {
	Enabled *bool  `json:"enabled"`
	Region  string `json:"region"`
}

// OriginAccessControl says how requests to the origin are signed.
type OriginAccessControl struct {
	Enabled         *bool  `json:"enabled"`
	SigningBehavior string `json:"signingBehavior"`
	SigningProtocol string `json:"signingProtocol"`
	OriginType      string `json:"originType"`
}

// OriginTimeouts are in seconds.
type OriginTimeouts struct {
	Read               *int `json:"readTimeout"`
	ResponseCompletion *int `json:"responseCompletionTimeout"`
	KeepAlive          *int `json:"keepAliveTimeout"`
	Connection         *int `json:"connectionTimeout"`
}

// CustomOrigin is how to talk to an origin that is no bucket.
type CustomOrigin struct {
	Port          int      `json:"port"`
	Protocol      string   `json:"protocol"` // http or https
	SSLProtocols  []string `json:"sslProtocols"`
	IPAddressType string   `json:"ipAddressType"`
}

// OriginChoice is an origin of the distribution.
type OriginChoice struct {
	ID        string          `json:"originId"`
	Overrides OriginOverrides `json:"originOverrides"`
}

// UnmarshalJSON also takes a string, which is the ID.
func (c *OriginChoice) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &c.ID) == nil {
		return nil
	}
	type object OriginChoice
	return json.Unmarshal(text, (*object)(c))
}

// OriginPair is a group of two origins, the primary first.
type OriginPair struct {
	Origins   []OriginChoice `json:"originIds"`
	Selection string         `json:"selectionCriteria"`
	Failover  struct {
		StatusCodes []int `json:"statusCodes"`
	} `json:"failoverCriteria"`
}

// read makes what was meant of the arguments. The error says which of
// CloudFront's rules they break.
func (c *OriginChange) read() error {
	var args []json.RawMessage
	if err := json.Unmarshal(c.Arguments, &args); err != nil {
		return err
	}
	for len(args) < 2 {
		args = append(args, json.RawMessage("null"))
	}
	switch c.Method {
	case "updateRequestOrigin":
		c.Update = new(OriginUpdate)
		if err := decodeObject(args[0], c.Update); err != nil {
			return err
		}
		return c.Update.check()
	case "createRequestOriginGroup":
		c.Group = new(OriginPair)
		if err := decodeObject(args[0], c.Group); err != nil {
			return err
		}
		return c.Group.check()
	}
	c.Select = new(OriginChoice)
	if err := json.Unmarshal(args[0], &c.Select.ID); err != nil || c.Select.ID == "" {
		return fmt.Errorf("the ID of an origin is needed: it is %s", args[0])
	}
	if err := json.Unmarshal(args[1], &c.Select.Overrides); err != nil {
		return shapeError(err)
	}
	return c.Select.Overrides.check()
}

func decodeObject(text []byte, into any) error {
	if !bytes.HasPrefix(text, []byte("{")) {
		return fmt.Errorf("an object is needed: it is %s", text)
	}
	return shapeError(json.Unmarshal(text, into))
}

// shapeError says what a function's author can do something with.
func shapeError(err error) error {
	if wrong, ok := err.(*json.UnmarshalTypeError); ok { //nolint:errorlint // it is returned as it is
		return fmt.Errorf("%s is a %s", wrong.Field, wrong.Value)
	}
	return err
}

func (u *OriginUpdate) check() error {
	if err := u.OriginOverrides.check(); err != nil {
		return err
	}
	if err := checkDomain("domainName", u.DomainName); err != nil {
		return err
	}
	if p := u.OriginPath; p != nil && *p != "" {
		if !strings.HasPrefix(*p, "/") || strings.HasSuffix(*p, "/") || len(*p) > 255 || strings.ContainsFunc(*p, notInPath) {
			return fmt.Errorf("originPath must begin with /, must not end with one, must be escaped and have 255 characters at most: it is %q", *p)
		}
	}
	for name, value := range u.CustomHeaders {
		if err := checkCustomHeader(name, value); err != nil {
			return err
		}
	}
	if err := upTo(3, "connectionAttempts", u.ConnectionAttempts); err != nil {
		return err
	}
	if s := u.OriginShield; s != nil && (s.Enabled == nil || *s.Enabled && s.Region == "") {
		return fmt.Errorf("originShield needs enabled, and a region where it is")
	}
	if !slices.Contains([]string{"", "inherit", "off"}, u.MutualTLS) {
		return fmt.Errorf("mTLSConfig is %q: it can be inherit or off", u.MutualTLS)
	}
	for _, part := range []interface{ check() error }{u.AccessControl, u.Timeouts, u.Custom} {
		if err := part.check(); err != nil {
			return err
		}
	}
	return nil
}

func (a *OriginAccessControl) check() error {
	switch {
	case a == nil:
		return nil
	case a.Enabled == nil:
		return fmt.Errorf("originAccessControlConfig needs enabled")
	case !*a.Enabled:
		return nil
	case !slices.Contains([]string{"always", "never", "no-override"}, a.SigningBehavior):
		return fmt.Errorf("originAccessControlConfig.signingBehavior is %q: it can be always, never or no-override", a.SigningBehavior)
	case a.SigningProtocol != "sigv4":
		return fmt.Errorf("originAccessControlConfig.signingProtocol is %q: it must be sigv4", a.SigningProtocol)
	case !slices.Contains([]string{"s3", "mediapackagev2", "mediastore", "lambda"}, a.OriginType):
		return fmt.Errorf("originAccessControlConfig.originType is %q: it can be s3, mediapackagev2, mediastore or lambda", a.OriginType)
	}
	return nil
}

func (t *OriginTimeouts) check() error {
	if t == nil {
		return nil
	}
	if err := upTo(120, "timeouts.readTimeout", t.Read); err != nil {
		return err
	}
	if err := upTo(120, "timeouts.keepAliveTimeout", t.KeepAlive); err != nil {
		return err
	}
	if t.ResponseCompletion != nil && (*t.ResponseCompletion < 1 || t.Read != nil && *t.ResponseCompletion < *t.Read) {
		return fmt.Errorf("timeouts.responseCompletionTimeout is %d: it must not be less than readTimeout", *t.ResponseCompletion)
	}
	return upTo(10, "timeouts.connectionTimeout", t.Connection)
}

func (c *CustomOrigin) check() error {
	switch {
	case c == nil:
		return nil
	case c.Port < 1 || c.Port > 65535:
		return fmt.Errorf("customOriginConfig.port is %d: it must be from 1 to 65535", c.Port)
	case c.Protocol != "http" && c.Protocol != "https":
		return fmt.Errorf("customOriginConfig.protocol is %q: it can be http or https", c.Protocol)
	case len(c.SSLProtocols) == 0:
		return fmt.Errorf("customOriginConfig needs sslProtocols")
	case !slices.Contains([]string{"", "ipv4", "ipv6", "dualstack"}, c.IPAddressType):
		return fmt.Errorf("customOriginConfig.ipAddressType is %q: it can be ipv4, ipv6 or dualstack", c.IPAddressType)
	}
	for _, p := range c.SSLProtocols {
		if !slices.Contains([]string{"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2"}, p) {
			return fmt.Errorf("customOriginConfig.sslProtocols has %q: there are SSLv3, TLSv1, TLSv1.1 and TLSv1.2", p)
		}
	}
	return nil
}

func (o *OriginOverrides) check() error {
	if err := checkDomain("hostHeader", o.HostHeader); err != nil {
		return err
	}
	if err := checkDomain("sni", o.SNI); err != nil {
		return err
	}
	if n := len(o.CertificateNames); n > 20 {
		return fmt.Errorf("allowedCertificateNames has %d names, CloudFront takes 20", n)
	}
	for _, name := range o.CertificateNames {
		if name == "" || len(name) > 64 {
			return fmt.Errorf("allowedCertificateNames has %q: a name has 1 to 64 characters", name)
		}
	}
	return nil
}

func (p *OriginPair) check() error {
	if len(p.Origins) != 2 {
		return fmt.Errorf("originIds has %d origins: a primary and a secondary are needed", len(p.Origins))
	}
	for _, o := range p.Origins {
		if o.ID == "" {
			return fmt.Errorf("originIds has an origin without an ID")
		}
		if err := o.Overrides.check(); err != nil {
			return err
		}
	}
	if !slices.Contains([]string{"", "default", "media-quality-score"}, p.Selection) {
		return fmt.Errorf("selectionCriteria is %q: it can be default or media-quality-score", p.Selection)
	}
	if len(p.Failover.StatusCodes) == 0 {
		return fmt.Errorf("failoverCriteria needs statusCodes")
	}
	return nil
}

// checkDomain takes nil for a name that is not given.
func checkDomain(what string, name *string) error {
	if name == nil {
		return nil
	}
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._", r)
	}
	if *name == "" || len(*name) > 253 || net.ParseIP(*name) != nil || strings.ContainsFunc(*name, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("%s must be a domain name of at most 253 characters, without a port, and no IP address: it is %q", what, *name)
	}
	return nil
}

func notInPath(r rune) bool { return r <= ' ' || r >= 0x7F || r == '?' || r == '#' }

// checkCustomHeader refuses what no configuration can have origins told.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/add-origin-custom-headers.html#add-origin-custom-headers-denylist
func checkCustomHeader(name, value string) error {
	switch {
	case name != strings.ToLower(name) || !isToken(name):
		return fmt.Errorf("customHeaders has %q: names are in lower case", name)
	case strings.ContainsFunc(value, isControl):
		return fmt.Errorf("customHeaders[%q] has a control character in its value", name)
	case Hidden(name), strings.HasPrefix(name, "x-amz-"), slices.Contains([]string{
		"cache-control", "content-length", "cookie", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
		"if-unmodified-since", "max-forwards", "pragma", "range", "request-range", "te", "transfer-encoding", "via",
	}, name):
		return fmt.Errorf("customHeaders has %s, which CloudFront does not add", http.CanonicalHeaderKey(name))
	}
	return nil
}

// upTo takes nil for a number that is not given.
func upTo(most int, what string, n *int) error {
	if n != nil && (*n < 1 || *n > most) {
		return fmt.Errorf("%s is %d: it must be from 1 to %d", what, *n, most)
	}
	return nil
}

// misdirected says why a request that came back cannot go to the origin that the
// function wants, if it cannot.
func (r *run) misdirected() *Error {
	for i := range r.result.Origins {
		change := &r.result.Origins[i]
		if err := change.read(); err != nil {
			return invalid("cf.%s: %v", change.Method, err)
		}
		if change.Update == nil {
			continue
		}
		for name := range change.Update.CustomHeaders {
			if _, there := r.result.Request.Headers.Get(name); there {
				return invalid("cf.%s: customHeaders has %s, and so has the request", change.Method, http.CanonicalHeaderKey(name))
			}
		}
	}
	return nil
}
