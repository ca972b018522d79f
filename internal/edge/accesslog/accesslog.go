// Package accesslog writes CloudFront's standard logs: a line of 33 columns for
// each request.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
package accesslog

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
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
	end := r.End.UTC()
	b = end.AppendFormat(b, "2006-01-02\t15:04:05")
	for _, text := range []string{r.Location, strconv.FormatInt(r.SentBytes, 10), r.ViewerIP, r.Method, r.Domain, r.Path} {
		b = field(b, text)
	}
	b = append(b, '\t')
	if r.Status < 100 {
		b = fmt.Appendf(b, "%03d", r.Status)
	} else {
		b = strconv.AppendInt(b, int64(r.Status), 10)
	}
	response := or(r.ResponseResult, r.Result)
	for _, text := range []string{
		r.Referer, r.UserAgent, r.Query, r.Cookie, r.Result, r.RequestID, r.Host, r.Protocol, strconv.FormatInt(r.ReceivedBytes, 10), seconds(r.Taken),
		r.ForwardedFor, r.TLSProtocol, r.TLSSuite, response, r.ProtocolVersion, "", "", r.ViewerPort, seconds(r.FirstByte), or(r.Detail, response),
		r.ContentType, number(r.ContentLength), number(r.RangeStart), number(r.RangeEnd),
	} {
		b = field(b, text)
	}
	return append(b, '\n')
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

func number(n int64) string {
	if n < 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// field appends a tab and a value, in which every character is escaped that
// CloudFront escapes. A value that is a hyphen cannot be told from none.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logging-legacy-s3.html#LogFileFormat
func field(b []byte, value string) []byte {
	b = append(b, '\t')
	if value == "" {
		return append(b, '-')
	}
	const hex = "0123456789ABCDEF"
	done := 0
	for i := 0; i < len(value); i++ {
		if c := value[i]; escapes[c] {
			b = append(b, value[done:i]...)
			b = append(b, '%', hex[c>>4], hex[c&15])
			done = i + 1
		}
	}
	return append(b, value[done:]...)
}

// escapes are the characters that are escaped.
var escapes = func() (set [256]bool) {
	for c := range set {
		set[c] = c <= ' ' || c >= 0x7F || strings.IndexByte("<>\"#%{}|\\^~[]`'", byte(c)) >= 0
	}
	return set
}()

// Writer writes a log. Its methods may be called concurrently.
type Writer struct {
	mu     sync.Mutex
	to     io.Writer
	buffer []byte
	begun  bool
}

// NewWriter returns a Writer of one file.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to} }

// bufferSize is how much is gathered before it is written.
const bufferSize = 64 << 10

// Log adds a line. It is written at the latest by Flush. An error is that of the
// writer, and the lines before it are lost.
func (w *Writer) Log(r *Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.begun {
		w.begun = true
		w.buffer = append(w.buffer, Header...)
	}
	w.buffer = Append(w.buffer, r)
	if len(w.buffer) < bufferSize {
		return nil
	}
	return w.flush()
}

// Flush writes what was gathered.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	_, err := w.to.Write(w.buffer)
	w.buffer = w.buffer[:0]
	if err != nil {
		return fmt.Errorf("write access log: %w", err)
	}
	return nil
}
