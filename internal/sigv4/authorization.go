package sigv4

import (
	"net/http"
	"strings"
)

const algorithm = "AWS4-HMAC-SHA256"

// maxAuthorization bounds the header before it is taken apart, in bytes; real
// ones have about 300.
const maxAuthorization = 8 << 10

// authorization is an Authorization header taken apart. Nothing in it is proven.
type authorization struct {
	accessKeyID   string
	date          string // YYYYMMDD
	region        string // empty in version 4A
	service       string
	signedHeaders []string // as the client wrote them
	signature     string   // hexadecimal digits in lower case, 64 but in version 4A
}

// authorizationOf finds the header of r. A request that is presigned, or not
// signed at all, is a MissingAuthenticationToken.
func (v Verifier) authorizationOf(r *http.Request) (authorization, error) {
	switch headers := r.Header.Values("Authorization"); len(headers) {
	case 0:
		return authorization{}, &Error{Code: MissingAuthenticationToken, Status: http.StatusForbidden,
			Message: "Missing Authentication Token: sign the request in its Authorization header with AWS Signature Version 4"}
	case 1:
		if v.Asymmetric {
			return parseAuthorization(headers[0], asymmetric)
		}
		return parseAuthorization(headers[0], algorithm)
	default:
		return authorization{}, incomplete("the request has %d Authorization headers", len(headers))
	}
}

// parseAuthorization understands
//
//	AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX
//
// with the three parts in any order and any blanks around the commas. In version
// 4A there is no region.
func parseAuthorization(header, wanted string) (authorization, error) {
	if len(header) > maxAuthorization {
		return authorization{}, incomplete("the Authorization header is longer than %d bytes", maxAuthorization)
	}
	scheme, rest, _ := strings.Cut(header, " ")
	if scheme != wanted {
		return authorization{}, incomplete("unsupported AWS 'algorithm': '%s'", scheme)
	}
	parts, err := parameters(rest)
	if err != nil {
		return authorization{}, err
	}
	a := authorization{signedHeaders: strings.Split(parts["SignedHeaders"], ";"), signature: parts["Signature"]}
	switch {
	case strings.Trim(a.signature, "0123456789abcdef") != "":
		return authorization{}, incomplete("'Signature' must be hexadecimal digits in lower case")
	case wanted == asymmetric:
		return a, a.setScope(parts["Credential"], "keyid/date/service/aws4_request")
	case len(a.signature) != 64:
		return authorization{}, incomplete("'Signature' must be 64 hexadecimal digits in lower case")
	}
	return a, a.setScope(parts["Credential"], "keyid/date/region/service/aws4_request")
}

// parameters splits the list behind the algorithm. Each of the three names is
// there exactly once and not empty.
func parameters(list string) (map[string]string, error) {
	parts := make(map[string]string, 3)
	for part := range strings.SplitSeq(list, ",") {
		name, value, found := strings.Cut(strings.Trim(part, " \t"), "=")
		if !found {
			return nil, incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header", name)
		}
		if _, twice := parts[name]; twice {
			return nil, incomplete("Authorization header has '%s' twice", name)
		}
		parts[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if parts[name] == "" {
			return nil, incomplete("Authorization header requires '%s' parameter", name)
		}
	}
	if len(parts) > 3 {
		return nil, incomplete("Authorization header has parameters besides Credential, SignedHeaders and Signature")
	}
	return parts, nil
}

// setScope reads a credential that has the given elements.
func (a *authorization) setScope(credential, elements string) error {
	scope, n := strings.Split(credential, "/"), strings.Count(elements, "/")+1
	if len(scope) != n || scope[n-1] != "aws4_request" || scope[0] == "" || scope[2] == "" {
		return incomplete("Credential must have exactly %d slash-delimited elements: %s, got '%s'", n, elements, credential)
	}
	a.accessKeyID, a.date, a.service = scope[0], scope[1], scope[n-2]
	if n == 5 {
		a.region = scope[2]
	}
	return nil
}
