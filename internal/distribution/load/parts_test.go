package load

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet/freshet/internal/distribution"
)

// everything uses one of each kind that a template can have beside a distribution.
const everything = `
Resources:
  Site:
    Type: AWS::CloudFront::Distribution
    Properties:
      DistributionConfig:
        Enabled: true
        Origins: [{Id: o, DomainName: o.example.com, CustomOriginConfig: {OriginProtocolPolicy: http-only}}]
        DefaultCacheBehavior:
          TargetOriginId: o
          ViewerProtocolPolicy: allow-all
          CachePolicyId: !Ref Cache
          OriginRequestPolicyId: !GetAtt Request.Id
          ResponseHeadersPolicyId: !Ref Response
          TrustedKeyGroups: [!Ref Group]
          FunctionAssociations:
            - {EventType: viewer-request, FunctionARN: !GetAtt Rewrite.FunctionARN}
            - {EventType: viewer-response, FunctionARN: !GetAtt [Rewrite, FunctionMetadata, FunctionARN]}
          LambdaFunctionAssociations: [{EventType: origin-request, LambdaFunctionARN: "arn:aws:lambda:us-east-1:1:function:sign:7"}]
  Cache: {Type: AWS::CloudFront::CachePolicy, Properties: {CachePolicyConfig: {Name: cache, MinTTL: 7}}}
  Request:
    Type: AWS::CloudFront::OriginRequestPolicy
    Properties: {OriginRequestPolicyConfig: {Name: request, HeadersConfig: {HeaderBehavior: whitelist, Headers: [X-A]}, CookiesConfig: {CookieBehavior: none}, QueryStringsConfig: {QueryStringBehavior: all}}}
  Response:
    Type: AWS::CloudFront::ResponseHeadersPolicy
    Properties:
      ResponseHeadersPolicyConfig:
        Name: response
        CustomHeadersConfig: {Items: [{Header: X-Site, Value: !Ref "AWS::Region", Override: true}]}
        RemoveHeadersConfig: {Items: [{Header: Server}]}
  Group: {Type: AWS::CloudFront::KeyGroup, Properties: {KeyGroupConfig: {Name: group, Items: [!Ref Key]}}}
  Key: {Type: AWS::CloudFront::PublicKey, Properties: {PublicKeyConfig: {CallerReference: c, Name: key, EncodedKey: PEM}}}
  Store: {Type: AWS::CloudFront::KeyValueStore, Properties: {Name: pairs, ImportSource: {SourceType: S3, SourceArn: "arn:aws:s3:::b/k.json"}}}
  Rewrite:
    Type: AWS::CloudFront::Function
    Properties:
      Name: !Sub "${AWS::Region}-rewrite"
      AutoPublish: true
      FunctionCode: !Sub "function handler(e) { return '${AWS::Region}'; }"
      FunctionConfig: {Comment: c, Runtime: cloudfront-js-2.0, KeyValueStoreAssociations: [{KeyValueStoreARN: !GetAtt Store.Arn}]}
`

// gapsOf are the gaps as text.
func gapsOf(r Result) (all []string) {
	for _, g := range r.Gaps {
		all = append(all, g.String())
	}
	return all
}

func TestEverythingInATemplate(t *testing.T) {
	dir, paths := write(t, "site.yaml", everything, "pairs.json", `{"a": "b"}`)
	r, err := Files(paths[:1], Options{ID: "E1", Region: "eu-west-1", AccountID: "123456789012", KeyValueStores: map[string]string{"Store": paths[1]}})
	if err != nil || len(r.Distributions) != 1 || len(r.Warnings) > 0 {
		t.Fatalf("%+v (%v)", r, err)
	}
	d := r.Distributions[0]
	b := &d.Config.DefaultCacheBehavior
	if c, err := d.Caching(b); err != nil || c.MinTTL != 7 {
		t.Errorf("caching %+v (%v)", c, err)
	}
	if o, err := d.OriginRequest(b); err != nil || !slices.Equal(o.Headers.Names, []string{"X-A"}) || o.QueryStrings.Mode != distribution.All {
		t.Errorf("origin request %+v (%v)", o, err)
	}
	h, err := d.ResponseHeaders(b)
	if err != nil || len(h.Config.CustomHeaders) != 1 || h.Config.CustomHeaders[0].Value != "eu-west-1" || !slices.Equal(h.Config.RemoveHeaders, []string{"Server"}) {
		t.Errorf("response headers %+v (%v)", h, err)
	}
	if len(d.KeyGroups) != 1 || d.KeyGroups[0].ID != "Group" || len(d.KeyGroups[0].Keys) != 1 || d.KeyGroups[0].Keys[0].EncodedKey != "PEM" || d.KeyGroups[0].Keys[0].ID != "Key" {
		t.Errorf("key groups %+v", d.KeyGroups)
	}
	const arn = "arn:aws:cloudfront::123456789012:function/eu-west-1-rewrite"
	for _, a := range b.FunctionAssociations {
		if a.FunctionARN != arn {
			t.Errorf("%s runs %s", a.EventType, a.FunctionARN)
		}
	}
	if len(r.Functions) != 1 {
		t.Fatalf("functions %+v", r.Functions)
	}
	f := r.Functions[0]
	if f.ARN != arn || f.Name != "eu-west-1-rewrite" || f.Code != "function handler(e) { return 'eu-west-1'; }" || f.Runtime != "cloudfront-js-2.0" || f.Store == nil || string(f.Store.Pairs) != `{"a": "b"}` {
		t.Errorf("function %+v with store %+v", f, f.Store)
	}
	if gaps := gapsOf(r); len(gaps) != 1 || !strings.Contains(gaps[0], "site.yaml: Resources.Site.Properties.DistributionConfig.DefaultCacheBehavior.LambdaFunctionAssociations[0]: Lambda@Edge is not run here: what sign:7 does at origin-request") {
		t.Errorf("gaps %q", gaps)
	}
	if want := []string{filepath.Join(dir, "pairs.json"), filepath.Join(dir, "site.yaml")}; !slices.Equal(r.Files, want) {
		t.Errorf("files %q, want %q", r.Files, want)
	}
}

// What is used and not described, or not to be read, is said.
func TestGaps(t *testing.T) {
	const behavior = `"TargetOriginId": "o", `
	tests := []struct{ name, text, want string }{
		{"a store in a bucket", everything, "the pairs of key value store pairs are not known (they are in arn:aws:s3:::b/k.json), and functions find nothing there: give a JSON file of them as kvs Store"},
		{"an origin request policy", strings.Replace(config, behavior, behavior+`"OriginRequestPolicyId": "orp", `, 1), "DefaultCacheBehavior.OriginRequestPolicyId: origin request policy \"orp\" is neither"},
		{"a response headers policy", strings.Replace(config, behavior, behavior+`"ResponseHeadersPolicyId": "rhp", `, 1), "get-response-headers-policy --id rhp"},
		{"a key group", strings.Replace(config, behavior, behavior+`"TrustedKeyGroups": ["g"], `, 1), "DefaultCacheBehavior.TrustedKeyGroups[0]: the keys of g are not known"},
		{"a public key", `{"Distributions": [` + strings.Replace(config, behavior, behavior+`"TrustedKeyGroups": ["g"], `, 1) + `], "KeyGroups": [{"Id": "g", "KeyGroupConfig": {"Name": "n", "Items": ["k"]}}]}`, "KeyGroups[0]: public key k is not among what was read"},
		{"a function that cannot be read", `{"Resources": {"F": {"Type": "AWS::CloudFront::Function", "Properties": {"FunctionCode": {"Ref": "Nobody"}}}}}`, `Resources.F: is not used: Resources.F.Properties.FunctionCode.Ref: there is no parameter or resource "Nobody"`},
		{"no code", `{"Functions": [{"Name": "f"}]}`, "Functions[0]: the function has no code here"},
		{"an empty store", strings.Replace(everything, ", ImportSource: {SourceType: S3, SourceArn: \"arn:aws:s3:::b/k.json\"}", "", 1), "key value store pairs are not known (the store begins empty)"},
		{"no store", `{"Functions": [{"Name": "f", "FunctionCode": "x", "KeyValueStoreAssociations": [{"KeyValueStoreARN": "s"}]}]}`, "key value store s is not among what was read"},
	}
	for _, tt := range tests {
		r, err := Read("x", []byte(tt.text), Options{Region: "us-east-1"})
		if err != nil || !slices.ContainsFunc(gapsOf(r), func(g string) bool { return strings.Contains(g, tt.want) }) {
			t.Errorf("%s: gaps %q (%v), want %s", tt.name, gapsOf(r), err, tt.want)
		}
	}
}

// Our own form has all kinds beside Distributions, and what the AWS CLI prints of
// each may be given as a file of its own.
func TestEverythingInOtherFiles(t *testing.T) {
	distribution := strings.Replace(config, `"TargetOriginId": "o"`, `"TargetOriginId": "o", "OriginRequestPolicyId": "request", "ResponseHeadersPolicyId": "R", "TrustedKeyGroups": ["G"],
		"FunctionAssociations": [{"EventType": "viewer-request", "FunctionARN": "rewrite"}]`, 1)
	own := `{"Distributions": [` + strings.Replace(distribution, `{`, `{"Id": "E1", `, 1) + `],
		"OriginRequestPolicies": [{"Id": "Q", "OriginRequestPolicyConfig": {"Name": "request"}}],
		"ResponseHeadersPolicies": [{"Id": "R", "ResponseHeadersPolicyConfig": {"Name": "response"}}],
		"KeyGroups": [{"Id": "G", "Keys": [{"Id": "K", "EncodedKey": "PEM"}]}],
		"Functions": [{"Name": "rewrite", "FunctionCode": "x", "FunctionConfig": {"Runtime": "cloudfront-js-1.0"}}]}`
	_, printed := write(t,
		id+".json", `{"DistributionConfig": `+distribution+`}`,
		"a.json", `{"OriginRequestPolicyList": {"Items": [{"Type": "custom", "OriginRequestPolicy": {"Id": "Q", "OriginRequestPolicyConfig": {"Name": "request"}}}]}}`,
		"b.json", `{"ETag": "E", "ResponseHeadersPolicy": {"Id": "R", "ResponseHeadersPolicyConfig": {"Name": "response"}}}`,
		"c.json", `{"KeyGroupList": {"Items": [{"KeyGroup": {"Id": "G", "KeyGroupConfig": {"Name": "group", "Items": ["K"]}}}]}}`,
		"d.json", `{"PublicKeyList": {"Items": [{"Id": "K", "Name": "key", "CreatedTime": "2026-01-01T00:00:00Z", "EncodedKey": "PEM"}]}}`,
		"e.yaml", "Functions:\n- {Name: rewrite, FunctionCode: x, Runtime: cloudfront-js-1.0}\n")
	_, ours := write(t, "ours.json", own)
	for _, paths := range [][]string{printed, ours} {
		r, err := Files(paths, Options{})
		if err != nil || len(r.Distributions) != 1 || len(r.Gaps) > 0 || len(r.Warnings) > 0 || len(r.Functions) != 1 {
			t.Fatalf("%+v (%v)", r, err)
		}
		d := r.Distributions[0]
		b := &d.Config.DefaultCacheBehavior
		if o, err := d.OriginRequest(b); err != nil || o.PolicyID != "Q" {
			t.Errorf("%+v (%v)", o, err)
		}
		if h, err := d.ResponseHeaders(b); err != nil || h == nil {
			t.Errorf("%+v (%v)", h, err)
		}
		if len(d.KeyGroups) != 1 || len(d.KeyGroups[0].Keys) != 1 || d.KeyGroups[0].Keys[0].EncodedKey != "PEM" {
			t.Errorf("%+v", d.KeyGroups)
		}
		if f := r.Functions[0]; b.FunctionAssociations[0].FunctionARN != f.ARN || f.ARN != "arn:aws:cloudfront::000000000000:function/rewrite" || f.Runtime != "cloudfront-js-1.0" {
			t.Errorf("%s runs %+v", b.FunctionAssociations[0].FunctionARN, f)
		}
	}
}

// The stacks of two stages call everything alike. What each uses is its own, and
// no two have one ID.
func TestStagesShareNothing(t *testing.T) {
	stage := func(name string) string {
		return strings.NewReplacer("MinTTL: 7", "MinTTL: "+map[string]string{"dev": "1", "prod": "2"}[name], "return '", "return '"+name+" ").Replace(everything)
	}
	_, paths := write(t, "dev.yaml", stage("dev"), "prod.yaml", stage("prod"))
	r, err := Files(paths, Options{Region: "eu-west-1"})
	if err != nil || len(r.Distributions) != 2 || len(r.Functions) != 2 {
		t.Fatalf("%+v (%v)", r, err)
	}
	seen := make(map[string]bool)
	for i, name := range []string{"dev", "prod"} {
		d := r.Distributions[i]
		b := &d.Config.DefaultCacheBehavior
		c, err := d.Caching(b)
		if err != nil || c.MinTTL != int64(i+1) {
			t.Errorf("%s: %+v (%v)", name, c, err)
		}
		for _, f := range r.Functions {
			if f.ARN == b.FunctionAssociations[0].FunctionARN && !strings.Contains(f.Code, name) {
				t.Errorf("%s runs %s", name, f.Code)
			}
		}
		for _, id := range []string{d.ID, b.CachePolicyID, b.OriginRequestPolicyID, b.ResponseHeadersPolicyID, b.TrustedKeyGroups[0], d.KeyGroups[0].Keys[0].ID, b.FunctionAssociations[0].FunctionARN} {
			if seen[id] {
				t.Errorf("%s: %s is of the other stage as well", name, id)
			}
			seen[id] = true
		}
	}
}

// What cdk synth puts beside a template is found there: pairs of stores, and
// templates of nested stacks.
func TestAssetsOfASynth(t *testing.T) {
	parent := `{"Resources": {
		"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "store"}},
		"Front": {"Type": "AWS::CloudFormation::Stack", "Properties": {"Parameters": {"Host": {"Fn::GetAtt": ["Bucket", "RegionalDomainName"]}},
			"TemplateURL": {"Fn::Join": ["", ["https://s3.", {"Ref": "AWS::Region"}, "/", {"Fn::Sub": "assets-${AWS::AccountId}"}, "/abc.json"]]}}}}}`
	child := `{"Parameters": {"Host": {"Type": "String"}}, "Resources": {
		"Site": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DistributionConfig": {"Enabled": true, "Origins": [{"Id": "o", "DomainName": {"Ref": "Host"}, "S3OriginConfig": {"OriginAccessIdentity": ""}}],
			"DefaultCacheBehavior": {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "CachePolicyId": {"Ref": "P"}, "FunctionAssociations": [{"EventType": "viewer-request", "FunctionARN": {"Fn::GetAtt": ["F", "FunctionARN"]}}]}}}},
		"P": {"Type": "AWS::CloudFront::CachePolicy", "Properties": {"CachePolicyConfig": {"Name": "p", "MinTTL": 3}}},
		"S": {"Type": "AWS::CloudFront::KeyValueStore", "Properties": {"Name": "s", "ImportSource": {"SourceType": "S3", "SourceArn": {"Fn::Sub": "arn:aws:s3:::assets-${AWS::AccountId}/def.json"}}}},
		"F": {"Type": "AWS::CloudFront::Function", "Properties": {"Name": "f", "FunctionCode": "x", "FunctionConfig": {"Runtime": "cloudfront-js-2.0", "KeyValueStoreAssociations": [{"KeyValueStoreARN": {"Fn::GetAtt": ["S", "Arn"]}}]}}}}}`
	asset := func(key, path string) string {
		return fmt.Sprintf(`"%s": {"source": {"path": "%s"}, "destinations": {"d": {"objectKey": "%s"}}}`, key, path, key)
	}
	dir, _ := write(t, "manifest.json", manifestOf(`"Top": {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/eu-west-1", "properties": {"templateFile": "Top.template.json"}}`),
		"Top.template.json", parent, "TopFront.nested.template.json", child, "asset.def.json", `{"data": []}`,
		"Top.assets.json", `{"files": {`+asset("abc.json", "TopFront.nested.template.json")+`, `+asset("def.json", "asset.def.json")+`, `+asset("out.json", "../out.json")+`}}`)
	r, err := Files([]string{dir}, Options{})
	if err != nil || len(r.Distributions) != 1 || len(r.Functions) != 1 || len(r.Gaps) > 0 {
		t.Fatalf("%+v (%v)", r, err)
	}
	d := r.Distributions[0]
	if c, err := d.Caching(&d.Config.DefaultCacheBehavior); err != nil || c.MinTTL != 3 || d.Config.Origins[0].DomainName != "store.s3.eu-west-1.amazonaws.com" {
		t.Errorf("%+v, origin %s (%v)", c, d.Config.Origins[0].DomainName, err)
	}
	if s := r.Functions[0].Store; s == nil || string(s.Pairs) != `{"data": []}` {
		t.Errorf("store %+v", s)
	}
	for _, name := range []string{"manifest.json", "Top.template.json", "TopFront.nested.template.json", "asset.def.json", "Top.assets.json"} {
		if !slices.Contains(r.Files, filepath.Join(dir, name)) {
			t.Errorf("%s is not among the files %q", name, r.Files)
		}
	}
}

// Without a synth, a nested stack's template is where its URL leads to.
func TestNestedTemplatesBesideTheirParent(t *testing.T) {
	_, paths := write(t,
		"top.yaml", "Resources:\n  Front: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./parts/front.yaml}}\n",
		"parts/front.yaml", "Resources:\n  Site:\n    Type: AWS::CloudFront::Distribution\n    Properties: {DistributionConfig: "+strings.ReplaceAll(config, "\n\t", "")+"}\n")
	r, err := Files(paths[:1], Options{})
	if err != nil || len(r.Distributions) != 1 || r.Distributions[0].ID != "Site" {
		t.Fatalf("%+v (%v)", r, err)
	}
	_, paths = write(t, "top.yaml", "Resources:\n  Front: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./front.yaml}}\n", "front.yaml", "a: [\n")
	if _, err := Files(paths[:1], Options{}); err == nil || !strings.Contains(err.Error(), "front.yaml:") {
		t.Errorf("%v", err)
	}
}

// The files are known after an error as well: one of them has to change.
func TestFilesAfterAnError(t *testing.T) {
	dir, paths := write(t, "a.json", "{")
	missing := filepath.Join(dir, "missing.json")
	r, err := Files([]string{paths[0], missing}, Options{})
	if err == nil || !slices.Equal(r.Files, []string{paths[0], missing}) {
		t.Errorf("%q (%v)", r.Files, err)
	}
}
