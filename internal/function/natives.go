package function

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // a function may ask for it
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// natives is what the prelude is given: the parts of the runtime's own modules
// that are better done in Go.
func (m *machine) natives() *goja.Object {
	o := m.vm.NewObject()
	m.methods(o, map[string]func(goja.FunctionCall) goja.Value{
		"bytes":      m.toBytes,
		"text":       m.toText,
		"isEncoding": func(c goja.FunctionCall) goja.Value { return m.vm.ToValue(isEncoding(c.Argument(0).String())) },
		"isUTF8":     func(c goja.FunctionCall) goja.Value { return m.vm.ToValue(utf8.Valid(m.octets(c.Argument(0)))) },
		"unescape":   func(c goja.FunctionCall) goja.Value { return m.vm.ToValue(unescape(c.Argument(0).String())) },
		"atob":       m.atob,
		"btoa":       m.btoa,
		"hash":       m.hash,
	})
	console := m.vm.NewObject()
	for _, name := range []string{"log", "error", "warn", "info", "debug"} {
		m.methods(console, map[string]func(goja.FunctionCall) goja.Value{name: m.log})
	}
	must(o.Set("console", console))
	must(o.Set("cloudfront", m.cloudfront()))
	return o
}

// must is for what cannot fail: setting properties of new objects.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (m *machine) methods(o *goja.Object, functions map[string]func(goja.FunctionCall) goja.Value) {
	for name, f := range functions {
		must(o.Set(name, f))
	}
}

func (m *machine) typeError(text string) *goja.Object { return m.vm.NewTypeError(text) }

// plainError is an Error with the text of err.
func (m *machine) plainError(err error) *goja.Object {
	o, failed := m.vm.New(m.vm.Get("Error"), m.vm.ToValue(err.Error()))
	must(failed)
	return o
}

// octets returns the bytes of a typed array, a DataView or an ArrayBuffer. They
// are not a copy.
func (m *machine) octets(v goja.Value) []byte {
	if o, ok := v.(*goja.Object); ok {
		if buffer, ok := o.Export().(goja.ArrayBuffer); ok {
			return buffer.Bytes()
		}
		if inner, ok := o.Get("buffer").(*goja.Object); ok {
			if buffer, ok := inner.Export().(goja.ArrayBuffer); ok {
				at, n := int(o.Get("byteOffset").ToInteger()), int(o.Get("byteLength").ToInteger())
				if all := buffer.Bytes(); at >= 0 && n >= 0 && at+n <= len(all) {
					return all[at : at+n]
				}
			}
		}
	}
	panic(m.typeError("a string, a Buffer or a typed array is needed"))
}

func isEncoding(name string) bool {
	switch strings.ToLower(name) {
	case "utf8", "utf-8", "hex", "base64", "base64url", "latin1", "binary", "ascii":
		return true
	}
	return false
}

func (m *machine) encoding(v goja.Value) string {
	if goja.IsUndefined(v) || goja.IsNull(v) {
		return "utf8"
	}
	name := strings.ToLower(v.String())
	if !isEncoding(name) {
		panic(m.typeError("Unknown encoding: \"" + v.String() + "\""))
	}
	return name
}

// toBytes is bytes(text, encoding): an ArrayBuffer. What is not valid hex or
// base64 ends the bytes there, as in Node.js.
func (m *machine) toBytes(c goja.FunctionCall) goja.Value {
	text := c.Argument(0)
	m.measure(text)
	var raw []byte
	switch m.encoding(c.Argument(1)) {
	case "hex":
		s := text.String()
		raw = make([]byte, len(s)/2)
		n, _ := hex.Decode(raw, []byte(s[:len(s)&^1]))
		raw = raw[:n]
	case "base64", "base64url":
		raw = lenientBase64(text.String())
	case "latin1", "binary", "ascii":
		raw = latin1(text)
	default:
		raw = []byte(text.String())
	}
	return m.vm.ToValue(m.vm.NewArrayBuffer(raw))
}

// toText is text(bytes, encoding).
func (m *machine) toText(c goja.FunctionCall) goja.Value {
	raw := m.octets(c.Argument(0))
	m.charge(len(raw))
	switch m.encoding(c.Argument(1)) {
	case "hex":
		return m.vm.ToValue(hex.EncodeToString(raw))
	case "base64":
		return m.vm.ToValue(base64.StdEncoding.EncodeToString(raw))
	case "base64url":
		return m.vm.ToValue(base64.RawURLEncoding.EncodeToString(raw))
	case "latin1", "binary":
		return m.vm.ToValue(fromLatin1(raw, 0xFF))
	case "ascii":
		return m.vm.ToValue(fromLatin1(raw, 0x7F))
	}
	return m.vm.ToValue(strings.ToValidUTF8(string(raw), "\uFFFD"))
}

// lenientBase64 takes either alphabet, with or without padding, and skips what
// belongs to neither.
func lenientBase64(s string) []byte {
	s, _, _ = strings.Cut(s, "=")
	clean := make([]byte, 0, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c == '-':
			clean = append(clean, '+')
		case c == '_':
			clean = append(clean, '/')
		case c == '+', c == '/', '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
			clean = append(clean, c)
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	raw, _ := base64.RawStdEncoding.DecodeString(string(clean))
	return raw
}

func latin1(v goja.Value) []byte {
	s := v.ToString().(goja.String)
	raw := make([]byte, s.Length())
	for i := range raw {
		raw[i] = byte(s.CharAt(i))
	}
	return raw
}

func fromLatin1(raw []byte, mask byte) string {
	var b strings.Builder
	for _, c := range raw {
		b.WriteRune(rune(c & mask))
	}
	return b.String()
}

func (m *machine) atob(c goja.FunctionCall) goja.Value {
	m.measure(c.Argument(0).ToString())
	s := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n\f", r) {
			return -1
		}
		return r
	}, c.Argument(0).String())
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		panic(m.typeError("The string to be decoded is not correctly encoded"))
	}
	return m.vm.ToValue(fromLatin1(raw, 0xFF))
}

func (m *machine) btoa(c goja.FunctionCall) goja.Value {
	text := c.Argument(0).ToString().(goja.String)
	m.measure(text)
	for i := range text.Length() {
		if text.CharAt(i) > 0xFF {
			panic(m.typeError("invalid character (>= U+00FF)"))
		}
	}
	return m.vm.ToValue(base64.StdEncoding.EncodeToString(latin1(text)))
}

// unescape is what a query string's percent signs stand for. What is no escape
// stays, and what is no UTF-8 becomes U+FFFD.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return strings.ToValidUTF8(plain, "\uFFFD")
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if raw, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(raw[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return strings.ToValidUTF8(b.String(), "\uFFFD")
}

// hash is hash(algorithm, key): an object with update and sum. A key makes it an
// HMAC.
func (m *machine) hash(c goja.FunctionCall) goja.Value {
	var start func() hash.Hash
	switch name := c.Argument(0).String(); name {
	case "md5":
		start = md5.New
	case "sha1":
		start = sha1.New
	case "sha256":
		start = sha256.New
	default:
		panic(m.typeError("not supported algorithm: \"" + name + "\""))
	}
	h := start()
	if key := c.Argument(1); !goja.IsUndefined(key) {
		h = hmac.New(start, m.octets(key))
	}
	done := false
	o := m.vm.NewObject()
	m.methods(o, map[string]func(goja.FunctionCall) goja.Value{
		"update": func(c goja.FunctionCall) goja.Value {
			if done {
				panic(m.plainError(errDigested))
			}
			raw := m.octets(c.Argument(0))
			m.charge(len(raw))
			_, _ = h.Write(raw)
			return goja.Undefined()
		},
		"sum": func(goja.FunctionCall) goja.Value {
			if done {
				panic(m.plainError(errDigested))
			}
			done = true
			return m.vm.ToValue(m.vm.NewArrayBuffer(h.Sum(nil)))
		},
	})
	return o
}
