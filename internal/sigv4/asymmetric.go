package sigv4

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/httpbinding"
)

// asymmetric is the algorithm of Signature Version 4A: the same request as in
// version 4, signed with an ECDSA key that both sides derive from the secret, for
// a set of regions that stands in a header of its own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
const asymmetric = "AWS4-ECDSA-P256-SHA256"

// privateKey derives the key of an access key: NIST SP 800-108 in counter mode
// with HMAC-SHA256, again with the next counter while the result is no key of the
// curve.
func (c Credentials) privateKey() (*ecdsa.PrivateKey, error) {
	for counter := 1; counter <= 0xFF; counter++ {
		h := hmac.New(sha256.New, []byte("AWS4A"+c.Secret.Reveal()))
		input := append([]byte{0, 0, 0, 1}, asymmetric...)
		input = append(append(input, 0), c.AccessKeyID...)
		input = binary.BigEndian.AppendUint32(append(input, byte(counter)), 256)
		h.Write(input)
		candidate := h.Sum(nil)
		if !increment(candidate) {
			continue
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), candidate); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("no key can be derived from the secret")
}

// increment adds one to a number, and reports whether that fits.
func increment(number []byte) bool {
	for i := len(number) - 1; i >= 0; i-- {
		if number[i]++; number[i] != 0 {
			return true
		}
	}
	return false
}

// checkAsymmetric verifies a signature of version 4A.
func (v Verifier) checkAsymmetric(r *http.Request, auth authorization, at time.Time, payloadHash string) error {
	key, err := v.Credentials.privateKey()
	if err != nil {
		return fmt.Errorf("verify the signature: %w", err)
	}
	signature, err := hex.DecodeString(auth.signature)
	if err != nil {
		return incomplete("'Signature' must be hexadecimal digits")
	}
	request := sha256.Sum256([]byte(canonical(r, auth.signedHeaders, payloadHash)))
	scope := strings.Join([]string{auth.date, auth.service, "aws4_request"}, "/")
	text := sha256.Sum256([]byte(strings.Join([]string{asymmetric, at.Format(timeFormat), scope, hex.EncodeToString(request[:])}, "\n")))
	if !ecdsa.VerifyASN1(&key.PublicKey, text[:], signature) {
		return mismatch("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method")
	}
	return nil
}

// canonical is the text of a request that is signed, in either version.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request
func canonical(r *http.Request, names []string, payloadHash string) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	query := r.URL.Query()
	for _, values := range query {
		slices.Sort(values)
	}
	names = slices.Sorted(slices.Values(names))
	var b bytes.Buffer
	b.WriteString(r.Method + "\n" + httpbinding.EscapePath(path, false) + "\n" + canonicalQuery(query) + "\n")
	for _, name := range names {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(names, ";") + "\n" + payloadHash)
	return b.String()
}

func canonicalQuery(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

// headerValue is a header's value with all blanks made one.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, value := range values {
		values[i] = strings.Join(strings.FieldsFunc(value, func(c rune) bool { return c == ' ' }), " ")
	}
	return strings.Join(values, ",")
}
