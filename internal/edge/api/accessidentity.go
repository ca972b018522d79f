package api

import (
	"crypto/sha512"
	"encoding/hex"
	"slices"

	"github.com/freshet/freshet/internal/distribution"
)

// accessIdentity is the older way in which CloudFront showed a bucket who asks.
// Here it is for tools that make one before they make the distribution.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CloudFrontOriginAccessIdentityConfig.html
type accessIdentity struct {
	CallerReference string
	Comment         string
}

// originAccessIdentity begins the text by which origins name an identity.
const originAccessIdentity = "origin-access-identity/cloudfront/"

func (a accessIdentity) title() string { return a.CallerReference }

func (a accessIdentity) elements() []element {
	return []element{text("CallerReference", a.CallerReference), text("Comment", a.Comment)}
}

func accessIdentities() kind {
	uses := func(c *distribution.Config, id string) bool {
		return slices.ContainsFunc(c.Origins, func(o distribution.Origin) bool {
			return o.S3OriginConfig != nil && o.S3OriginConfig.OriginAccessIdentity == originAccessIdentity+id
		})
	}
	const word = "CloudFrontOriginAccessIdentity"
	user := func(r *resource) element { return text("S3CanonicalUserId", canonicalUser(r.key.id)) }
	return kind{
		name: accessIdentityKind, path: []string{"origin-access-identity", "cloudfront"}, word: word, missing: "NoSuch" + word,
		most: 100, tooMany: "TooManyCloudFrontOriginAccessIdentities",
		newID: func() string { return newID("E") }, page: pageWithMarker, put: "config", repeatable: true,
		read: readAccessIdentity, load: decodeJSON[accessIdentity], judge: judgeAccessIdentity,
		uses: uses, used: func(s *state, id string) bool { return s.usedBy(id, uses) }, more: user,
		summary: func(r *resource) []element {
			return []element{text("Id", r.key.id), user(r), text("Comment", r.config.(accessIdentity).Comment)}
		},
	}
}

// canonicalUser has 96 hexadecimal digits, as those of S3.
func canonicalUser(id string) string {
	sum := sha512.Sum384([]byte(originAccessIdentity + id))
	return hex.EncodeToString(sum[:])
}

func readAccessIdentity(body []byte) (configured, error) {
	f, err := readFields(body, "CloudFrontOriginAccessIdentityConfig", "CallerReference", "Comment")
	a := accessIdentity{CallerReference: f.text("CallerReference"), Comment: f.text("Comment")}
	return a, f.end(err)
}

func judgeAccessIdentity(_ *state, was, config configured) error {
	a := config.(accessIdentity)
	if old, ok := was.(accessIdentity); ok && old.CallerReference != a.CallerReference {
		return refuse(IllegalUpdate, "The caller reference cannot be changed: it is %q", clip(old.CallerReference))
	}
	if a.CallerReference == "" {
		return refuse(InvalidArgument, "The parameter CallerReference must not be empty")
	}
	return nil
}
