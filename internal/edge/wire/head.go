package wire

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// quick reads the header that has arrived if it is of the usual kind, and reports
// whether it was. All others are read by net/http, which reads these alike.
func (a *Answer) quick(r *Request) bool {
	if r.Method == http.MethodHead {
		return false
	}
	in := a.conn.in
	b, _ := in.Peek(in.Buffered()) // which has arrived
	size := bytes.Index(b, []byte("\r\n\r\n")) + len("\r\n\r\n")
	if size < len("\r\n\r\n") {
		return false
	}
	h, ok := parse(string(b[:size]))
	if !ok {
		return false
	}
	a.StatusCode, a.Header, a.ContentLength, a.left, a.last = h.status, h.fields, h.length, h.length, false
	_, _ = in.Discard(size) // which is there
	return true
}

// head is a header of the usual kind.
type head struct {
	status int
	fields http.Header
	length int64
}

// parse reads a header up to its empty line: of HTTP/1.1, with a body of a length
// that is given once, after which the connection goes on. It keeps text.
func parse(text string) (h head, ok bool) {
	const version, line = "HTTP/1.1 ", len("HTTP/1.1 200 ")
	if len(text) < line || text[:len(version)] != version || text[line-1] != ' ' {
		return head{}, false
	}
	status, err := strconv.Atoi(text[len(version) : line-1])
	if err != nil || status < 200 || status > 599 || status == http.StatusNoContent || status == http.StatusNotModified {
		return head{}, false
	}
	reason, rest, _ := strings.Cut(text[line:], "\r\n")
	if !all(reason, inText) {
		return head{}, false
	}
	n := strings.Count(rest, "\n") - 1
	h = head{status: status, fields: make(http.Header, n), length: -1}
	values := make([]string, 0, n)
	for rest != "\r\n" {
		var field string
		if field, rest, ok = strings.Cut(rest, "\r\n"); !ok {
			return head{}, false
		}
		name, value, ok := strings.Cut(field, ":")
		if !ok || name == "" || !all(name, inToken) || !all(value, inText) {
			return head{}, false
		}
		value = textproto.TrimString(value)
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !h.take(name, value) {
			return head{}, false
		}
		if before, again := h.fields[name]; again {
			h.fields[name] = append(before, value)
			continue
		}
		values = append(values, value)
		h.fields[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return h, h.length >= 0
}

// take looks at a field, and reports whether it is of the usual kind.
func (h *head) take(name, value string) bool {
	switch name {
	case "Transfer-Encoding", "Trailer", "Upgrade", "Pragma": // of the last net/http makes a Cache-Control
		return false
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 63)
		if h.length >= 0 || err != nil || n > maxLength {
			return false
		}
		h.length = int64(n)
	}
	return true
}
