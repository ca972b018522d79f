package bucket

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"pgregory.net/rapid"
)

// oddKeys are all different objects for S3.
var oddKeys = []string{
	"conf", "conf/x", "conf/", "conf/x/y", "Conf", "CONF", "a/b", "a//b", "a///b", "x/../y", "y", "x/./y", "x/y",
	"d/", "d", "d//", "/lead", "lead", "./dot", "dot", ".hidden", "..twodots", "a.", "a..", ".sgwtmp/x", ".sgwtmp",
	"50%", "50%25", "%2F", "%2f", "a#b", "a?b", "a?versionId=c", "a b", "a+b", "a%20b", `q"uo'te`, "tilde~", "<&>", "a\\b", "a|b", "a*b", "a:b",
	"new\nline", "tab\tx", "ret\rurn", "\x01control", "\x7fdel", "é", "e\u0301", "日本語/キー", "\U0001F600", " lead space", "trail space ", " ",
	"=", "=a", "+", "+x", "a+", "a=b;c,d@e$f!g(h)[i]{j}^k`l",
	strings.Repeat("l", 1024), strings.Repeat("l", 1023), strings.Repeat("L", 1024), strings.Repeat("l", 200), strings.Repeat("l", 201),
	strings.Repeat("é", 512), strings.Repeat("/", 3) + "x", strings.Repeat(".", 500) + "x", "p/" + strings.Repeat("m", 400) + "/q",
}

func TestOddKeys(t *testing.T) {
	dir := t.TempDir()
	var seen changes
	b, c := start(t, testConfig(dir, seen.add))
	for i, key := range oddKeys {
		put(t, c, key, fmt.Sprint(i))
	}
	checkOddKeys(t, b, c)
	for i, change := range seen.take() {
		if change.Key != oddKeys[i] {
			t.Errorf("announced %q, want %q", change.Key, oddKeys[i])
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b, c = start(t, testConfig(dir, seen.add))
	checkOddKeys(t, b, c)
	for i, key := range oddKeys { // onto the next one, through the copy source header
		next := "copy/" + key
		if len(next) > MaxKeyLength {
			continue
		}
		_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{
			Bucket: aws.String(testBucket), Key: &next, CopySource: aws.String(testBucket + "/" + percentEncode(key)),
		})
		if err != nil {
			t.Errorf("copy %q: %v", key, err)
		} else if got := get(t, c, next); got != fmt.Sprint(i) {
			t.Errorf("copy of %q holds %q, want %d", key, got, i)
		}
	}
	var objects []types.ObjectIdentifier
	for _, key := range oddKeys {
		if key != "\x01control" { // XML cannot carry it
			objects = append(objects, types.ObjectIdentifier{Key: &key})
		}
	}
	out, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String(testBucket), Delete: &types.Delete{Objects: objects}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Errors) != 0 || len(out.Deleted) != len(objects) {
		t.Errorf("deleted %d of %d, errors %v", len(out.Deleted), len(objects), out.Errors)
	}
	for i, d := range out.Deleted {
		if *d.Key != *objects[i].Key {
			t.Errorf("answer names %q, want %q", *d.Key, *objects[i].Key)
		}
	}
	if _, ok := b.Stat("conf"); ok {
		t.Error("conf is still there")
	}
	if _, ok := b.Stat("\x01control"); !ok {
		t.Error("control key went along")
	}
}

func checkOddKeys(t *testing.T, b *Bucket, c *s3.Client) {
	t.Helper()
	for i, key := range oddKeys {
		if got := get(t, c, key); got != fmt.Sprint(i) {
			t.Errorf("%q holds %q, want %d", key, got, i)
		}
	}
	var indexed []string
	for o := range b.Objects() {
		indexed = append(indexed, o.Key)
	}
	if want := sorted(oddKeys); !slices.Equal(indexed, want) {
		t.Errorf("index\n%q\nwant\n%q", indexed, want)
	}
	plain := slices.DeleteFunc(sorted(oddKeys), func(k string) bool { return k == "\x01control" })
	got := slices.DeleteFunc(listed(t, c), func(k string) bool { return strings.Contains(k, "control") })
	if !slices.Equal(got, plain) {
		t.Errorf("listing\n%q\nwant\n%q", got, plain)
	}
}

func TestKeysThatS3Refuses(t *testing.T) {
	b, c := start(t, testConfig(t.TempDir(), nil))
	for key, code := range map[string]string{
		strings.Repeat("k", 1025): "KeyTooLongError",
		strings.Repeat("é", 513):  "KeyTooLongError",
		"nul\x00":                 "InvalidURI",
		"invalid\xff":             "InvalidURI",
		"..":                      "InvalidURI", ".": "InvalidURI", "//": "InvalidURI", "/": "InvalidURI", "a/..": "InvalidURI",
		"../outside":      "InvalidURI",
		"a/../../outside": "InvalidURI",
	} {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(testBucket), Key: &key, Body: strings.NewReader("x")})
		t.Logf("%.20q: %v", key, err)
		wantCode(t, err, code)
	}
	if b.Len() != 0 {
		t.Errorf("%d objects were stored", b.Len())
	}
}

func TestFileNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringN(1, 340, 1024).Draw(t, "key")
		path := fileName(key)
		if back, ok := keyOf(path); !ok || back != key {
			t.Fatalf("%q became %q, then %q, %v", key, path, back, ok)
		}
		if path != strings.ToLower(path) || !filepath.IsLocal(path) || filepath.Clean(path) != path {
			t.Fatalf("%q became %q", key, path)
		}
		names := strings.Split(path, "/")
		for i, name := range names {
			if len(name) > pieceLength+2 || strings.HasPrefix(name, ".") || isContinued(name) != (i < len(names)-1) {
				t.Fatalf("%q has the piece %q", path, name)
			}
		}
	})
}

func FuzzKeyOf(f *testing.F) {
	for _, key := range oddKeys {
		f.Add(fileName(key))
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if key, ok := keyOf(path); ok && fileName(key) != path {
			t.Fatalf("%q and %q both hold %q", path, fileName(key), key)
		}
	})
}
