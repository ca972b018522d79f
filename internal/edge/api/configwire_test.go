package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

// wire is a round trip without a network: the SDK writes a request, answer reads
// it and the SDK reads what answer returns.
type wire struct {
	answer func(body []byte) (reply, error)
	err    error
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, w.err = io.ReadAll(r.Body)
	}
	if w.err != nil {
		return nil, w.err
	}
	answer, err := w.answer(body)
	if err != nil {
		w.err = err
		return nil, err
	}
	text, err := encode(answer.body)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text)), Request: r}, nil
}

func sdk(w *wire) *cloudfront.Client {
	return cloudfront.New(cloudfront.Options{Region: "us-east-1", HTTPClient: &http.Client{Transport: w}, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
}

// filler gives every member of an SDK type a value of its own, so that one which
// gets lost, or ends up elsewhere, shows.
type filler struct {
	n    int
	skip map[string]bool // "Type.Member"
}

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Struct:
		f.members(v)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.String:
		v.SetString(fmt.Sprintf("v<&%d", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Uint8:
		v.SetUint(uint64('a' + f.n%26))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(f.n) / 8)
	case reflect.Interface: // the only one
		var union types.CaCertificatesBundleSourceMemberCaCertificatesBundleS3Location
		f.fill(reflect.ValueOf(&union.Value).Elem())
		v.Set(reflect.ValueOf(&union))
	default:
		panic("a member of kind " + v.Kind().String())
	}
}

func (f *filler) members(v reflect.Value) {
	for i := range v.NumField() {
		m := v.Type().Field(i)
		if m.IsExported() && !f.skip[v.Type().Name()+"."+m.Name] {
			f.fill(v.Field(i))
		}
	}
	if items := v.FieldByName("Items"); items.IsValid() && v.FieldByName("Quantity").IsValid() {
		v.FieldByName("Quantity").Set(reflect.ValueOf(aws.Int32(int32(items.Len()))))
	}
}

// same fails with the first lines in which the JSON of two values differs.
func same(t *testing.T, given, got any) {
	t.Helper()
	if reflect.DeepEqual(given, got) {
		return
	}
	a, _ := json.MarshalIndent(given, "", " ")
	b, _ := json.MarshalIndent(got, "", " ")
	sent, back := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for i := range min(len(sent), len(back)) {
		if sent[i] != back[i] {
			t.Fatalf("sent\n%s\ncame back\n%s", strings.Join(sent[max(0, i-3):min(i+4, len(sent))], "\n"), strings.Join(back[max(0, i-3):min(i+4, len(back))], "\n"))
		}
	}
	t.Fatalf("sent %d lines, %d came back", len(sent), len(back))
}

// Every member that the SDK knows of a distribution is read from its requests
// and is in our answers. Behaviors come in two forms that exclude each other.
func TestEveryMemberOfADistributionIsRead(t *testing.T) {
	forms := map[string][]string{
		"cache policy": {"ForwardedValues", "MinTTL", "DefaultTTL", "MaxTTL"},
		"forwarded":    {"CachePolicyId"},
	}
	for name, without := range forms {
		t.Run(name, func(t *testing.T) {
			f := filler{skip: make(map[string]bool)}
			for _, m := range without {
				f.skip["CacheBehavior."+m], f.skip["DefaultCacheBehavior."+m] = true, true
			}
			var given types.DistributionConfig
			f.fill(reflect.ValueOf(&given).Elem())
			for _, r := range given.CustomErrorResponses.Items {
				*r.ResponseCode = strings.TrimLeft(*r.ResponseCode, "v<&") // a number in a text
			}
			w := &wire{answer: func(body []byte) (reply, error) {
				c, err := readDistribution(body)
				return reply{body: document{name: "Distribution", below: []element{group("DistributionConfig", configElements(c)...)}}}, err
			}}
			got, err := sdk(w).CreateDistribution(context.Background(), &cloudfront.CreateDistributionInput{DistributionConfig: &given})
			if err != nil {
				t.Fatal(err)
			}
			same(t, &given, got.Distribution.DistributionConfig)
			w.answer = afterRestart
			kept, err := sdk(w).CreateDistribution(context.Background(), &cloudfront.CreateDistributionInput{DistributionConfig: &given})
			if err != nil {
				t.Fatal(err)
			}
			same(t, &given, kept.Distribution.DistributionConfig)
		})
	}
}

// afterRestart answers with what the shelf keeps of a distribution.
func afterRestart(body []byte) (reply, error) {
	c, err := readDistribution(body)
	if err != nil {
		return reply{}, err
	}
	made := &resource{key: resourceKey{distributionKind, "E1"}, config: distributionConfig{c}}
	text, err := made.marshal()
	if err != nil {
		return reply{}, err
	}
	kept, err := unmarshalResource(text)
	if err != nil {
		return reply{}, err
	}
	before, err := made.etag()
	if err != nil {
		return reply{}, err
	}
	if after, err := kept.etag(); err != nil || after != before {
		return reply{}, fmt.Errorf("the version %s became %s: %w", before, after, err)
	}
	return reply{body: document{name: "Distribution", below: []element{group("DistributionConfig", kept.config.elements()...)}}}, nil
}

// What a client read it can send back unchanged, whatever was configured.
func TestWhatIsShownCanBeSent(t *testing.T) {
	for _, body := range []string{
		`<DistributionConfig><CallerReference>r</CallerReference><Comment/><Enabled>false</Enabled>
		<Origins><Quantity>1</Quantity><Items><Origin><DomainName>b.s3.amazonaws.com</DomainName><Id>o</Id></Origin></Items></Origins>
		<DefaultCacheBehavior><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy><TargetOriginId>o</TargetOriginId></DefaultCacheBehavior></DistributionConfig>`,
		`<DistributionConfig><Enabled>true</Enabled><Comment>c</Comment><CallerReference>r</CallerReference><TenantConfig/><Logging></Logging>
		<CustomErrorResponses><Quantity>1</Quantity><Items><CustomErrorResponse><ErrorCode>404</ErrorCode><ResponseCode></ResponseCode></CustomErrorResponse></Items></CustomErrorResponses>
		<Origins><Items><Origin><Id>o</Id><DomainName>example.com</DomainName><S3OriginConfig/></Origin></Items><Quantity>1</Quantity></Origins>
		<DefaultCacheBehavior><TargetOriginId>o</TargetOriginId><ViewerProtocolPolicy>allow-all</ViewerProtocolPolicy><GrpcConfig/></DefaultCacheBehavior></DistributionConfig>`,
	} {
		first, err := readDistribution([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := encode(document{name: "DistributionConfig", below: configElements(first)})
		if err != nil {
			t.Fatal(err)
		}
		second, err := readDistribution(shown)
		if err != nil {
			t.Fatalf("%v\n%s", err, shown)
		}
		again, err := encode(document{name: "DistributionConfig", below: configElements(second)})
		if err != nil || !bytes.Equal(shown, again) {
			t.Errorf("%v: first\n%s\nthen\n%s", err, shown, again)
		}
	}
}

// echo reads a configuration of a kind and answers with its resource.
func echo(t *testing.T, name kindName) *wire {
	k, ok := kindCalled(name)
	if !ok {
		t.Fatalf("no kind %s", name)
	}
	return &wire{answer: func(body []byte) (reply, error) {
		config, err := k.read(body)
		if err != nil {
			return reply{}, err
		}
		return k.reply(&resource{key: resourceKey{name, "id"}, config: config}, http.StatusCreated, nil)
	}}
}

func TestEveryMemberOfTheOthersIsRead(t *testing.T) {
	ctx := context.Background()
	var f filler
	t.Run("cache policy", func(t *testing.T) {
		var given types.CachePolicyConfig
		f.fill(reflect.ValueOf(&given).Elem())
		got, err := sdk(echo(t, cachePolicyKind)).CreateCachePolicy(ctx, &cloudfront.CreateCachePolicyInput{CachePolicyConfig: &given})
		if err != nil {
			t.Fatal(err)
		}
		*given.DefaultTTL, *given.MaxTTL = max(*given.DefaultTTL, *given.MinTTL), max(*given.MaxTTL, *given.MinTTL)
		same(t, &given, got.CachePolicy.CachePolicyConfig)
	})
	t.Run("origin request policy", func(t *testing.T) {
		var given types.OriginRequestPolicyConfig
		f.fill(reflect.ValueOf(&given).Elem())
		got, err := sdk(echo(t, requestPolicyKind)).CreateOriginRequestPolicy(ctx, &cloudfront.CreateOriginRequestPolicyInput{OriginRequestPolicyConfig: &given})
		if err != nil {
			t.Fatal(err)
		}
		same(t, &given, got.OriginRequestPolicy.OriginRequestPolicyConfig)
	})
	t.Run("response headers policy", func(t *testing.T) {
		var given types.ResponseHeadersPolicyConfig
		f.fill(reflect.ValueOf(&given).Elem())
		got, err := sdk(echo(t, responsePolicyKind)).CreateResponseHeadersPolicy(ctx, &cloudfront.CreateResponseHeadersPolicyInput{ResponseHeadersPolicyConfig: &given})
		if err != nil {
			t.Fatal(err)
		}
		same(t, &given, got.ResponseHeadersPolicy.ResponseHeadersPolicyConfig)
	})
	t.Run("key group", func(t *testing.T) {
		var given types.KeyGroupConfig
		f.fill(reflect.ValueOf(&given).Elem())
		got, err := sdk(echo(t, keyGroupKind)).CreateKeyGroup(ctx, &cloudfront.CreateKeyGroupInput{KeyGroupConfig: &given})
		if err != nil {
			t.Fatal(err)
		}
		same(t, &given, got.KeyGroup.KeyGroupConfig)
	})
	t.Run("public key", func(t *testing.T) {
		var given types.PublicKeyConfig
		f.fill(reflect.ValueOf(&given).Elem())
		got, err := sdk(echo(t, publicKeyKind)).CreatePublicKey(ctx, &cloudfront.CreatePublicKeyInput{PublicKeyConfig: &given})
		if err != nil {
			t.Fatal(err)
		}
		same(t, &given, got.PublicKey.PublicKeyConfig)
	})
	t.Run("origin access control", func(t *testing.T) {
		var given types.OriginAccessControlConfig
		f.fill(reflect.ValueOf(&given).Elem())
		got, err := sdk(echo(t, accessControlKind)).CreateOriginAccessControl(ctx, &cloudfront.CreateOriginAccessControlInput{OriginAccessControlConfig: &given})
		if err != nil {
			t.Fatal(err)
		}
		same(t, &given, got.OriginAccessControl.OriginAccessControlConfig)
	})
}
