package cloudformation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A text that stands for something that only CloudFormation knows carries a
// mark: one character of plane 15, by its number in symbols. Texts that are
// joined and split keep their marks. Where all is resolved plain takes them
// away, and makes host names that had any end in a way that cannot be reached.
const (
	firstMark = '\U000F0000'
	lastMark  = '\U000FFFFD'
)

func isMark(c rune) bool { return c >= firstMark && c <= lastMark }

func marked(s string) bool { return strings.ContainsFunc(s, isMark) }

// symbol is what a mark stands for.
type symbol struct {
	name string

	// Of what somebody has to give before it is known, such as a parameter
	// without a default: where it was asked for, and what to do. Its name stands
	// for it where it decides nothing. Of what CloudFormation makes why is empty:
	// in another template, the name may lead to it.
	path, why string
}

// mark returns the mark of s, the same for the same name.
func (r *session) mark(s symbol) string {
	i := slices.IndexFunc(r.symbols, func(other symbol) bool { return other.name == s.name })
	if i < 0 {
		i = len(r.symbols)
		r.symbols = append(r.symbols, s)
	}
	return string(min(firstMark+rune(i), lastMark))
}

// symbol returns the mark of what CloudFormation makes under name.
func (r *resolver) symbol(name string) string { return r.mark(symbol{name: name}) }

// wanting returns what stands for a text that has to be given.
func (r *resolver) wanting(name, path, format string, args ...any) string {
	return r.mark(symbol{name, r.prefix + path, fmt.Sprintf(format, args...)}) + strings.Trim(strings.Map(func(c rune) rune {
		if c < 0x80 && (c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return c
		}
		return '-'
	}, name), "-")
}

// wanted returns what has to be given before a text is known.
func (r *session) wanted(s string) []symbol {
	return slices.DeleteFunc(r.standing(s), func(w symbol) bool { return w.why == "" })
}

// standing returns what stands in a text, by name.
func (r *session) standing(s string) []symbol {
	var found []symbol
	for _, c := range s {
		if i := int(c - firstMark); isMark(c) && i < len(r.symbols) && !slices.Contains(found, r.symbols[i]) {
			found = append(found, r.symbols[i])
		}
	}
	slices.SortFunc(found, func(a, b symbol) int { return strings.Compare(a.name, b.name) })
	return found
}

// decisive returns v where all that has to be given for it is there. Otherwise
// what is missing is noted as an error.
func (r *session) decisive(v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	wanted := r.wanted(s)
	for _, w := range wanted {
		r.missing(w)
	}
	if len(wanted) > 0 {
		return broken{}
	}
	return v
}

// missing notes once that something has to be given.
func (r *session) missing(w symbol) {
	e := Error{w.path, w.why}
	if slices.ContainsFunc(r.errs, func(err error) bool { was, ok := err.(*Error); return ok && *was == e }) { //nolint:errorlint // they are noted as they are
		return
	}
	(&resolver{session: r}).fail(w.path, "%s", w.why)
}

// unreachable ends host names that lead nowhere.
// https://www.rfc-editor.org/rfc/rfc2606#section-2
const unreachable = ".invalid"

// unknown returns what stands for an attribute. What is a host name, or a URL
// by its attribute's name, has the form of one.
func (r *resolver) unknown(id, attribute string) string {
	name := id + "." + attribute
	mark, host := r.symbol(name), strings.ToLower(id)+unreachable
	switch last := attribute[strings.LastIndexByte(attribute, '.')+1:]; {
	case strings.HasSuffix(last, "Url"), strings.HasSuffix(last, "URL"):
		return "https://" + mark + host + "/"
	case r.kind(id) == "AWS::MediaStore::Container", last == "ApiEndpoint":
		return "https://" + mark + host
	case strings.HasSuffix(last, "DomainName"), strings.HasSuffix(last, "DNSName"), strings.HasPrefix(last, "Endpoint"):
		return mark + host
	}
	return mark + name
}

// Host returns what stands for the domain name of a distribution of which only
// the logical ID is known.
func Host(id string) string { return strings.ToLower(id) + unreachable }

// plain takes the marks out of a resolved tree.
func (r *resolver) plain(tree any, path string) any {
	switch t := tree.(type) {
	case string:
		return r.plainText(t, path)
	case []any:
		for i, e := range t {
			t[i] = r.plain(e, path+"["+strconv.Itoa(i)+"]")
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(t)) {
			t[name] = r.plain(t[name], path+"."+name)
		}
	}
	return tree
}

func (r *resolver) plainText(s, path string) string {
	if !marked(s) {
		return s
	}
	plain := strings.Map(func(c rune) rune {
		if isMark(c) {
			return -1
		}
		return c
	}, s)
	if isHost(path) && !strings.HasSuffix(plain, unreachable) {
		plain = r.standIn(strings.ToLower(plain), strings.IndexFunc(s, isMark))
	}
	for _, stands := range r.standing(s) {
		r.explain(stands, plain, path)
	}
	return plain
}

// standIn returns a host name for one of which something is not known from the
// given place on: one that cannot be reached, or where that is a bucket's name,
// the bucket that stands for those.
func (r *resolver) standIn(host string, from int) string {
	if i := strings.Index(host, ".s3"); r.o.Bucket != "" && i > from && strings.Contains(host[i:], ".amazonaws.com") {
		return r.o.Bucket + host[i:]
	}
	return host + unreachable
}

// explain says that plain stands at path in place of what has a symbol in it.
func (r *resolver) explain(s symbol, plain, path string) {
	why := s.why
	if why == "" {
		why = fmt.Sprintf("%s is known to CloudFormation only: give it as resource %s", s.name, s.name)
	}
	known, hint, _ := strings.Cut(why, ": give ")
	switch {
	case isHost(path):
		r.warn(path, "%s, and %s stands for the host: give %s", known, plain, hint)
	case isExact(path) && s.why == "":
		r.fail(path, "%s", why)
	case s.why != "" && !isIdle(path):
		r.missing(s)
	case isSaid(path):
		r.warn(path, "%s, and %s stands for it: give %s", known, s.name, hint)
	}
}

// isExact reports whether nothing can stand for what is at path, because it
// decides which objects an URL leads to.
func isExact(path string) bool {
	name := path[strings.LastIndexByte(path, '.')+1:]
	return slices.Contains([]string{"OriginPath", "PathPattern", "DefaultRootObject", "ResponsePagePath", "HeaderName"}, name)
}

// isIdle reports whether what is at path decides nothing of what viewers get
// here, but for texts that origins and functions get.
func isIdle(path string) bool {
	if strings.Contains(path, ".Tags[") || isSaid(path) {
		return true
	}
	if list := strings.LastIndex(path, "["); list >= 0 && strings.HasSuffix(path, "]") {
		path = path[:list]
	}
	name := path[strings.LastIndexByte(path, '.')+1:]
	return slices.Contains([]string{
		"AcmCertificateArn", "ACMCertificateArn", "IamCertificateId", "IAMCertificateId", "MinimumProtocolVersion", "SslSupportMethod",
		"WebACLId", "Comment", "CallerReference", "PriceClass", "HttpVersion", "Locations", "RestrictionType", "Name", "Description",
		"OriginAccessControlId", "OriginAccessIdentity", "OriginShieldRegion", "Id", "TargetOriginId", "OriginId", "VpcOriginId",
		"Bucket", "Prefix", "LambdaFunctionARN", "RealtimeLogConfigArn", "FieldLevelEncryptionId", "TrustStoreId",
		"ContinuousDeploymentPolicyId", "AnycastIpListId", "AwsAccountNumbers", "TrustedSigners", "SourceArn", "KeyValueStoreARN",
	}, name)
}

// isSaid reports whether what is at path goes to origins, functions or viewers
// as it is.
func isSaid(path string) bool {
	name := path[strings.LastIndexByte(path, '.')+1:]
	return slices.Contains([]string{"HeaderValue", "Value", "FunctionCode", "ContentSecurityPolicy", "ReportUri"}, name)
}

// isHost reports whether what stands at path is a host name.
func isHost(path string) bool {
	if list, ok := strings.CutSuffix(path, "]"); ok {
		list = strings.TrimRight(list, "0123456789")
		return strings.HasSuffix(list, ".Aliases[") || strings.HasSuffix(list, ".CNAMEs[")
	}
	return strings.HasSuffix(path, ".DomainName") || strings.HasSuffix(path, ".DNSName")
}
