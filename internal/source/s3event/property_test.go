package s3event

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/freshet/freshet"
)

// The encodings of the dialects, written independently of their decoders.
var encoders = map[Dialect]func(key string) string{
	S3:          func(key string) string { return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/") },
	MinIO:       url.QueryEscape,
	EventBridge: strings.Clone,
	VersityGW:   strings.Clone,
	Raw:         strings.Clone,
}

func keys() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune(`ab/+% %2Bé~"<&'?#日.`)), rapid.Rune()), 1, 40, MaxKeyLength)
}

// Whatever key an object has, each dialect's events bring it back.
func TestKeyRoundTrip(t *testing.T) {
	for dialect, encode := range encoders {
		t.Run(string(dialect), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				key := keys().Draw(t, "key")
				res, err := Parse(notification1("ObjectCreated:Put", encode(key)), Options{Dialect: dialect})
				if err != nil || len(res.Changes) != 1 {
					t.Fatalf("Parse: %+v, %v", res, err)
				}
				if got := res.Changes[0].Key; got != key {
					t.Errorf("key %q came back as %q", key, got)
				}
			})
		})
	}
}

// Recognising the dialect must not do worse than knowing that it is S3's.
func TestAutoReadsEveryS3Key(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keys().Draw(t, "key")
		res, err := Parse(notification1("ObjectCreated:Put", encoders[S3](key)), Options{})
		if err != nil || len(res.Changes) != 1 || res.Changes[0].Key != key {
			t.Fatalf("Parse of key %q: %+v, %v", key, res, err)
		}
	})
}

func notification1(name, key string) []byte {
	return mustJSON(map[string]any{"Records": []any{s3Record(name, key)}})
}

func s3Record(name, key string) any {
	return map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "eventTime": "2026-11-20T10:00:00.000Z", "eventName": name,
		"s3": map[string]any{"bucket": map[string]any{"name": "site"}, "object": map[string]any{"key": key, "sequencer": "0A"}},
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// expected counts what a generated input holds.
type expected struct{ changes, skipped, problems int }

// records draws a list of records and says what must come of it.
func (e *expected) records(t *rapid.T) []any {
	list := []any{}
	for range rapid.IntRange(0, 4).Draw(t, "records") {
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			e.changes++
			list = append(list, s3Record("ObjectRemoved:Delete", "a.html"))
		case 1:
			e.skipped++
			list = append(list, s3Record("ObjectTagging:Put", "a.html"))
		default:
			e.problems++
			list = append(list, rapid.SampledFrom([]any{s3Record("ObjectCreated:Put", "%"), nil, map[string]any{}}).Draw(t, "bad"))
		}
	}
	return list
}

// envelope draws a wrapping around a value; depth is how many more may follow.
func (e *expected) envelope(t *rapid.T, depth int) any {
	if depth == 0 {
		return map[string]any{"Records": e.records(t)}
	}
	switch rapid.IntRange(0, 3).Draw(t, "envelope") {
	case 0:
		return map[string]any{"Type": "Notification", "Message": string(mustJSON(e.envelope(t, depth-1)))}
	case 1:
		return e.messages(t, depth, "Records", "messageId", "body")
	case 2:
		return e.messages(t, depth, "Messages", "MessageId", "Body")
	default:
		return []any{e.envelope(t, depth-1), e.envelope(t, depth-1)}
	}
}

func (e *expected) messages(t *rapid.T, depth int, list, id, body string) any {
	messages := []any{}
	for i := range rapid.IntRange(1, 3).Draw(t, "messages") {
		messages = append(messages, map[string]any{id: "m-" + strconv.Itoa(i), body: string(mustJSON(e.envelope(t, depth-1)))})
	}
	return map[string]any{list: messages}
}

// However records are wrapped, each is in exactly one list of the result.
func TestEveryRecordIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want expected
		depth := rapid.IntRange(0, MaxEnvelopes).Draw(t, "depth")
		input := mustJSON(want.envelope(t, depth))
		res, err := Parse(input, Options{})
		if err != nil {
			t.Fatalf("Parse: %v", err)
		}
		got := expected{len(res.Changes), len(res.Skipped), len(res.Problems)}
		if got != want {
			t.Errorf("read %+v, want %+v, of %s", got, want, input)
		}
	})
}

func TestLimits(t *testing.T) {
	two := mustJSON(map[string]any{"Records": []any{s3Record("ObjectCreated:Put", "a"), s3Record("ObjectTagging:Put", "b")}})
	tests := []struct {
		name string
		opts Options
		want string // part of the error; empty for none
	}{
		{"bytes", Options{MaxBytes: len(two) - 1}, "bytes are over the limit"},
		{"bytes just enough", Options{MaxBytes: len(two)}, ""},
		{"records", Options{MaxRecords: 1}, "more than the limit of 1 records"},
		{"records just enough", Options{MaxRecords: 2}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, err := Parse(two, tt.opts)
			if tt.want == "" {
				if err != nil || res.Records() != 2 {
					t.Errorf("Parse: %+v, %v; want both records", res, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || res.Records() != 0 {
				t.Errorf("Parse: %+v, %v; want an error with %q and no records", res, err, tt.want)
			}
		})
	}
}

// A megabyte of brackets must neither exhaust the stack nor be read as anything.
func TestDeepJSON(t *testing.T) {
	const depth = 1 << 20
	for _, input := range []string{
		strings.Repeat("[", depth) + strings.Repeat("]", depth),
		`{"Records":[{"s3":` + strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) + "}]}",
	} {
		res, err := Parse([]byte(input), Options{})
		if err == nil && len(res.Problems) == 0 {
			t.Errorf("%.30s… was read as %+v", input, res)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range txtar.Parse(data).Files {
			if file.Name == "input" {
				f.Add(file.Data, "")
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, dialect string) {
		opts := Options{Dialect: Dialect(dialect), MaxRecords: 1000}
		res, err := Parse(data, opts)
		again, errAgain := Parse(data, opts)
		if !reflect.DeepEqual(res, again) || (err == nil) != (errAgain == nil) {
			t.Fatalf("read twice: %+v, %v and %+v, %v", res, err, again, errAgain)
		}
		if err != nil && res.Records() != 0 {
			t.Errorf("an error %v and records %+v", err, res)
		}
		for _, c := range res.Changes {
			if c.Origin == "" || c.Key == "" || !utf8.ValidString(c.Key) || c.Cause == "" {
				t.Errorf("incomplete change %+v", c)
			}
			if c.Sequencer != "" && !c.Sequencer.Valid() {
				t.Errorf("sequencer %q", c.Sequencer)
			}
			if c.Op == freshet.OpDelete && (c.ETag != "" || c.Size != 0) {
				t.Errorf("a delete with content: %+v", c)
			}
		}
		for _, s := range res.Skipped {
			if s.Event == "" || s.Reason == "" {
				t.Errorf("skipped without a reason: %+v", s)
			}
		}
	})
}
