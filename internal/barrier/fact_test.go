package barrier

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text string
		want Fact
	}{
		{"lambda site updated", Fact{Kind: Lambda, Name: "site", Within: 5 * time.Minute}},
		{"lambda site:live updated within 90s", Fact{Kind: Lambda, Name: "site", Alias: "live", Within: 90 * time.Second}},
		{"within 10m lambda site:live updated version 7 sha256 ab+/=", Fact{Kind: Lambda, Name: "site", Alias: "live", Within: 10 * time.Minute, Version: "7", SHA256: "ab+/="}},
		{"lambda site:$LATEST updated", Fact{Kind: Lambda, Name: "site", Within: 5 * time.Minute}},
		{"lambda arn:aws:lambda:eu-west-1:123456789012:function:site:live updated", Fact{Kind: Lambda, Name: "arn:aws:lambda:eu-west-1:123456789012:function:site", Alias: "live", Within: 5 * time.Minute}},
		{"lambda 123456789012:function:site updated", Fact{Kind: Lambda, Name: "123456789012:function:site", Within: 5 * time.Minute}},
		{"distribution E2EXAMPLE1234 deployed", Fact{Kind: Distribution, Name: "E2EXAMPLE1234", Within: 15 * time.Minute}},
		{`origin https://o.example.com/a etag W/"x-1" times 3`, Fact{Kind: Origin, URL: "https://o.example.com/a", ETag: "x-1", Times: 3, Within: 5 * time.Minute}},
		{`origin s3://bucket/a/b.html etag changed-from '"abc"'`, Fact{Kind: Origin, URL: "s3://bucket/a/b.html", ETag: "abc", Changed: true, Within: 5 * time.Minute}},
		{`origin 's3://bucket/50%/a?b#c d.html' etag x`, Fact{Kind: Origin, URL: "s3://bucket/50%/a?b#c d.html", ETag: "x", Within: 5 * time.Minute}},
		{"origin http://127.0.0.1:1/ etag changed-from within 5s", Fact{Kind: Origin, URL: "http://127.0.0.1:1/", ETag: "", Within: 5 * time.Second}}, // refused below
		{`url https://e.example.com/ matches "build \d+ of 7" status 503 within 3s`, Fact{Kind: URL, URL: "https://e.example.com/", Pattern: `build \d+ of 7`, Status: 503, Within: 3 * time.Second}},
		{"url https://e.example.com/ header x-version matches ^7$", Fact{Kind: URL, URL: "https://e.example.com/", Header: "X-Version", Pattern: "^7$", Within: 5 * time.Minute}},
		{"command A=1 TOKEN=$TOKEN make 'a b' within 1m", Fact{Kind: Command, Env: []string{"A=1", "TOKEN=$TOKEN"}, Argv: []string{"make", "a b"}, Within: time.Minute}},
		{"within 2m command sleep within 1m", Fact{Kind: Command, Argv: []string{"sleep", "within", "1m"}, Within: 2 * time.Minute}},
	}
	for _, tt := range tests {
		tt.want.Times = max(tt.want.Times, 1)
		got, err := Parse(tt.text)
		if strings.Contains(tt.text, "changed-from within") {
			if err == nil {
				t.Errorf("%s: %+v", tt.text, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n%+v, %v\nwant\n%+v", tt.text, got, err, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                          "must be one of",
		"within 5m":                                 "must be one of",
		"pigeon arrived":                            `"pigeon" is none of lambda`,
		"lambda site":                               "updated",
		"lambda site:7 updated":                     "is a version",
		"lambda a/b updated":                        "no name or ARN",
		"lambda site updated version 7":             "an alias",
		"lambda site updated sha256":                "a value is missing",
		"lambda site updated fast yes":              `"fast" is not understood`,
		"distribution site deployed":                "no ID",
		"distribution E2EXAMPLE1234":                "deployed",
		"origin https://o.example.com/":             "etag VALUE",
		"origin s3://bucket etag x":                 "s3://BUCKET/KEY",
		"url s3://bucket/key status 200":            "no URL",
		"url /path status 200":                      "no URL",
		"url https://u:p@e.example.com/ status 200": "password",
		"url http://169.254.169.254/latest/meta-data matches x": "169.254.169.254",
		"url http://[::ffff:169.254.169.254]/ matches x":        "169.254.169.254",
		"url http://[fe80::1]/ matches x":                       "fe80::1",
		"url http://[fd00:ec2::23]/v1/credentials matches x":    "fd00:ec2::23",
		"url http://[64:ff9b::a9fe:a9fe]/ matches x":            "64:ff9b::a9fe:a9fe",
		"url https://e.example.com/ matches (":                  "missing closing",
		"url https://e.example.com/ status 99":                  "status 99",
		"url https://e.example.com/ header X-A":                 "matches",
		"url https://e.example.com/ times 0":                    "times 0",
		"url https://e.example.com/ matches a matches b":        "comes twice",
		"url https://e.example.com/ matches 'a":                 "not closed",
		"command":                                               "a program is needed",
		"command A=1":                                           "a program is needed",
		"command x within 0s":                                   "within 0s",
		"command x within 25h":                                  "within 25h",
		"command x within soon":                                 "within soon",
	} {
		if f, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", text, f, err, want)
		}
	}
}

// What the document says can be written can be read.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/release.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Facts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	example := strings.NewReplacer("NAME:ALIAS", "site:live", "header NAME", "header X-Version", "NAME", "site", " ID ", " E2EXAMPLE1234 ", "URL", "https://origin.example.com/",
		"VALUE", "v", "REGEXP", "x", "BASE64", "c2hh", "PROGRAM ARGUMENT…", "make check")
	facts := 0
	for _, m := range regexp.MustCompile("(?m)^(?:\\| `|      - )((?:"+`lambda|distribution|origin|url|command)\b[^`+"`\n]*)").FindAllStringSubmatch(section, -1) {
		facts++
		if f, err := Parse(example.Replace(m[1])); err != nil {
			t.Errorf("%s: %+v, %v", m[1], f, err)
		}
	}
	if facts != 11 {
		t.Errorf("%d facts were found", facts)
	}
}

// A fact's name is a text that reads as the fact again, time limit and
// environment aside.
func TestStringIsReadAgain(t *testing.T) {
	word := rapid.StringMatching(`[a-z'"\\ |^$.*-]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		f := Fact{Times: rapid.IntRange(1, 5).Draw(t, "times"), Within: usualWait}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			f.Kind, f.Name, f.Times = Lambda, "site", 1
			f.Alias = rapid.SampledFrom([]string{"", "live"}).Draw(t, "alias")
			f.SHA256 = rapid.SampledFrom([]string{"", "abc="}).Draw(t, "sha")
		case 1:
			f.Kind, f.URL, f.ETag = Origin, "https://o.example.com/", rapid.StringMatching(`[a-z0-9][a-z 0-9-]{0,5}[a-z0-9]`).Draw(t, "etag")
			f.Changed = rapid.Bool().Draw(t, "changed")
		case 2:
			f.Kind, f.URL, f.Pattern = URL, "https://o.example.com/?a=b", "x"+word.Filter(func(s string) bool { return !strings.Contains(s, `\`) && !strings.HasPrefix(s, "*") }).Draw(t, "pattern")
			f.Status = rapid.SampledFrom([]int{0, 200, 404}).Draw(t, "status")
		case 3:
			f.Kind, f.Times, f.Argv = Command, 1, append([]string{"make"}, rapid.SliceOf(word).Draw(t, "argv")...)
		}
		got, err := Parse(f.String())
		if err != nil {
			if strings.Contains(err.Error(), "regexp") {
				t.Skip("no regular expression")
			}
			t.Fatalf("%s: %v", f, err)
		}
		if !reflect.DeepEqual(got, f) {
			t.Fatalf("%s:\n%+v\nbecame\n%+v", f, f, got)
		}
	})
}

// What is passed to commands is not shown.
func TestStringHidesTheEnvironment(t *testing.T) {
	f, err := Parse("command TOKEN=hunter2 curl https://e.example.com/")
	if err != nil || strings.Contains(f.String(), "hunter2") {
		t.Errorf("%s, %v", f, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"lambda a:b updated within 5m", "command A=b x 'y z'", `url http://a/ matches "\d" times 2`, "origin s3://a/b etag changed-from c", `x\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse(text)
		if err != nil || len(a.Env) > 0 {
			return
		}
		b, err := Parse("within " + a.Within.String() + " " + a.String())
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%q: %+v became %+v, %v", text, a, b, err)
		}
	})
}

func TestSplitJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[ -~\n]{0,6}`)).Draw(t, "words")
		got, err := split(join(words))
		if err != nil || !slices.Equal(got, words) && len(words)+len(got) > 0 {
			t.Fatalf("%q became %q, %v", words, got, err)
		}
	})
}
