package listing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func objects() *rapid.Generator[[]Object] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Object {
		key := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("ab/+ %2B?,\"'\\[{é\t")), rapid.Rune()), 1, 30, 200).Filter(func(s string) bool {
			return !strings.ContainsAny(s, "\n\x00") && !strings.HasSuffix(s, "\r") && !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "s3://") && strings.TrimSpace(s) != "" &&
				!strings.HasPrefix(s, "\ufeff") // a byte order mark where it is the first key
		})
		return Object{Bucket: "site", Key: key.Draw(t, "key"), Size: rapid.Int64Min(0).Draw(t, "size")}
	}), 1, 8)
}

// writers are how the outside world writes a listing, as far as it is known.
func writers() map[Format]func(io.Writer, []Object) {
	each := func(write func(io.Writer, Object)) func(io.Writer, []Object) {
		return func(w io.Writer, all []Object) {
			for _, o := range all {
				write(w, o)
			}
		}
	}
	return map[Format]func(io.Writer, []Object){
		S3JSON: func(w io.Writer, all []Object) {
			var contents []map[string]any
			for _, o := range all {
				contents = append(contents, map[string]any{"Key": o.Key, "Size": o.Size, "ETag": `"0f"`, "Owner": map[string]any{"Key": "none", "Size": -1}})
			}
			enc := json.NewEncoder(w)
			enc.SetIndent("", "    ")
			_ = enc.Encode(map[string]any{"Contents": contents, "RequestCharged": nil})
		},
		S3LS: each(func(w io.Writer, o Object) { fmt.Fprintf(w, "2026-01-02 03:04:05 %10d %s\n", o.Size, o.Key) }),
		Inventory: each(func(w io.Writer, o Object) {
			fmt.Fprintf(w, "\"site\",\"%s\",\"%d\",\"2026-01-02T03:04:05.000Z\"\n", url.QueryEscape(o.Key), o.Size)
		}),
		JSONLines: each(func(w io.Writer, o Object) {
			line, _ := json.Marshal(map[string]any{"key": o.Key, "size": o.Size})
			_, _ = w.Write(append(line, '\n'))
		}),
		SizedKeys: each(func(w io.Writer, o Object) { fmt.Fprintf(w, "%d\t%s\n", o.Size, o.Key) }),
		Keys:      each(func(w io.Writer, o Object) { fmt.Fprintf(w, "%s\n", o.Key) }),
	}
}

// Objects survive each way of listing them, and all but bare keys are recognised.
func TestRoundTrip(t *testing.T) {
	for format, write := range writers() {
		t.Run(string(format), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := objects().Draw(t, "objects")
				var text bytes.Buffer
				write(&text, want)
				o := Options{Bucket: "site"}
				if format == Keys {
					o.Format = Keys
				}
				l := Read(bytes.NewReader(text.Bytes()), o)
				var got []Object
				for o, err := range l.Objects() {
					if err != nil {
						t.Fatalf("%s: %v", text.Bytes(), err)
					}
					if format == Keys {
						o.Size = want[len(got)].Size
					}
					got = append(got, o)
				}
				if !reflect.DeepEqual(got, want) || l.Format() != format {
					t.Errorf("%s\nas %s gave %+v", text.Bytes(), l.Format(), got)
				}
			})
		})
	}
}

// fuzz holds whatever comes out of a text to what every caller relies on.
func fuzz(t *testing.T, text []byte, o Options) (found []Object, final error) {
	t.Helper()
	for object, err := range Read(bytes.NewReader(text), o).Objects() {
		if final != nil {
			t.Fatalf("%v is not the last: %+v, %v", final, object, err)
		}
		var record *RecordError
		switch {
		case err == nil:
			if object.Key == "" || len(object.Key) > MaxKeyLength || !utf8.ValidString(object.Key) || object.Size < 0 || object.Requests < 0 {
				t.Fatalf("object %+v", object)
			}
			found = append(found, object)
		case !reflect.DeepEqual(object, Object{}):
			t.Fatalf("an object with an error: %+v, %v", object, err)
		case errors.As(err, &record):
			if record.At == "" || len(err.Error()) > 2000 {
				t.Fatalf("error at %q: %v", record.At, err)
			}
		default:
			final = err
		}
	}
	return found, final
}

func FuzzAuto(f *testing.F) {
	for _, write := range writers() {
		var text bytes.Buffer
		write(&text, []Object{{Key: "a dir/é", Size: 7}, {Key: "b", Size: 0}})
		f.Add(text.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) { fuzz(t, text, Options{}) })
}

// What package json reads at once is what is read piece by piece.
func FuzzS3JSON(f *testing.F) {
	for _, s := range []string{
		`{"Contents":[{"Key":"a","Size":1},{"Key":"\ud83d\ude00\u00e9"}]}`, `{"Contents":null}`, `[{"Key":"a"}]`, `["a"]`, `null`, `{"Versions":[{"Key":"a","IsLatest":false}],"DeleteMarkers":[{}]}`,
		`{"IsTruncated":true}{"Contents":[]}`, `{"EncodingType":"url"}`, `{"CommonPrefixes":[{}]}`, `{"Contents":[{"Key":"\ud800"}],"x":{"Contents":[{"Key":"b"}]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, final := fuzz(t, text, Options{Format: S3JSON})
		var whole struct {
			Contents []struct {
				Key  string
				Size int64
			}
		}
		var names map[string]json.RawMessage
		dec := json.NewDecoder(bytes.NewReader(text))
		if dec.Decode(&names) != nil || names["Contents"] == nil || len(names) != 1 || dec.Decode(new(any)) != io.EOF {
			return // another shape than the simplest
		}
		if bytes.Count(text, []byte(`"Contents"`)) != 1 || json.Unmarshal(text, &whole) != nil || !utf8.Valid(text) || bytes.Contains(text, []byte(`\ud`)) || bytes.Contains(text, []byte(`\uD`)) {
			return
		}
		if final != nil {
			t.Fatalf("%s: %v", text, final)
		}
		n := 0
		for _, c := range whole.Contents {
			if c.Key == "" || len(c.Key) > MaxKeyLength || c.Size < 0 {
				continue
			}
			if n >= len(found) || found[n].Key != c.Key || found[n].Size != c.Size {
				t.Fatalf("%s: object %d is %+v, not %+v", text, n, found, c)
			}
			n++
		}
		if n != len(found) {
			t.Fatalf("%s: %d objects, not %d", text, len(found), n)
		}
	})
}

func FuzzS3LS(f *testing.F) {
	f.Add("2026-01-02 03:04:05          1 a\n2026-01-02 03:04:05    2.9 MiB b\n")
	f.Add("                           PRE d/\n\nTotal Objects: 0\n   Total Size: 0\n")
	f.Fuzz(func(t *testing.T, text string) {
		found, _ := fuzz(t, []byte(text), Options{Format: S3LS})
		for _, o := range found {
			if !strings.Contains(text, fmt.Sprintf("%d %s", o.Size, o.Key)) {
				t.Errorf("%+v does not stand in %q", o, text)
			}
		}
	})
}

func FuzzInventory(f *testing.F) {
	f.Add("\"site\",\"a+b\",\"1\"\n", "")
	f.Add("\"site\",\"a\"\"b\",\"v\",\"true\",\"false\",\"1\"\n", "")
	f.Add("a,,1\n", "Key,ETag,Size")
	f.Fuzz(func(t *testing.T, text, columns string) {
		o := Options{Format: Inventory}
		if columns != "" {
			o.Columns = strings.Split(columns, ",")
		}
		fuzz(t, []byte(text), o)
	})
}

func FuzzJSONLines(f *testing.F) {
	f.Add([]byte(`{"key":"a","size":1,"tags":["x"],"requests":2}`))
	f.Fuzz(func(t *testing.T, text []byte) { fuzz(t, text, Options{Format: JSONLines}) })
}

func FuzzSizedKeys(f *testing.F) {
	f.Add([]byte("1\ta\n2\ts3://b/c\n"))
	f.Fuzz(func(t *testing.T, text []byte) { fuzz(t, text, Options{Format: SizedKeys}) })
}

func FuzzReadManifest(f *testing.F) {
	f.Add([]byte(`{"fileFormat":"CSV","fileSchema":"Bucket, Key, Size","files":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ReadManifest(bytes.NewReader(text))
		if (err == nil) != (len(m.Columns) > 0) {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// BenchmarkRead is of listings as long as they come from S3, in bytes of text.
func BenchmarkRead(b *testing.B) {
	var all []Object
	for i := range 10_000 {
		all = append(all, Object{Key: fmt.Sprintf("assets/2026/%02d/some-page-%06d.html", i%12, i), Size: int64(i) * 37})
	}
	formats := writers()
	formats[S3JSON] = func(w io.Writer, all []Object) {
		_, _ = io.WriteString(w, "{\n    \"Contents\": [")
		for i, o := range all {
			if i > 0 {
				_, _ = io.WriteString(w, ",")
			}
			fmt.Fprintf(w, `
        {
            "Key": %q,
            "LastModified": "2026-01-02T03:04:05+00:00",
            "ETag": "\"d41d8cd98f00b204e9800998ecf8427e\"",
            "ChecksumAlgorithm": [
                "CRC64NVME"
            ],
            "ChecksumType": "FULL_OBJECT",
            "Size": %d,
            "StorageClass": "STANDARD"
        }`, o.Key, o.Size)
		}
		_, _ = io.WriteString(w, "\n    ],\n    \"RequestCharged\": null,\n    \"Prefix\": \"\"\n}\n")
	}
	for format, write := range formats {
		b.Run(string(format), func(b *testing.B) {
			var text bytes.Buffer
			write(&text, all)
			b.SetBytes(int64(text.Len()))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for _, err := range Read(bytes.NewReader(text.Bytes()), Options{Format: format}).Objects() {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != len(all) {
					b.Fatalf("%d objects", n)
				}
			}
		})
	}
}
