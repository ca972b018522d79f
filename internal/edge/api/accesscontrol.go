package api

import (
	"slices"

	"github.com/freshet/freshet/internal/distribution"
)

// accessControl says how requests to an origin are signed. The edge signs those
// to its own bucket anyway; here it is for tools that make one before they make
// the distribution.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_OriginAccessControlConfig.html
type accessControl struct {
	Name            string
	Description     string
	SigningProtocol string
	SigningBehavior string
	OriginType      string
}

func (a accessControl) title() string { return a.Name }

func (a accessControl) elements() []element {
	return []element{text("Name", a.Name), text("Description", a.Description), text("SigningProtocol", a.SigningProtocol),
		text("SigningBehavior", a.SigningBehavior), text("OriginAccessControlOriginType", a.OriginType)}
}

func accessControls() kind {
	uses := func(c *distribution.Config, id string) bool {
		return slices.ContainsFunc(c.Origins, func(o distribution.Origin) bool { return o.OriginAccessControlID == id })
	}
	return kind{
		name: accessControlKind, word: "OriginAccessControl", missing: "NoSuchOriginAccessControl", most: 100, tooMany: "TooManyOriginAccessControls",
		newID: func() string { return newID("E") }, page: pageWithMarker, put: "config",
		read: readAccessControl, load: decodeJSON[accessControl], judge: judgeAccessControl,
		uses: uses, used: func(s *state, id string) bool { return s.usedBy(id, uses) },
		summary: func(r *resource) []element {
			return append([]element{text("Id", r.key.id)}, r.config.elements()...)
		},
	}
}

func readAccessControl(body []byte) (configured, error) {
	f, err := readFields(body, "OriginAccessControlConfig", "Name", "SigningProtocol", "SigningBehavior", "OriginAccessControlOriginType")
	a := accessControl{Name: f.text("Name"), Description: f.text("Description"), SigningProtocol: f.text("SigningProtocol"),
		SigningBehavior: f.text("SigningBehavior"), OriginType: f.text("OriginAccessControlOriginType")}
	return a, f.end(err)
}

func judgeAccessControl(_ *state, _, config configured) error {
	a := config.(accessControl)
	switch {
	case a.Name == "":
		return refuse(InvalidArgument, "The parameter Name must not be empty")
	case len(a.Name) > 64 || len(a.Description) > 256:
		return refuse(InvalidArgument, "The parameter Name may have 64 characters, and Description 256; they have %d and %d", len(a.Name), len(a.Description))
	case a.SigningProtocol != "sigv4":
		return refuse(InvalidArgument, "The parameter SigningProtocol is not valid: %q", clip(a.SigningProtocol))
	case !oneOf(a.SigningBehavior, "never", "always", "no-override"):
		return refuse(InvalidArgument, "The parameter SigningBehavior is not valid: %q", clip(a.SigningBehavior))
	case !oneOf(a.OriginType, "s3", "mediastore", "mediapackagev2", "lambda"):
		return refuse(InvalidArgument, "The parameter OriginAccessControlOriginType is not valid: %q", clip(a.OriginType))
	}
	return nil
}
