package bucket

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"
)

// model lists by looking at every key: the sorted keys and common prefixes
// behind after, both with their place in the order.
func model(keys []string, prefix, delimiter, after string) (shown []string) {
	seen := make(map[string]bool)
	for _, key := range keys {
		if key <= after || !strings.HasPrefix(key, prefix) {
			continue
		}
		if i := strings.Index(key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
			key = "P" + key[:len(prefix)+i+len(delimiter)]
			if key == "P"+after { // the last page ended with it
				continue
			}
		} else {
			key = "K" + key
		}
		if !seen[key] {
			shown = append(shown, key)
		}
		seen[key] = true
	}
	return shown
}

func indexOf(keys []string) *index {
	x := &index{}
	for _, key := range keys {
		x.set(Object{Key: key})
	}
	return x
}

func bareStore(keys []string) *store {
	s := &store{name: testBucket, owner: "me"}
	for _, key := range keys {
		s.index.set(Object{Key: key, ETag: "e"})
	}
	return s
}

func manyKeys() []string {
	var keys []string
	for i := range 5000 {
		switch i % 5 {
		case 0:
			keys = append(keys, fmt.Sprintf("img/%03d/%d.png", i%97, i))
		case 1:
			keys = append(keys, fmt.Sprintf("%d", i))
		case 2:
			keys = append(keys, fmt.Sprintf("img/é %d&<+", i))
		case 3:
			keys = append(keys, fmt.Sprintf("d%d/", i))
		default:
			keys = append(keys, fmt.Sprintf("a//b/%d/..", i))
		}
	}
	return append(keys, "img/", "img", "/", "//", "a")
}

func TestListingsPageLikeTheModel(t *testing.T) {
	keys := manyKeys()
	s := bareStore(keys)
	slices.Sort(keys)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "", "img", "img/", "img/0", "a", "a/", "a//b", "d", "none", "/", "é"}).Draw(t, "prefix")
		delimiter := rapid.SampledFrom([]string{"", "/", "/", "//", "g", "é", "/b/", "0"}).Draw(t, "delimiter")
		after := rapid.OneOf(rapid.Just(""), rapid.SampledFrom(keys), rapid.SampledFrom([]string{"img/", "img/0", "a/", "b", "zzz", "a//b/"})).Draw(t, "after")
		most := int32(rapid.SampledFrom([]int{1, 2, 3, 10, 97, 999, 1000, 5000}).Draw(t, "max"))
		if most < 10 && prefix == "" && delimiter == "" {
			most *= 50
		}
		kind := rapid.SampledFrom([]string{"v1", "v2", "versions"}).Draw(t, "kind")
		encode := rapid.Bool().Draw(t, "encode")
		got := pages(t, s, kind, encode, prefix, delimiter, after, most)
		// StartAfter alone never means a common prefix that was shown.
		skipped := after
		if kind == "v2" {
			skipped = ""
		}
		want := model(keys, prefix, delimiter, after)
		if kind == "v2" {
			if common, ok := rollUp(after, prefix, delimiter); ok && common == after && skipped == "" {
				want = withPrefix(keys, prefix, delimiter, after)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %d\n%.600q\nwant %d\n%.600q", len(got), got, len(want), want)
		}
	})
}

// withPrefix is model for a StartAfter that looks like a common prefix: the
// keys behind it are rolled up all the same.
func withPrefix(keys []string, prefix, delimiter, after string) []string {
	later := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k <= after })
	return model(later, prefix, delimiter, "")
}

// pages lists page by page and checks what every page says about itself.
func pages(t *rapid.T, s *store, kind string, encode bool, prefix, delimiter, after string, most int32) (shown []string) {
	ctx := &fasthttp.RequestCtx{}
	if encode {
		ctx.QueryArgs().Set("encoding-type", "url")
	}
	var token *string
	marker := after
	for range 6000 {
		var contents []s3Object
		var prefixes []types.CommonPrefix
		var more bool
		var count, echoed int32
		switch kind {
		case "v1":
			out, err := s.ListObjects(ctx, &s3.ListObjectsInput{Bucket: aws.String(testBucket), Prefix: &prefix, Delimiter: &delimiter, Marker: &marker, MaxKeys: &most})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out.Contents {
				contents = append(contents, s3Object{*o.Key, o.Owner != nil})
			}
			prefixes, more, echoed = out.CommonPrefixes, *out.IsTruncated, *out.MaxKeys
			if (out.NextMarker != nil) != (more && delimiter != "") {
				t.Fatalf("NextMarker %v", out.NextMarker)
			}
			if out.NextMarker != nil {
				marker = decoded(t, *out.NextMarker, encode)
			} else if more {
				marker = decoded(t, contents[len(contents)-1].key, encode)
			}
		case "versions":
			out, err := s.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: aws.String(testBucket), Prefix: &prefix, Delimiter: &delimiter, KeyMarker: &marker, MaxKeys: &most})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out.Versions {
				contents = append(contents, s3Object{*o.Key, o.Owner != nil && *o.VersionId == "null"})
			}
			prefixes, more, echoed = out.CommonPrefixes, *out.IsTruncated, *out.MaxKeys
			if more {
				marker = decoded(t, *out.NextKeyMarker, encode)
			}
		default:
			in := &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &most, ContinuationToken: token, FetchOwner: aws.Bool(true)}
			if token == nil {
				in.StartAfter = &after
			}
			out, err := s.ListObjectsV2(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out.Contents {
				contents = append(contents, s3Object{*o.Key, o.Owner != nil})
			}
			prefixes, more, count, echoed, token = out.CommonPrefixes, *out.IsTruncated, *out.KeyCount, *out.MaxKeys, out.NextContinuationToken
			if int(count) != len(contents)+len(prefixes) || (token != nil) != more {
				t.Fatalf("KeyCount %d, token %v", count, token)
			}
		}
		n := len(contents) + len(prefixes)
		if n > int(min(most, 1000)) || more && n != int(min(most, 1000)) || echoed != min(most, 1000) {
			t.Fatalf("a page of %d for max-keys %d, more %v, echoed %d", n, most, more, echoed)
		}
		shown = append(shown, merged(t, contents, prefixes, encode)...)
		if !more {
			return shown
		}
	}
	t.Fatal("the listing does not end")
	return nil
}

type s3Object struct {
	key   string
	owner bool
}

func merged(t *rapid.T, contents []s3Object, prefixes []types.CommonPrefix, encode bool) []string {
	var all []string
	for _, o := range contents {
		if !o.owner {
			t.Fatalf("%q has no owner", o.key)
		}
		all = append(all, "K"+decoded(t, o.key, encode))
	}
	for _, p := range prefixes {
		all = append(all, "P"+decoded(t, *p.Prefix, encode))
	}
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	return all
}

func decoded(t *rapid.T, text string, encode bool) string {
	if !encode {
		return text
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7F || strings.IndexByte(`"<>&+'`, c) >= 0 {
			t.Fatalf("%q is not encoded", text)
		}
	}
	key, err := url.QueryUnescape(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestListingsOverTheWire(t *testing.T) {
	_, c := start(t, testConfig(t.TempDir(), nil))
	for _, key := range []string{"a", "b/1", "b/2", "c d+&é", "\x01"} {
		put(t, c, key, "x")
	}
	out, err := c.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: aws.String(testBucket), EncodingType: types.EncodingTypeUrl, Delimiter: aws.String("/"), MaxKeys: aws.Int32(3)})
	if err != nil {
		t.Fatal(err)
	}
	if out.EncodingType != types.EncodingTypeUrl || *out.Contents[0].Key != "%01" || *out.CommonPrefixes[0].Prefix != "b/" ||
		*out.NextMarker != "b/" || *out.Contents[0].ETag != `"9dd4e461268c8034f5c8564e155c67a6"` || *out.Contents[0].Size != 1 {
		t.Errorf("got %+v", out)
	}
	empty, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), MaxKeys: aws.Int32(0)})
	if err != nil || *empty.KeyCount != 0 || *empty.IsTruncated {
		t.Errorf("max-keys 0 gave %+v, %v", empty, err)
	}
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(testBucket), ContinuationToken: aws.String("?")})
	wantCode(t, err, "InvalidArgument")
	_, err = c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("other-bucket")})
	wantCode(t, err, "NoSuchBucket")
}

func BenchmarkListPage(b *testing.B) {
	x := indexOf(manyKeys())
	b.ReportAllocs()
	for b.Loop() {
		x.list(query{max: 1000})
	}
}
