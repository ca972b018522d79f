package load

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/freshet/freshet/internal/distribution"
)

// config is a small DistributionConfig in JSON.
const config = `{"Enabled": true, "Origins": [{"Id": "o", "DomainName": "o.example.com"}],
	"DefaultCacheBehavior": {"TargetOriginId": "o", "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6"}}`

// with returns config with another cache policy.
func with(policy string) string {
	return strings.Replace(config, "658327ea-f89d-4fab-a63d-7e88639e58f6", policy, 1)
}

func template(properties string) string {
	return `{"Resources": {"Site": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": ` + properties + `}}}}`
}

const id = "E1EXAMPLE12345"

// policies of one's own, in the forms of get-cache-policy and its -config.
const (
	policyUUID = "11111111-2222-4333-8444-555555555555"
	policyBody = `{"Name": "mine", "MinTTL": 7}`
)

func TestShapes(t *testing.T) {
	summary := strings.Replace(config, `{"Enabled"`, `{"Id": "`+id+`", "ARN": "a", "Status": "Deployed", "DomainName": "d1.cloudfront.net", "ETag": "e", "Enabled"`, 1)
	tests := []struct {
		name, file, text string
		ids              []string // of distributions
		policies         []string
		warnings         []string // what each has in it
	}{
		{"get-distribution", "x.json", `{"ETag": "E", "Distribution": {"Id": "` + id + `", "DomainName": "d1.cloudfront.net", "DistributionConfig": ` + config + `}}`, []string{id}, nil, nil},
		{"get-distribution-config", id + ".json", `{"ETag": "E", "DistributionConfig": ` + config + `}`, []string{id}, nil, nil},
		{"without an ID", "site.json", `{"DistributionConfig": ` + config + `}`, []string{""}, nil, []string{"the distribution has no ID"}},
		{"a file's ID is not taken where there is one", "E9OTHER123456.json", `{"Id": "` + id + `", "DistributionConfig": ` + config + `}`, []string{id}, nil, nil},
		{"bare", id + ".prod.json", config, []string{id}, nil, nil},
		{"list-distributions", "x", `{"DistributionList": {"Quantity": 1, "IsTruncated": true, "Items": [` + summary + `]}}`, []string{id}, nil, []string{"is not complete", "lists lack DefaultRootObject"}},
		{"several in a list", "x", `[` + summary + `, {"Distribution": {"Id": "E2", "DistributionConfig": ` + config + `}}]`, []string{id, "E2"}, nil, []string{"[0]: lists lack"}},
		{"ours", "x", `{"Distributions": [` + strings.Replace(summary, `"ARN": "a", `, "", 1) + `, {"Id": "E2", "DistributionConfig": ` + config + `}]}`, []string{id, "E2"}, nil, nil},
		{"create-distribution's input", "x", `{"DistributionConfigWithTags": {"Tags": {"Items": []}, "DistributionConfig": ` + config + `}}`, []string{""}, nil, []string{"has no ID"}},
		{"template", "x", template(config), []string{"Site"}, nil, []string{"CloudFormation alone knows the distribution's ID"}},
		{"get-template", "x", `{"TemplateBody": ` + template(config) + `, "StagesAvailable": ["Original"]}`, []string{"Site"}, nil, []string{"alone knows"}},
		{"get-template in YAML", "x", fmt.Sprintf(`{"TemplateBody": %q}`, "Resources:\n  Site:\n    Type: AWS::CloudFront::Distribution\n    Properties: {DistributionConfig: "+strings.ReplaceAll(config, "\n\t", "")+"}\n"), []string{"Site"}, nil, []string{"alone knows"}},
		{"template with neither", "x", `{"Resources": {"B": {"Type": "AWS::S3::Bucket"}}}`, nil, nil, []string{"no distribution and no cache policy"}},
		{"template with other policies", "x", `{"Resources": {"B": {"Type": "AWS::CloudFront::OriginRequestPolicy"}, "P": {"Type": "AWS::CloudFront::CachePolicy", "Properties": {"CachePolicyConfig": ` + policyBody + `}}}}`, nil, []string{"P"}, nil},
		{"get-cache-policy", "x", `{"ETag": "E", "CachePolicy": {"Id": "p", "LastModifiedTime": "2026-01-01T00:00:00Z", "CachePolicyConfig": ` + policyBody + `}}`, nil, []string{"p"}, nil},
		{"get-cache-policy-config", policyUUID + ".json", `{"ETag": "E", "CachePolicyConfig": ` + policyBody + `}`, nil, []string{policyUUID}, nil},
		{"without an ID, by name", "x.json", `{"CachePolicyConfig": ` + policyBody + `}`, nil, []string{"mine"}, nil},
		{"list-cache-policies", "x", `{"CachePolicyList": {"MaxItems": 100, "Quantity": 2, "Items": [{"Type": "managed", "CachePolicy": {}}, {"Type": "custom", "CachePolicy": {"Id": "p", "CachePolicyConfig": ` + policyBody + `}}]}}`, nil, []string{"p"}, nil},
		{"our policies alone", "x", `{"CachePolicies": [{"Id": "p", "CachePolicyConfig": ` + policyBody + `}]}`, nil, []string{"p"}, nil},
		{"get-origin-request-policy", "x", `{"ETag": "E", "OriginRequestPolicy": {"Id": "p", "OriginRequestPolicyConfig": {"Name": "n", "Names": "m"}}}`, nil, nil, []string{"OriginRequestPolicy.OriginRequestPolicyConfig.Names: not a known property"}},
		{"get-response-headers-policy-config", "x", `{"ResponseHeadersPolicyConfig": {"CustomHeadersConfig": {"Items": [{"Heder": "x"}]}}}`, nil, nil, []string{"ResponseHeadersPolicyConfig.CustomHeadersConfig.Items[0].Heder: not a known property"}},
		{"get-origin-access-control", "x", `{"OriginAccessControl": {"Id": "E"}}`, nil, nil, []string{"OriginAccessControl: is not used"}},
		{"YAML documents", "x.yaml", "Id: E1\nDistributionConfig: " + strings.ReplaceAll(config, "\n\t", "") + "\n---\nId: E2\nDistributionConfig: " + strings.ReplaceAll(config, "\n\t", "") + "\n", []string{"E1", "E2"}, nil, nil},
		{"beside what is known", "x", `{"Foo": 1, "Distribution": {"Bar": 2, "Id": "E1", "DistributionConfig": ` + config + `}}`, []string{"E1"}, nil, []string{"Foo: not a known property", "Distribution.Bar: not a known property"}},
		{"unknown below", "x", `{"Id": "E1", "DistributionConfig": ` + strings.Replace(config, `{"Id"`, `{"Foo": 1, "Id"`, 1) + `}`, []string{"E1"}, nil, []string{"DistributionConfig.Origins[0].Foo: not a known property"}},
		{"unknown in a template", "x", strings.Replace(template(config), `"Enabled"`, `"Enable"`, 1), []string{"Site"}, nil, []string{"Resources.Site.Properties.DistributionConfig.Enable: not a known property, and not used; is Enabled meant?", "alone knows"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Read(tt.file, []byte(tt.text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			var ids, policies []string
			for _, d := range r.Distributions {
				ids = append(ids, d.ID)
				if len(d.Config.Origins) != 1 || d.Config.Origins[0].DomainName != "o.example.com" || d.Config.Origins[0].ConnectionAttempts != 3 {
					t.Errorf("%s: %+v", d.ID, d.Config)
				}
			}
			for _, p := range r.CachePolicies {
				policies = append(policies, p.ID)
				if p.Config.Name != "mine" || *p.Config.MinTTL != 7 || *p.Config.DefaultTTL != 86400 {
					t.Errorf("%+v", p)
				}
			}
			if !reflect.DeepEqual(ids, tt.ids) || !reflect.DeepEqual(policies, tt.policies) {
				t.Errorf("distributions %q and policies %q, want %q and %q", ids, policies, tt.ids, tt.policies)
			}
			if len(r.Warnings) != len(tt.warnings) {
				t.Fatalf("warnings %v, want %q", r.Warnings, tt.warnings)
			}
			for i, w := range r.Warnings {
				if w.File != tt.file || !strings.Contains(w.String(), tt.warnings[i]) {
					t.Errorf("warning %v, want %s", w, tt.warnings[i])
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ name, file, text, want string }{
		{"nothing", "x.json", ``, "x.json:1:1: ends too early"},
		{"nothing in YAML", "x.yaml", "# only this\n", "x.yaml: is empty"},
		{"cut off", "x.json", "{\n  \"Origins\": [", "x.json:2:15: ends too early"},
		{"a comma too many", "x.json", "{\n  \"a\": 1,\n}", "x.json:3:1: invalid character '}'"},
		{"something behind", "x.json", "{}\n{}", "x.json:2:2: something follows the end"},
		{"a property twice", "x.json", `{"a": 1, "a": 2}`, `x.json:1:13: property "a" is there twice`},
		{"a property twice in YAML", "x.yaml", "a: 1\nb: 2\na: 3\n", "x.yaml:3:1: "},
		{"a bracket too few", "x.yaml", "a: 1\nb: [1,\n", "x.yaml:2: "},
		{"a tab", "x.yaml", "a:\n\tb: c\n", "x.yaml:2:"},
		{"a tag nobody knows", "x.yaml", "a: !Nope b\n", "x.yaml:1:4: the tag !Nope is not known"},
		{"an anchor that is not there", "x.yaml", "a: *b\n", "x.yaml: unknown anchor 'b' referenced"},
		{"an anchor in itself", "x.yaml", "a: &b [*b]\n", "x.yaml:1:8: *b contains itself"},
		{"nested deep", "x.json", strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "is nested deeper than 200"},
		{"nested deep in YAML", "x.yaml", strings.Repeat("[", 300) + strings.Repeat("]", 300), "is nested deeper than 200"},
		{"nested very deep in YAML", "x.yaml", strings.Repeat("[", 1<<20), "exceeded max depth"},
		{"dashes", "x.yaml", strings.Repeat("- ", 1<<20), "exceeded max depth"},
		{"a text", "x.yaml", "hello\n", "x.yaml: is neither a distribution nor a template"},
		{"something else", "x.json", `{"Buckets": [], "Owner": {}}`, "x.json: is neither a distribution, a policy, a key group, a public key nor a template: it has Buckets, Owner"},
		{"a wrong kind", "x.json", `{"Id": "E1", "DistributionConfig": {"Origins": 7}}`, "x.json: DistributionConfig.Origins: is a number, want a list"},
		{"what the check finds", "x.json", `{"Id": "E1", "DistributionConfig": ` + strings.Replace(config, `"TargetOriginId": "o"`, `"TargetOriginId": "p"`, 1) + `}`, `x.json: DistributionConfig.DefaultCacheBehavior.TargetOriginId: there is no origin or origin group "p"`},
		{"what the check finds in a bare one", "x.json", strings.Replace(config, `"TargetOriginId": "o"`, `"TargetOriginId": "p"`, 1), `x.json: DefaultCacheBehavior.TargetOriginId: there is no origin`},
		{"what the check finds in a list", "x.json", `{"Distributions": [` + with("p") + `]}`, `x.json: Distributions[0].DefaultCacheBehavior.CachePolicyId: cache policy "p"`},
		{"no such policy", "x.json", `{"Id": "E1", "DistributionConfig": ` + with("p") + `}`, "`aws cloudfront get-cache-policy --id p` prints it"},
		{"a wrong kind in a template", "x.json", template(`{"Enabled": "maybe"}`), `x.json: Resources.Site.Properties.DistributionConfig.Enabled: is "maybe"`},
		{"what a template does not say", "x.json", template(`{"Aliases": [{"Ref": "Host"}]}`), `x.json: Resources.Site.Properties.DistributionConfig.Aliases[0].Ref: there is no parameter or resource "Host"`},
		{"a damaged template body", "x.json", `{"TemplateBody": "{"}`, "TemplateBody"},
		{"one of a list", "x.json", `{"Distributions": [1]}`, "x.json: Distributions[0]: is not an object"},
		{"no list", "x.json", `{"Distributions": "a"}`, "x.json: Distributions: is not a list"},
		{"twice, but not the same", "x.json", `[{"Id": "E1", "DistributionConfig": ` + config + `}, {"Id": "E1", "DistributionConfig": ` + with("CachingDisabled") + `}]`, "distribution E1 is in x.json and, otherwise, in x.json"},
		{"a policy twice", "x.json", `{"CachePolicies": [{"Id": "p", "CachePolicyConfig": {"Name": "a"}}, {"Id": "p", "CachePolicyConfig": {"Name": "b"}}]}`, "cache policy p is in x.json and"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Read(tt.file, []byte(tt.text), Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if len(r.Distributions) > 0 {
				t.Errorf("and yet: %v", r.Distributions)
			}
		})
	}
}

// Nine lines that would be ten to the ninth values.
func TestAnchorsAreBounded(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	if _, err := Read("x.yaml", []byte(bomb), Options{}); err == nil || !strings.Contains(err.Error(), "more than 1048576 values") {
		t.Errorf("%v", err)
	}
}

func TestLargeFiles(t *testing.T) {
	if _, err := Read("x.json", make([]byte, maxBytes+1), Options{}); err == nil || !strings.Contains(err.Error(), "more than 33554432 bytes") {
		t.Errorf("%v", err)
	}
}

func TestEncodings(t *testing.T) {
	text := []byte(`{"Id": "E1", "DistributionConfig": ` + config + `}`)
	little, big := []byte{0xFF, 0xFE}, []byte{0xFE, 0xFF}
	for _, u := range utf16.Encode([]rune(string(text))) {
		little = binary.LittleEndian.AppendUint16(little, u)
		big = binary.BigEndian.AppendUint16(big, u)
	}
	for name, encoded := range map[string][]byte{
		"UTF-8": text, "with a mark": append([]byte{0xEF, 0xBB, 0xBF}, text...), "UTF-16": little, "UTF-16, big end first": big,
	} {
		r, err := Read("x.json", encoded, Options{})
		if err != nil || len(r.Distributions) != 1 || r.Distributions[0].ID != "E1" {
			t.Errorf("%s: %+v (%v)", name, r, err)
		}
	}
}

func TestScalarsOfYAML(t *testing.T) {
	text := `
Id: 0123e4
DistributionConfig:
  Comment: 2010-09-09
  CallerReference: 012345678901
  DefaultRootObject: !!str 404
  Enabled: yes
  WebACLId: ~
  HttpVersion:
  Origins:
    - &origin {Id: o, DomainName: o.example.com, ConnectionAttempts: '2'}
    - <<: *origin
      Id: p
  DefaultCacheBehavior: {TargetOriginId: o, CachePolicyId: CachingDisabled, Compress: True}
  CustomErrorResponses:
    - {ErrorCode: 404, ResponsePagePath: /404, ResponseCode: '200'}
`
	r, err := Read("x.yaml", []byte(text), Options{})
	if err != nil || len(r.Warnings) > 0 {
		t.Fatalf("%v %v", r.Warnings, err)
	}
	d, c := r.Distributions[0], r.Distributions[0].Config
	if d.ID != "0123e4" || c.Comment != "2010-09-09" || c.CallerReference != "012345678901" || c.DefaultRootObject != "404" || !c.Enabled || c.WebACLID != "" || c.HTTPVersion != "" {
		t.Errorf("%+v", d)
	}
	if len(c.Origins) != 2 || c.Origins[1].ID != "p" || c.Origins[1].DomainName != "o.example.com" || c.Origins[1].ConnectionAttempts != 2 {
		t.Errorf("%+v", c.Origins)
	}
	if !c.DefaultCacheBehavior.Compress || c.DefaultCacheBehavior.CachePolicyID != "4135ea2d-6df8-44a3-9df3-4b5a84be39ad" || c.CustomErrorResponses[0].ResponseCode != 200 {
		t.Errorf("%+v", c)
	}
}

// Templates are written in all ways that YAML has. What stands for what was
// compared with the parser that CloudFormation's own tools use.
func TestStylesOfYAML(t *testing.T) {
	for text, want := range map[string]string{
		"a: !Sub 'x ${A}'":                                        `{"a":{"Fn::Sub":"x ${A}"}}`,
		"a: !GetAtt A.B.C":                                        `{"a":{"Fn::GetAtt":"A.B.C"}}`,
		"a: !GetAtt [A, B]":                                       `{"a":{"Fn::GetAtt":["A","B"]}}`,
		"a: !Join ['', [a, !Ref B, !GetAtt C.D]]":                 `{"a":{"Fn::Join":["",["a",{"Ref":"B"},{"Fn::GetAtt":"C.D"}]]}}`,
		"a: !Join\n- ','\n- - x\n  - !Ref Y # why\n":              `{"a":{"Fn::Join":[",",["x",{"Ref":"Y"}]]}}`,
		"a: !If [C, !Ref A, !Ref 'AWS::NoValue']":                 `{"a":{"Fn::If":["C",{"Ref":"A"},{"Ref":"AWS::NoValue"}]}}`,
		"a:\n- !If\n  - C\n  - b: 1\n    c: !Sub d\n  - !Ref E\n": `{"a":[{"Fn::If":["C",{"b":1,"c":{"Fn::Sub":"d"}},{"Ref":"E"}]}]}`,
		"a: !Not [!Equals [!Ref X, '']]":                          `{"a":{"Fn::Not":[{"Fn::Equals":[{"Ref":"X"},""]}]}}`,
		"a: !Or\n  - !Condition B\n  - !Condition C\n":            `{"a":{"Fn::Or":[{"Condition":"B"},{"Condition":"C"}]}}`,
		"a: !Select [0, !Split ['/', !Ref X]]":                    `{"a":{"Fn::Select":[0,{"Fn::Split":["/",{"Ref":"X"}]}]}}`,
		"a: !Sub\n  - ${x}\n  - x: !Ref Y\n":                      `{"a":{"Fn::Sub":["${x}",{"x":{"Ref":"Y"}}]}}`,
		"a: !Sub |\n  b\n  ${c}\nd: e":                            `{"a":{"Fn::Sub":"b\n${c}\n"},"d":"e"}`,
		"a: !Sub >-\n  b\n  ${c}\n":                               `{"a":{"Fn::Sub":"b ${c}"}}`,
		"a: 'b\n\n  c'":                                           `{"a":"b\nc"}`,
		"a: [b\n  c, d]":                                          `{"a":["b c","d"]}`,
		"a: {b: c,\n  d: e}":                                      `{"a":{"b":"c","d":"e"}}`,
		"a: b\r\nc:\r\n  - d\r\n":                                 `{"a":"b","c":["d"]}`,
		"# c\na: # c\n  # c\n  b: c # c\n":                        `{"a":{"b":"c"}}`,
		"a:\n- b\n- c":                                            `{"a":["b","c"]}`,
		"? a\n: b":                                                `{"a":"b"}`,
		"404: a\nyes: b":                                          `{"404":"a","yes":"b"}`,
		"a: !Base64\n  Fn::Sub: b":                                `{"a":{"Fn::Base64":{"Fn::Sub":"b"}}}`,
		"a: &x {b: c}\nd: {<<: *x, e: f}":                         `{"a":{"b":"c"},"d":{"b":"c","e":"f"}}`,
		"a: &x {b: c}\nd: {<<: [*x, {b: 1, g: h}], b: f}":         `{"a":{"b":"c"},"d":{"b":"f","g":"h"}}`,
		"a: 2010-09-09\nb: 012\nc: 0x1F\nd: 1.50\ne: ~":           `{"a":"2010-09-09","b":"012","c":"0x1F","d":"1.50","e":null}`,
		"a: !!str 12\nb: ! 12\nc: !!int '12'\nd: True\ne: no":     `{"a":"12","b":"12","c":"12","d":true,"e":"no"}`,
		"%YAML 1.1\n---\na: b\n...\n":                             `{"a":"b"}`,
		"\ufeffa: b":                                              `{"a":"b"}`,
	} {
		trees, err := parse("x.yaml", []byte(text))
		if err != nil || len(trees) != 1 {
			t.Errorf("%q: %v (%v)", text, trees, err)
			continue
		}
		if got := asTexts(trees[0]); !reflect.DeepEqual(got, asTexts(jsonOf(t, want))) {
			t.Errorf("%q is %v, want %s", text, got, want)
		}
	}
}

func jsonOf(t *testing.T, text string) any {
	t.Helper()
	tree, err := parseJSON("want", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// asTexts makes texts of numbers: 012 is none in JSON.
func asTexts(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		m := make(map[string]any)
		for name := range v {
			m[name] = asTexts(v[name])
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = asTexts(v[i])
		}
		return list
	case json.Number:
		return v.String()
	}
	return tree
}

func TestOptionsNameTheDistribution(t *testing.T) {
	two := `[{"DistributionConfig": ` + config + `}, {"Id": "E2", "DistributionConfig": ` + config + `}]`
	tests := []struct {
		name, text string
		o          Options
		want       string // IDs and hosts, or the error
	}{
		{"an ID", `{"DistributionConfig": ` + config + `}`, Options{ID: "E1", DomainName: "d1.cloudfront.net"}, "E1 d1.cloudfront.net;"},
		{"a host alone", `{"Id": "E1", "DistributionConfig": ` + config + `}`, Options{DomainName: "d1.cloudfront.net"}, "E1 d1.cloudfront.net;"},
		{"the one without", two, Options{ID: "E1", DomainName: "d1.cloudfront.net"}, "E1 d1.cloudfront.net;E2 ;"},
		{"one that has it", two, Options{ID: "E2", DomainName: "d2.cloudfront.net"}, " ;E2 d2.cloudfront.net;"},
		{"another", `{"Id": "E1", "DistributionConfig": ` + config + `}`, Options{ID: "E2"}, "distribution E2 was asked for: 1 were found, none has that ID, and 0 have no ID"},
		{"a host of two", two, Options{DomainName: "d1.cloudfront.net"}, "distribution d1.cloudfront.net was asked for: 2 were found"},
		{"a template's", template(config), Options{ID: "E1"}, "E1 site.invalid;"},
		{"a template's by resource", template(config), Options{Resources: map[string]string{"Site": "E1", "Site.DomainName": "d1.cloudfront.net"}}, "E1 d1.cloudfront.net;"},
		{"a template's by stack", template(config), Options{StackName: "prod", Resources: map[string]string{"prod.Site": "E1"}}, "E1 site.invalid;"},
		{"nobody", template(config), Options{}, "Site site.invalid;"},
	}
	for _, tt := range tests {
		r, err := Read("x", []byte(tt.text), tt.o)
		got := ""
		for _, d := range r.Distributions {
			got += d.ID + " " + d.DomainName + ";"
		}
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestParametersThatNobodyHas(t *testing.T) {
	r, err := Read("x", []byte(template(config)), Options{ID: "E1", Parameters: map[string]string{"Stge": "prod", "AWS::AccountId": "1"}})
	if err != nil || len(r.Warnings) != 1 || r.Warnings[0].Path != "Parameters.Stge" {
		t.Errorf("%v (%v)", r.Warnings, err)
	}
}

// write puts files into a folder and returns the paths in their order.
func write(t *testing.T, files ...string) (dir string, paths []string) {
	t.Helper()
	dir = t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return dir, paths
}

func TestPoliciesOfOtherFiles(t *testing.T) {
	_, paths := write(t,
		id+".json", `{"DistributionConfig": `+with(policyUUID)+`}`,
		"E2EXAMPLE12345.json", `{"DistributionConfig": `+with("mine")+`}`,
		"E3EXAMPLE12345.json", `{"DistributionConfig": `+config+`}`,
		policyUUID+".json", `{"CachePolicyConfig": `+policyBody+`}`,
		"unused.json", `{"CachePolicy": {"Id": "unused", "CachePolicyConfig": {"Name": "unused"}}}`,
	)
	r, err := Files(paths, Options{})
	if err != nil || len(r.Distributions) != 3 || len(r.CachePolicies) != 2 {
		t.Fatalf("%+v (%v)", r, err)
	}
	for i, want := range []int{1, 1, 0} {
		d := r.Distributions[i]
		c, err := d.Caching(&d.Config.DefaultCacheBehavior)
		if len(d.CachePolicies) != want || err != nil || want == 1 && (c.MinTTL != 7 || c.PolicyID != policyUUID) {
			t.Errorf("%s: %+v, %+v (%v)", d.ID, d.CachePolicies, c, err)
		}
	}
	// The same file again, and what else says the same, changes nothing.
	again, err := Files(append(paths, paths...), Options{})
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("twice: %+v (%v)", again, err)
	}
}

func TestSummariesGiveWay(t *testing.T) {
	full := strings.Replace(config, `{"Enabled"`, `{"DefaultRootObject": "index.html", "Enabled"`, 1)
	_, paths := write(t,
		"list.json", `{"DistributionList": {"Items": [`+strings.Replace(config, `{"Enabled"`, `{"Id": "E1", "ARN": "a", "Enabled"`, 1)+`]}}`,
		"full.json", `{"Distribution": {"Id": "E1", "DistributionConfig": `+full+`}}`)
	for _, order := range [][]string{{paths[0], paths[1]}, {paths[1], paths[0]}} {
		r, err := Files(order, Options{})
		if err != nil || len(r.Distributions) != 1 || r.Distributions[0].Config.DefaultRootObject != "index.html" {
			t.Errorf("%+v (%v)", r, err)
		}
	}
}

func TestFilesSayWhichIsBroken(t *testing.T) {
	_, paths := write(t, "a.json", "{", "b.json", `{"Id": "E1", "DistributionConfig": {}}`)
	_, err := Files(append(paths, filepath.Join(t.TempDir(), "none.json")), Options{})
	for _, want := range []string{"a.json:1:2", "b.json: DistributionConfig.Origins: there is none", "none.json"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}

func TestImportsBetweenTemplates(t *testing.T) {
	_, paths := write(t,
		"site.yaml", `
Resources:
  Site:
    Type: AWS::CloudFront::Distribution
    Properties:
      DistributionConfig:
        Enabled: true
        Origins: [{Id: o, DomainName: !ImportValue store-Host, S3OriginConfig: {}}]
        DefaultCacheBehavior: {TargetOriginId: o, ViewerProtocolPolicy: allow-all, CachePolicyId: CachingOptimized}
`,
		"store.yaml", `
Resources:
  Bucket: {Type: AWS::S3::Bucket, Properties: {BucketName: the-store}}
Outputs:
  Host: {Value: !GetAtt Bucket.RegionalDomainName, Export: {Name: store-Host}}
`)
	r, err := Files(paths, Options{Region: "eu-west-1"})
	if err != nil || len(r.Distributions) != 1 || r.Distributions[0].Config.Origins[0].DomainName != "the-store.s3.eu-west-1.amazonaws.com" {
		t.Errorf("%+v (%v)", r, err)
	}
	// Alone, the host leads nowhere, and that is said.
	r, err = Files(paths[:1], Options{ID: "E1"})
	if err != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Text, `"store-Host" is exported by another stack, and store-host.invalid stands for the host: give that template`) {
		t.Errorf("alone: %v %v", r.Warnings, err)
	}
}

func manifestOf(artifacts string) string {
	return `{"version": "48.0.0", "artifacts": {` + artifacts + `}}`
}

func TestCloudAssembly(t *testing.T) {
	stack := func(name string) string {
		return `"` + name + `": {"type": "aws:cloudformation:stack", "environment": "aws://123456789012/eu-west-1", "properties": {"templateFile": "` + name + `.template.json"}}`
	}
	comment := strings.Replace(template(config), `"Enabled"`, `"Comment": {"Fn::Sub": "${AWS::StackName} ${AWS::AccountId} ${AWS::Region}"}, "Enabled"`, 1)
	dir, _ := write(t,
		"manifest.json", manifestOf(stack("Prod")+`, `+stack("Staging")+`, "Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}, "assembly-Later": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "assembly-Later"}}`),
		"Prod.template.json", comment, "Staging.template.json", comment, "Gone.template.json", "not of this synth",
		"assembly-Later/manifest.json", manifestOf(`"Later": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region", "properties": {"stackName": "later", "templateFile": "Later.template.json"}}`),
		"assembly-Later/Later.template.json", template(config))
	for _, path := range []string{dir, filepath.Join(dir, "manifest.json")} {
		r, err := Files([]string{path}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range r.Distributions {
			got = append(got, d.ID+" at "+d.DomainName+": "+d.Config.Comment)
		}
		want := []string{
			"Prod.Site at prod.site.invalid: Prod 123456789012 eu-west-1",
			"Staging.Site at staging.site.invalid: Staging 123456789012 eu-west-1",
			"later.Site at later.site.invalid: ",
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFoldersOfTemplates(t *testing.T) {
	dir, _ := write(t, "[a].template.json", template(config), "b.template.json", `{"Resources": {}}`, "c.json", "not a template")
	r, err := Files([]string{dir}, Options{ID: "E1"})
	if err != nil || len(r.Distributions) != 1 || len(r.Warnings) != 0 {
		t.Errorf("%+v (%v)", r, err)
	}
	empty := t.TempDir()
	if _, err := Files([]string{empty}, Options{}); err == nil || !strings.Contains(err.Error(), "neither a manifest.json nor a *.template.json") {
		t.Errorf("%v", err)
	}
	for name, manifest := range map[string]string{
		"leads out":     manifestOf(`"A": {"type": "aws:cloudformation:stack", "properties": {"templateFile": "../../etc/passwd"}}`),
		"leads nowhere": manifestOf(`"A": {"type": "aws:cloudformation:stack", "properties": {}}`),
		"in a circle":   manifestOf(`"A": {"type": "cdk:cloud-assembly", "properties": {"directoryName": "."}}`),
		"damaged":       `{`,
	} {
		dir, _ := write(t, "manifest.json", manifest)
		if _, err := Files([]string{dir}, Options{}); err == nil || !strings.Contains(err.Error(), "manifest.json") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"get-distribution.json", "template.yaml", "ours.yaml", "get-cache-policy.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", "shop", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(template(config)))
	f.Add([]byte("a: &b !If [*b, {<<: *b, ? c : d}, !!str 1, |\n x]\n--- !Ref x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Read("x", text, Options{})
		if err != nil {
			return
		}
		// What was read can be written in our own form, and is the same again.
		for _, d := range r.Distributions {
			ours, err := json.Marshal(map[string]any{"Distributions": []distribution.Distribution{d}})
			if err != nil {
				t.Fatal(err)
			}
			again, err := Read("x", ours, Options{})
			if err != nil || len(again.Distributions) != 1 || !reflect.DeepEqual(again.Distributions[0], d) {
				t.Fatalf("%+v (%v), was %+v", again.Distributions, err, d)
			}
		}
	})
}

// Two stacks of one program call their policies alike; each distribution uses
// that of its own stack.
func TestPoliciesOfTwoStacks(t *testing.T) {
	stack := func(ttl string) string {
		return strings.Replace(template(strings.Replace(config, `"658327ea-f89d-4fab-a63d-7e88639e58f6"`, `{"Ref": "P"}`, 1)),
			`{"Site"`, `{"P": {"Type": "AWS::CloudFront::CachePolicy", "Properties": {"CachePolicyConfig": {"Name": "p", "MinTTL": `+ttl+`}}}, "Site"`, 1)
	}
	dir, _ := write(t, "a.template.json", stack("1"), "b.template.json", stack("2"))
	r, err := Files([]string{dir}, Options{})
	if err != nil || len(r.Distributions) != 2 {
		t.Fatalf("%+v (%v)", r, err)
	}
	for i, d := range r.Distributions {
		if c, err := d.Caching(&d.Config.DefaultCacheBehavior); err != nil || c.MinTTL != int64(i+1) {
			t.Errorf("%s: %+v (%v)", d.ID, c, err)
		}
	}
}
