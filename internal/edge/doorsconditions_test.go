package edge

import (
	"slices"
	"strings"
	"testing"
)

// conditionFields are what requests may say of what they have already, or of the
// part that they want.
var conditionFields = []string{
	"If-None-Match: \"e\"", "If-None-Match: W/\"e\"", "If-None-Match: \"f\"", "If-None-Match: \"a,b\" , \"e\"", "If-None-Match: *", "if-none-match: e", "If-None-Match:",
	"If-None-Match: \"f\"\r\nIf-None-Match: \"e\"", "If-None-Match: \"f\"\r\nIf-Modified-Since: Sat, 21 Nov 2099 08:00:00 GMT", "If-None-Match: \"e\"\r\nRange: bytes=0-3",
	"If-Modified-Since: Fri, 20 Nov 2026 08:00:00 GMT", "If-Modified-Since: Fri, 20 Nov 2026 07:59:59 GMT", "If-Modified-Since: Sat, 21 Nov 2099 08:00:00 GMT", "If-Modified-Since: Friday, 20-Nov-26 08:00:00 GMT",
	"If-Modified-Since: yesterday", "If-Modified-Since: Fri, 20 Nov 2026 08:00:00 GMT\r\nIf-Modified-Since: Fri, 20 Nov 2026 07:00:00 GMT",
	"If-Match: \"e\"", "If-Match: \"f\"", "If-Match: W/\"e\"", "If-Match: *", "If-Match: \"f\"\r\nIf-None-Match: \"e\"", "If-Match: \"e\"\r\nIf-Unmodified-Since: Fri, 20 Nov 2020 08:00:00 GMT",
	"If-Unmodified-Since: Fri, 20 Nov 2026 08:00:00 GMT", "If-Unmodified-Since: Fri, 20 Nov 2026 07:59:59 GMT", "If-Unmodified-Since: then",
	"Range: bytes=0-0", "Range: bytes=2-4", "Range: bytes=3-", "Range: bytes=-3", "Range: bytes=-0", "Range: bytes=0-", "Range: bytes=-999999", "Range: bytes=4-999999", "Range: bytes=999999-", "Range: bytes=4-3",
	"Range: bytes=0-1,3-4", "Range: bytes=0-3,2-4", "Range: bytes = 1-2", "Range: BYTES=1-2", "Range: lines=1-2", "Range: bytes", "Range:", "Range: bytes=1-2\r\nRange: bytes=3-4", "Range: bytes=0-1,999999-",
	"Range: bytes=2-4\r\nIf-Range: \"e\"", "Range: bytes=2-4\r\nIf-Range: \"f\"", "Range: bytes=2-4\r\nIf-Range: W/\"e\"", "Range: bytes=2-4\r\nIf-Range: Fri, 20 Nov 2026 08:00:00 GMT",
	"Range: bytes=2-4\r\nIf-Range: Fri, 20 Nov 2026 09:00:00 GMT", "Range: bytes=2-4\r\nIf-Range: then", "If-Range: \"e\"", "If-Other: x", "If: x", "If-: x",
}

// Whatever conditions requests set of what is cached, or parts they ask for, the
// doors answer alike.
func TestDoorsAnswerAlikeToConditions(t *testing.T) {
	both := newTwoDoors(t)
	for _, path := range []string{"/a", "/dated", "/weak-dated", "/odd-dated", "/middling-dated", "/large-dated", "/empty", "/gone", "/moved", "/missing", "/secure/dated", "/restyled/dated", "/revised/dated", "/cors/typed"} {
		request := func(method, field string) string {
			return method + " " + path + " HTTP/1.1\r\nHost: www.example.com\r\n" + field + "\r\n\r\n"
		}
		both.ask(t, request("GET", "X: y")+request("GET", "X: y")+ending)
		asked := conditionFields
		if strings.Contains(path, "large") { // which takes long to compare
			asked = []string{`If-None-Match: "e"`, `If-Match: "f"`, "Range: bytes=100000-100099", "Range: bytes=-9", "Range: bytes=0-0", "Range: bytes=4-9\r\nIf-Range: \"f\""}
		}
		for fields := range slices.Chunk(asked, 16) {
			var all strings.Builder
			for _, field := range fields {
				all.WriteString(request("GET", field) + request("HEAD", field))
			}
			both.ask(t, all.String()+ending)
		}
	}
}
