package function

import (
	"net/http"
	"slices"
	"strings"
)

// Hidden reports whether CloudFront hides the header from functions; they may
// not add it either.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html#function-restrictions-disallowed-headers
func Hidden(name string) bool {
	switch name = strings.ToLower(name); name {
	case "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
		"trailer", "upgrade", "x-accel-buffering", "x-accel-charset", "x-accel-limit-rate", "x-accel-redirect",
		"x-amzn-auth", "x-amzn-cf-billing", "x-amzn-cf-id", "x-amzn-cf-xff", "x-amzn-errortype",
		"x-amzn-fle-profile", "x-amzn-header-count", "x-amzn-header-order", "x-amzn-lambda-integration-tag",
		"x-amzn-requestid", "x-cache", "x-forwarded-proto", "x-real-ip":
		return true
	}
	return strings.HasPrefix(name, "x-amz-cf-") || strings.HasPrefix(name, "x-edge-")
}

// readOnly returns the headers that a function at an event may neither add, nor
// change, nor delete.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html#function-restrictions-read-only-headers
func readOnly(at EventType) []string {
	if at == ViewerRequest {
		return []string{"content-length", "host", "transfer-encoding", "via"}
	}
	return []string{"warning", "via"}
}

// checkHeaders holds the headers that came back to CloudFront's rules. before
// are those that the function was given.
func checkHeaders(path string, before, after Fields, fixed []string) *Error {
	size := 0
	for _, f := range after {
		if err := checkHeader(path, f, before); err != nil {
			return err
		}
		for _, v := range f.Values() {
			size += len(f.Name) + len(v.Value)
		}
	}
	if size > maxHeaders {
		return invalid("%s take %d bytes, CloudFront passes on %d", path, size, maxHeaders)
	}
	for _, name := range fixed {
		was, had := before.Get(name)
		is, has := after.Get(name)
		if had != has || !was.equal(is) {
			return invalid("%s must not add, change or delete the read-only header %s", path, http.CanonicalHeaderKey(name))
		}
	}
	return nil
}

func checkHeader(path string, f Field, before Fields) *Error {
	if f.Name != strings.ToLower(f.Name) {
		return invalid("%s must have header names in lower case: %s", path, f.Name)
	}
	if !isToken(f.Name) {
		return invalid("%s has a header name that is none: %q", path, f.Name)
	}
	if was, had := before.Get(f.Name); Hidden(f.Name) && (!had || !was.equal(f)) {
		return invalid("%s must not contain the disallowed header %s", path, http.CanonicalHeaderKey(f.Name))
	}
	for _, v := range f.Values() {
		if i := strings.IndexFunc(v.Value, isControl); i >= 0 {
			return invalid("%s[%q] has a control character in its value", path, f.Name)
		}
	}
	return nil
}

// checkCookies refuses what would end a cookie or its header early.
func checkCookies(path string, after Fields) *Error {
	for _, f := range after {
		if f.Name == "" || strings.ContainsFunc(f.Name, func(r rune) bool { return isControl(r) || strings.ContainsRune(" ;=", r) }) {
			return invalid("%s has a cookie name that is none: %q", path, f.Name)
		}
		for _, v := range f.Values() {
			if strings.ContainsFunc(v.Value, func(r rune) bool { return isControl(r) || r == ';' }) || strings.ContainsFunc(v.Attributes, isControl) {
				return invalid("%s[%q] has a control character or a semicolon in its value", path, f.Name)
			}
		}
	}
	return nil
}

// isControl is true of what may not stand in a header's value; a tab may.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7F }

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7F || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

// merge applies what a function did to fields that may have several values: a
// changed multiValue counts, else a changed value replaces the first.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html#functions-event-structure-multivalue
func merge(before, after Fields) Fields {
	merged := make(Fields, 0, len(after))
	for _, f := range after {
		values := f.Values()
		if was, had := before.Get(f.Name); had && f.Multi != nil && slices.Equal(was.Multi, f.Multi) {
			values = slices.Clone(f.Multi)
			if f.Value != was.Value {
				values[0] = f.Value
			}
		}
		switch len(values) {
		case 0: // all of them were taken away
		case 1:
			merged = append(merged, Field{Name: f.Name, Value: values[0]})
		default:
			merged = append(merged, Field{f.Name, values[0], values})
		}
	}
	return merged
}
