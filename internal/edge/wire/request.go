package wire

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// odd reports whether a request is left to http.Transport: because it is of a
// kind that is not written here, or because it must not be written at all, of
// which that knows more.
func (r *Request) odd() bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
		return true
	}
	if r.Host == "" || !all(r.Host, inHost) || r.Target == "" || r.Target[0] != '/' || !all(r.Target, inTarget) || !escaped(r.Target) {
		return true
	}
	for name, values := range r.Header {
		if isFraming(name) || name == "" || !all(name, inToken) {
			return true
		}
		for _, v := range values {
			if !all(v, inValue) {
				return true
			}
		}
	}
	return false
}

// escaped reports whether each % begins an escape.
func escaped(target string) bool {
	for {
		i := strings.IndexByte(target, '%')
		if i < 0 {
			return true
		}
		if target = target[i+1:]; len(target) < 2 || !isHex(target[0]) || !isHex(target[1]) {
			return false
		}
	}
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// isFraming reports whether a header decides where messages end, or what becomes
// of the connection.
func isFraming(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// append appends a request, its headers in the order that net/http gives them.
// Names are only there to be used again.
func (r *Request) append(b []byte, names *[]string) []byte {
	b = append(b, r.Method...)
	b = append(append(append(b, ' '), r.Target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	if agent := r.Header["User-Agent"]; len(agent) > 0 && agent[0] != "" {
		b = appendField(b, "User-Agent", agent[0])
	}
	sorted := (*names)[:0]
	for name := range r.Header {
		if name != "User-Agent" {
			sorted = append(sorted, name)
		}
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		for _, v := range r.Header[name] {
			b = appendField(b, name, v)
		}
	}
	if r.Apart {
		b = append(b, "Connection: close\r\n"...)
	}
	clear(sorted)
	*names = sorted
	return append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, textproto.TrimString(value)...), "\r\n"...)
}

// set is a set of bytes.
type set [256]bool

// all reports whether s has no byte that is not in the set.
func all(s string, in *set) bool {
	for i := range len(s) {
		if !in[s[i]] {
			return false
		}
	}
	return true
}

var (
	inHost   = setOf("-._:[]")
	inTarget = setOf("-._~!$&'()*+,;=:@/[]?%")
	inToken  = setOf("!#$%&'*+-.^_`|~")
	inValue  = valueSet()
	inText   = textSet()
)

// setOf has letters, digits and the given signs.
func setOf(signs string) *set {
	var s set
	for c := range 256 {
		s[c] = '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' && c < 0x80
	}
	for i := range len(signs) {
		s[signs[i]] = true
	}
	return &s
}

// textSet has what is printable in ASCII, spaces and tabs.
func textSet() *set {
	var s set
	for c := range 0x7F {
		s[c] = c >= ' ' || c == '\t'
	}
	return &s
}

// valueSet has what the value of a header may hold.
// https://www.rfc-editor.org/rfc/rfc9110#section-5.5
func valueSet() *set {
	s := *textSet()
	for c := 0x80; c < 256; c++ {
		s[c] = true
	}
	return &s
}
