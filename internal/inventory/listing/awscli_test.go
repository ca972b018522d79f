package listing

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// bucketKeys are on two pages of a bucket, two on each; the size of a key is its
// length.
var bucketKeys = [...]string{"10 Bytes é", "a dir/h+%20.html", "d/", "z  z"}

// fakeS3 answers ListObjects, ListObjectsV2 and ListObjectVersions of one bucket.
func fakeS3(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	type object struct {
		Key, LastModified, ETag, StorageClass string
		Size                                  int
		IsLatest, VersionId                   string `xml:",omitempty"`
	}
	type prefix struct{ Prefix string }
	var page struct {
		XMLName                               xml.Name
		Name, Prefix, EncodingType, Delimiter string
		IsTruncated                           bool
		NextContinuationToken, NextMarker     string `xml:",omitempty"`
		NextKeyMarker, NextVersionIdMarker    string `xml:",omitempty"`
		Contents, Version, DeleteMarker       []object
		CommonPrefixes                        []prefix
	}
	page.XMLName.Local, page.Name, page.EncodingType, page.Delimiter = "ListBucketResult", "site", q.Get("encoding-type"), q.Get("delimiter")
	second := q.Get("continuation-token") + q.Get("marker") + q.Get("key-marker")
	keys := bucketKeys[:2]
	if second != "" {
		keys = bucketKeys[2:]
	}
	for _, key := range keys {
		o := object{Key: key, Size: len(key), LastModified: "2026-01-02T03:04:05.000Z", ETag: `"0f"`, StorageClass: "STANDARD"}
		if page.EncodingType == "url" {
			o.Key = strings.NewReplacer("%", "%25", "+", "%2B", " ", "+", "é", "%C3%A9").Replace(key)
		}
		if !q.Has("versions") {
			page.Contents = append(page.Contents, o)
			continue
		}
		o.IsLatest, o.VersionId = "true", "2"
		page.Version = append(page.Version, o)
		o.IsLatest, o.VersionId = "false", "1"
		page.Version, page.DeleteMarker = append(page.Version, o), append(page.DeleteMarker, o)
	}
	if page.Delimiter != "" {
		page.CommonPrefixes = []prefix{{"folder/"}}
	}
	if page.IsTruncated = second == ""; page.IsTruncated {
		next := keys[len(keys)-1]
		switch {
		case q.Has("versions"):
			page.NextKeyMarker, page.NextVersionIdMarker = next, "1"
		case q.Has("list-type"):
			page.NextContinuationToken = "more"
		default:
			page.NextMarker = next
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(page)
}

// TestAWSCommandLine reads what the AWS CLI itself prints of a bucket.
func TestAWSCommandLine(t *testing.T) {
	if err := exec.Command("aws", "--version").Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("aws is not installed: %v", err)
		}
		t.Skipf("aws is not installed: %v", err)
	}
	server := httptest.NewServer(http.HandlerFunc(fakeS3))
	t.Cleanup(server.Close)
	const all, none = 4, 0
	tests := []struct {
		args    string
		objects int
		sized   bool
		skipped Skipped
		problem string // of the reading as a whole
	}{
		{"s3api list-objects-v2 --bucket site", all, true, Skipped{}, ""},
		{"s3api list-objects --bucket site", all, true, Skipped{}, ""},
		{"s3api list-object-versions --bucket site", all, true, Skipped{4, 4}, ""},
		{"s3api list-objects-v2 --bucket site --query Contents[]", all, true, Skipped{}, ""},
		{"s3api list-objects-v2 --bucket site --query Contents[].Key", all, false, Skipped{}, ""},
		{"s3api list-objects-v2 --bucket site --query Contents[].[Size,Key] --output text", all, true, Skipped{}, ""},
		{"s3 ls s3://site --recursive", all, true, Skipped{}, ""},
		{"s3 ls s3://site --recursive --summarize", all, true, Skipped{}, ""},

		{"s3api list-objects-v2 --bucket site --no-paginate", 2, true, Skipped{}, "the listing ends before the bucket does"},
		{"s3api list-objects --bucket site --no-paginate", 2, true, Skipped{}, "the listing ends before the bucket does"},
		{"s3api list-object-versions --bucket site --no-paginate", 2, true, Skipped{2, 2}, "the listing ends before the bucket does"},
		{"s3api list-objects-v2 --bucket site --max-items 1", 1, true, Skipped{}, "the listing ends before the bucket does"},
		{"s3api list-objects-v2 --bucket site --delimiter /", all, true, Skipped{}, "CommonPrefixes"},
		{"s3api list-objects-v2 --bucket site --output text", none, true, Skipped{}, "--output json"},
		{"s3api list-objects-v2 --bucket site --output table", none, true, Skipped{}, "--output json"},
		{"s3api list-objects-v2 --bucket site --encoding-type url --no-paginate", 2, false, Skipped{}, "may be URL-encoded"},
		{"s3 ls s3://site", none, true, Skipped{}, "--recursive"},
		{"s3 ls s3://site --recursive --human-readable", none, true, Skipped{}, "--human-readable"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			l := Read(strings.NewReader(aws(t, server.URL, tt.args)), Options{})
			n := 0
			var final error
			for o, err := range l.Objects() {
				if err != nil {
					if _, record := errors.AsType[*RecordError](err); record {
						t.Error(err)
					}
					final = err
					continue
				}
				if tt.objects == all && (o.Key != bucketKeys[n] || tt.sized && int(o.Size) != len(o.Key)) {
					t.Errorf("object %d is %+v, not %q", n, o, bucketKeys[n])
				}
				n++
			}
			if tt.problem != "" {
				if final == nil || !strings.Contains(final.Error(), tt.problem) {
					t.Errorf("%v, want an error with %q", final, tt.problem)
				}
			} else if final != nil || n != tt.objects {
				t.Errorf("%d objects, %v", n, final)
			}
			if l.Skipped() != tt.skipped && tt.problem == "" {
				t.Errorf("skipped %+v", l.Skipped())
			}
		})
	}
}

func aws(t *testing.T, endpoint, args string) string {
	t.Helper()
	cmd := exec.Command("aws", append([]string{"--endpoint-url", endpoint}, strings.Fields(args)...)...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION=us-east-1", "AWS_DEFAULT_OUTPUT=json",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_PAGER=", "PYTHONIOENCODING=utf-8", "PYTHONUTF8=1")
	var out, problem strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		t.Fatalf("aws %s: %v\n%s", args, err, problem.String())
	}
	return out.String()
}
