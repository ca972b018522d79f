package cloudformation

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// What somebody has to give is stood for by its name where it decides nothing,
// and an error where it does, wherever the text went in between.
func TestWhatHasToBeGiven(t *testing.T) {
	const unset = "parameter Unset has no default: give it as a parameter"
	tests := []struct{ place, expression, want, warning, wrong string }{
		{"AcmCertificateArn", `{"Ref": "Unset"}`, "Unset", "", ""},
		{"AcmCertificateArn", `{"Fn::ImportValue": "other:Cert"}`, "other-Cert", "", ""},
		{"WebACLId", `{"Fn::Sub": "arn:aws:wafv2:us-east-1:${AWS::AccountId}:global/webacl/${AWS::StackName}/1"}`, "arn:aws:wafv2:us-east-1:AWS--AccountId:global/webacl/AWS--StackName/1", "", ""},
		{"DomainName", `{"Fn::Sub": "www.${Unset}"}`, "www.unset.invalid", "parameter Unset has no default, and www.unset.invalid stands for the host: give it as a parameter", ""},
		{"DomainName", `{"Fn::Select": [0, {"Fn::Split": ["/", {"Fn::ImportValue": "other:Host"}]}]}`, "other-host.invalid", `exported by another stack, and other-host.invalid stands for the host: give that template`, ""},
		{"DomainName", `{"Ref": "Secret"}`, "secret.invalid", "is in Systems Manager, under /site/secret, and secret.invalid stands", ""},
		{"DomainName", `"{{resolve:ssm:/host}}"`, "resolve-ssm--host.invalid", "looked up by CloudFormation", ""},
		{"HeaderValue", `"a {{resolve:secretsmanager:s}}"`, "a resolve-secretsmanager-s", "{{resolve:secretsmanager:s}} is looked up", ""},
		{"OriginPath", `{"Ref": "Unset"}`, "", "", unset},
		{"PathPattern", `{"Fn::Sub": "/${AWS::StackName}/*"}`, "", "", "AWS::StackName is not known here: give it as a parameter"},
		{"MinTTL", `{"Ref": "Unset"}`, "", "", unset},
		{"Enabled", `{"Fn::Equals": 1}`, "", "", "Fn::Equals is not resolved here"},
		{"CachePolicyId", `{"Ref": "Unset"}`, "", "", unset},
		{"Comment", `{"Fn::FindInMap": ["Region", {"Ref": "Unset"}, "Host"]}`, "", "", unset},
		{"Comment", `{"Fn::Select": [{"Ref": "Unset"}, ["a"]]}`, "", "", unset},
		{"Comment", `{"Fn::If": ["Needs", 1, 2]}`, "", "", "Conditions.Needs.Fn::Equals[0].Ref: " + unset},
		{"Comment", `{"Fn::ImportValue": {"Fn::Sub": "${AWS::StackName}:x"}}`, "", "", "AWS::StackName is not known"},
	}
	for _, tt := range tests {
		got, warnings, err := resolved(t, `"`+tt.place+`"`, tt.expression, Options{Region: "us-east-1"})
		switch {
		case tt.wrong != "":
			if err == nil || !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%s: %s is %v (%v), want the error %s", tt.place, tt.expression, got, err, tt.wrong)
			}
			continue
		case err != nil || got != tt.want:
			t.Errorf("%s: %s is %v (%v), want %s", tt.place, tt.expression, got, err, tt.want)
		}
		if said := len(warnings) > 0; said != (tt.warning != "") || said && !strings.Contains(warnings[0].Text, tt.warning) {
			t.Errorf("%s: %s: warnings %v, want %q", tt.place, tt.expression, warnings, tt.warning)
		}
	}
}

// What is missing is said once, however often it is used.
func TestMissingIsSaidOnce(t *testing.T) {
	_, _, err := resolved(t, `"A"`, `[{"OriginPath": {"Ref": "Unset"}}, {"OriginPath": {"Ref": "Unset"}}]`, given)
	if err == nil || strings.Count(err.Error(), "Unset") != 1 {
		t.Errorf("%v", err)
	}
}

// A function's ARN is formed of its name, so that what names it and what it is
// called are the same in all templates of an account.
func TestFunctionARNs(t *testing.T) {
	template := tree(t, `{"Parameters": {"Stage": {"Type": "String"}}, "Resources": {
		"Named": {"Type": "AWS::CloudFront::Function", "Properties": {"Name": {"Fn::Sub": "${AWS::Region}-rewrite"}}},
		"OfStage": {"Type": "AWS::CloudFront::Function", "Properties": {"Name": {"Ref": "Stage"}}},
		"Given": {"Type": "AWS::CloudFront::Function", "Properties": {"Name": "x"}},
		"D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"A": [{"Ref": "Named"}, {"Fn::GetAtt": "Named.FunctionMetadata.FunctionARN"},
			{"Fn::Sub": "${Named.FunctionARN}"}, {"Fn::GetAtt": "OfStage.FunctionARN"}, {"Fn::GetAtt": "Given.FunctionARN"}]}}}}`)
	o := Options{Region: "eu-west-1", Resources: map[string]string{"Given.FunctionARN": "arn:aws:cloudfront::1:function/other"}}
	found, warnings, err := Resolve(template, []string{distributionType}, o)
	const own = "arn:aws:cloudfront::000000000000:function/"
	want := []any{own + "eu-west-1-rewrite", own + "eu-west-1-rewrite", own + "eu-west-1-rewrite", own + "OfStage", "arn:aws:cloudfront::1:function/other"}
	if err != nil || len(warnings) > 0 || !reflect.DeepEqual(found[0].Properties["A"], want) {
		t.Fatalf("%v %v %v", found, warnings, err)
	}
	functions, _ := Beside(template, []string{"AWS::CloudFront::Function"}, o)
	for i, want := range []string{want[4].(string), own + "eu-west-1-rewrite", own + "OfStage"} {
		if functions[i].ID != want || functions[i].Err != nil {
			t.Errorf("%s is %s (%v), want %s", functions[i].LogicalID, functions[i].ID, functions[i].Err, want)
		}
	}
}

// Each of those beside has its own error.
func TestBeside(t *testing.T) {
	const kind = "AWS::CloudFront::Function"
	found, warnings := Beside(tree(t, `{"Conditions": {"Never": {"Fn::Equals": [1, 2]}}, "Resources": {
		"Bad": {"Type": "`+kind+`", "Properties": {"FunctionCode": {"Ref": "Nobody"}}},
		"Code": {"Type": "`+kind+`", "Properties": {"FunctionCode": {"Fn::Sub": "return '${Lb.DNSName}'"}}},
		"Off": {"Type": "`+kind+`", "Condition": "Never", "Properties": {"FunctionCode": {"Ref": "Nobody"}}},
		"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}}}`), []string{kind}, Options{})
	if len(found) != 2 || found[0].Err == nil || !strings.Contains(found[0].Err.Error(), `"Nobody"`) || found[1].Err != nil || found[1].Properties["FunctionCode"] != "return 'lb.invalid'" {
		t.Errorf("%+v", found)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Text, "Lb.DNSName is known to CloudFormation only, and Lb.DNSName stands for it: give it as resource Lb.DNSName") {
		t.Errorf("%v", warnings)
	}
}

func TestSAM(t *testing.T) {
	for expression, want := range map[string]string{
		`{"Fn::Sub": "${ServerlessRestApi}.execute-api.us-east-1.amazonaws.com"}`:        "serverlessrestapi.execute-api.us-east-1.amazonaws.com.invalid",
		`{"Fn::Sub": "${Mine}.execute-api.us-east-1.amazonaws.com"}`:                     "mine.execute-api.us-east-1.amazonaws.com.invalid",
		`{"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": "FnUrl.FunctionUrl"}]}]}`: "fnurl.invalid",
	} {
		got, err := sam(t, "DomainName", expression)
		if err != nil || got != want {
			t.Errorf("%s is %v (%v), want %s", expression, got, err, want)
		}
	}
	for expression, want := range map[string]string{
		`{"Fn::Sub": "/${ServerlessRestApiProdStage}"}`: "/Prod", `{"Fn::Sub": "/${Mine.Stage}"}`: "/v1", `{"Fn::Sub": "/${Minev1Stage}"}`: "/v1",
	} {
		if got, err := sam(t, "OriginPath", expression); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %s", expression, got, err, want)
		}
	}
	if _, err := sam(t, "DomainName", `{"Ref": "Other"}`); err == nil {
		t.Error("what nothing makes is there")
	}
}

func sam(t *testing.T, place, expression string) (any, error) {
	t.Helper()
	found, _, err := Resolve(tree(t, `{"Transform": ["AWS::Serverless-2016-10-31"], "Resources": {
		"Mine": {"Type": "AWS::Serverless::Api", "Properties": {"StageName": "v1"}},
		"Fn": {"Type": "AWS::Serverless::Function", "Properties": {"FunctionUrlConfig": {"AuthType": "NONE"}}},
		"D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"`+place+`": `+expression+`}}}}`), []string{distributionType}, Options{})
	if err != nil {
		return nil, err
	}
	return found[0].Properties[place], nil
}

func TestNestedStacks(t *testing.T) {
	child := tree(t, `{"Parameters": {"Host": {"Type": "String"}, "Hosts": {"Type": "CommaDelimitedList"}, "Own": {"Type": "String", "Default": "own"}},
		"Resources": {"D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DomainName": {"Ref": "Host"}, "Aliases": {"Ref": "Hosts"}, "Comment": {"Ref": "Own"}}},
			"Lb": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer"}},
		"Outputs": {"Lb": {"Value": {"Fn::GetAtt": "Lb.DNSName"}}, "Host": {"Value": {"Ref": "Host"}}}}`)
	parent := func(host string) any {
		return tree(t, `{"Conditions": {"Never": {"Fn::Equals": [1, 2]}}, "Resources": {
			"B": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "store"}},
			"Off": {"Type": "AWS::CloudFormation::Stack", "Condition": "Never", "Properties": {"TemplateURL": "child.yaml"}},
			"Front": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": {"Fn::Join": ["/", ["https://s3", {"Ref": "AWS::AccountId"}, "abc.json"]]},
				"Parameters": {"Host": `+host+`, "Hosts": ["a.example.com", "b.example.com"]}}},
			"Top": {"Type": "AWS::CloudFront::Distribution", "Properties": {"DomainName": {"Fn::GetAtt": ["Front", "Outputs.Lb"]}}}}}`)
	}
	templates := map[string]any{"abc.json": child, "child.yaml": child}
	if got := TemplateURLs(parent(`"x"`)); !reflect.DeepEqual(got, []string{"abc.json", "child.yaml"}) {
		t.Errorf("the templates are %q", got)
	}
	found, warnings, err := Resolve(parent(`{"Fn::GetAtt": "B.DomainName"}`), []string{distributionType}, Options{Templates: templates})
	if err != nil || len(found) != 2 {
		t.Fatalf("%+v (%v)", found, err)
	}
	want := []map[string]any{{"DomainName": "lb.invalid"}, {"DomainName": "store.s3.amazonaws.com", "Aliases": []any{"a.example.com", "b.example.com"}, "Comment": "own"}}
	for i, stack := range []string{"", "Front"} {
		if !reflect.DeepEqual(found[i].Properties, want[i]) || found[i].Stack != stack {
			t.Errorf("%+v, want %v", found[i], want[i])
		}
	}
	if found[1].Path != "Resources.Front.Resources.D" || len(warnings) != 1 || !strings.HasSuffix(warnings[0].Text, "give it as resource Lb.DNSName") {
		t.Errorf("%s: %v", found[1].Path, warnings)
	}
	// What is passed on and comes back is a circle, and no endless one.
	if _, _, err := Resolve(parent(`{"Fn::GetAtt": ["Front", "Outputs.Host"]}`), []string{distributionType}, Options{Templates: templates}); err == nil || !strings.Contains(err.Error(), "depends on itself") {
		t.Errorf("a circle: %v", err)
	}
	// A template that is its own child ends, too.
	self := tree(t, `{"Resources": {"Me": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "me"}}, "D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"A": 1}}}}`)
	if found, _, err := Resolve(self, []string{distributionType}, Options{Templates: map[string]any{"me": self}}); err != nil || len(found) < 2 || len(found) > 20 {
		t.Errorf("%d found (%v)", len(found), err)
	}
	wide := make([]string, 20)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"Me%d": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "me"}}`, i)
	}
	many := tree(t, `{"Resources": {`+strings.Join(wide, ",")+`, "D": {"Type": "AWS::CloudFront::Distribution", "Properties": {"A": 1}}}}`)
	if found, _, err := Resolve(many, []string{distributionType}, Options{Templates: map[string]any{"me": many}}); err != nil || len(found) != maxStacks+1 {
		t.Errorf("%d found of one that is in itself many times (%v)", len(found), err)
	}
}
