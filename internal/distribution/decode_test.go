package distribution

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// tree returns what a reader of JSON makes of text.
func tree(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func marshalled(t testing.TB, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return tree(t, string(text))
}

// draw fills v with anything that it can hold. Empty lists are nil, as Decode
// returns them.
func draw(t *rapid.T, v reflect.Value) {
	text := rapid.StringMatching(`[a-zA-Z0-9/*.-]{0,6}`)
	switch v.Kind() {
	case reflect.String:
		v.SetString(text.Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(-1, 1<<31).Draw(t, "number"))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "there") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem())
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 2).Draw(t, "length"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				draw(t, v.Index(i))
			}
		}
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(0, 1<<31).Draw(t, "time"), 0).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				draw(t, v.Field(i))
			}
		}
	}
}

func drawn(t *rapid.T) Distribution {
	var d Distribution
	draw(t, reflect.ValueOf(&d).Elem())
	return d
}

// apiForm wraps all lists as the API does.
func apiForm(tree any) any {
	switch v := tree.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = apiForm(v[i])
		}
		return map[string]any{"Quantity": json.Number(strconv.Itoa(len(list))), "Items": list}
	case map[string]any:
		m := make(map[string]any)
		for name, value := range v {
			m[name] = apiForm(value)
		}
		apiNames(m)
		return m
	}
	return tree
}

// apiNames moves what stands elsewhere in the API than in the model.
func apiNames(m map[string]any) {
	if methods, ok := m["AllowedMethods"].(map[string]any); ok && m["CachedMethods"] != nil {
		methods["CachedMethods"] = m["CachedMethods"]
		delete(m, "CachedMethods")
	}
	for _, name := range []string{"TrustedSigners", "TrustedKeyGroups"} {
		if trusted, ok := m[name].(map[string]any); ok {
			trusted["Enabled"] = true
		}
	}
	if codes, ok := m["StatusCodes"]; ok {
		m["FailoverCriteria"] = map[string]any{"StatusCodes": codes}
		delete(m, "StatusCodes")
	}
	if members, ok := m["Members"].(map[string]any); ok {
		for i, id := range members["Items"].([]any) {
			members["Items"].([]any)[i] = map[string]any{"OriginId": id}
		}
	}
	if _, ok := m["RestrictionType"]; ok && m["Locations"] != nil {
		locations := m["Locations"].(map[string]any)
		m["Quantity"], m["Items"] = locations["Quantity"], locations["Items"]
		delete(m, "Locations")
	}
}

var cloudFormationNames = map[string]string{
	"CustomHeaders": "OriginCustomHeaders", "OriginSslProtocols": "OriginSSLProtocols", "IsIPV6Enabled": "IPV6Enabled",
	"ACMCertificateArn": "AcmCertificateArn", "IAMCertificateId": "IamCertificateId", "SSLSupportMethod": "SslSupportMethod",
}

// cloudFormationForm renames, and makes texts of all numbers and bools.
func cloudFormationForm(tree any) any {
	switch v := tree.(type) {
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = cloudFormationForm(v[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any)
		for name, value := range v {
			if other, ok := cloudFormationNames[name]; ok {
				name = other
			}
			m[name] = cloudFormationForm(value)
		}
		if codes, ok := m["StatusCodes"]; ok {
			m["FailoverCriteria"] = map[string]any{"StatusCodes": codes}
			delete(m, "StatusCodes")
		}
		return m
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return tree
}

func TestDecodeOfWhatWasMarshalled(t *testing.T) {
	for name, form := range map[string]func(any) any{
		"ours": func(tree any) any { return tree }, "api": apiForm, "cloudformation": cloudFormationForm,
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				want := drawn(rt)
				got, warnings, err := Decode(form(marshalled(t, want)), "D")
				if err != nil || len(warnings) > 0 {
					rt.Fatalf("%v %v", warnings, err)
				}
				if !reflect.DeepEqual(got, want) {
					rt.Errorf("came back as\n%+v, want\n%+v", got, want)
				}
			})
		})
	}
}

// full is a distribution in which every pointer is there and every list has an
// element.
func full() Distribution {
	var d Distribution
	fill(reflect.ValueOf(&d).Elem())
	return d
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Unix(7, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	}
}

// walk calls do with each value below tree and its path.
func walk(tree any, path string, do func(v any, path string, replace func(any))) {
	switch v := tree.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			do(v[name], path+"."+name, func(other any) { v[name] = other })
			walk(v[name], path+"."+name, do)
		}
	case []any:
		for i := range v {
			at := fmt.Sprintf("%s[%d]", path, i)
			do(v[i], at, func(other any) { v[i] = other })
			walk(v[i], at, do)
		}
	}
}

// At every level of every form, a property that nobody knows is warned of by
// its path, and all else is read as before.
func TestUnknownPropertiesAreWarnedOf(t *testing.T) {
	for name, form := range map[string]func(any) any{
		"ours": func(tree any) any { return tree }, "api": apiForm, "cloudformation": cloudFormationForm,
	} {
		t.Run(name, func(t *testing.T) {
			original, levels := form(marshalled(t, full())), 0
			want, _, _ := Decode(original, "D")
			walk(original, "D", func(v any, path string, _ func(any)) {
				m, ok := v.(map[string]any)
				if !ok {
					return
				}
				levels++
				m["Foo"] = "bar"
				defer delete(m, "Foo")
				got, warnings, err := Decode(original, "D")
				if err != nil || len(warnings) != 1 || warnings[0].Path != path+".Foo" {
					t.Errorf("%s.Foo: %v (%v)", path, warnings, err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s.Foo changed what was read", path)
				}
			})
			if levels < 30 {
				t.Errorf("there are %d objects only", levels)
			}
		})
	}
}

// A value of a kind that does not belong where it stands is an error with its
// path; nothing at all is nothing.
func TestWrongKindsAreErrors(t *testing.T) {
	original := marshalled(t, full())
	walk(original, "D", func(v any, path string, replace func(any)) {
		wrong := []any{map[string]any{"Foo": "bar"}}
		switch v.(type) {
		case string, json.Number, bool:
			wrong = append(wrong, []any{"a", "b"})
		case map[string]any:
			wrong = []any{"text", []any{}, json.Number("1"), true}
		case []any:
			wrong = append(wrong, "text", json.Number("1"), false)
		}
		if path == "D.LastModifiedTime" {
			return
		}
		for _, w := range wrong {
			if _, isObject := v.(map[string]any); isObject && strings.HasSuffix(path, "]") && reflect.DeepEqual(w, []any{}) {
				continue
			}
			if list, ok := w.([]any); ok && len(list) == 0 {
				w = []any{"x"}
			}
			replace(w)
			_, _, err := Decode(original, "D")
			replace(v)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %#v gives %v", path, w, err)
			}
		}
		replace(nil)
		_, warnings, err := Decode(original, "D")
		replace(v)
		if isElement := strings.HasSuffix(path, "]"); isElement != (err != nil) || len(warnings) > 0 {
			t.Errorf("%s: nothing gives %v %v", path, warnings, err)
		}
	})
}

func TestDecodeScalars(t *testing.T) {
	tests := []struct {
		property, want string // of the error; empty: none
	}{
		{`"MinTTL": 60`, ""},
		{`"MinTTL": "60"`, ""},
		{`"MinTTL": 60.0`, ""},
		{`"MinTTL": 6e1`, ""},
		{`"MinTTL": "60.5"`, `D.DefaultCacheBehavior.MinTTL: is "60.5", want a whole number`},
		{`"MinTTL": "a minute"`, `D.DefaultCacheBehavior.MinTTL: is "a minute", want a whole number`},
		{`"MinTTL": 1e300`, `want a whole number`},
		{`"MinTTL": true`, `is true or false, want a number`},
		{`"Compress": "true", "MinTTL": 60`, ""},
		{`"Compress": "maybe"`, `D.DefaultCacheBehavior.Compress: is "maybe", want true or false`},
		{`"Compress": 1`, `is a number, want true or false`},
		{`"TargetOriginId": 12, "MinTTL": 60`, ""},
		{`"AllowedMethods": "GET"`, `D.DefaultCacheBehavior.AllowedMethods: is a text, want a list`},
		{`"AllowedMethods": ["GET", null]`, `D.DefaultCacheBehavior.AllowedMethods[1]: is empty`},
		{`"AllowedMethods": {"GET": true}`, `AllowedMethods: is an object, want a list`},
	}
	for _, tt := range tests {
		c, _, err := DecodeConfig(tree(t, `{"DefaultCacheBehavior": {`+tt.property+`}}`), "D")
		switch {
		case tt.want == "" && (err != nil || c.DefaultCacheBehavior.MinTTL == nil || *c.DefaultCacheBehavior.MinTTL != 60):
			t.Errorf("%s: %+v (%v)", tt.property, c.DefaultCacheBehavior, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", tt.property, err, tt.want)
		}
	}
}

func TestDecodeWarnings(t *testing.T) {
	tests := []struct{ config, want string }{
		{`{"Aliases": {"Quantity": 2, "Items": ["a"]}}`, "D.Aliases.Quantity: is 2, but there are 1 Items"},
		{`{"Aliases": {"Quantity": 1}}`, "D.Aliases.Quantity: is 1, but there are 0 Items"},
		{`{"Restrictions": {"GeoRestriction": {"Quantity": 0, "Items": ["DE"]}}}`, "D.Restrictions.GeoRestriction.Quantity: is 0"},
		{`{"Aliases": ["a"], "CNAMEs": ["b"]}`, "D.CNAMEs: means the same as D.Aliases"},
		{`{"aliases": ["a"]}`, "D.aliases: not a known property, and not used; is Aliases meant?"},
		{`{"CacheBehaviours": []}`, "is CacheBehaviors meant?"},
		{`{"DefaultCacheBehavior": {"CachedMethods": ["GET"], "AllowedMethods": {"Items": ["GET"], "CachedMethods": ["HEAD"]}}}`, "D.DefaultCacheBehavior.CachedMethods: means the same as D.DefaultCacheBehavior.AllowedMethods.CachedMethods"},
		{`{"S3Origin": {"DNSName": "x", "Foo": 1}}`, "D.S3Origin.Foo: not a known"},
	}
	for _, tt := range tests {
		_, warnings, err := DecodeConfig(tree(t, tt.config), "D")
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].String(), tt.want) {
			t.Errorf("%s: %v (%v), want %s", tt.config, warnings, err, tt.want)
		}
	}
}

// The API says "" where a custom error response has no code of its own.
func TestDecodeOfEmptyNumbers(t *testing.T) {
	c, warnings, err := DecodeConfig(tree(t, `{"CustomErrorResponses": {"Quantity": 1, "Items": [
		{"ErrorCode": 404, "ResponsePagePath": "", "ResponseCode": "", "ErrorCachingMinTTL": 5}]}}`), "D")
	want := []CustomErrorResponse{{ErrorCode: 404, ErrorCachingMinTTL: seconds(5)}}
	if err != nil || len(warnings) > 0 || !reflect.DeepEqual(c.CustomErrorResponses, want) {
		t.Errorf("%+v %v (%v)", c.CustomErrorResponses, warnings, err)
	}
}

func TestDecodeOfLegacyOrigins(t *testing.T) {
	c, warnings, err := DecodeConfig(tree(t, `{"CNAMEs": ["www.example.com"],
		"S3Origin": {"DNSName": "site.s3.amazonaws.com", "OriginAccessIdentity": "origin-access-identity/cloudfront/E1"},
		"CustomOrigin": {"DNSName": "www.example.org", "HTTPPort": "8080", "OriginProtocolPolicy": "http-only", "OriginSSLProtocols": ["TLSv1.2"]},
		"DefaultCacheBehavior": {"TargetOriginId": "site"}}`), "D")
	want := []Origin{
		{ID: "site", DomainName: "site.s3.amazonaws.com", S3OriginConfig: &S3OriginConfig{OriginAccessIdentity: "origin-access-identity/cloudfront/E1"}},
		{ID: "www.example.org", DomainName: "www.example.org", CustomOriginConfig: &CustomOriginConfig{HTTPPort: 8080, OriginProtocolPolicy: "http-only", OriginSSLProtocols: []string{"TLSv1.2"}}},
	}
	if err != nil || len(warnings) > 0 || !reflect.DeepEqual(c.Origins, want) || !reflect.DeepEqual(c.Aliases, []string{"www.example.com"}) {
		t.Errorf("%+v %v (%v)", c, warnings, err)
	}
}

func TestDecodeOfLogging(t *testing.T) {
	for text, want := range map[string]Logging{
		`{"Logging": {"Bucket": "b"}}`:                   {Enabled: true, Bucket: "b"},
		`{"Logging": {"Bucket": "b", "Enabled": false}}`: {Bucket: "b"},
		`{"Logging": {"IncludeCookies": true}}`:          {IncludeCookies: true},
	} {
		c, _, err := DecodeConfig(tree(t, text), "D")
		if err != nil || c.Logging == nil || *c.Logging != want {
			t.Errorf("%s: %+v (%v)", text, c.Logging, err)
		}
	}
}

func TestDecodeOfTimes(t *testing.T) {
	want := time.Date(2026, 5, 1, 12, 30, 0, 0, time.UTC)
	for _, text := range []string{`"2026-05-01T12:30:00Z"`, `"2026-05-01T12:30:00.000000+00:00"`, `"2026-05-01T14:30:00.000+0200"`, `"2026-05-01 12:30:00+00:00"`, `1777638600`, `1777638600.0`} {
		d, warnings, err := Decode(tree(t, `{"LastModifiedTime": `+text+`}`), "D")
		if err != nil || len(warnings) > 0 || !d.LastModified.Equal(want) {
			t.Errorf("%s is %v, %v (%v)", text, d.LastModified, warnings, err)
		}
	}
	if _, warnings, err := Decode(tree(t, `{"LastModifiedTime": "yesterday"}`), "D"); err != nil || len(warnings) != 1 {
		t.Errorf("%v (%v)", warnings, err)
	}
}

func FuzzDecode(f *testing.F) {
	seed, err := json.Marshal(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"DistributionConfig": {"Aliases": {"Quantity": "1", "Items": [1, true]}, "S3Origin": {}, "Logging": {"Bucket": "b"}}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return
		}
		got, _, err := Decode(v, "D")
		if err != nil {
			return
		}
		again, _, err := Decode(marshalled(t, got), "D")
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("came back as %+v (%v), was %+v", again, err, got)
		}
		_, _ = got.Check("D")
		got.Normalize()
		once := marshalled(t, got)
		got.Normalize()
		if !reflect.DeepEqual(once, marshalled(t, got)) {
			t.Fatal("normalizing twice changes something")
		}
	})
}
