// Package narrow reads those requests of HTTP/1.1 of which there is only one
// reading: GET and HEAD without a body, with nothing in them that asks for
// anything but the URL. All else is somebody else's to judge.
package narrow

import (
	"bytes"
	"encoding/binary"
)

// MaxSize is the largest request that is looked at, in bytes.
const MaxSize = 8192

// MaxFields is how many header lines a request may have beside Host.
const MaxFields = 64

// Verdict is what the beginning of a row of bytes is.
type Verdict int

// What it can be.
const (
	More  Verdict = iota // it may become a plain request
	Plain                // it is one
	Other                // it is something else, or nothing at all
)

// Field is a header line. The value is without the spaces around it.
type Field struct{ Name, Value []byte }

// Request is a plain request. Its bytes are those that were read.
type Request struct {
	Head   bool // HEAD in place of GET
	Target []byte
	Host   []byte
	Fields []Field // without Host, as the viewer ordered them
	Size   int     // with the empty line
	Header int     // bytes of Fields' names and values

	Encoding  []byte // Accept-Encoding; nil for none
	Cookies   bool
	Origin    bool
	Qualified bool // somebody else has to say what the fields mean: it tells of the way it came, or says things twice

	Conditional bool // there are some
	Conditions  Conditions

	fields [MaxFields]Field
}

// Conditions are what a request sets, and the part that it asks for: the values of
// the fields of these names. What is not there is nil, and none is empty.
type Conditions struct {
	IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince, IfRange, Range []byte
}

// forget makes r a request of which nothing is known.
func (r *Request) forget() {
	r.Head, r.Encoding, r.Host, r.Cookies, r.Origin, r.Qualified = false, nil, nil, false, false, false
	if r.Conditional {
		r.Conditional, r.Conditions = false, Conditions{}
	}
	r.Fields, r.Header = r.fields[:0], 0
}

// Read reads the request with which b begins, and keeps b. Only after Plain the
// request has any meaning.
func (r *Request) Read(b []byte) Verdict {
	r.forget()
	at, v := r.line(b)
	if v != Plain {
		return v
	}
	for {
		if len(b) == at || len(b) == at+1 && b[at] == '\r' {
			return more(b)
		}
		if b[at] == '\r' {
			if b[at+1] != '\n' || r.Host == nil {
				return Other
			}
			r.Size = at + 2
			return Plain
		}
		n, v := r.field(b[at:])
		if v == More {
			return more(b)
		}
		if v != Plain {
			return Other
		}
		if at += n; at > MaxSize {
			return Other
		}
	}
}

func more(b []byte) Verdict {
	if len(b) >= MaxSize {
		return Other
	}
	return More
}

// line reads the request line.
func (r *Request) line(b []byte) (size int, v Verdict) {
	const version = " HTTP/1.1\r\n"
	var method string
	switch {
	case len(b) == 0:
		return 0, More
	case b[0] == 'G':
		method = "GET /"
	case b[0] == 'H':
		method, r.Head = "HEAD /", true
	default:
		return 0, Other
	}
	if len(b) < len(method) {
		return 0, unless(string(b) == method[:len(b)])
	}
	if string(b[:len(method)]) != method {
		return 0, Other
	}
	begin := len(method) - 1
	end := begin + 1
	for end < len(b) && inTarget[b[end]] {
		end++
	}
	r.Target = b[begin:end]
	if end == len(b) {
		return 0, unless(end < MaxSize)
	}
	if len(r.Target) > 1 && r.Target[1] == '/' || !escaped(r.Target) {
		return 0, Other
	}
	rest := b[end:]
	if len(rest) < len(version) {
		return 0, unless(string(rest) == version[:len(rest)])
	}
	if string(rest[:len(version)]) != version {
		return 0, Other
	}
	return end + len(version), Plain
}

// unless is More, or Other if what there is so far is not plain.
func unless(plain bool) Verdict {
	if plain {
		return More
	}
	return Other
}

// escaped reports whether each % begins an escape.
func escaped(target []byte) bool {
	for {
		i := bytes.IndexByte(target, '%')
		if i < 0 {
			return true
		}
		if len(target) < i+3 || !isHex(target[i+1]) || !isHex(target[i+2]) {
			return false
		}
		target = target[i+3:]
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// field reads a header line.
func (r *Request) field(b []byte) (size int, v Verdict) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return 0, More
	}
	if end == 0 || b[end-1] != '\r' {
		return 0, Other
	}
	line := b[:end-1]
	colon := 0
	for colon < len(line) && inToken[line[colon]] {
		colon++
	}
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		return 0, Other
	}
	name, value := line[:colon], trim(line[colon+1:])
	if !isText(value) || !r.take(name, value) {
		return 0, Other
	}
	return end + 1, Plain
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// take keeps a field, and reports whether it may be part of a plain request.
func (r *Request) take(name, value []byte) bool {
	switch kindOf(name) {
	case host:
		if r.Host != nil || len(value) == 0 || !isHost(value) {
			return false
		}
		r.Host = value
		return true
	case connection:
		if !equalFold(value, "keep-alive") {
			return false
		}
	case foreign:
		return false
	case encoding:
		if r.Encoding != nil {
			r.Qualified = true // two of them are one list
		}
		r.Encoding = value
	case cookie:
		r.Cookies = true
	case origin:
		r.Origin = true
	case qualifying:
		r.Qualified = true
	case conditional:
		r.condition(name, value)
	}
	if len(r.Fields) == MaxFields {
		return false
	}
	r.Fields = append(r.Fields, Field{name, value})
	r.Header += len(name) + len(value)
	return true
}

// condition keeps a field that sets a condition, or asks for a part.
func (r *Request) condition(name, value []byte) {
	c := &r.Conditions
	var of *[]byte
	switch {
	case equalFold(name, "If-None-Match"):
		of = &c.IfNoneMatch
	case equalFold(name, "If-Modified-Since"):
		of = &c.IfModifiedSince
	case equalFold(name, "Range"):
		of = &c.Range
	case equalFold(name, "If-Range"):
		of = &c.IfRange
	case equalFold(name, "If-Match"):
		of = &c.IfMatch
	case equalFold(name, "If-Unmodified-Since"):
		of = &c.IfUnmodifiedSince
	}
	if of == nil || *of != nil || len(value) == 0 {
		r.Qualified = true
		return
	}
	*of, r.Conditional = value, true
}

// Get returns the value of the first field of a name; nil for none.
func (r *Request) Get(name string) []byte {
	for i := range r.Fields {
		if equalFold(r.Fields[i].Name, name) {
			return r.Fields[i].Value
		}
	}
	return nil
}

// kind is what a field means for whoever answers.
type kind int

const (
	any        kind = iota // nothing
	host                   // which site
	connection             // whether the connection goes on
	foreign                // that this is no plain request
	encoding
	cookie
	origin
	qualifying
	conditional
)

// kindOf knows every field that says where a request ends, what becomes of its
// connection, or that something else is wanted than the whole response.
func kindOf(name []byte) kind {
	switch name[0] | 0x20 {
	case 'h':
		return either(name, "Host", host, "HTTP2-Settings", foreign)
	case 'c':
		if len(name) > len("Content-") && equalFold(name[:len("Content-")], "Content-") {
			return foreign
		}
		return either(name, "Connection", connection, "Cookie", cookie)
	case 'a':
		return either(name, "Accept-Encoding", encoding, "", any)
	case 'o':
		return either(name, "Origin", origin, "", any)
	case 't':
		if k := either(name, "Transfer-Encoding", foreign, "Trailer", foreign); k != any {
			return k
		}
		return either(name, "TE", foreign, "", any)
	case 'u':
		return either(name, "Upgrade", foreign, "", any)
	case 'e':
		return either(name, "Expect", foreign, "", any)
	case 'k':
		return either(name, "Keep-Alive", foreign, "", any)
	case 'p':
		if len(name) > len("Proxy-") && equalFold(name[:len("Proxy-")], "Proxy-") {
			return foreign
		}
		return either(name, "Pragma", qualifying, "", any) // net/http makes a Cache-Control of it
	case 'r':
		return either(name, "Range", conditional, "", any)
	case 'i':
		if len(name) > len("If-") && equalFold(name[:len("If-")], "If-") {
			return conditional
		}
	case 'v':
		return either(name, "Via", qualifying, "", any)
	}
	return any
}

func either(name []byte, a string, ofA kind, b string, ofB kind) kind {
	switch {
	case equalFold(name, a):
		return ofA
	case equalFold(name, b):
		return ofB
	}
	return any
}

// equalFold compares with what is ASCII, in either case.
func equalFold(b []byte, text string) bool {
	if len(b) != len(text) {
		return false
	}
	for i := range b {
		if b[i] != text[i] && (b[i]|0x20 != text[i]|0x20 || !isLetter(b[i])) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isText reports whether a value holds nothing but printable ASCII, spaces and
// tabs. It looks at eight bytes at a time.
func isText(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		del := x ^ 0x7F*ones
		if (x|(x-0x20*ones)|(del-ones))&highs != 0 && !isTextSlow(b[:8]) {
			return false
		}
		b = b[8:]
	}
	return isTextSlow(b)
}

func isTextSlow(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\t') || c >= 0x7F {
			return false
		}
	}
	return true
}

func isHost(b []byte) bool {
	for _, c := range b {
		if !inHost[c] {
			return false
		}
	}
	return true
}

// The bytes that a plain request has in its parts: fewer than HTTP allows.
var (
	inToken  = setOf("!#$%&'*+-.^_`|~")
	inTarget = setOf("-._~!$&'()*+,;=:@/?%")
	inHost   = setOf("-._:")
)

func setOf(signs string) (set [256]bool) {
	for c := '0'; c <= 'z'; c++ {
		set[c] = '0' <= c && c <= '9' || isLetter(byte(c))
	}
	for i := range len(signs) {
		set[signs[i]] = true
	}
	return set
}
