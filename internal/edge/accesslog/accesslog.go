// Package accesslog writes CloudFront's standard logs: a line of 33 columns for
// each request.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
package accesslog

import (
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
}

// Append appends the line of r to b.
func Append(b []byte, r *Record) []byte {
	b = moment(b, r.End)
	b = field(b, r.Location)
	b = count(b, r.SentBytes)
	b = field(b, r.ViewerIP)
	b = field(b, r.Method)
	b = field(b, r.Domain)
	b = field(b, r.Path)
	b = append(b, '\t', digit(r.Status/100%10), digit(r.Status/10%10), digit(r.Status%10))
	b = field(b, r.Referer)
	b = field(b, r.UserAgent)
	b = field(b, r.Query)
	b = field(b, r.Cookie)
	b = field(b, r.Result)
	b = field(b, r.RequestID)
	b = field(b, r.Host)
	b = field(b, r.Protocol)
	b = count(b, r.ReceivedBytes)
	b = seconds(b, r.Taken)
	b = field(b, r.ForwardedFor)
	b = field(b, r.TLSProtocol)
	b = field(b, r.TLSSuite)
	response := or(r.ResponseResult, r.Result)
	b = field(b, response)
	b = field(b, r.ProtocolVersion)
	b = append(b, "\t-\t-"...) // fields that are encrypted one by one, of which there are none
	b = field(b, r.ViewerPort)
	b = seconds(b, r.FirstByte)
	b = field(b, or(r.Detail, response))
	b = field(b, r.ContentType)
	b = count(b, r.ContentLength)
	b = count(b, r.RangeStart)
	b = count(b, r.RangeEnd)
	return append(b, '\n')
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

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// seconds appends a tab and so many seconds, to the millisecond.
func seconds(b []byte, d time.Duration) []byte {
	ms := int64(max(d, 0)+time.Millisecond/2) / int64(time.Millisecond)
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
	b = append(append(b, '\t'), value...)
	for i := len(b) - len(value); i < len(b); i++ {
		if escapes[b[i]] {
			return escaped(b[:i], value[len(value)-len(b)+i:])
		}
	}
	return b
}

// escaped appends a value of which the first byte has to be escaped.
func escaped(b []byte, value string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(value) {
		if c := value[i]; escapes[c] {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

// escapes are the characters that are escaped.
var escapes = func() (set [256]bool) {
	for c := range set {
		set[c] = c <= ' ' || c >= 0x7F || strings.IndexByte("<>\"#%{}|\\^~[]`'", byte(c)) >= 0
	}
	return set
}()
