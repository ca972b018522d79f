package lines

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// read returns the lines, with an error written as one.
func read(t *testing.T, r io.Reader) []string {
	t.Helper()
	in, err := Open(r)
	if err != nil {
		return []string{"open: " + err.Error()}
	}
	var all []string
	for l := NewReader(in); ; {
		line, err := l.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all
		case errors.Is(err, ErrTooLong):
			all = append(all, "too long")
		case err != nil:
			return append(all, err.Error())
		default:
			all = append(all, string(line))
		}
		if l.Number() != int64(len(all)) {
			t.Errorf("line %d has the number %d", len(all), l.Number())
		}
	}
}

func TestLines(t *testing.T) {
	most := strings.Repeat("x", Max)
	tests := []struct {
		name, input string
		want        []string
	}{
		{"nothing", "", nil},
		{"line ends", "a\nb\r\n\nc\r\r\nd", []string{"a", "b", "", "c\r", "d"}},
		{"byte order mark", "\ufeffa\n", []string{"a"}},
		{"gzip", zip("a\nb\n"), []string{"a", "b"}},
		{"gzip members", zip("\ufeffa\n") + zip("b\n"), []string{"a", "b"}},
		{"gzip of nothing", zip(""), nil},
		{"gzip cut short", zip("a\nb\n")[:12], []string{"open: unexpected EOF"}},
		{"gzip damaged at its end", strings.TrimSuffix(zip("aaa\nbbb\n"), "\x00"), []string{"aaa", "bbb", "unexpected EOF"}},
		{"no gzip after all", "\x1f\x8bxxxxxxxxxxxx", []string{"open: read gzip: gzip: invalid header"}},
		{"longest", most + "\r\n" + most + "\n" + most, []string{most, most, most}},
		{"too long", "a\n" + most + "y\r\nb\n" + most + most + "\nc", []string{"a", "too long", "b", "too long", "c"}},
		{"too long at the end", most + "yyy", []string{"too long"}},
		{"names of formats are no formats", "PAR1.html\nORC.html\nPK", []string{"PAR1.html", "ORC.html", "PK"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := read(t, strings.NewReader(tt.input)); !slices.Equal(got, tt.want) {
				t.Errorf("got %.200q", got)
			}
			if got := read(t, iotest.HalfReader(strings.NewReader(tt.input))); !slices.Equal(got, tt.want) {
				t.Errorf("in small reads: got %.200q", got)
			}
		})
	}
}

func TestReadError(t *testing.T) {
	broken := fmt.Errorf("%w and broken", io.EOF)
	for _, text := range []string{"", "a", "a\nb", strings.Repeat("x", 2*PeekSize), strings.Repeat("x", 2*Max)} {
		got := read(t, io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)))
		if len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "broken") {
			t.Errorf("after %.5q: %.50q ends without the error", text, got)
		}
	}
}

func TestRefused(t *testing.T) {
	for input, want := range map[string]string{
		"\xff\xfea\x00":          "UTF-16",
		"\xfe\xff\x00a":          "UTF-16",
		"PAR1\x15\x04":           "Parquet",
		"ORC\x08\x03":            "ORC",
		"PK\x03\x04\x14":         "gzip",
		"\x28\xb5\x2f\xfd\x04":   "gzip",
		zip("PAR1\x15\x04\x00x"): "Parquet",
	} {
		if _, err := Open(strings.NewReader(input)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", input, err, want)
		}
	}
}
