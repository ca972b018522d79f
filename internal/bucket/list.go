package bucket

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/valyala/fasthttp"
	"github.com/versity/versitygw/s3response"
)

// maxPage is the most that S3 lists in one answer.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
const maxPage = 1000

func pageSize(n *int32) int {
	if n == nil {
		return maxPage
	}
	return min(int(*n), maxPage)
}

// ListObjects continues after its marker. Where the marker is a common prefix,
// as NextMarker may be, it continues behind all that the prefix stands for.
func (s *store) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	if err := s.known(in.Bucket); err != nil {
		return s3response.ListObjectsResult{}, err
	}
	q := query{prefix: deref(in.Prefix), delimiter: deref(in.Delimiter), after: deref(in.Marker), max: pageSize(in.MaxKeys)}
	if common, ok := rollUp(q.after, q.prefix, q.delimiter); ok && common == q.after {
		q.skip = common
	}
	p := s.index.list(q)
	enc := encodingOf(ctx)
	result := s3response.ListObjectsResult{
		Name: &s.name, Prefix: enc.text(q.prefix), Marker: enc.text(q.after), Delimiter: enc.optional(q.delimiter),
		MaxKeys: size(q.max), IsTruncated: &p.more, EncodingType: enc.kind(),
		Contents: s.contents(p, enc, true), CommonPrefixes: enc.prefixes(p.prefixes),
	}
	if p.more && q.delimiter != "" { // without a delimiter clients take the last key
		result.NextMarker = enc.text(p.last)
	}
	return result, nil
}

func (s *store) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	if err := s.known(in.Bucket); err != nil {
		return s3response.ListObjectsV2Result{}, err
	}
	q := query{prefix: deref(in.Prefix), delimiter: deref(in.Delimiter), after: deref(in.StartAfter), max: pageSize(in.MaxKeys)}
	if token := deref(in.ContinuationToken); token != "" {
		if err := q.resume(token); err != nil {
			return s3response.ListObjectsV2Result{}, err
		}
	}
	p := s.index.list(q)
	enc := encodingOf(ctx)
	result := s3response.ListObjectsV2Result{
		Name: &s.name, Prefix: enc.text(q.prefix), StartAfter: enc.optional(deref(in.StartAfter)),
		ContinuationToken: optional(deref(in.ContinuationToken)), Delimiter: enc.optional(q.delimiter),
		MaxKeys: size(q.max), KeyCount: size(len(p.objects) + len(p.prefixes)), IsTruncated: &p.more, EncodingType: enc.kind(),
		Contents: s.contents(p, enc, in.FetchOwner != nil && *in.FetchOwner), CommonPrefixes: enc.prefixes(p.prefixes),
	}
	if p.more {
		token := p.token()
		result.NextContinuationToken = &token
	}
	return result, nil
}

// ListObjectVersions shows every object as its only version, named null, as S3
// does for a bucket that never had versions.
func (s *store) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput) (s3response.ListVersionsResult, error) {
	if err := s.known(in.Bucket); err != nil {
		return s3response.ListVersionsResult{}, err
	}
	q := query{prefix: deref(in.Prefix), delimiter: deref(in.Delimiter), after: deref(in.KeyMarker), max: pageSize(in.MaxKeys)}
	if common, ok := rollUp(q.after, q.prefix, q.delimiter); ok && common == q.after {
		q.skip = common
	}
	p := s.index.list(q)
	enc := encodingOf(ctx)
	result := s3response.ListVersionsResult{
		Name: &s.name, Prefix: enc.text(q.prefix), KeyMarker: enc.text(q.after), Delimiter: enc.optional(q.delimiter),
		MaxKeys: size(q.max), IsTruncated: &p.more, EncodingType: enc.kind(), CommonPrefixes: enc.prefixes(p.prefixes),
	}
	only, latest := "null", true
	for _, o := range s.contents(p, enc, true) {
		result.Versions = append(result.Versions, s3response.ObjectVersion{
			Key: o.Key, ETag: o.ETag, Size: o.Size, LastModified: o.LastModified, Owner: o.Owner,
			IsLatest: &latest, VersionId: &only, StorageClass: types.ObjectVersionStorageClassStandard,
		})
	}
	if p.more {
		result.NextKeyMarker, result.NextVersionIdMarker = enc.text(p.last), &only
	}
	return result, nil
}

func (s *store) contents(p page, enc encoding, owner bool) []s3response.Object {
	contents := make([]s3response.Object, len(p.objects))
	for i, o := range p.objects {
		etag := `"` + o.ETag + `"`
		contents[i] = s3response.Object{
			Key: enc.text(o.Key), ETag: &etag, Size: &o.Size, LastModified: &o.Time,
			StorageClass: types.ObjectStorageClassStandard,
		}
		if owner {
			contents[i].Owner = &types.Owner{ID: &s.owner}
		}
	}
	return contents
}

// A continuation token says what the last page ended with: k and a key, or p
// and a common prefix.

func (p page) token() string {
	kind := "k"
	if p.rolled {
		kind = "p"
	}
	return base64.RawURLEncoding.EncodeToString([]byte(kind + p.last))
}

func (q *query) resume(token string) error {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(text) < 2 || text[0] != 'k' && text[0] != 'p' {
		return refuse(400, "InvalidArgument", "the continuation token provided is incorrect")
	}
	q.after = string(text[1:])
	if text[0] == 'p' {
		q.skip = q.after
	}
	return nil
}

// encoding is how keys are written into an answer: as they are or, when the
// client asks for encoding-type=url, percent-encoded. XML 1.0 cannot carry every
// key; versitygw does not pass the wish on, so it is read from the request.
type encoding bool

func encodingOf(ctx context.Context) encoding {
	request, ok := ctx.(*fasthttp.RequestCtx)
	return encoding(ok && string(request.QueryArgs().Peek("encoding-type")) == string(types.EncodingTypeUrl))
}

func (e encoding) kind() types.EncodingType {
	if e {
		return types.EncodingTypeUrl
	}
	return ""
}

// text returns a copy: arguments lie in buffers of the request.
func (e encoding) text(s string) *string {
	s = strings.Clone(s)
	if e {
		s = percentEncode(s)
	}
	return &s
}

func (e encoding) optional(s string) *string {
	if s == "" {
		return nil
	}
	return e.text(s)
}

func (e encoding) prefixes(prefixes []string) []types.CommonPrefix {
	common := make([]types.CommonPrefix, len(prefixes))
	for i, p := range prefixes {
		common[i].Prefix = e.text(p)
	}
	return common
}

func optional(s string) *string { return encoding(false).optional(s) }

func size(n int) *int32 {
	n32 := int32(n)
	return &n32
}

// percentEncode leaves RFC 3986's unreserved characters and the slash as they
// are. A space becomes %20, which every decoder understands.
func percentEncode(s string) string {
	const upperHex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}
