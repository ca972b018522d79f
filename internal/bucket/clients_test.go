package bucket

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/freshet/freshet"
)

// clientEnv is what S3 programs take their settings from.
func clientEnv() []string {
	return append(os.Environ(), "AWS_ACCESS_KEY_ID="+testKey, "AWS_SECRET_ACCESS_KEY="+testSecret,
		"AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent")
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = clientEnv(), dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(name), args, err, out)
	}
	return string(out)
}

func TestAWSCommandLine(t *testing.T) {
	program(t, "aws")
	var seen changes
	b, c := start(t, testConfig(t.TempDir(), seen.add))
	dir := t.TempDir()
	awsRun := func(args ...string) string {
		return run(t, dir, "aws", append([]string{"--endpoint-url", b.URL()}, args...)...)
	}
	files := map[string]string{"a.txt": "a", "sub/b c+d&é.html": "b", "sub/x%20y": "c", "conf": "d"}
	for name, text := range files {
		path := filepath.Join(dir, "tree", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-time.Hour) // sync compares with S3's whole seconds
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}

	awsRun("s3", "sync", "tree", "s3://site/tree")
	if got, want := listed(t, c), []string{"tree/a.txt", "tree/conf", "tree/sub/b c+d&é.html", "tree/sub/x%20y"}; !slices.Equal(got, want) {
		t.Errorf("sync gave %q", got)
	}
	if again := awsRun("s3", "sync", "tree", "s3://site/tree"); strings.Contains(again, "upload:") {
		t.Errorf("a second sync found work:\n%s", again)
	}
	seen.take()
	awsRun("s3", "cp", "big", "s3://site/big")
	if got := seen.take(); len(got) != 1 || got[0].Cause != "ObjectCreated:CompleteMultipartUpload" || got[0].Size != int64(len(big)) || !strings.HasSuffix(got[0].ETag, "-3") {
		t.Errorf("20 MB gave %+v", got)
	}
	awsRun("s3", "cp", "s3://site/big", "back")
	if back, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || !bytes.Equal(back, big) {
		t.Errorf("came back with %d bytes, %v", len(back), err)
	}
	awsRun("s3", "mv", "s3://site/big", "s3://site/moved+big")
	if got := seen.take(); len(got) != 2 || got[0].Key != "moved+big" || got[1].Key != "big" || got[1].Op != freshet.OpDelete {
		t.Errorf("mv gave %+v", got)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(testBucket), Key: aws.String("moved+big")})
	if err != nil || *head.ContentLength != int64(len(big)) {
		t.Errorf("moved: %+v, %v", head, err)
	}
	if err := os.Remove(filepath.Join(dir, "tree", "a.txt")); err != nil {
		t.Fatal(err)
	}
	awsRun("s3", "sync", "tree", "s3://site/tree", "--delete")
	awsRun("s3", "rm", "s3://site/tree", "--recursive")
	if got := listed(t, c); !slices.Equal(got, []string{"moved+big"}) {
		t.Errorf("rm left %q", got)
	}
	if out := awsRun("s3", "ls"); !strings.Contains(out, "site") {
		t.Errorf("ls gave %q", out)
	}

	if err := os.WriteFile(filepath.Join(dir, "part"), big[:6<<20], 0o600); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(awsRun("s3api", "create-multipart-upload", "--bucket", "site", "--key", "m//p", "--content-type", "text/x", "--query", "UploadId", "--output", "text"))
	etag := strings.TrimSpace(awsRun("s3api", "upload-part", "--bucket", "site", "--key", "m//p", "--upload-id", id, "--part-number", "1", "--body", "part", "--query", "ETag", "--output", "text"))
	copied := strings.TrimSpace(awsRun("s3api", "upload-part-copy", "--bucket", "site", "--key", "m//p", "--upload-id", id, "--part-number", "2", "--copy-source", "site/moved+big", "--copy-source-range", "bytes=10-19", "--query", "CopyPartResult.ETag", "--output", "text"))
	if out := awsRun("s3api", "list-parts", "--bucket", "site", "--key", "m//p", "--upload-id", id, "--query", "Parts[].Size"); !strings.Contains(out, "6291456") || !strings.Contains(out, "10") {
		t.Errorf("parts %s", out)
	}
	parts := fmt.Sprintf(`{"Parts":[{"PartNumber":1,"ETag":%q},{"PartNumber":2,"ETag":%q}]}`, strings.Trim(etag, `"`), strings.Trim(copied, `"`))
	awsRun("s3api", "complete-multipart-upload", "--bucket", "site", "--key", "m//p", "--upload-id", id, "--multipart-upload", parts)
	if got, want := get(t, c, "m//p"), string(big[:6<<20])+"abcdef0123"; got != want {
		t.Errorf("the parts gave %d bytes, want %d", len(got), len(want))
	}
}

// pythonWithBoto3 is the first Python in PATH if that has boto3, and otherwise
// the system's, for which packages are installed.
func pythonWithBoto3(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import boto3").Run() == nil {
			return python
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("python3 with boto3 is not installed")
	}
	t.Skip("python3 with boto3 is not installed")
	return ""
}

func TestBoto3(t *testing.T) {
	python := pythonWithBoto3(t)
	b, _ := start(t, testConfig(t.TempDir(), nil))
	script := filepath.Join(t.TempDir(), "check.py")
	if err := os.WriteFile(script, []byte(boto3Check), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, t.TempDir(), python, script, b.URL())
}

// boto3Check asks for encoding-type=url by itself, so that every key comes back.
const boto3Check = `
import boto3, sys, botocore
s3 = boto3.client("s3", endpoint_url=sys.argv[1], config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"max_attempts": 0}))
keys = sorted(["a//b", "a/b", "x/../y", "y", "d/", "d", "conf", "conf/x", "50%", "a+b", "a b", "q?x", "q#x", "\x01c", "n\nl", "r\r\nl", "é", "~", "'\"<&>", "l" * 1024], key=lambda k: k.encode())
for k in keys:
    s3.put_object(Bucket="site", Key=k, Body=k.encode())
for k in keys:
    assert s3.get_object(Bucket="site", Key=k)["Body"].read() == k.encode(), k
for op in "list_objects", "list_objects_v2":
    got = [o["Key"] for p in s3.get_paginator(op).paginate(Bucket="site", PaginationConfig={"PageSize": 3}) for o in p["Contents"]]
    assert got == keys, (op, got)
p = s3.list_objects_v2(Bucket="site", Delimiter="/")
assert [c["Prefix"] for c in p["CommonPrefixes"]] == ["a/", "conf/", "d/", "x/"], p
def fails(code, call, **args):
    try:
        call(Bucket="site", **args)
    except botocore.exceptions.ClientError as e:
        assert e.response["Error"]["Code"] in code, e
        return e
    raise Exception("should have failed with " + str(code))
etag = s3.head_object(Bucket="site", Key="a/b")["ETag"]
# Older versions know no conditions for put_object, but send any header.
conditions = {}
s3.meta.events.register("before-call.s3.PutObject", lambda params, **_: params["headers"].update(conditions))
conditions = {"If-None-Match": "*"}
fails(["PreconditionFailed"], s3.put_object, Key="a/b", Body=b"")
conditions = {"If-Match": '"no"'}
fails(["PreconditionFailed"], s3.put_object, Key="a/b", Body=b"")
conditions = {}
fails(["304", "NotModified"], s3.get_object, Key="a/b", IfNoneMatch=etag)
fails(["412", "PreconditionFailed"], s3.get_object, Key="a/b", IfMatch='"no"')
fails(["InvalidRange"], s3.get_object, Key="a/b", Range="bytes=9-")
fails(["NoSuchKey"], s3.get_object, Key="none")
conditions = {"If-Match": etag}
s3.put_object(Bucket="site", Key="a/b", Body=b"0123456789")
conditions = {}
r = s3.get_object(Bucket="site", Key="a/b", Range="bytes=2-4")
assert r["Body"].read() == b"234" and r["ContentRange"] == "bytes 2-4/10", r
r = s3.get_object(Bucket="site", Key="a/b", Range="bytes=-1")
assert r["Body"].read() == b"9"
a = s3.get_object_attributes(Bucket="site", Key="a/b", ObjectAttributes=["ObjectSize", "ETag"])
assert a["ObjectSize"] == 10, a
s3.put_object_tagging(Bucket="site", Key="a//b", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
assert s3.get_object_tagging(Bucket="site", Key="a//b")["TagSet"] == [{"Key": "k", "Value": "v"}]
assert s3.get_object_tagging(Bucket="site", Key="a/b")["TagSet"] == []
import urllib.request
url = s3.generate_presigned_url("get_object", {"Bucket": "site", "Key": "a//b"})
assert urllib.request.urlopen(url).read() == b"a//b"
url = s3.generate_presigned_url("put_object", {"Bucket": "site", "Key": "up//loaded"})
urllib.request.urlopen(urllib.request.Request(url, data=b"via url", method="PUT", headers={"Content-Type": ""}))
assert s3.get_object(Bucket="site", Key="up//loaded")["Body"].read() == b"via url"
post = s3.generate_presigned_post("site", "form//file")
import io, uuid
b = uuid.uuid4().hex
body = "".join('--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (b, k, v) for k, v in post["fields"].items())
body += '--%s\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nfrom a form\r\n--%s--\r\n' % (b, b)
urllib.request.urlopen(urllib.request.Request(post["url"], data=body.encode(), headers={"Content-Type": "multipart/form-data; boundary=" + b}))
assert s3.get_object(Bucket="site", Key="form//file")["Body"].read() == b"from a form"
boto3.resource("s3", endpoint_url=sys.argv[1]).Bucket("site").object_versions.filter(Prefix="a").delete()
left = [o["Key"] for o in s3.list_objects_v2(Bucket="site")["Contents"]]
assert not [k for k in left if k.startswith("a")] and "conf" in left, left
`

func TestMultipart(t *testing.T) {
	var seen changes
	_, c := start(t, testConfig(t.TempDir(), seen.add))
	ctx, name := t.Context(), aws.String(testBucket)
	put(t, c, "k", "old")
	seen.take()
	var ids []string
	for _, key := range []string{"k", "K", "k/1", "k/2", "z"} {
		up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: name, Key: &key, Metadata: map[string]string{"m": "v"}})
		if err != nil || *up.Key != key || *up.Bucket != testBucket {
			t.Fatalf("%+v, %v", up, err)
		}
		ids = append(ids, *up.UploadId)
	}
	var shown []string
	in := &s3.ListMultipartUploadsInput{Bucket: name, MaxUploads: aws.Int32(2)}
	for {
		out, err := c.ListMultipartUploads(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range out.Uploads {
			shown = append(shown, *u.Key)
		}
		if !*out.IsTruncated {
			break
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
	if want := []string{"K", "k", "k/1", "k/2", "z"}; !slices.Equal(shown, want) {
		t.Errorf("uploads %q, want %q", shown, want)
	}
	rolled, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: name, Delimiter: aws.String("/"), Prefix: aws.String("k")})
	if err != nil || len(rolled.Uploads) != 1 || len(rolled.CommonPrefixes) != 1 || *rolled.CommonPrefixes[0].Prefix != "k/" {
		t.Errorf("rolled up %+v, %v", rolled, err)
	}
	part := func(id string) *s3.UploadPartOutput {
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: name, Key: aws.String("k"), UploadId: &id, PartNumber: aws.Int32(1), Body: strings.NewReader("new")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	p := part(ids[0])
	if got := get(t, c, "k"); got != "old" || len(seen.take()) != 0 {
		t.Errorf("before completion there is %q", got)
	}
	complete := func(id string) error {
		_, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: name, Key: aws.String("k"), UploadId: &id,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: p.ETag, PartNumber: aws.Int32(1)}}}})
		return err
	}
	if err := complete(ids[0]); err != nil {
		t.Fatal(err)
	}
	if got := seen.take(); len(got) != 1 || got[0].Cause != "ObjectCreated:CompleteMultipartUpload" || get(t, c, "k") != "new" {
		t.Errorf("got %+v", got)
	}
	for _, id := range []string{"../../..", "..", "", "no-such-upload", strings.ToUpper(ids[1])} {
		_, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: name, Key: aws.String("k"), UploadId: &id, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
		if id != "" {
			wantCode(t, err, "NoSuchUpload")
		}
	}
	if _, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: name, Key: aws.String("K"), UploadId: &ids[1]}); err != nil {
		t.Error(err)
	}
	if got := seen.take(); len(got) != 0 {
		t.Errorf("an abort was announced: %+v", got)
	}
	ranged, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: aws.String("k"), PartNumber: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer ranged.Body.Close()
	if text, _ := io.ReadAll(ranged.Body); string(text) != "new" || *ranged.PartsCount != 1 {
		t.Errorf("part 1 is %q of %d", text, *ranged.PartsCount)
	}
}
