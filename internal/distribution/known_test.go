package distribution

import (
	"os"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// everything returns a tree with every field of an SDK's type, as the AWS CLI
// prints it.
func everything(t reflect.Type) any {
	switch t.Kind() {
	case reflect.Pointer:
		return everything(t.Elem())
	case reflect.Slice:
		return []any{everything(t.Elem())}
	case reflect.Struct:
		if t == timeType {
			return "2026-01-01T00:00:00Z"
		}
		m := make(map[string]any)
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				m[f.Name] = everything(f.Type)
			}
		}
		return m
	case reflect.Bool:
		return true
	case reflect.String:
		return "1" // which is a number as well, where the API has a text for one
	}
	return "1"
}

// The SDK has every property that the API has: all of them are known.
func TestAllOfTheAPIIsKnown(t *testing.T) {
	_, warnings, err := Decode(everything(reflect.TypeFor[types.Distribution]()), "Distribution")
	if err != nil || len(warnings) > 0 {
		t.Errorf("a distribution: %v %v", warnings, err)
	}
	_, warnings, err = DecodeCachePolicy(everything(reflect.TypeFor[types.CachePolicy]()), "CachePolicy")
	if err != nil || len(warnings) > 0 {
		t.Errorf("a cache policy: %v %v", warnings, err)
	}
}

// testdata/every-property.json has every property that CloudFormation's schema
// of AWS::CloudFront::Distribution has.
func TestAllOfCloudFormationIsKnown(t *testing.T) {
	text, err := os.ReadFile("testdata/every-property.json")
	if err != nil {
		t.Fatal(err)
	}
	// Aliases and CNAMEs mean the same, which is all that is to be said.
	_, warnings, err := Decode(tree(t, string(text)), "")
	if err != nil || len(warnings) != 1 || warnings[0].Path != "DistributionConfig.CNAMEs" {
		t.Errorf("%v %v", warnings, err)
	}
}

func TestAllOfThePoliciesIsKnown(t *testing.T) {
	_, warnings, err := decode[OriginRequestPolicy](everything(reflect.TypeFor[types.OriginRequestPolicy]()), "OriginRequestPolicy")
	if err != nil || len(warnings) > 0 {
		t.Errorf("an origin request policy: %v %v", warnings, err)
	}
	_, warnings, err = decode[ResponseHeadersPolicy](everything(reflect.TypeFor[types.ResponseHeadersPolicy]()), "ResponseHeadersPolicy")
	if err != nil || len(warnings) > 0 {
		t.Errorf("a response headers policy: %v %v", warnings, err)
	}
	group, warnings, err := decode[KeyGroup](everything(reflect.TypeFor[types.KeyGroup]()), "KeyGroup")
	if err != nil || len(warnings) > 0 || group.Name == "" || len(group.KeyIDs) != 1 {
		t.Errorf("a key group: %+v %v %v", group, warnings, err)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[types.PublicKey](), reflect.TypeFor[types.PublicKeySummary]()} {
		key, warnings, err := decode[PublicKey](everything(of), "PublicKey")
		if err != nil || len(warnings) > 0 || key.Name == "" || key.EncodedKey == "" || key.ID == "" {
			t.Errorf("a public key: %+v %v %v", key, warnings, err)
		}
	}
}
