package cloudformation

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const distributionType = "AWS::CloudFront::Distribution"

func tree(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// around is what the expressions of the tests find in their template.
const around = `
"Parameters": {
	"Stage": {"Type": "String", "Default": "dev"},
	"Port": {"Type": "Number", "Default": 8080},
	"Hosts": {"Type": "CommaDelimitedList", "Default": "a.example.com, b.example.com"},
	"None": {"Type": "CommaDelimitedList", "Default": ""},
	"Unset": {"Type": "String"},
	"Size": {"Type": "Number", "Default": 1, "AllowedValues": [1, "2"]},
	"Sizes": {"Type": "List<Number>", "Default": "1,2", "AllowedValues": [1, 2]},
	"Secret": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/site/secret"}
},
"Mappings": {"Region": {"us-east-1": {"Host": "east.example.com", "List": ["x", "y"]}, "eu-west-1": {"Host": "west.example.com"}}},
"Conditions": {
	"IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
	"IsProd": {"Fn::Not": [{"Condition": "IsDev"}]},
	"Both": {"Fn::And": [{"Condition": "IsDev"}, {"Condition": "IsProd"}]},
	"Either": {"Fn::Or": [{"Condition": "IsDev"}, {"Condition": "IsProd"}]},
	"Needs": {"Fn::Equals": [{"Ref": "Unset"}, ""]},
	"Circle": {"Fn::Not": [{"Condition": "Back"}]},
	"Back": {"Fn::Not": [{"Condition": "Circle"}]},
	"Odd": {"Fn::Contains": [["a"], "a"]}
},
`

const resources = `
	"Named": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "site-${Stage}"}}},
	"Nameless": {"Type": "AWS::S3::Bucket"},
	"OfAccount": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "site-${AWS::AccountId}"}}},
	"CircleA": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "a-${CircleB}"}}},
	"CircleB": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "b-${CircleA}"}}},
	"OnlyProd": {"Type": "AWS::S3::Bucket", "Condition": "IsProd"},
	"Access": {"Type": "AWS::CloudFront::OriginAccessControl"},
	"Url": {"Type": "AWS::Lambda::Url"},
	"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"},
	"Api": {"Type": "AWS::ApiGateway::RestApi"},
	"ProdStage": {"Type": "AWS::ApiGateway::Stage", "Properties": {"StageName": "prod"}},
	"Http": {"Type": "AWS::ApiGatewayV2::Api"},
	"Fn": {"Type": "AWS::CloudFront::Function"},
	"Value": {"Type": "AWS::SSM::Parameter", "Properties": {"Value": "v", "Name": "/n"}},
	"Nested": {"Type": "AWS::CloudFormation::Stack"}
`

// resolved returns what stands in the place of an expression.
func resolved(t *testing.T, place, expression string, o Options) (any, []Warning, error) {
	t.Helper()
	template := tree(t, `{`+around+`"Resources": {`+resources+`, "D": {"Type": "`+distributionType+`", "Properties": {`+place+`: `+expression+`}}}}`)
	found, warnings, err := Resolve(template, []string{distributionType}, o)
	if err != nil {
		return nil, warnings, err
	}
	if len(found) != 1 || found[0].LogicalID != "D" {
		t.Fatalf("found %+v", found)
	}
	var name string
	if err := json.Unmarshal([]byte(place), &name); err != nil {
		t.Fatal(err)
	}
	return found[0].Properties[name], warnings, nil
}

var given = Options{Region: "eu-west-1", AccountID: "012345678901", StackName: "stack"}

func TestResolve(t *testing.T) {
	tests := []struct{ expression, want string }{
		{`"text"`, `"text"`},
		{`{"a": [1, true, null, {"b": "c"}]}`, `{"a": [1, true, null, {"b": "c"}]}`},
		{`{"Ref": "Stage"}`, `"dev"`},
		{`{"Ref": "Port"}`, `"8080"`},
		{`{"Ref": "Hosts"}`, `["a.example.com", "b.example.com"]`},
		{`{"Ref": "None"}`, `[]`},
		{`{"Ref": "Size"}`, `"1"`},
		{`{"Ref": "Sizes"}`, `["1", "2"]`},
		{`{"Ref": "AWS::Region"}`, `"eu-west-1"`},
		{`{"Ref": "AWS::Partition"}`, `"aws"`},
		{`{"Ref": "AWS::URLSuffix"}`, `"amazonaws.com"`},
		{`{"Ref": "AWS::AccountId"}`, `"012345678901"`},
		{`{"Ref": "AWS::StackName"}`, `"stack"`},
		{`[1, {"Ref": "AWS::NoValue"}, 2]`, `[1, 2]`},
		{`{"a": 1, "b": {"Ref": "AWS::NoValue"}}`, `{"a": 1}`},

		{`{"Ref": "Named"}`, `"site-dev"`},
		{`{"Ref": "OfAccount"}`, `"site-012345678901"`},
		{`{"Ref": "Access"}`, `"Access"`},
		{`{"Fn::GetAtt": ["Access", "Id"]}`, `"Access"`},
		{`{"Fn::GetAtt": "Access.Id"}`, `"Access"`},
		{`{"Fn::GetAtt": ["Fn", "FunctionMetadata", "FunctionARN"]}`, `"arn:aws:cloudfront::012345678901:function/Fn"`},
		{`{"Fn::GetAtt": ["Fn", "FunctionARN"]}`, `"arn:aws:cloudfront::012345678901:function/Fn"`},
		{`{"Fn::GetAtt": "Named.Arn"}`, `"arn:aws:s3:::site-dev"`},
		{`{"Fn::GetAtt": "Named.DomainName"}`, `"site-dev.s3.amazonaws.com"`},
		{`{"Fn::GetAtt": "Named.RegionalDomainName"}`, `"site-dev.s3.eu-west-1.amazonaws.com"`},
		{`{"Fn::GetAtt": "Named.DualStackDomainName"}`, `"site-dev.s3.dualstack.eu-west-1.amazonaws.com"`},
		{`{"Fn::GetAtt": "Named.WebsiteURL"}`, `"http://site-dev.s3-website-eu-west-1.amazonaws.com"`},
		{`{"Ref": "ProdStage"}`, `"prod"`},
		{`{"Fn::GetAtt": "Value.Value"}`, `"v"`},
		{`{"Fn::GetAtt": "Lb.DNSName"}`, `"lb.invalid"`},
		{`{"Fn::GetAtt": ["D", "DomainName"]}`, `"d.invalid"`},

		{`{"Fn::Join": ["-", ["a", {"Ref": "Stage"}, 1, true]]}`, `"a-dev-1-true"`},
		{`{"Fn::Join": [",", {"Ref": "Hosts"}]}`, `"a.example.com,b.example.com"`},
		{`{"Fn::Join": ["", []]}`, `""`},
		{`{"Fn::Split": [".", "a.b"]}`, `["a", "b"]`},
		{`{"Fn::Select": [1, ["a", "b"]]}`, `"b"`},
		{`{"Fn::Select": ["0", {"Ref": "Hosts"}]}`, `"a.example.com"`},
		{`{"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": ["Url", "FunctionUrl"]}]}]}`, `"url.invalid"`},
		{`{"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": ["Named", "WebsiteURL"]}]}]}`, `"site-dev.s3-website-eu-west-1.amazonaws.com"`},
		{`{"Fn::Sub": "a-${Stage}-${Named}-${AWS::Region}-${Named.Arn}"}`, `"a-dev-site-dev-eu-west-1-arn:aws:s3:::site-dev"`},
		{`{"Fn::Sub": "${!Stage} $ {x} ${Stage"}`, `"${Stage} $ {x} ${Stage"`},
		{`{"Fn::Sub": ["${a}/${Stage}/${a}", {"a": {"Ref": "Port"}, "Stage": "mine"}]}`, `"8080/mine/8080"`},
		{`{"Fn::FindInMap": ["Region", {"Ref": "AWS::Region"}, "Host"]}`, `"west.example.com"`},
		{`{"Fn::FindInMap": ["Region", "us-east-1", "List"]}`, `["x", "y"]`},
		{`{"Fn::FindInMap": ["Region", "nowhere", "Host", {"DefaultValue": "d"}]}`, `"d"`},
		{`{"Fn::If": ["IsDev", "yes", {"Ref": "Unset"}]}`, `"yes"`},
		{`{"Fn::If": ["IsProd", {"Ref": "Unset"}, "no"]}`, `"no"`},
		{`{"Fn::If": ["Both", 1, 2]}`, `2`},
		{`{"Fn::If": ["Either", 1, 2]}`, `1`},
		{`{"a": {"Fn::If": ["IsProd", "x", {"Ref": "AWS::NoValue"}]}}`, `{}`},
		{`{"Fn::Base64": "a"}`, `"YQ=="`},
	}
	for _, tt := range tests {
		got, _, err := resolved(t, `"Place"`, tt.expression, given)
		if want := tree(t, tt.want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n\tis %v (%v), want %v", tt.expression, got, err, want)
		}
	}
}

// What cannot be resolved is an error that names it and says where it is.
func TestUnresolvable(t *testing.T) {
	const at = "Resources.D.Properties.Place"
	tests := []struct{ expression, want string }{
		{`{"Ref": "Nobody"}`, at + `.Ref: there is no parameter or resource "Nobody"`},
		{`{"Ref": "Unset"}`, at + `.Ref: parameter Unset has no default: give it`},
		{`{"Ref": "Secret"}`, `the value of parameter Secret is in Systems Manager, under /site/secret`},
		{`{"Ref": "AWS::AccountId"}`, `AWS::AccountId is not known here: give it`},
		{`{"Ref": "AWS::StackName"}`, `AWS::StackName is not known`},
		{`{"Ref": "AWS::StackId"}`, `AWS::StackId is not known`},
		{`{"Ref": "OnlyProd"}`, `resource "OnlyProd" is not made: its condition is false`},
		{`{"Ref": ["Stage"]}`, `is not a name`},
		{`{"Fn::GetAtt": "Nobody.Arn"}`, `there is no parameter or resource "Nobody"`},
		{`{"Fn::GetAtt": "Named"}`, `want a resource and its attribute`},
		{`{"Fn::GetAtt": "Named.Colour"}`, `a bucket has no attribute Colour`},
		{`{"Fn::GetAtt": "Nested.Outputs.Host"}`, `Nested.Outputs.Host is known to a nested stack only: give it as resource Nested.Outputs.Host`},
		{`{"Fn::Sub": "x-${Nobody}"}`, at + `.Fn::Sub.${Nobody}: there is no parameter or resource "Nobody"`},
		{`{"Fn::Sub": "${Nobody.Arn}"}`, `"Nobody"`},
		{`{"Fn::Sub": "${Hosts}"}`, `${Hosts}: is not a text`},
		{`{"Fn::Sub": "${}"}`, `there is no parameter or resource ""`},
		{`{"Fn::Sub": ["${a}"]}`, `takes a text, or a list`},
		{`{"Fn::Join": ["-", "a"]}`, at + `.Fn::Join[1]: is not a list`},
		{`{"Fn::Join": ["-", ["a", ["b"]]]}`, `[1][1]: is not a text`},
		{`{"Fn::Join": ["-"]}`, `takes a list of 2`},
		{`{"Fn::Select": [2, ["a"]]}`, `there is no element 2 in a list of 1`},
		{`{"Fn::Select": [-1, ["a"]]}`, `there is no element -1`},
		{`{"Fn::Split": ["", "a"]}`, `[0]: is empty`},
		{`{"Fn::FindInMap": ["Region", "mars-1", "Host"]}`, `there is no Mappings.Region.mars-1.Host`},
		{`{"Fn::If": ["Nobody", 1, 2]}`, `there is no condition "Nobody"`},
		{`{"Fn::If": ["Needs", 1, 2]}`, `Conditions.Needs.Fn::Equals[0].Ref: parameter Unset has no default`},
		{`{"Fn::If": ["Circle", 1, 2]}`, `Conditions.Circle depends on itself`},
		{`{"Fn::If": ["Odd", 1, 2]}`, `Fn::Contains is not a condition that is resolved here`},
		{`{"Fn::ImportValue": "other-stack:Host"}`, `"other-stack:Host" is exported by another stack`},
		{`{"Fn::ImportValue": {"Fn::Sub": "${Stage}:Host"}}`, `"dev:Host" is exported`},
		{`{"Fn::Transform": {"Name": "AWS::Include"}}`, at + `.Fn::Transform: Fn::Transform is not resolved here`},
		{`{"Fn::GetAZs": ""}`, `Fn::GetAZs is not resolved`},
		{`{"a": 1, "Fn::If": ["IsDev", 1, 2]}`, `Fn::If stands beside other properties`},
		{`"x {{resolve:ssm:/site/host}} y"`, at + `: {{resolve:ssm:/site/host}} is looked up by CloudFormation`},
		{`"{{resolve:ssm:/site"`, `{{resolve:ssm:/site}} is looked up`},
		{`{"Fn::Sub": "{{resolve:secretsmanager:s}}"}`, `{{resolve:secretsmanager:s}} is looked up`},
		{`"\udb80\udc00"`, `private use`},
		{strings.Repeat(`[`, 120) + strings.Repeat(`]`, 120), `is nested deeper than 100`},
		{`{"Fn::Sub": ["` + strings.Repeat("${a}", 300) + `", {"a": "` + strings.Repeat("a", 5000) + `"}]}`, `more than 1048576 bytes`},
		{`{"Fn::Join": ["` + strings.Repeat("a", 5000) + `", [` + strings.Repeat(`1,`, 300) + `1]]}`, `more than 1048576 bytes`},
	}
	for _, tt := range tests {
		_, _, err := resolved(t, `"Place"`, tt.expression, Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.80s\n\tgives %v, want %s", tt.expression, err, tt.want)
		}
	}
}

func TestAllThatIsUnresolvableIsSaid(t *testing.T) {
	_, _, err := resolved(t, `"Place"`, `{"a": {"Ref": "A"}, "b": [{"Ref": "B"}], "c": {"Fn::Join": [{"Ref": "C"}, [{"Ref": "D2"}]]}}`, Options{})
	for _, name := range []string{`"A"`, `"B"`, `"C"`, `"D2"`} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in %v", name, err)
		}
	}
	list := strings.TrimSuffix(strings.Repeat(`{"Ref": "X"},`, 50), ",")
	if _, _, err := resolved(t, `"Place"`, `[`+list+`]`, Options{}); err == nil || !strings.HasSuffix(err.Error(), "and 30 more") {
		t.Errorf("%v", err)
	}
}

// What depends on nothing that is needed need not be resolvable.
func TestOnlyWhatIsNeededIsResolved(t *testing.T) {
	template := tree(t, `{"Resources": {
		"Other": {"Type": "AWS::Lambda::Function", "Properties": {"Code": {"Fn::Unknown": {"Ref": "Nobody"}}}},
		"Off": {"Type": "AWS::CloudFront::Distribution", "Condition": "Never", "Properties": {"A": {"Ref": "Nobody"}}},
		"On": {"Type": "AWS::CloudFront::Distribution", "Properties": {"A": "b"}}},
		"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}, "Broken": {"Fn::Equals": [{"Ref": "Nobody"}, ""]}},
		"Outputs": {"O": {"Value": {"Ref": "Nobody"}}}}`)
	found, warnings, err := Resolve(template, []string{distributionType}, Options{})
	want := []Resource{{LogicalID: "On", Type: distributionType, ID: "On", Path: "Resources.On", Properties: map[string]any{"A": "b"}}}
	if err != nil || len(warnings) > 0 || !reflect.DeepEqual(found, want) {
		t.Errorf("%+v %v (%v)", found, warnings, err)
	}
}

func TestAllowedValues(t *testing.T) {
	for name, value := range map[string]string{"Size": "3", "Sizes": "1, 3"} {
		_, _, err := resolved(t, `"Place"`, `{"Ref": "`+name+`"}`, Options{Parameters: map[string]string{name: value}})
		if err == nil || !strings.Contains(err.Error(), "parameter "+name+` is "3", which is not among its allowed values`) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGivenValues(t *testing.T) {
	o := Options{
		Parameters: map[string]string{"Stage": "prod", "Unset": "u", "Secret": "s", "Hosts": "c.example.com", "AWS::AccountId": "1"},
		Resources: map[string]string{
			"Nameless": "real-bucket", "Lb.DNSName": "lb.example.com", "Nested.Outputs.Host": "n.example.com",
			"other:Host": "i.example.com", "SamMade": "s", "D": "E1", "resolve:ssm:/host": "h", "resolve:secretsmanager:s:SecretString:k": "t",
		},
	}
	for expression, want := range map[string]string{
		`{"Ref": "Stage"}`:                           `"prod"`,
		`{"Ref": "Unset"}`:                           `"u"`,
		`{"Ref": "Secret"}`:                          `"s"`,
		`{"Ref": "Hosts"}`:                           `["c.example.com"]`,
		`{"Ref": "AWS::AccountId"}`:                  `"1"`,
		`{"Ref": "Named"}`:                           `"site-prod"`,
		`{"Ref": "Nameless"}`:                        `"real-bucket"`,
		`{"Fn::GetAtt": "Nameless.DomainName"}`:      `"real-bucket.s3.amazonaws.com"`,
		`{"Fn::GetAtt": "Lb.DNSName"}`:               `"lb.example.com"`,
		`{"Fn::GetAtt": ["Nested", "Outputs.Host"]}`: `"n.example.com"`,
		`{"Fn::ImportValue": "other:Host"}`:          `"i.example.com"`,
		`"a {{resolve:ssm:/host}} b {{resolve:secretsmanager:s:SecretString:k}}"`: `"a h b t"`,
		`{"Fn::Sub": "${Port}{{resolve:ssm:/host}}"}`:                             `"8080h"`,
		`{"Ref": "SamMade"}`:                             `"s"`,
		`{"Ref": "D"}`:                                   `"E1"`,
		`{"Ref": "OnlyProd"}`:                            `"onlyprod"`,
		`{"Fn::If": ["IsProd", "made", "not"]}`:          `"made"`,
		`{"Fn::Sub": "${Lb.DNSName}/${SamMade}${Port}"}`: `"lb.example.com/s8080"`,
	} {
		got, _, err := resolved(t, `"Place"`, expression, o)
		if err != nil || !reflect.DeepEqual(got, tree(t, want)) {
			t.Errorf("%s is %v (%v), want %s", expression, got, err, want)
		}
	}
}

// A host that only CloudFormation knows leads nowhere, and that is said with
// the name under which it can be given.
func TestHostsThatNobodyKnows(t *testing.T) {
	tests := []struct{ place, expression, want, name string }{
		{`"DomainName"`, `{"Fn::GetAtt": "Lb.DNSName"}`, "lb.invalid", "Lb.DNSName"},
		{`"DomainName"`, `{"Fn::Sub": "${Api}.execute-api.${AWS::Region}.amazonaws.com"}`, "api.execute-api.eu-west-1.amazonaws.com.invalid", "Api"},
		{`"DomainName"`, `{"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": "Http.ApiEndpoint"}]}]}`, "http.invalid", "Http.ApiEndpoint"},
		{`"DomainName"`, `{"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::Join": ["", ["https://", {"Ref": "Api"}, ".execute-api.eu-west-1.", {"Ref": "AWS::URLSuffix"}, "/", {"Ref": "ProdStage"}, "/"]]}]}]}`, "api.execute-api.eu-west-1.amazonaws.com.invalid", "Api"},
		{`"DomainName"`, `{"Ref": "Lb"}`, "lb.invalid", "Lb"},
	}
	for _, tt := range tests {
		got, warnings, err := resolved(t, tt.place, tt.expression, given)
		if err != nil || got != tt.want {
			t.Errorf("%s is %v (%v), want %s", tt.expression, got, err, tt.want)
		}
		if len(warnings) != 1 || !strings.HasSuffix(warnings[0].Text, "give it as resource "+tt.name) {
			t.Errorf("%s: warnings %v", tt.expression, warnings)
		}
	}
	got, warnings, err := resolved(t, `"Aliases"`, `["a.example.com", {"Fn::GetAtt": "Lb.DNSName"}]`, given)
	if err != nil || !reflect.DeepEqual(got, []any{"a.example.com", "lb.invalid"}) || len(warnings) != 1 || warnings[0].Path != "Resources.D.Properties.Aliases[1]" {
		t.Errorf("%v %v (%v)", got, warnings, err)
	}
	// Elsewhere a name may stand for an ID.
	if got, warnings, err := resolved(t, `"OriginAccessControlId"`, `{"Ref": "Access"}`, given); err != nil || got != "Access" || len(warnings) > 0 {
		t.Errorf("%v %v (%v)", got, warnings, err)
	}
}

// Nothing may stand for what decides which object an URL leads to.
func TestPathsThatNobodyKnows(t *testing.T) {
	for _, place := range []string{"OriginPath", "PathPattern", "DefaultRootObject", "ResponsePagePath"} {
		_, _, err := resolved(t, `"`+place+`"`, `{"Fn::Sub": "/${Api}"}`, given)
		if err == nil || !strings.Contains(err.Error(), place+": Api is known to CloudFormation only: give it as resource Api") {
			t.Errorf("%s: %v", place, err)
		}
	}
	if got, _, err := resolved(t, `"OriginPath"`, `{"Fn::Sub": "/${ProdStage}"}`, given); err != nil || got != "/prod" {
		t.Errorf("%v (%v)", got, err)
	}
}

func TestBucketsWithoutNames(t *testing.T) {
	tests := []struct{ expression, want, warning string }{
		{`{"Ref": "Nameless"}`, "nameless", "CloudFormation makes it up"},
		{`[{"Ref": "Nameless"}, {"Fn::GetAtt": "Nameless.DomainName"}]`, "[nameless nameless.s3.amazonaws.com]", "give it as resource Nameless"},
		{`{"Ref": "OfAccount"}`, "ofaccount", "AWS::AccountId is not known"},
		{`{"Ref": "CircleA"}`, "a-b-circlea", "depends on itself"},
	}
	for _, tt := range tests {
		got, warnings, err := resolved(t, `"Place"`, tt.expression, Options{Region: "us-east-1"})
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s is %v (%v), want %s", tt.expression, got, err, tt.want)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0].Text, tt.warning) {
			t.Errorf("%s: warnings %v, want one with %s", tt.expression, warnings, tt.warning)
		}
	}
}

// Where there is one bucket, it stands for all whose names nobody knows.
func TestOneBucketForThoseWithoutNames(t *testing.T) {
	o := Options{Region: "us-east-1", Bucket: "site", Resources: map[string]string{"OfAccount": "given"}}
	got, warnings, err := resolved(t, `"Place"`, `[{"Ref": "Nameless"}, {"Ref": "Named"}, {"Ref": "OfAccount"}]`, o)
	if err != nil || fmt.Sprint(got) != "[site site-dev given]" || len(warnings) != 1 || !strings.Contains(warnings[0].Text, `"site" stands for it`) {
		t.Errorf("%v %v (%v)", got, warnings, err)
	}
	for expression, want := range map[string]string{
		`{"Fn::Sub": "${Unset}.s3.eu-west-1.amazonaws.com"}`:       "site.s3.eu-west-1.amazonaws.com",
		`{"Fn::Sub": "a.s3.${Unset}.amazonaws.com"}`:               "a.s3.unset.amazonaws.com.invalid",
		`{"Fn::Sub": "${Unset}.elb.amazonaws.com"}`:                "unset.elb.amazonaws.com.invalid",
		`{"Fn::Join": ["", [{"Ref": "Lb"}, ".s3.amazonaws.com"]]}`: "site.s3.amazonaws.com",
	} {
		if got, warnings, err := resolved(t, `"DomainName"`, expression, o); err != nil || got != want || len(warnings) != 1 || !strings.Contains(warnings[0].Text, want+" stands for the host") {
			t.Errorf("%s is %v, %v (%v), want %s", expression, got, warnings, err, want)
		}
	}
}

func TestRegions(t *testing.T) {
	for region, want := range map[string]string{
		"eu-central-1":  "arn:aws:s3:::site-dev site-dev.s3-website.eu-central-1.amazonaws.com",
		"us-gov-west-1": "arn:aws-us-gov:s3:::site-dev site-dev.s3-website-us-gov-west-1.amazonaws.com",
		"cn-north-1":    "arn:aws-cn:s3:::site-dev site-dev.s3-website.cn-north-1.amazonaws.com.cn",
	} {
		for _, o := range []Options{{Region: region}, {Parameters: map[string]string{"AWS::Region": region}}} {
			got, warnings, err := resolved(t, `"Place"`, `{"Fn::Join": [" ", [{"Fn::GetAtt": "Named.Arn"}, {"Fn::Select": [1, {"Fn::Split": ["//", {"Fn::GetAtt": "Named.WebsiteURL"}]}]}]]}`, o)
			if err != nil || got != want || len(warnings) > 0 {
				t.Errorf("%s: %v %v (%v), want %s", region, got, warnings, err, want)
			}
		}
	}
	if got, warnings, err := resolved(t, `"Place"`, `[{"Ref": "AWS::Region"}, {"Ref": "AWS::Region"}]`, Options{}); err != nil || fmt.Sprint(got) != "[us-east-1 us-east-1]" || len(warnings) != 1 {
		t.Errorf("no region: %v %v (%v)", got, warnings, err)
	}
}

func TestMacros(t *testing.T) {
	made := `{"Fn::ForEach::Sites": ["X", ["a"], {"D${X}": {"Type": "%s"}}], "R": {"Type": "AWS::S3::Bucket"}}`
	_, _, err := Resolve(tree(t, `{"Resources": `+fmt.Sprintf(made, distributionType)+`}`), []string{distributionType}, Options{})
	if err == nil || !strings.Contains(err.Error(), "Resources.Fn::ForEach::Sites: makes resources that are needed") {
		t.Errorf("a loop that makes distributions: %v", err)
	}
	_, warnings, err := Resolve(tree(t, `{"Transform": ["AWS::LanguageExtensions", "Mine"], "Resources": `+fmt.Sprintf(made, "AWS::SNS::Topic")+`}`), []string{distributionType}, Options{})
	if err != nil || len(warnings) != 2 || !strings.HasPrefix(warnings[0].String(), "Transform: Mine may") || !strings.HasPrefix(warnings[1].String(), "Resources.Fn::ForEach::Sites: is not") {
		t.Errorf("%v (%v)", warnings, err)
	}
	_, _, err = Resolve(tree(t, `{"Transform": "AWS::Serverless-2016-10-31", "Resources": {"D": {"Type": "`+distributionType+`", "Properties": {"A": {"Ref": "Made"}}}}}`), []string{distributionType}, Options{})
	if err == nil || !strings.Contains(err.Error(), `"Made"; if the template's Transform makes it`) {
		t.Errorf("what a transform makes: %v", err)
	}
}

func TestExports(t *testing.T) {
	first := tree(t, `{"Resources": {"B": {"Type": "AWS::S3::Bucket"}, "Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}}, "Outputs": {
		"Bucket": {"Value": {"Fn::GetAtt": "B.DomainName"}, "Export": {"Name": {"Fn::Sub": "${AWS::StackName}:Bucket"}}},
		"Lb": {"Value": {"Fn::GetAtt": "Lb.DNSName"}, "Export": {"Name": "lb"}},
		"Broken": {"Value": {"Ref": "Nobody"}, "Export": {"Name": "broken"}},
		"Private": {"Value": "x"}}}`)
	second := tree(t, `{"Resources": {}, "Outputs": {"Again": {"Value": {"Fn::ImportValue": "lb"}, "Export": {"Name": "again"}}}}`)
	exports := make(Exports)
	for range 2 {
		exports.AddFrom(second, Options{})
		exports.AddFrom(first, Options{StackName: "one"})
	}
	if len(exports) != 3 {
		t.Errorf("exports %v", exports)
	}
	got, warnings, err := resolved(t, `"Aliases"`, `[{"Fn::ImportValue": "one:Bucket"}, {"Fn::ImportValue": "again"}]`, Options{Exports: exports})
	if err != nil || !reflect.DeepEqual(got, []any{"b.s3.amazonaws.com", "lb.invalid"}) {
		t.Errorf("%v (%v)", got, err)
	}
	if len(warnings) != 2 || warnings[0].Path != "Resources.B" || !strings.HasSuffix(warnings[1].Text, "give it as resource Lb.DNSName") {
		t.Errorf("warnings %v", warnings)
	}
}

func TestIsTemplate(t *testing.T) {
	for text, want := range map[string]bool{
		`{"Resources": {"A": {"Type": "x"}}}`:                         true,
		`{"AWSTemplateFormatVersion": "2010-09-09", "Resources": {}}`: true,
		`{"Resources": {}}`:                          true,
		`{"Resources": {"A": {"kind": "x"}}}`:        false,
		`{"Resources": []}`:                          false,
		`{"AWSTemplateFormatVersion": "2010-09-09"}`: false,
		`{"DistributionConfig": {}}`:                 false,
		`[]`:                                         false,
		`null`:                                       false,
	} {
		if got := IsTemplate(tree(t, text)); got != want {
			t.Errorf("%s is a template: %v", text, got)
		}
	}
}

// Nothing that was given is changed by resolving it.
func TestResolveLeavesTheTreeAlone(t *testing.T) {
	text := `{` + around + `"Resources": {` + resources + `, "D": {"Type": "` + distributionType + `", "Properties": {"Aliases": [{"Fn::GetAtt": "Lb.DNSName"}], "A": {"B": ["c"]}}}}}`
	template := tree(t, text)
	if _, _, err := Resolve(template, []string{distributionType}, given); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(template, tree(t, text)) {
		t.Error("the tree was changed")
	}
}

func FuzzResolve(f *testing.F) {
	f.Add([]byte(`{` + around + `"Resources": {` + resources + `, "D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DomainName": {"Fn::Sub": ["${Api}${x}", {"x": {"Fn::If": ["IsDev", "a", {"Ref": "AWS::NoValue"}]}}]}}}}}`))
	f.Add([]byte(`{"Resources": {"D": {"Type": "AWS::CloudFront::Distribution", "Condition": "C", "Properties": {"A": {"Fn::Select": [0, {"Fn::Split": ["/", {"Fn::GetAtt": ["D", "DomainName"]}]}]}}}}, "Conditions": {"C": {"Fn::Or": [{"Condition": "C"}, {"Fn::Not": [{"Fn::Equals": [[], {}]}]}]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if json.Unmarshal(text, &v) != nil {
			return
		}
		IsTemplate(v)
		Exports{}.AddFrom(v, Options{})
		found, _, err := Resolve(v, []string{distributionType}, Options{})
		if err != nil {
			return
		}
		for _, r := range found {
			if text, err := json.Marshal(r.Properties); err != nil || strings.ContainsFunc(string(text), isMark) {
				t.Fatalf("%s (%v)", text, err)
			}
		}
	})
}
