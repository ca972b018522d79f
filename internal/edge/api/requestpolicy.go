package api

import (
	"strings"

	"github.com/freshet/freshet/internal/distribution"
)

// requestPolicy is an origin request policy's configuration.
type requestPolicy struct {
	distribution.OriginRequestPolicyConfig
}

func (p requestPolicy) title() string { return p.Name }

func requestPolicies() kind {
	uses := anyBehavior(func(b *distribution.CacheBehavior, id string) bool { return b.OriginRequestPolicyID == id })
	return kind{
		name: requestPolicyKind, word: "OriginRequestPolicy", missing: "NoSuchOriginRequestPolicy", most: maxPolicies, tooMany: "TooManyOriginRequestPolicies",
		newID: newRequestID, dated: "LastModifiedTime", page: pageWithout,
		read: readRequestPolicy, load: decodeJSON[requestPolicy], judge: judgeRequestPolicy,
		uses: uses, used: func(s *state, id string) bool { return s.usedBy(id, uses) },
		managed: func() []managedResource {
			return each(distribution.ManagedOriginRequestPolicies(), func(p distribution.OriginRequestPolicy) managedResource {
				return managedResource{p.ID, requestPolicy{p.Config}}
			})
		},
	}
}

func readRequestPolicy(body []byte) (configured, error) {
	const root = "OriginRequestPolicyConfig"
	t, err := readTree(body, root)
	if err == nil {
		err = required(t, lower(root), "Name", "HeadersConfig", "CookiesConfig", "QueryStringsConfig")
	}
	if err != nil {
		return nil, err
	}
	d, strangers, err := distribution.Decode(tree{"OriginRequestPolicies": []any{tree{root: t}}}, "")
	if err := decoded(root, strangers, err); err != nil {
		return nil, err
	}
	return requestPolicy{d.OriginRequestPolicies[0].Config}, nil
}

func judgeRequestPolicy(_ *state, _, config configured) error {
	p := config.(requestPolicy)
	headers, cookies, queries := p.HeadersConfig, p.CookiesConfig, p.QueryStringsConfig
	switch {
	case p.Name == "":
		return refuse(InvalidArgument, "The parameter Name must not be empty")
	case len(headers.Headers) > maxListed:
		return refuse("TooManyHeadersInOriginRequestPolicy", "The origin request policy lists %d headers, at most %d are allowed", len(headers.Headers), maxListed)
	case len(cookies.Cookies) > maxListed:
		return refuse("TooManyCookiesInOriginRequestPolicy", "The origin request policy lists %d cookies, at most %d are allowed", len(cookies.Cookies), maxListed)
	case len(queries.QueryStrings) > maxListed:
		return refuse("TooManyQueryStringsInOriginRequestPolicy", "The origin request policy lists %d query strings, at most %d are allowed", len(queries.QueryStrings), maxListed)
	case !selectsForOrigin(headers.HeaderBehavior, headers.Headers):
		return refuse(InvalidArgument, "The parameter HeadersConfig is not valid")
	case !selects(cookies.CookieBehavior, cookies.Cookies):
		return refuse(InvalidArgument, "The parameter CookiesConfig is not valid")
	case !selects(queries.QueryStringBehavior, queries.QueryStrings):
		return refuse(InvalidArgument, "The parameter QueryStringsConfig is not valid")
	}
	for _, name := range headers.Headers {
		if headers.HeaderBehavior != "allExcept" && oneOf(strings.ToLower(name), "authorization", "accept-encoding") {
			return refuse(InvalidArgument, "The parameter Headers contains %s that is not allowed: a cache policy forwards it", name)
		}
	}
	return nil
}

// selectsForOrigin is selects for the headers of an origin request policy.
func selectsForOrigin(mode string, names []string) bool {
	switch mode {
	case "none", "allViewer":
		return len(names) == 0
	case "whitelist", "allExcept", "allViewerAndWhitelistCloudFront":
		return len(names) > 0
	}
	return false
}

func (p requestPolicy) elements() []element {
	return []element{
		optional("Comment", p.Comment),
		text("Name", p.Name),
		selected("HeadersConfig", "HeaderBehavior", p.HeadersConfig.HeaderBehavior, "Headers", p.HeadersConfig.Headers),
		selected("CookiesConfig", "CookieBehavior", p.CookiesConfig.CookieBehavior, "Cookies", p.CookiesConfig.Cookies),
		selected("QueryStringsConfig", "QueryStringBehavior", p.QueryStringsConfig.QueryStringBehavior, "QueryStrings", p.QueryStringsConfig.QueryStrings),
	}
}
