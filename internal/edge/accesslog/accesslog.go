// Package accesslog writes CloudFront's standard logs: a line of 33 columns for
// each request.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
package accesslog

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Header are the two lines with which every file begins.
const Header = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) " +
	"cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for " +
	"ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte " +
	"x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end\n"

// Record is one request and how it was answered. Texts that are empty, and
// numbers that are -1, are written as a hyphen.
type Record struct {
	End                   time.Time // of the answer
	Location              string    // such as LHR50-C1
	SentBytes             int64     // to the viewer, headers included
	ViewerIP              string
	ViewerPort            string
	Method                string
	Domain                string // of the distribution at CloudFront
	Path, Query           string // as the viewer spelled them
	Status                int    // 0 if the viewer left before there was one
	Referer, UserAgent    string
	Cookie                string
	Result                string // such as Hit
	ResponseResult        string // the same, after the answer was sent; empty for Result
	Detail                string // the same in detail; empty for ResponseResult
	RequestID             string
	Host                  string // that the viewer asked for
	Protocol              string // http, https, ws or wss
	ProtocolVersion       string // such as HTTP/1.1
	ReceivedBytes         int64  // from the viewer, headers included
	Taken, FirstByte      time.Duration
	ForwardedFor          string
	TLSProtocol, TLSSuite string
	ContentType           string
	ContentLength         int64 // -1 if there was none
	RangeStart, RangeEnd  int64 // -1 without

	// Location, ViewerPort, Method, Domain, Path, Result, RequestID,
	// Protocol, ProtocolVersion and ContentType are known to be written as they are:
	// Plain says so of each.
	Plain bool

	line  []byte // of the last Log, whose room is used again
	agent escaped
}

// escaped is a text of the last line and how it was written: viewers say the same
// again and again, and comparing takes less than escaping.
type escaped struct{ text, as []byte }

// agentField is field for what viewers say they are.
func (r *Record) agentField(b []byte) []byte {
	if len(r.UserAgent) == 0 {
		return append(b, '\t', '-')
	}
	if string(r.agent.text) != r.UserAgent {
		r.agent.text = append(r.agent.text[:0], r.UserAgent...)
		r.agent.as = field(r.agent.as[:0], r.UserAgent)
	}
	return append(b, r.agent.as...)
}

// Plain reports whether a text that is not empty is written as it is.
func Plain(text string) bool { return text != "" && isPlain(text) }

// Append appends the line of r to b.
func Append(b []byte, r *Record) []byte { return appendRest(moment(b, r.End), r) }

// appendRest appends what follows the time.
func appendRest(b []byte, r *Record) []byte {
	b = r.known(b, r.Location)
	b = count(b, r.SentBytes)
	b = field(b, r.ViewerIP)
	b = r.known(b, r.Method)
	b = r.known(b, r.Domain)
	b = r.known(b, r.Path)
	b = append(b, '\t', digit(r.Status/100%10), digit(r.Status/10%10), digit(r.Status%10))
	b = field(b, r.Referer)
	b = r.agentField(b)
	b = field(b, r.Query)
	b = field(b, r.Cookie)
	b = r.known(b, r.Result)
	b = r.known(b, r.RequestID)
	b = field(b, r.Host)
	b = r.known(b, r.Protocol)
	b = count(b, r.ReceivedBytes)
	b = seconds(b, r.Taken)
	b = field(b, r.ForwardedFor)
	b = field(b, r.TLSProtocol)
	b = field(b, r.TLSSuite)
	b = r.response(b)
	b = r.known(b, r.ProtocolVersion)
	b = append(b, "\t-\t-"...) // fields that are encrypted one by one, of which there are none
	b = r.known(b, r.ViewerPort)
	b = seconds(b, r.FirstByte)
	b = r.detail(b)
	b = r.known(b, r.ContentType)
	b = count(b, r.ContentLength)
	if r.RangeStart < 0 && r.RangeEnd < 0 {
		return append(b, "\t-\t-\n"...)
	}
	b = count(b, r.RangeStart)
	b = count(b, r.RangeEnd)
	return append(b, '\n')
}

func (r *Record) response(b []byte) []byte {
	if r.ResponseResult == "" {
		return r.known(b, r.Result)
	}
	return field(b, r.ResponseResult)
}

func (r *Record) detail(b []byte) []byte {
	if r.Detail == "" {
		return r.response(b)
	}
	return field(b, r.Detail)
}

// known is field for what is Plain if the record is.
func (r *Record) known(b []byte, value string) []byte {
	if r.Plain {
		return append(append(b, '\t'), value...)
	}
	return field(b, value)
}

// moment appends a date and a time of day, in UTC.
func moment(b []byte, at time.Time) []byte {
	at = at.UTC()
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	b = append(b, digit(year/1000%10), digit(year/100%10), digit(year/10%10), digit(year%10), '-')
	b = append(two(append(two(b, int(month)), '-'), day), '\t')
	return two(append(two(append(two(b, hour), ':'), minute), ':'), second)
}

func two(b []byte, n int) []byte { return append(b, digit(n/10), digit(n%10)) }

func digit(n int) byte { return byte('0' + n) }

// seconds appends a tab and so many seconds, to the millisecond.
func seconds(b []byte, d time.Duration) []byte {
	if d < time.Millisecond/2 {
		return append(b, "\t0.000"...)
	}
	ms := int64(d+time.Millisecond/2) / int64(time.Millisecond)
	b = strconv.AppendInt(append(b, '\t'), ms/1000, 10)
	rest := int(ms % 1000)
	return append(b, '.', digit(rest/100), digit(rest/10%10), digit(rest%10))
}

// count appends a tab and a number, or a hyphen where there is none.
func count(b []byte, n int64) []byte {
	if n < 0 {
		return append(b, '\t', '-')
	}
	return strconv.AppendInt(append(b, '\t'), n, 10)
}

// field appends a tab and a value, in which every character is escaped that
// CloudFront escapes. A value that is a hyphen cannot be told from none.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html#LogFileFormat
func field(b []byte, value string) []byte {
	if value == "" {
		return append(b, '\t', '-')
	}
	b = append(b, '\t')
	if isPlain(value) {
		return append(b, value...)
	}
	at := len(b)
	b = slices.Grow(b, 3*len(value))[:at+3*len(value)]
	const hex = "0123456789ABCDEF"
	for i := range len(value) {
		c := value[i]
		if escapes[c] == 0 {
			b[at] = c
			at++
			continue
		}
		b[at], b[at+1], b[at+2] = '%', hex[c>>4], hex[c&15]
		at += 3
	}
	return b[:at]
}

// isPlain looks at eight characters at a time.
func isPlain(value string) bool {
	for len(value) >= 8 {
		v := value[:8]
		if escapes[v[0]]|escapes[v[1]]|escapes[v[2]]|escapes[v[3]]|escapes[v[4]]|escapes[v[5]]|escapes[v[6]]|escapes[v[7]] != 0 {
			return false
		}
		value = value[8:]
	}
	for i := range len(value) {
		if escapes[value[i]] != 0 {
			return false
		}
	}
	return true
}

// escapes has a 1 for each character that is escaped.
var escapes = func() (set [256]uint8) {
	for c := range set {
		if c <= ' ' || c >= 0x7F || strings.IndexByte("<>\"#%{}|\\^~[]`'", byte(c)) >= 0 {
			set[c] = 1
		}
	}
	return set
}()
