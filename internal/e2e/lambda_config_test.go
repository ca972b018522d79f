package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// The document is read from where FRESHET_CONFIG says it is, and the environment
// overrides it.
func TestLambdaReadsItsConfiguration(t *testing.T) {
	f := start(t, options{})
	rt, bootstrap, a := newLambdaRuntime(t), buildBootstrap(t), newAccount(t)
	document := "distributions: [" + f.Distribution + "]\n"
	a.parameters["/site/freshet"] = document
	if _, err := f.put(t.Context(), f.s3(t), "conf/freshet.yaml", []byte(document)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		environ []string
		zip     string
		want    string // in the answer to an order that names no distribution
	}{
		"zip":         {zip: document, want: `"state":"completed"`},
		"SSM":         {environ: append(a.environ(), "FRESHET_CONFIG=ssm:/site/freshet"), want: `"state":"completed"`},
		"SSM of moto": {environ: []string{"FRESHET_CONFIG=ssm:/site/freshet"}, zip: "distributions: [EZIP]", want: `"state":"completed"`},
		"S3":          {environ: []string{"AWS_ENDPOINT_URL_S3=" + f.S3, "FRESHET_CONFIG=s3://" + f.Bucket + "/conf/freshet.yaml"}, zip: "distributions: [EZIP]", want: `"state":"completed"`},
		"environment": {environ: append(a.environ(), "FRESHET_CONFIG=ssm:/site/freshet", "FRESHET_DISTRIBUTIONS=EOTHER"), want: "invalidate at EOTHER"},
		"none":        {want: "neither the event nor FRESHET_DISTRIBUTIONS names a distribution"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "SSM of moto" {
				c.environ = append(c.environ, "AWS_ENDPOINT_URL_SSM="+motoWithParameter(t, f.Region, "/site/freshet", document))
			}
			fn := startLambdaIn(t, f, rt, c.environ, c.zip, bootstrap)
			defer fn.kill()
			if a := rt.invoke(t, `{"freshet":{"invalidate":["/of-`+strings.ReplaceAll(name, " ", "-")+`"],"wait":true}}`, patience); !strings.Contains(a.body, c.want) {
				t.Errorf("got %+v\n%s", a, fn.out.String())
			}
		})
	}
}

func motoWithParameter(t *testing.T, region, name, value string) (url string) {
	t.Helper()
	url = moto(t)
	parameters := ssm.New(ssm.Options{BaseEndpoint: &url, Region: region, Credentials: credentials.NewStaticCredentialsProvider("k", "s", "")})
	if _, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	return url
}

// A configuration that cannot be had or read is an init error that says what to
// do about it.
func TestLambdaSaysWhatIsWrongWithItsConfiguration(t *testing.T) {
	f := start(t, options{})
	rt, bootstrap, a := newLambdaRuntime(t), buildBootstrap(t), newAccount(t)
	a.parameters["broken"], a.parameters["empty"], a.parameters["misspelt"] = "a: [", "", "distributions: [E1]\nquotas: both\n"
	foreign := "AWS_SECRET_ACCESS_KEY=anothersanothersanothersanothersanothers"
	s3 := "AWS_ENDPOINT_URL_S3=" + f.S3
	for name, c := range map[string]struct {
		config  string
		environ []string
		refuse  string
		want    []string
	}{
		"no parameter":     {config: "ssm:none", want: []string{"the parameter none", "make it in " + f.Region + ": aws ssm put-parameter", "--name none"}},
		"not for us":       {config: "ssm:broken", refuse: "AccessDeniedException", want: []string{"the function's role needs ssm:GetParameter", "kms:Decrypt"}},
		"empty parameter":  {config: "ssm:empty", want: []string{"the parameter empty is empty"}},
		"no name":          {config: "ssm:", want: []string{"write ssm:NAME"}},
		"not YAML":         {config: "ssm:broken", want: []string{"ssm:broken: read the configuration: [1:4]"}},
		"unknown word":     {config: "ssm:misspelt", want: []string{"ssm:misspelt: read the configuration: [2:1] unknown field"}},
		"no object":        {config: "s3://" + f.Bucket + "/none", environ: []string{s3}, want: []string{"aws s3 cp freshet.yaml s3://" + f.Bucket + "/none"}},
		"no bucket":        {config: "s3://nobodys/none", environ: []string{s3}, want: []string{"is the bucket's name right?"}},
		"no key":           {config: "s3://" + f.Bucket, want: []string{"write s3://BUCKET/KEY"}},
		"no file":          {config: "conf.yaml", want: []string{"conf.yaml", "put the file into the zip beside bootstrap"}},
		"S3 not for us":    {config: "s3://" + f.Bucket + "/x", environ: []string{s3, foreign}, want: []string{"read the configuration from s3://" + f.Bucket + "/x", "SignatureDoesNotMatch"}},
		"word for a level": {environ: []string{"FRESHET_LOG=loud"}, want: []string{"FRESHET_LOG", "loud"}},
	} {
		t.Run(name, func(t *testing.T) {
			a.mu.Lock()
			a.refuse["GetParameter"] = c.refuse
			a.mu.Unlock()
			fn := startLambdaIn(t, f, rt, slices.Concat(a.environ(), c.environ, []string{"FRESHET_CONFIG=" + c.config}), "", bootstrap)
			select {
			case a := <-rt.answers:
				for _, want := range c.want {
					if a.kind != "init" || !strings.Contains(a.body, want) {
						t.Errorf("got %+v, want %q", a, want)
					}
				}
			case <-time.After(patience):
				t.Fatal("it does not say why it cannot begin")
			}
			<-fn.exited
		})
	}
}

// A table that is missing, or not for us, fails the messages at once and says
// what to do, in place of trying until the time is over.
func TestLambdaSaysWhatIsWrongWithItsTable(t *testing.T) {
	f := start(t, options{})
	rt, bootstrap, a := newLambdaRuntime(t), buildBootstrap(t), newAccount(t)
	fn := startLambdaIn(t, f, rt, append(a.environ(), "FRESHET_QUOTA_TABLE=quota"), "distributions: ["+f.Distribution+"]\n", bootstrap)
	letters, keys := f.letters(3)
	for _, c := range []struct {
		prepare func()
		want    string
	}{
		{func() {}, "aws dynamodb create-table"},
		{func() { a.tables["quota"], a.refuse["GetItem"] = attributes{}, "AccessDeniedException" }, "the function's role needs dynamodb:GetItem and dynamodb:PutItem"},
		{func() { a.refuse["GetItem"], a.refuse["PutItem"] = "", "AccessDeniedException" }, "write the quota to the table quota"},
	} {
		a.mu.Lock()
		c.prepare()
		a.mu.Unlock()
		if again := rt.deliver(t, letters, patience); len(again) != 3 {
			t.Errorf("%d come again, want all\n%s", len(again), fn.out.String())
		}
		fn.await(t, c.want, 1)
	}
	if out := fn.out.String(); strings.Contains(out, "will try again") {
		t.Errorf("it tried again:\n%s", out)
	}
	a.mu.Lock()
	clear(a.refuse)
	a.mu.Unlock()
	if again := rt.deliver(t, letters, patience); len(again) != 0 {
		t.Errorf("%d come again\n%s", len(again), fn.out.String())
	}
	f.wantInvalidatedOnce(t, keys)
}

// Two instances that share a table keep within the quota together: the API, which
// holds its clients to it, never pushes back.
func TestPromiseLambdasShareAQuota(t *testing.T) {
	for name, of := range map[string]func(*testing.T) (environ []string, record func() []byte){
		"double": func(t *testing.T) ([]string, func() []byte) {
			a := newAccount(t)
			a.tables["quota"] = attributes{}
			return a.environ(), func() []byte {
				a.mu.Lock()
				defer a.mu.Unlock()
				t.Logf("%d writes, %d were too late", a.writes, a.lost)
				text, err := base64.StdEncoding.DecodeString(a.tables["quota"]["record"]["B"])
				if err != nil {
					t.Error(err)
				}
				return text
			}
		},
		"moto": func(t *testing.T) ([]string, func() []byte) {
			url := moto(t)
			c := dynamodb.New(dynamodb.Options{BaseEndpoint: &url, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("k", "s", "")})
			makeTable(t.Context(), t, c)
			return []string{"AWS_ENDPOINT_URL_DYNAMODB=" + url, "AWS_REGION=us-east-1"}, func() []byte {
				out, err := c.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("quota"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "account"}}})
				if err != nil {
					t.Fatal(err)
				}
				return out.Item["record"].(*types.AttributeValueMemberB).Value
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, options{args: []string{"--quota", "both"}})
			bootstrap := buildBootstrap(t)
			environ, record := of(t)
			letters, keys := f.letters(600)
			var both sync.WaitGroup
			for i := range 2 {
				rt := newLambdaRuntime(t)
				fn := startLambdaIn(t, f, rt, append(environ, "FRESHET_QUOTA_TABLE=quota"), pathByPath+"distributions: ["+f.Distribution+"]\n", bootstrap)
				both.Go(func() {
					if again := rt.deliver(t, letters[i*300:(i+1)*300], patience); len(again) > 0 {
						t.Errorf("%d come again", len(again))
					}
					if out := fn.out.String(); strings.Contains(out, "pushes back") || strings.Contains(out, "will try again") {
						t.Errorf("more was sent than the quota allows:\n%s", tail(out, 3000))
					}
				})
			}
			both.Wait()
			f.wantInvalidatedOnce(t, keys)
			var book struct{ Spent int }
			if err := json.Unmarshal(record(), &book); err != nil || book.Spent != len(keys) {
				t.Errorf("%d paths are in the books, want %d; %v", book.Spent, len(keys), err)
			}
		})
	}
}

func makeTable(ctx context.Context, t *testing.T, c *dynamodb.Client) {
	t.Helper()
	_, err := c.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("quota"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
}
