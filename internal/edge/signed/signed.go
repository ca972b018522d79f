// Package signed checks CloudFront's signed URLs and signed cookies.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/PrivateContent.html
package signed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Keys are the public keys that a behavior trusts, by ID.
type Keys struct{ byID map[string]crypto.PublicKey }

// NewKeys reads public keys, PEM texts by ID: RSA, or ECDSA on P-256.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-trusted-signers.html
func NewKeys(texts map[string]string) (*Keys, error) {
	k := &Keys{byID: make(map[string]crypto.PublicKey, len(texts))}
	for id, text := range texts {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("public key %s is no PEM text", id)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read public key %s: %w", id, err)
		}
		switch key := key.(type) {
		case *rsa.PublicKey:
		case *ecdsa.PublicKey:
			if key.Curve != elliptic.P256() {
				return nil, fmt.Errorf("public key %s is not on the curve P-256", id)
			}
		default:
			return nil, fmt.Errorf("public key %s is a %T, want RSA or ECDSA", id, key)
		}
		k.byID[id] = key
	}
	return k, nil
}

// Request is what of a viewer's request decides.
type Request struct {
	URLs    []string // without the parameters of a signature, in each spelling of scheme and host that will do
	Query   string   // of the URL, with them
	Cookies []string // Cookie headers
	Viewer  netip.Addr
	Now     time.Time
}

// Denial is CloudFront's answer to a request that is not signed as it must be: a
// 403 with an XML document.
type Denial struct{ Code, Message string }

func (d *Denial) Error() string { return d.Message }

// XML is the document.
func (d *Denial) XML() string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + d.Code + `</Code><Message>` + d.Message + `</Message></Error>`
}

// ContentType is that of XML.
const ContentType = "text/xml"

func missing(code, what string) *Denial {
	return &Denial{code, "Missing " + what + " query parameter or cookie value"}
}

func denied() *Denial          { return &Denial{"AccessDenied", "Access denied"} }
func malformedPolicy() *Denial { return &Denial{"MalformedPolicy", "Malformed Policy"} }
func malformedSignature() *Denial {
	return &Denial{"MalformedSignature", "Could not unencode Signature"}
}

// Check returns nil for a request that may be answered. A signature in the URL
// counts before one in cookies.
func (k *Keys) Check(r Request) *Denial {
	t := inQuery(r.Query)
	if t == (token{}) {
		t = inCookies(r.Cookies)
	}
	if t.keyID == "" {
		return missing("MissingKey", "Key-Pair-Id")
	}
	key, ok := k.byID[t.keyID]
	switch {
	case !ok:
		return &Denial{"InvalidKey", "Unknown Key"}
	case t.signature == "":
		return missing("MissingSignature", "Signature")
	case t.policy == "" && t.expires == "":
		return missing("MissingPolicy", "Policy")
	}
	signature, err := decode(t.signature)
	if err != nil {
		return malformedSignature()
	}
	if t.policy == "" {
		return t.checkCanned(key, signature, r)
	}
	return t.checkCustom(key, signature, r)
}

// checkCanned checks what is signed for one URL until one date.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-canned-policy.html
func (t token) checkCanned(key crypto.PublicKey, signature []byte, r Request) *Denial {
	expires, ok := epoch(t.expires)
	if !ok {
		return malformedPolicy()
	}
	if !slices.ContainsFunc(r.URLs, func(url string) bool { return t.verifies(key, canned(url, t.expires), signature) }) {
		return denied()
	}
	if !r.Now.Before(expires) {
		return denied()
	}
	return nil
}

// canned is the policy that both sides know without sending it.
func canned(url, expires string) []byte {
	return []byte(`{"Statement":[{"Resource":"` + url + `","Condition":{"DateLessThan":{"AWS:EpochTime":` + expires + `}}}]}`)
}

// checkCustom checks what is signed with a policy that comes along.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html
func (t token) checkCustom(key crypto.PublicKey, signature []byte, r Request) *Denial {
	text, err := decode(t.policy)
	if err != nil {
		return malformedPolicy()
	}
	if !t.verifies(key, text, signature) {
		return denied()
	}
	p, err := readPolicy(text)
	if err != nil {
		return malformedPolicy()
	}
	if !p.allows(r) {
		return denied()
	}
	return nil
}

// verifies reports whether signature is that of text, with the hash that the
// token names, SHA-1 where it names none.
func (t token) verifies(key crypto.PublicKey, text, signature []byte) bool {
	var hash crypto.Hash
	var digest []byte
	switch t.hash {
	case "", "SHA1":
		sum := sha1.Sum(text) // it is what CloudFront signs with
		hash, digest = crypto.SHA1, sum[:]
	case "SHA256":
		sum := sha256.Sum256(text)
		hash, digest = crypto.SHA256, sum[:]
	default:
		return false
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	}
	return false
}

// decode reads base64 in CloudFront's alphabet, which is safe in URLs.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-linux-openssl.html
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "+=/\r\n") {
		return nil, errors.New("characters that are not safe in URLs")
	}
	return base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "=", "~", "/").Replace(s))
}
