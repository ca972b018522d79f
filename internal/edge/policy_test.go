package edge

import (
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/freshet/freshet/internal/distribution"
)

// Each of CloudFront's security policies decides which versions and which suites
// are spoken, by the name that the viewer asks for.
func TestSecurityPolicies(t *testing.T) {
	const cbc, chacha, gcm = tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	const cbc256 = tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256
	type way struct{ version, suite uint16 }
	ways := []way{{tls.VersionTLS10, cbc}, {tls.VersionTLS11, cbc}, {tls.VersionTLS12, cbc}, {tls.VersionTLS12, cbc256}, {tls.VersionTLS12, chacha}, {tls.VersionTLS12, gcm}, {tls.VersionTLS13, 0}}
	wants := map[string]string{ // which of the ways lead in
		"": "4 5 6", "default": "4 5 6", "SSLv3": "0 1 2 3 4 5 6", "TLSv1": "0 1 2 3 4 5 6", "TLSv1_2016": "0 1 2 3 4 5 6", "TLSv1.1_2016": "1 2 3 4 5 6",
		"TLSv1.2_2018": "3 4 5 6", "TLSv1.2_2019": "3 4 5 6", "TLSv1.2_2021": "4 5 6", "TLSv1.2_2025": "5 6", "TLSv1.3_2025": "6",
	}
	var all []distribution.Distribution
	names := make(map[string]string)
	for policy := range wants {
		d := dist(fmt.Sprint("E", len(all)))
		names[policy] = fmt.Sprintf("p%d.example", len(all))
		d.Config.Aliases = []string{names[policy]}
		d.Config.ViewerCertificate = &distribution.ViewerCertificate{ACMCertificateARN: "arn", MinimumProtocolVersion: policy}
		if policy == "default" {
			d.Config.ViewerCertificate = &distribution.ViewerCertificate{CloudFrontDefaultCertificate: true, MinimumProtocolVersion: "TLSv1"}
		}
		all = append(all, d)
	}
	self := authority(t)
	e := open(t, fixed(200, "x"), Config{Distributions: all})
	addr := listeningTLS(t, e, e.TLS(nil, self))
	for policy, want := range wants {
		got := ""
		for i, w := range ways {
			c := &tls.Config{RootCAs: self.Pool(), ServerName: names[policy], MinVersion: w.version, MaxVersion: w.version, NextProtos: []string{"h2", "http/1.1"}}
			if w.suite != 0 {
				c.CipherSuites = []uint16{w.suite}
			}
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 2 * time.Minute}, "tcp", addr, c)
			if err != nil {
				continue
			}
			if proto := conn.ConnectionState().NegotiatedProtocol; (proto == "h2") != (w.version >= tls.VersionTLS12) {
				t.Errorf("%s: %s over %s", policy, proto, tls.VersionName(w.version))
			}
			conn.Close()
			got += fmt.Sprint(" ", i)
		}
		// Suites that crypto/tls offers by itself are spoken where nothing is said.
		if usual := policy == "" || policy == "default"; got != " "+want && (!usual || got != " 2 "+want) {
			t.Errorf("%q: the ways%s lead in, want %s", policy, got, want)
		}
	}
	d := dist("E1")
	d.Config.ViewerCertificate = &distribution.ViewerCertificate{ACMCertificateARN: "arn", MinimumProtocolVersion: "TLSv9"}
	if _, err := New(Config{Distributions: []distribution.Distribution{d}}); err == nil {
		t.Error("a policy that there is not was accepted")
	}
}
