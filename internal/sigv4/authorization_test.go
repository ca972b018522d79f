package sigv4

import (
	"errors"
	"strings"
	"testing"
)

const someSignature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"

func TestParseAuthorization(t *testing.T) {
	const good = "AWS4-HMAC-SHA256 Credential=K/20150830/us-east-1/iam/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + someSignature
	tests := []struct {
		header string
		ok     bool
	}{
		{good, true},
		{strings.ReplaceAll(good, ", ", ","), true},
		{"AWS4-HMAC-SHA256 Signature=" + someSignature + " , \tSignedHeaders=host,Credential=K/d/r/s/aws4_request", true},
		{"", false},
		{"AWS4-HMAC-SHA256", false},
		{"AWS4-ECDSA-P256-SHA256" + strings.TrimPrefix(good, algorithm), false},
		{"AWS K:sig", false},
		{"Basic QTpi", false},
		{strings.Replace(good, "Credential=K/", "Credential=/", 1), false},
		{strings.Replace(good, "/us-east-1/", "//", 1), false},
		{strings.Replace(good, "aws4_request", "aws5_request", 1), false},
		{strings.Replace(good, "/iam", "", 1), false},
		{strings.Replace(good, "SignedHeaders=host;x-amz-date, ", "", 1), false},
		{strings.Replace(good, "SignedHeaders=host;x-amz-date", "SignedHeaders=", 1), false},
		{good + ", Signature=" + someSignature, false},
		{good + ", More=1", false},
		{good + "0", false},
		{strings.ToUpper(good), false},
		{good + ",", false},
		{good + strings.Repeat(" ", maxAuthorization), false},
	}
	for _, tt := range tests {
		a, err := parseAuthorization(tt.header, algorithm)
		if (err == nil) != tt.ok {
			t.Errorf("parseAuthorization(%q) = %v, %v", tt.header, a, err)
		}
	}
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=K/20150830/us-east-1/iam/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + someSignature)
	f.Add("AWS4-HMAC-SHA256 Credential=,SignedHeaders=;,Signature=")
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header, algorithm)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code != IncompleteSignature {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		// What was understood can be written down and is understood the same.
		again := algorithm + " Credential=" + strings.Join([]string{a.accessKeyID, a.date, a.region, a.service, "aws4_request"}, "/") +
			",SignedHeaders=" + strings.Join(a.signedHeaders, ";") + ",Signature=" + a.signature
		b, err := parseAuthorization(again, algorithm)
		if err != nil || strings.Join(b.signedHeaders, ";") != strings.Join(a.signedHeaders, ";") ||
			b.accessKeyID != a.accessKeyID || b.date != a.date || b.region != a.region || b.service != a.service || b.signature != a.signature {
			t.Fatalf("%q became %q: %v, %v", header, again, b, err)
		}
	})
}
