// Package sigv4 checks on the server's side that a request was signed with AWS
// Signature Version 4 by the holder of one access key.
//
// The signature is recomputed over exactly those
// headers that the client says it signed, since clients differ in which ones
// they sign: botocore takes host and x-amz-date, the Go SDK adds its
// amz-sdk-… headers, content-length and content-type. What is plain about a request
// is computed here, and everything else by the AWS SDK's own signer, which is some
// five times dearer; a test holds that both say the same. Only signatures in the
// Authorization header are understood; a presigned URL counts as unsigned.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
package sigv4

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// MaxSkew is how far the time of a signature may lie from the server's clock,
// in either direction.
const MaxSkew = 15 * time.Minute

// timeFormat is that of X-Amz-Date; its first eight characters are the date of
// a credential scope.
const timeFormat = "20060102T150405Z"

// Credentials are one access key. Without an ID or a secret they verify
// nothing.
type Credentials struct {
	AccessKeyID string
	Secret      Secret
}

// Verifier checks requests to one service. It may be used concurrently.
type Verifier struct {
	Credentials Credentials
	Service     string           // as it stands in the credential scope, such as cloudfront
	Region      string           // empty accepts any, for clients that sign for the region they are configured with
	MaxBody     int64            // bytes
	Now         func() time.Time // nil is time.Now

	// Asymmetric asks for Signature Version 4A in place of version 4. Region is not
	// looked at then.
	Asymmetric bool

	Derived *Derived // nil derives the signing key anew for each request
}

// Verify checks r's signature and returns the body, which it has to read for
// that; r.Body then yields the same bytes again. Everything that can be judged
// from the headers is judged before the first byte of the body is read. The
// error is an *Error, except where reading the body failed.
func (v Verifier) Verify(r *http.Request) ([]byte, error) {
	auth, err := v.authorizationOf(r)
	if err != nil {
		return nil, err
	}
	at, err := v.signingTime(r, auth)
	if err != nil {
		return nil, err
	}
	if err := v.checkClaims(r, auth); err != nil {
		return nil, err
	}
	body, err := v.readBody(r)
	if err != nil {
		return nil, err
	}
	if err := v.checkSignature(r, auth, at, body); err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// signingTime returns the time the request was signed at if the server's clock
// agrees with it.
func (v Verifier) signingTime(r *http.Request, auth authorization) (time.Time, error) {
	dates := r.Header.Values("X-Amz-Date")
	if len(dates) != 1 {
		return time.Time{}, incomplete("Authorization header requires existence of exactly one 'X-Amz-Date' header")
	}
	at, err := time.Parse(timeFormat, dates[0])
	if err != nil {
		return time.Time{}, incomplete("Date must be in ISO-8601 'basic format'. Got '%s'", dates[0])
	}
	if auth.date != dates[0][:8] {
		return time.Time{}, mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'", auth.date, dates[0][:8])
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	switch server := now().UTC(); {
	case at.Before(server.Add(-MaxSkew)):
		return time.Time{}, mismatch("Signature expired: %s is now earlier than %s (%s - 15 min.)", dates[0], server.Add(-MaxSkew).Format(timeFormat), server.Format(timeFormat))
	case at.After(server.Add(MaxSkew)):
		return time.Time{}, mismatch("Signature not yet current: %s is still later than %s (%s + 15 min.)", dates[0], server.Add(MaxSkew).Format(timeFormat), server.Format(timeFormat))
	}
	return at, nil
}

// checkClaims judges what the Authorization header says about itself.
func (v Verifier) checkClaims(r *http.Request, auth authorization) error {
	unset := v.Credentials.AccessKeyID == "" || v.Credentials.Secret == ""
	switch {
	case unset || auth.accessKeyID != v.Credentials.AccessKeyID:
		return invalidToken("The security token included in the request is invalid: this server does not know the access key")
	case len(r.Header.Values("X-Amz-Security-Token")) > 0:
		return invalidToken("The security token included in the request is invalid: this server's access key takes no session token (unset AWS_SESSION_TOKEN)")
	case v.Asymmetric && !slices.Contains(auth.signedHeaders, "x-amz-region-set"):
		return mismatch("'X-Amz-Region-Set' must be a 'SignedHeader' in the AWS Authorization")
	case !v.Asymmetric && v.Region != "" && auth.region != v.Region:
		return mismatch("Credential should be scoped to a valid region, not '%s'", auth.region)
	case auth.service != v.Service:
		return mismatch("Credential should be scoped to correct service: '%s'", v.Service)
	case !slices.Contains(auth.signedHeaders, "host"):
		return mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization")
	case !slices.Contains(auth.signedHeaders, "x-amz-date"):
		return mismatch("'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization")
	}
	return nil
}

func (v Verifier) readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > v.MaxBody {
		return nil, tooLarge(v.MaxBody)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, v.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the request's body: %w", err)
	}
	if int64(len(body)) > v.MaxBody {
		return nil, tooLarge(v.MaxBody)
	}
	return body, nil
}

func (v Verifier) checkSignature(r *http.Request, auth authorization, at time.Time, body []byte) error {
	// What does not parse would be dropped by url.URL.Query, here and in the
	// handler, and stay outside the signature.
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return incomplete("The query string cannot be parsed: %s", err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if claimed := r.Header.Get("X-Amz-Content-Sha256"); claimed != "" && claimed != hash {
		return mismatch("The X-Amz-Content-Sha256 header is not the SHA-256 of the body")
	}
	if v.Asymmetric {
		return v.checkAsymmetric(r, auth, at, hash)
	}
	want, ok := v.signPlain(r, auth, hash)
	if !ok {
		var err error
		if want, err = v.sign(r, auth, at, hash); err != nil {
			return err
		}
	}
	if !hmac.Equal([]byte(want), []byte(auth.signature)) {
		return mismatch("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method")
	}
	return nil
}

// sign returns the signature that the holder of the secret computes for r when
// he signs the headers that auth names.
func (v Verifier) sign(r *http.Request, auth authorization, at time.Time, payloadHash string) (string, error) {
	again := &http.Request{
		Method: r.Method,
		Host:   r.Host,
		URL:    &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Header: signedOnly(r.Header, auth.signedHeaders),
	}
	if slices.Contains(auth.signedHeaders, "content-length") {
		again.ContentLength = r.ContentLength
	}
	key := aws.Credentials{AccessKeyID: v.Credentials.AccessKeyID, SecretAccessKey: v.Credentials.Secret.Reveal()}
	// A signer remembers a derived key for each region it saw, and the region is
	// the client's to choose, so none is kept.
	if err := v4.NewSigner().SignHTTP(context.Background(), key, again, payloadHash, auth.service, auth.region, at); err != nil {
		return "", fmt.Errorf("recompute the signature: %w", err)
	}
	signed, err := parseAuthorization(again.Header.Get("Authorization"), algorithm)
	return signed.signature, err
}

// signedOnly keeps the headers named by names. The signer adds host, x-amz-date
// and content-length by itself. Names stay in lower case, because the signer
// passes over some (User-Agent, Expect) that other clients may sign, but knows
// those only in their canonical spelling.
func signedOnly(h http.Header, names []string) http.Header {
	signed := make(http.Header, len(names))
	for _, name := range names {
		switch name {
		case "host", "x-amz-date", "content-length":
		default:
			if values := h.Values(name); len(values) > 0 {
				signed[name] = values
			}
		}
	}
	return signed
}
