package edge

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
)

// security is what a distribution demands of viewers' TLS connections.
type security struct {
	oldest uint16   // version
	suites []uint16 // for TLS 1.2 and older; those of TLS 1.3 are not to be chosen from
}

// securityOf returns what the security policy of a distribution means. SSL 3
// counts as TLS 1.0, and of the suites those are left out that crypto/tls does
// not have: RC4-MD5 and the ones with AES256-SHA384.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/secure-connections-supported-viewer-protocols-ciphers.html
func securityOf(d *distribution.Distribution) (security, error) {
	c := d.Config.ViewerCertificate
	if c == nil || c.CloudFrontDefaultCertificate || c.MinimumProtocolVersion == "" {
		return security{oldest: tls.VersionTLS12}, nil
	}
	i := slices.IndexFunc(securityPolicies[:], func(p securityPolicy) bool { return p.name == c.MinimumProtocolVersion })
	if i < 0 {
		return security{}, fmt.Errorf("minimum protocol version %q is none that CloudFront knows", c.MinimumProtocolVersion)
	}
	s := security{oldest: securityPolicies[i].oldest}
	for _, p := range securityPolicies[i:] {
		s.suites = append(s.suites, p.adds...)
	}
	return s, nil
}

// securityPolicy has a name, and suites that the next, stricter one lacks.
type securityPolicy struct {
	name   string
	oldest uint16
	adds   []uint16
}

var securityPolicies = [...]securityPolicy{
	{"SSLv3", tls.VersionTLS10, nil},
	{"TLSv1", tls.VersionTLS10, []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}},
	{"TLSv1_2016", tls.VersionTLS10, nil},
	{"TLSv1.1_2016", tls.VersionTLS11, []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
	}},
	{"TLSv1.2_2018", tls.VersionTLS12, []uint16{
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA256,
	}},
	{"TLSv1.2_2019", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256}},
	{"TLSv1.2_2021", tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}},
	{"TLSv1.2_2025", tls.VersionTLS12, []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}},
	{"TLSv1.3_2025", tls.VersionTLS13, nil},
}
