package function_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/function"
)

// FuzzHTTP has a function return whatever the JSON in a header says. What is let
// through can be written as HTTP and read again as the same: no header, cookie or
// URI becomes two.
func FuzzHTTP(f *testing.F) {
	for _, made := range []string{
		`{"method":"GET","uri":"/a","querystring":{"a":{"value":"1"}},"headers":{"x":{"value":"y"}},"cookies":{"c":{"value":"d"}}}`,
		`{"method":"GET","uri":"/a b?c#d é\u0000","querystring":"a=b","headers":{},"cookies":{}}`,
		`{"method":"GET","uri":"/","querystring":{"a\r\nX: y":{"value":" "}},"headers":{"x":{"value":"a\r\nB: c"}}}`,
		`{"method":"GET","uri":"//e.example/","headers":{"x":{"value":"1","multiValue":[{"value":"1"},{"value":"\u2028"}]}}}`,
		`{"statusCode":200,"headers":{"x-a":{"value":"b\u0085c"}},"cookies":{"a":{"value":"b","attributes":"Path=/\nX"}},"body":{"encoding":"base64","data":"AA=="}}`,
		`{"statusCode":302,"statusDescription":"a\nb","headers":{"location":{"value":"/\r\n\r\nx"}}}`,
		`{"statusCode":599,"headers":{"content-length":{"value":"7"},"transfer-encoding":{"value":"chunked"}},"body":"x"}`,
		`{"statusCode":"200"}`, `{"uri":"/","headers":{"__proto__":{"value":"x"}}}`, `null`, `[1]`,
	} {
		f.Add(made, true)
		f.Add(made, false)
	}
	p := compile(f, `function handler(event) { return JSON.parse(event.request.headers['x-made'].value); }`)
	f.Fuzz(func(t *testing.T, made string, late bool) {
		ev := get("/")
		ev.Request.Headers = append(ev.Request.Headers, function.Field{Name: "x-made", Value: function.Value{Value: made}})
		if late {
			ev.Context.EventType, ev.Response = function.ViewerResponse, &function.Response{StatusCode: 200}
		}
		r, err := p.Run(t.Context(), ev, function.Options{})
		switch {
		case err != nil:
		case r.Request != nil:
			checkRequest(t, *r.Request)
		default:
			checkResponse(t, *r.Response)
		}
	})
}

func checkRequest(t *testing.T, made function.Request) {
	target := made.Path()
	if q := made.Query(); q != "" {
		target += "?" + q
	}
	if strings.ContainsAny(target, " \r\n\x00") || !strings.HasPrefix(target, "/") {
		t.Fatalf("the target is %q", target)
	}
	header := made.Header()
	out := &http.Request{Method: http.MethodGet, URL: &url.URL{Opaque: target}, Host: "h.example", Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	var text bytes.Buffer
	if err := out.Write(&text); err != nil {
		t.Fatalf("write %+v: %v", made, err)
	}
	in, err := http.ReadRequest(bufio.NewReader(&text))
	if err != nil {
		if _, bad := url.ParseRequestURI(target); bad != nil {
			return // an escape that is none, as viewers may send it, too
		}
		t.Fatalf("read %+v: %v", made, err)
	}
	sameHeader(t, header, in.Header)
	if in.RequestURI != target {
		t.Errorf("the target %q became %q", target, in.RequestURI)
	}
}

func checkResponse(t *testing.T, made function.Response) {
	if made.StatusCode < 200 || made.StatusCode > 599 {
		t.Fatalf("the status is %d", made.StatusCode)
	}
	if made.Body != nil {
		if _, err := made.Body.Bytes(); err != nil {
			t.Fatal(err)
		}
	}
	header := made.Header()
	for _, own := range []string{"Content-Length", "Transfer-Encoding"} { // which the edge sets itself
		header.Del(own)
	}
	out := &http.Response{StatusCode: made.StatusCode, ProtoMajor: 1, ProtoMinor: 1, Header: header, Body: http.NoBody}
	var text bytes.Buffer
	if err := out.Write(&text); err != nil {
		t.Fatalf("write %+v: %v", made, err)
	}
	in, err := http.ReadResponse(bufio.NewReader(&text), nil)
	if err != nil {
		t.Fatalf("read %+v: %v", made, err)
	}
	_, _ = io.Copy(io.Discard, in.Body)
	in.Body.Close()
	sameHeader(t, header, in.Header)
}

// sameHeader leaves out what net/http writes by itself, and blanks around values.
func sameHeader(t *testing.T, out, in http.Header) {
	t.Helper()
	for _, own := range []string{"Content-Length", "Connection", "Transfer-Encoding", "Trailer", "User-Agent", "Host"} {
		out.Del(own)
		in.Del(own)
	}
	for name, values := range out {
		trimmed := make([]string, len(values))
		for i, v := range values {
			trimmed[i] = strings.Trim(v, " \t")
		}
		if !slices.Equal(trimmed, in[name]) {
			t.Errorf("%s: %q became %q", name, trimmed, in[name])
		}
		delete(in, name)
	}
	if len(in) > 0 {
		t.Errorf("%v came from nowhere", in)
	}
}
