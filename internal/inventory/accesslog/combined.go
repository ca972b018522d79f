package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet/freshet"
)

// The formats of web servers: a line is
//
//	192.0.2.7 - - [21/Nov/2026:03:52:44 +0000] "GET /a.html HTTP/2.0" 200 612 "-" "curl/8"
//
// in the combined format; the common format lacks the last two fields, and
// Apache's vhost_combined has the name of the host, with or without a port, before
// all others. More fields at the end do no harm.
// https://nginx.org/en/docs/http/ngx_http_log_module.html
// https://httpd.apache.org/docs/2.4/logs.html

// isCombined reports whether a line is in one of them.
func isCombined(line []byte) bool {
	_, _, _, ok := cutCombined(line)
	return ok
}

// cutCombined returns what stands before the time, the time, and what stands after
// it.
func cutCombined(line []byte) (before, at, after []byte, ok bool) {
	begin := bytes.Index(line, []byte(" ["))
	if begin < 0 {
		return nil, nil, nil, false
	}
	end := bytes.Index(line[begin:], []byte(`] "`))
	if end < 0 {
		return nil, nil, nil, false
	}
	before, at, after = line[:begin], line[begin+2:begin+end], line[begin+end+3:]
	fields := len(bytes.Fields(before))
	return before, at, after, fields >= 3 && len(at) >= len("21/Nov/2026:03:52:44 +0000") && bytes.IndexByte(after, '"') >= 0
}

// combined reads a line of a web server's log.
func (l *log) combined(line []byte) (h Hit, err error) {
	before, at, after, ok := cutCombined(line)
	if !ok {
		return Hit{}, errors.New("the line is in no web server's format like those before it")
	}
	if fields := bytes.Fields(before); len(fields) > 3 && bytes.Equal(fields[2], []byte("-")) {
		h.Host = l.host(fields[0])
	}
	if h.Time, err = time.Parse("02/Jan/2006:15:04:05 -0700", string(at)); err != nil {
		return Hit{}, fmt.Errorf("time %q is none", clip(at))
	}
	h.Time = h.Time.UTC()
	request, rest := quoted(after)
	fields := bytes.Fields(rest)
	if len(fields) < 2 {
		return Hit{}, errors.New("the line ends after the request")
	}
	if h.Status, err = parseStatus(fields[0]); err != nil {
		return Hit{}, err
	}
	if string(fields[1]) != "-" {
		if h.Bytes, err = strconv.ParseInt(string(fields[1]), 10, 64); err != nil || h.Bytes < 0 {
			return Hit{}, fmt.Errorf("%q is no number of bytes", clip(fields[1]))
		}
	}
	h.Method, h.Path, h.Query = l.request(request)
	return h, nil
}

// quoted cuts a field that a quotation mark ends, with what servers escape in it
// taken back, and returns what follows.
func quoted(s []byte) (field string, rest []byte) {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return string(b), s[i+1:]
		case s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' && unhex(s[i+2]) < 16 && unhex(s[i+3]) < 16:
			b = append(b, unhex(s[i+2])<<4|unhex(s[i+3]))
			i += 3
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			b = append(b, s[i+1])
			i++
		default:
			b = append(b, s[i])
		}
	}
	return string(b), nil
}

// request takes a request line apart. Of what is none the path is empty.
func (l *log) request(line string) (method, path, query string) {
	method, rest, ok := strings.Cut(line, " ")
	end := strings.LastIndex(rest, " HTTP/")
	if !ok || end < 0 {
		return "", "", ""
	}
	target := rest[:end]
	if scheme, after, absolute := strings.Cut(target, "://"); absolute && (scheme == "http" || scheme == "https") {
		slash := strings.IndexByte(after, '/')
		if slash < 0 {
			after, slash = after+"/", len(after)
		}
		target = after[slash:]
	}
	if !strings.HasPrefix(target, "/") {
		return l.name([]byte(method)), "", ""
	}
	target, query, _ = strings.Cut(target, "?")
	return l.name([]byte(method)), freshet.CanonicalPath(target), query
}
