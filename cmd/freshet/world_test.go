package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/edge/certificate"
	"github.com/freshet/freshet/internal/journal"
	"github.com/freshet/freshet/internal/plan"
	"github.com/freshet/freshet/internal/route"
	"github.com/freshet/freshet/internal/stream"
)

// get [-tls] PATH asks the edge. The protocol, the status, the headers and the
// body become the standard output.
func get(ts *testscript.TestScript, neg bool, args []string) {
	base, transport := ts.Getenv("EDGE"), http.DefaultTransport
	if len(args) > 0 && args[0] == "-tls" {
		trusts := x509.NewCertPool()
		text, err := os.ReadFile(ts.MkAbs(ts.Getenv("AUTHORITY")))
		ts.Check(err)
		trusts.AppendCertsFromPEM(text)
		secure := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusts}, ForceAttemptHTTP2: true}
		defer secure.CloseIdleConnections()
		base, transport, args = ts.Getenv("EDGE_TLS"), secure, args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: get [-tls] path")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+args[0], http.NoBody)
	ts.Check(err)
	resp, err := transport.RoundTrip(req)
	ts.Check(err)
	defer func() { _ = resp.Body.Close() }()
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\n", resp.Status)
	if resp.TLS != nil {
		fmt.Fprintf(&text, "Over TLS: %s\n", resp.Proto)
	}
	ts.Check(resp.Header.Write(&text))
	_, err = io.Copy(&text, resp.Body)
	ts.Check(err)
	_, err = fmt.Fprintf(ts.Stdout(), "%s\n", bytes.ReplaceAll(text.Bytes(), []byte("\r"), nil))
	ts.Check(err)
}

// certify NAME writes a certificate for a name to site.pem and its key to
// site.key, and has get -tls trust its issuer, who is another each time.
func certify(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: certify name")
	}
	issuer, err := certificate.New()
	ts.Check(err)
	made, err := issuer.For(args[0])
	ts.Check(err)
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	ts.Check(err)
	for name, text := range map[string][]byte{
		"site.pem":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate[0]}),
		"site.key":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"issuer.pem": issuer.CertificatePEM(),
	} {
		ts.Check(os.WriteFile(ts.MkAbs(name), text, 0o600))
	}
	ts.Setenv("AUTHORITY", "issuer.pem")
}

func client(ts *testscript.TestScript) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(ts.Getenv("S3")), UsePathStyle: true, Region: ts.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
}

// put KEY TEXT stores an object through the S3 API. Its ETag is then in ETAG.
func put(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: put key text")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stored, err := client(ts).PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(ts.Getenv("BUCKET")), Key: &args[0], Body: strings.NewReader(args[1]), ContentType: aws.String("text/html"),
	})
	ts.Check(err)
	ts.Setenv("ETAG", strings.Trim(aws.ToString(stored.ETag), `"`))
}

// del KEY removes an object through the S3 API.
func del(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: del key")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := client(ts).DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(ts.Getenv("BUCKET")), Key: &args[0]})
	ts.Check(err)
}

// bury KEY… leaves a dead letter for the removal of each key in the data
// directory .freshet, on which nothing runs: what the pipeline does when a CDN
// refuses for good.
func bury(ts *testscript.TestScript, neg bool, keys []string) {
	if neg || len(keys) == 0 {
		ts.Fatalf("usage: bury key…")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	store, err := stream.Open(stream.Config{Dir: ts.MkAbs(".freshet/stream")})
	ts.Check(err)
	defer store.Close()
	j, err := journal.Open(ctx, store.JetStream())
	ts.Check(err)
	for i, key := range keys {
		c := freshet.Change{Origin: "site", Key: key, Op: freshet.OpDelete, Sequencer: freshet.Sequencer(fmt.Sprintf("00%02d", i+1)), Time: time.Now()}
		in := plan.Input{Changes: []freshet.Change{c}, Profiles: []freshet.Profile{{Distribution: ts.Getenv("DIST"), MaxPatterns: 10, MaxWildcards: 10}}}
		router, err := route.New([]distribution.Distribution{distribution.ForBucket(ts.Getenv("DIST"), "site")}, route.Rules{})
		ts.Check(err)
		in.Targets, in.Unrouted = router.Targets(in.Changes, nil)
		p, err := plan.Make(in)
		ts.Check(err)
		now := time.Now()
		ts.Check(j.Bury(ctx, journal.Work{Plan: p, Planned: now, Received: map[string]time.Time{c.ID(): now}, Only: []string{c.ID()}, Reason: "the CDN said no"}))
		r := journal.Record{ID: c.ID(), Origin: c.Origin, Key: c.Key, Op: c.Op, Distribution: ts.Getenv("DIST"), Plan: p.ID, ChangedAt: c.Time, Reason: "the CDN said no"}
		ts.Check(j.Append(ctx, []journal.Record{r.At(journal.Received, now).At(journal.Dead, now)}))
	}
}

// another makes one more distribution in front of the bucket, through the API of
// the running freshet. Its ID is then in DIST2.
func another(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: another")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	api := cloudfront.New(cloudfront.Options{
		BaseEndpoint: aws.String(ts.Getenv("API")), Region: ts.Getenv("AWS_REGION"),
		Credentials: credentials.NewStaticCredentialsProvider(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
	})
	first, err := api.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: aws.String(ts.Getenv("DIST"))})
	ts.Check(err)
	first.DistributionConfig.CallerReference = aws.String("another")
	made, err := api.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: first.DistributionConfig})
	ts.Check(err)
	ts.Setenv("DIST2", aws.ToString(made.Distribution.Id))
}

// refusing sets REFUSING to the URL of a CloudFront API in front of the running
// one that refuses every wildcard.
func refusing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: refusing")
	}
	target, err := url.Parse(ts.Getenv("API"))
	ts.Check(err)
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if r.Method == http.MethodPost && bytes.Contains(body, []byte("*</Path>")) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no wildcards today</Message></Error><RequestId>1</RequestId></ErrorResponse>`)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		through.ServeHTTP(w, r)
	}))
	ts.Defer(s.Close)
	ts.Setenv("REFUSING", s.URL)
}
