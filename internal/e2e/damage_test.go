package e2e_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// refusal is an error as S3 and CloudFront send it.
type refusal struct {
	status  int
	Code    string `xml:"Code"`    // S3
	Message string `xml:"Message"` // S3
	Error   struct{ Code, Message string }
}

// signed sends a request of any content, signed as the service wants it.
func (f *running) signed(t *testing.T, service, method, url, body string) refusal {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	keys := aws.Credentials{AccessKeyID: f.AccessKey, SecretAccessKey: f.SecretKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, hash, service, f.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return f.send(t, req)
}

func (f *running) send(t *testing.T, req *http.Request) refusal {
	t.Helper()
	resp, err := (&http.Client{Transport: newTransport(t), Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := refusal{status: resp.StatusCode}
	if err := xml.Unmarshal(text, &r); err != nil {
		t.Errorf("%s %s: status %d with something that is no XML: %.200q", req.Method, req.URL.Path, resp.StatusCode, text)
	}
	if r.Code == "" {
		r.Code, r.Message = r.Error.Code, r.Error.Message
	}
	return r
}

// want wants a code with its message, and that the caller is to blame.
func (r refusal) want(t *testing.T, status int, codes ...string) {
	t.Helper()
	for _, code := range codes {
		if r.Code == code && r.status == status && r.Message != "" {
			return
		}
	}
	t.Errorf("answered %d %s %q, want %d %v", r.status, r.Code, r.Message, status, codes)
}

func TestDamage(t *testing.T) {
	f := start(t, options{})
	c := f.s3(t)
	for name, damage := range map[string]func(*testing.T, *running){
		"malformed CloudFront requests": malformedCloudFront,
		"malformed S3 requests":         malformedS3,
		"control requests":              malformedControl,
		"signatures":                    wrongSignatures,
		"too long":                      tooLong,
		"garbage":                       garbage,
		"slow clients":                  slowClients,
	} {
		t.Run(name, func(t *testing.T) {
			damage(t, f)
			f.putVerified(t, c, name, "still here")
			f.viewer(t).wantBody(t, "/"+strings.ReplaceAll(name, " ", "%20"), "still here")
		})
	}
	all, _ := f.log.since(0)
	sound(t, all)
}

func malformedCloudFront(t *testing.T, f *running) {
	url := f.API + "/2020-05-31/distribution/" + f.Distribution + "/invalidation"
	batch := func(inside string) string {
		return `<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/">` + inside + `</InvalidationBatch>`
	}
	for _, body := range []string{
		"<not xml", `{"json": true}`, "\x00\x01", batch(""), batch("<Paths>"), batch("<CallerReference>r</CallerReference>"), "<Other/>",
		strings.Repeat("<a>", 100000), `<!DOCTYPE x [<!ENTITY a "aaaa">]>` + batch("&a;"),
	} {
		f.signed(t, "cloudfront", "POST", url, body).want(t, 400, "MalformedInput", "MalformedXML", "InvalidArgument")
	}
	f.signed(t, "cloudfront", "POST", url, "").want(t, 400, "MissingBody", "MalformedInput", "MalformedXML")
	f.signed(t, "cloudfront", "POST", url, strings.Repeat(" ", 17<<20)).want(t, 413, "BatchTooLarge")
	f.signed(t, "cloudfront", "DELETE", url, "").want(t, 400, "UnsupportedOperation")
	f.signed(t, "cloudfront", "GET", f.API+"/", "").want(t, 400, "UnsupportedOperation")
	for path, code := range map[string]string{"no slash": "InvalidArgument", "": "InvalidArgument", "/" + strings.Repeat("x", 5000): "InvalidArgument"} {
		_, err := f.cloudfront(t).CreateInvalidation(t.Context(), &cloudfront.CreateInvalidationInput{DistributionId: &f.Distribution, InvalidationBatch: &types.InvalidationBatch{
			CallerReference: aws.String("damage " + path[:min(10, len(path))]), Paths: &types.Paths{Quantity: aws.Int32(1), Items: []string{path}}}})
		if got := codeOf(err); got != code {
			t.Errorf("invalidate %.20q: %v", path, err)
		}
	}
	_, err := f.cloudfront(t).ListInvalidations(t.Context(), &cloudfront.ListInvalidationsInput{DistributionId: aws.String("ENOSUCH")})
	if codeOf(err) != "NoSuchDistribution" {
		t.Errorf("unknown distribution: %v", err)
	}
	_, err = f.cloudfront(t).GetInvalidation(t.Context(), &cloudfront.GetInvalidationInput{DistributionId: &f.Distribution, Id: aws.String("INOSUCH")})
	if codeOf(err) != "NoSuchInvalidation" {
		t.Errorf("unknown invalidation: %v", err)
	}
}

func malformedS3(t *testing.T, f *running) {
	bucket := f.S3 + "/" + f.Bucket
	for _, body := range []string{"<not xml", `{"json": true}`, "<Delete>", "\x00"} {
		f.signed(t, "s3", "POST", bucket+"?delete=", body).want(t, 400, "MalformedXML", "InvalidRequest", "MissingContentMD5")
	}
	f.signed(t, "s3", "POST", bucket+"/k?uploadId=none", "<nonsense").want(t, 400, "MalformedXML")
	f.signed(t, "s3", "POST", bucket+"/k?uploadId=none", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>").want(t, 404, "NoSuchUpload")
	f.signed(t, "s3", "GET", f.S3+"/no-such-bucket/k", "").want(t, 404, "NoSuchBucket")
	f.signed(t, "s3", "GET", bucket+"/no-such-key", "").want(t, 404, "NoSuchKey")
	f.signed(t, "s3", "PUT", bucket+"/"+strings.Repeat("k", 1025), "x").want(t, 400, "KeyTooLongError")
}

func malformedControl(t *testing.T, f *running) {
	text, err := os.ReadFile(filepath.Join(f.data, "running.json"))
	if err != nil {
		t.Fatal(err)
	}
	var known struct{ Token string }
	if err := json.Unmarshal(text, &known); err != nil || known.Token == "" {
		t.Fatalf("running.json %s: %v", text, err)
	}
	for _, try := range []struct {
		token, body string
		status      int
	}{{"", "{}", 401}, {"wrong", "{}", 401}, {known.Token, "{", 400}, {known.Token, "<xml/>", 400}, {known.Token, `{"keys":"` + strings.Repeat("x", 2<<20) + `"}`, 400}} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", f.API+"/_freshet/v1/retry", strings.NewReader(try.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+try.token)
		resp, err := (&http.Client{Transport: newTransport(t)}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var problem struct{ Error string }
		err = json.NewDecoder(resp.Body).Decode(&problem)
		resp.Body.Close()
		if err != nil || resp.StatusCode != try.status || problem.Error == "" {
			t.Errorf("%.20q with token %q: status %d, %q, %v", try.body, try.token, resp.StatusCode, problem.Error, err)
		}
	}
}

func wrongSignatures(t *testing.T, f *running) {
	for _, other := range []struct{ access, secret, code string }{
		{f.AccessKey, "wrong", "SignatureDoesNotMatch"}, {"AKIANOBODY", f.SecretKey, "InvalidAccessKeyId"},
	} {
		_, err := f.put(t.Context(), s3Client(t, f.S3, other.access, other.secret), "k", []byte("x"))
		if codeOf(err) != other.code {
			t.Errorf("S3: %v, want %s", err, other.code)
		}
		thief := *f
		thief.AccessKey, thief.SecretKey = other.access, other.secret
		_, err = thief.cloudfront(t).ListDistributions(t.Context(), nil)
		if got := codeOf(err); got != other.code && got != "InvalidClientTokenId" {
			t.Errorf("CloudFront: %v, want %s", err, other.code)
		}
	}
	for _, url := range []string{f.S3 + "/" + f.Bucket + "/k", f.API + "/2020-05-31/distribution"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.send(t, req).want(t, 403, "AccessDenied", "MissingAuthenticationToken", "MissingAuthenticationTokenException")
	}
}

func (f *running) doors() map[string]string {
	return map[string]string{"s3": hostOf(f.S3), "edge": hostOf(f.Edge), "api": hostOf(f.API)}
}

// talk sends bytes and returns the first line of the answer; empty if the
// connection was closed without one.
func talk(t *testing.T, addr string, send []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() {
		_, _ = conn.Write(send) // breaks when the server has heard enough
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	answer, err := io.ReadAll(io.LimitReader(conn, 4096))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s did not answer %d bytes and did not hang up", addr, len(send))
	}
	line, _, _ := strings.Cut(string(answer), "\r\n")
	return line
}

func tooLong(t *testing.T, f *running) {
	long := strings.Repeat("x", 10<<20)
	for door, addr := range f.doors() {
		for what, request := range map[string]string{
			"path":   "GET /" + long + " HTTP/1.1\r\nHost: h\r\n\r\n",
			"query":  "GET /?" + long + " HTTP/1.1\r\nHost: h\r\n\r\n",
			"header": "GET / HTTP/1.1\r\nHost: h\r\nX: " + long + "\r\n\r\n",
			"method": long + " / HTTP/1.1\r\nHost: h\r\n\r\n",
		} {
			line := talk(t, addr, []byte(request))
			if line != "" && !strings.HasPrefix(line, "HTTP/1.1 4") {
				t.Errorf("%s: a %s of 10 MB was answered with %q", door, what, line)
			}
		}
	}
}

func garbage(t *testing.T, f *running) {
	noise := make([]byte, 1<<16)
	_, _ = rand.Read(noise)
	for door, addr := range f.doors() {
		for what, bytes := range map[string][]byte{
			"noise": noise, "a TLS hello": []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "nothing": nil, "HTTP/2": []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
			"NULs": bytes.Repeat([]byte{0}, 1000), "no host": []byte("GET / HTTP/1.1\r\n\r\n"), "lengths": []byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
			"a negative length": []byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n"), "another method": []byte("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"),
		} {
			line := talk(t, addr, bytes)
			if strings.HasPrefix(line, "HTTP/1.1 2") || strings.HasPrefix(line, "HTTP/1.1 500") {
				t.Errorf("%s: %s was answered with %q", door, what, line)
			}
		}
	}
}

// slowClients are many that begin a request and never end it; they are still
// there when the next PUT is made. In the end every door closes on them.
func slowClients(t *testing.T, f *running) {
	var all []net.Conn
	for _, addr := range f.doors() {
		for i := range 100 {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := fmt.Fprintf(conn, "%s /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\nX-Slow: ", []string{"GET", "PUT"}[i%2], i); err != nil {
				t.Fatal(err)
			}
			all = append(all, conn)
		}
	}
	if !long() {
		return
	}
	slowUpload(t, f)
	for _, conn := range all {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s lets a client that never ends its request stay", conn.RemoteAddr())
		}
	}
}

// slowUpload takes longer than any door waits for a request to begin.
func slowUpload(t *testing.T, f *running) {
	body := strings.Repeat("0123456789", 15)
	req, err := http.NewRequestWithContext(t.Context(), "PUT", f.S3+"/"+f.Bucket+"/slow", &dribble{rest: body, each: 10, tick: time.NewTicker(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	keys := aws.Credentials{AccessKeyID: f.AccessKey, SecretAccessKey: f.SecretKey}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, hash, "s3", f.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: newTransport(t)}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a slow upload was answered %s", resp.Status)
	}
	if got, _ := f.stored(t, f.s3(t), "slow"); string(got) != body {
		t.Errorf("a slow upload left %q", got)
	}
}

// dribble yields a few bytes with each tick.
type dribble struct {
	rest string
	each int
	tick *time.Ticker
}

func (d *dribble) Read(p []byte) (int, error) {
	if d.rest == "" {
		d.tick.Stop()
		return 0, io.EOF
	}
	<-d.tick.C
	n := copy(p, d.rest[:min(d.each, len(d.rest))])
	d.rest = d.rest[n:]
	return n, nil
}
