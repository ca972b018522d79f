package packed

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

func drawHeader(t *rapid.T, label string) map[string][]string {
	names := rapid.SampledFrom([]string{"Accept-Ranges", "Cache-Control", "Content-Type", "Date", "Etag", "Server", "Vary", "W", "X-A", "X-Amz-Cf-Ie", "X-Amz-Meta-A", "X-Content-Type-Options", "!#$%&'*+-.^_`|~"})
	value := rapid.OneOf(rapid.StringMatching(`([!-~\x80-\xff]([ -~]{0,20}[!-~])?)?`), drawFormed)
	h := rapid.MapOf(names, rapid.SliceOfN(value, 1, 3)).Draw(t, label)
	if h == nil {
		h = map[string][]string{}
	}
	return h
}

func drawDuration(t *rapid.T, label string) time.Duration {
	return time.Duration(rapid.Int64().Draw(t, label))
}

func drawEntry(t *rapid.T) *Entry {
	e := &Entry{
		Key:    Key{rapid.Uint32().Draw(t, "site"), rapid.String().Draw(t, "url"), rapid.String().Draw(t, "variant")},
		Names:  rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "names"),
		Status: rapid.IntRange(0, 999).Draw(t, "status"), Header: drawHeader(t, "header"),
		Birth: rapid.Uint64().Draw(t, "birth"), Checked: rapid.Uint64().Draw(t, "checked"), Begun: rapid.Uint64().Draw(t, "begun"),
		Received: time.Unix(0, rapid.Int64().Draw(t, "received")), Age: drawDuration(t, "age"), Aged: rapid.Bool().Draw(t, "aged"), Retry: rapid.Int64().Draw(t, "retry"),
		Store: rapid.Bool().Draw(t, "store"), Fresh: drawDuration(t, "fresh"), Each: rapid.Bool().Draw(t, "each"), Unconfirmed: rapid.Bool().Draw(t, "unconfirmed"),
		Behind: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "behind")), StaleOnError: rapid.Bool().Draw(t, "stale"),
		StaleFor: time.Duration(rapid.Int64Range(-1, 1<<40).Draw(t, "for")), Quick: rapid.Bool().Draw(t, "quick"), Plain: rapid.Bool().Draw(t, "plain"),
	}
	if rapid.Bool().Draw(t, "one name") {
		e.Names = []string{e.Key.URL}
	}
	switch rapid.IntRange(0, 2).Draw(t, "body") {
	case 0:
		e.Body = rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "bytes")
		e.Size = int64(len(e.Body))
	case 1:
		e.Size, e.At = rapid.Int64Range(1, 1<<40).Draw(t, "size"), rapid.Uint32().Draw(t, "at")
	}
	if rapid.Bool().Draw(t, "part") {
		first, length := rapid.Int64Range(0, 1<<40).Draw(t, "first"), rapid.Int64Range(0, 1<<40).Draw(t, "length")
		e.Part = &Part{first, length, first + length + rapid.Int64Range(0, 9).Draw(t, "rest")}
	}
	if rapid.Bool().Draw(t, "dressed") {
		e.Dressed, e.Behavior = drawHeader(t, "dress"), rapid.IntRange(0, 1<<16-1).Draw(t, "behavior")
	}
	return e
}

// What was packed is what is unpacked, also in the middle of other bytes.
func TestUnpacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		before := make([]byte, Align*rapid.IntRange(0, 3).Draw(t, "before"), 1000)
		b, err := Append(before, e)
		if err != nil {
			t.Fatal(err)
		}
		v, err := Open(b[len(before):])
		if err != nil {
			t.Fatalf("%v of %+v", err, e)
		}
		got := v.Entry()
		if len(got.Names) == 0 && len(e.Names) == 0 {
			got.Names = e.Names
		}
		if len(e.Body) == 0 && len(got.Body) == 0 {
			got.Body = e.Body
		}
		if !reflect.DeepEqual(got, e) {
			t.Fatalf("got  %+v\nwant %+v", got, e)
		}
		if !v.Is(&e.Key) || !slices.Equal(slices.Collect(v.Names()), e.Names) || v.Size() != e.Size || !bytes.Equal(v.Body(), e.Body) || SizeAt(v.Bytes()) != len(v.Bytes()) {
			t.Fatalf("%+v is read otherwise where it lies", e)
		}
		other := e.Key
		other.Variant += "x"
		if v.Is(&other) {
			t.Fatal("another key is taken for it")
		}
		var room []byte
		checkLines(t, v.Lines(&room), e.Header)
		if d, behavior, ok := v.Dressed(&room); ok != (e.Dressed != nil) || ok && behavior != e.Behavior {
			t.Fatalf("dressed for %d: %v", behavior, ok)
		} else if ok {
			checkLines(t, d, e.Dressed)
		}
	})
}

// checkLines wants that a header with the edge's own in the gaps is sorted.
func checkLines(t *rapid.T, l Lines, h map[string][]string) {
	var out []string
	last := 0
	for i, own := range Own {
		out = append(out, string(l.Text[last:l.Gap(i)]), own+": x\r\n")
		last = l.Gap(i)
	}
	out = append(out, string(l.Text[last:]))
	want := maps.Clone(h)
	for _, own := range Own {
		want[own] = []string{"x"}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(want)) {
		for _, value := range want[name] {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	if got := strings.Join(out, ""); got != b.String() {
		t.Fatalf("got  %q\nwant %q", got, b.String())
	}
	for name, values := range h {
		if got := l.Get(name); string(got) != values[0] || got == nil {
			t.Fatalf("%s: got %q, want %q", name, got, values[0])
		}
	}
	if l.Get("Nobody") != nil || l.Get("Serve") != nil {
		t.Fatal("a header that is not there")
	}
}

// What changes is changed where it lies.
func TestChangesInPlace(t *testing.T) {
	b, err := Append(nil, &Entry{Key: Key{URL: "/a"}, Checked: 1, Retry: 2, Size: 9, At: 3})
	if err != nil {
		t.Fatal(err)
	}
	v := Trust(b)
	v.Checked().Store(1<<63 + 5)
	v.Retry().Store(-7)
	v.Uses().Add(3)
	v.SetSerial(1<<63 + 1)
	v.SetAt(1 << 31)
	to := make([]byte, len(b)+8)
	n := v.CopyTo(to)
	if !bytes.Equal(to[:n], b) || to[n] != 0 {
		t.Errorf("the copy is %x", to)
	}
	again, err := Open(to[:n])
	if err != nil {
		t.Fatal(err)
	}
	if e := again.Entry(); e.Checked != 1<<63+5 || e.Retry != -7 || e.At != 1<<31 || again.Serial() != 1<<63+1 || again.Uses().Load() != 3 {
		t.Errorf("%+v", e)
	}
}

func TestUnpackable(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	for name, e := range map[string]*Entry{
		"URL":              {Key: Key{URL: long}},
		"header":           {Header: map[string][]string{"A": {long}}},
		"dressed header":   {Dressed: map[string][]string{"A": {long}}},
		"newline":          {Header: map[string][]string{"A": {"a\r\nB: c"}}},
		"name with colon":  {Header: map[string][]string{"A:": {"a"}}},
		"no name":          {Header: map[string][]string{"": {"a"}}},
		"space":            {Header: map[string][]string{"A": {"a "}}},
		"the edge's own":   {Header: map[string][]string{"Via": {"a"}}},
		"coding":           {Header: map[string][]string{"Transfer-Encoding": {"chunked"}}},
		"status":           {Status: 1 << 16},
		"behavior":         {Behavior: 1 << 16, Size: 1},
		"negative status":  {Status: -1},
		"gap far behind":   {Header: map[string][]string{"A": {long[:1<<15]}, "B": {long[:1<<15]}}},
		"connection":       {Header: map[string][]string{"Connection": {"close"}}},
		"length of a body": {Header: map[string][]string{"Content-Length": {"5"}}},
	} {
		for name, values := range e.Header {
			for _, value := range values {
				cleaned, ok := Clean(name, value)
				if _, err := Append(nil, &Entry{Header: map[string][]string{name: {cleaned}}}); ok && len(value) < 1<<15 && err != nil {
					t.Errorf("%q: %q, cleaned: %v", name, cleaned, err)
				}
			}
		}
		before := []byte("before")
		b, err := Append(before, e)
		if !errors.Is(err, ErrUnpackable) || string(b) != "before" {
			t.Errorf("%s: %v, %q", name, err, b)
		}
	}
}

// Entries that lie one behind the other are apart.
func TestHeadSizeAligned(t *testing.T) {
	if atChecked%8 != 0 || atRetry%8 != 0 || atUses%4 != 0 {
		t.Error("words that change are not aligned")
	}
}

func FuzzOpen(f *testing.F) {
	for _, e := range []*Entry{
		{Key: Key{1, "/a", ""}, Names: []string{"/a"}, Status: 200, Header: map[string][]string{"Date": {"x"}, "Vary": {"a", "b"}}, Body: []byte("body")},
		{Key: Key{1, "/a", "gzip"}, Names: []string{"/a", "#tag"}, Status: 200, Size: 1 << 20, At: 7, Part: &Part{1, 2, 3}, Dressed: map[string][]string{"W": {"x"}}},
		fromStorage(10),
		{Key: Key{1, "/a", ""}, Age: 1, Size: 1, Header: fromStorage(0).Header, Dressed: fromStorage(0).Header},
	} {
		b, err := Append(nil, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 0 && uintptr(unsafe.Pointer(&b[0]))%Align != 0 {
			b = append(make([]byte, 0, len(b)+64), b...)
		}
		v, err := Open(b)
		if err != nil {
			return
		}
		e := v.Entry()
		again, err := Append(nil, e)
		if err != nil {
			t.Fatalf("what was opened %v", err)
		}
		other, err := Open(again)
		if err != nil || !reflect.DeepEqual(other.Entry().Header, e.Header) || other.Size() != v.Size() || !other.Is(&e.Key) || !slices.Equal(slices.Collect(other.Names()), slices.Collect(v.Names())) {
			t.Fatalf("%+v becomes %+v, %v", e, other, err)
		}
		var room []byte
		for i := range Gaps {
			if l := v.Lines(&room); l.Gap(i) > len(l.Text) {
				t.Fatalf("gap %d at %d", i, l.Gap(i))
			}
		}
	})
}

func BenchmarkUnpack(b *testing.B) {
	packed, err := Append(nil, &Entry{
		Key: Key{1, "/assets/pictures/1.jpg", ""}, Names: []string{"/assets/pictures/1.jpg"}, Status: 200, Body: make([]byte, 1024),
		Header: map[string][]string{"Date": {"Fri, 20 Nov 2026 10:00:00 GMT"}, "Etag": {`"0123456789abcdef"`}, "Content-Type": {"image/jpeg"}, "Cache-Control": {"max-age=60"}, "Server": {"nginx"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		Trust(packed).Entry()
	}
}
