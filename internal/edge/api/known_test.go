package api

import (
	"context"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/smithy-go"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/sigv4"
)

type deaf struct{}

func (deaf) Invalidate(string, []freshet.Pattern) error { return nil }

// directly is an SDK client of a handler over nothing.
func directly(t *testing.T) *cloudfront.Client {
	t.Helper()
	register, err := Open(t.Context(), RegisterConfig{Distributions: func() []distribution.Distribution { return nil }, Invalidator: deaf{}, Log: &MemoryLog{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(register.Close)
	catalog, err := OpenCatalog(t.Context(), CatalogConfig{Shelf: &MemoryShelf{}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHandler(HandlerConfig{Register: register, Catalog: catalog, Credentials: sigv4.Credentials{AccessKeyID: "a", Secret: "b"},
		TestFunction: func(context.Context, FunctionTest) (FunctionOutcome, error) { return FunctionOutcome{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return cloudfront.New(cloudfront.Options{Region: "us-east-1", HTTPClient: s.Client(), Retryer: aws.NopRetryer{}, BaseEndpoint: &s.URL,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
}

// Whatever the SDK can ask for is answered, or refused by its own name: nobody
// has to guess which call of a tool it was.
func TestEveryOperationHasAnAnswerOrItsName(t *testing.T) {
	client := reflect.ValueOf(directly(t))
	refusedByName := 0
	for i := range client.NumMethod() {
		name, method := client.Type().Method(i).Name, client.Method(i)
		if name == "Options" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			input := reflect.New(method.Type().In(1).Elem())
			(&filler{}).fill(input.Elem())
			out := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
			err, _ := out[1].Interface().(error)
			var refused smithy.APIError
			switch {
			case err == nil:
			case !errors.As(err, &refused):
				t.Errorf("an answer that the SDK does not understand: %v", err)
			case refused.ErrorCode() != UnsupportedOperation:
			case !strings.HasPrefix(refused.ErrorMessage(), name+" is not implemented"):
				t.Errorf("refused with %q", refused.ErrorMessage())
			default:
				refusedByName++
			}
		})
	}
	if refusedByName < 20 {
		t.Errorf("%d operations were refused by their name, expected dozens", refusedByName)
	}
}

// Lists of what the edge has none of are empty, and one of them does not exist.
func TestWhatTheEdgeHasNoneOf(t *testing.T) {
	client := reflect.ValueOf(directly(t))
	call := func(name string) error {
		method := client.MethodByName(name)
		input := reflect.New(method.Type().In(1).Elem())
		if strings.HasPrefix(name, "Get") || strings.HasPrefix(name, "Delete") {
			(&filler{}).fill(input.Elem())
		}
		out := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
		err, _ := out[1].Interface().(error)
		return err
	}
	for _, list := range []string{"FieldLevelEncryptionConfigs", "FieldLevelEncryptionProfiles", "StreamingDistributions", "ContinuousDeploymentPolicies", "VpcOrigins",
		"AnycastIpLists", "RealtimeLogConfigs", "DistributionTenants", "DistributionTenantsByCustomization", "ConnectionGroups", "ConnectionFunctions", "TrustStores"} {
		if err := call("List" + list); err != nil {
			t.Errorf("List%s: %v", list, err)
		}
	}
	for get, code := range map[string]string{
		"GetFieldLevelEncryption": "NoSuchFieldLevelEncryptionConfig", "DeleteFieldLevelEncryptionConfig": "NoSuchFieldLevelEncryptionConfig",
		"GetFieldLevelEncryptionProfileConfig": "NoSuchFieldLevelEncryptionProfile", "GetStreamingDistribution": "NoSuchStreamingDistribution",
		"GetContinuousDeploymentPolicyConfig": "NoSuchContinuousDeploymentPolicy", "GetVpcOrigin": EntityNotFound, "GetDistributionTenant": EntityNotFound,
		"GetRealtimeLogConfig": "NoSuchRealtimeLogConfig", "DeleteRealtimeLogConfig": "NoSuchRealtimeLogConfig", "GetInvalidationForDistributionTenant": EntityNotFound,
	} {
		var refused smithy.APIError
		if err := call(get); !errors.As(err, &refused) || refused.ErrorCode() != code {
			t.Errorf("%s: %v, want %s", get, err, code)
		}
	}
}
