package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	cf "github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/cdn"
	"github.com/freshet/freshet/internal/cdn/cloudfront"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/survey"
)

// CloudFront is what is asked of it; *cloudfront.Client has it.
type CloudFront interface {
	survey.API
	GetFunction(context.Context, *cf.GetFunctionInput, ...func(*cf.Options)) (*cf.GetFunctionOutput, error)
	DescribeFunction(context.Context, *cf.DescribeFunctionInput, ...func(*cf.Options)) (*cf.DescribeFunctionOutput, error)
}

// Bucket is what is asked of S3; *s3.Client has it.
type Bucket interface {
	s3.ListObjectsV2APIClient
	HeadBucket(context.Context, *s3.HeadBucketInput, ...func(*s3.Options)) (*s3.HeadBucketOutput, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	GetBucketNotificationConfiguration(context.Context, *s3.GetBucketNotificationConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketNotificationConfigurationOutput, error)
	GetBucketLifecycleConfiguration(context.Context, *s3.GetBucketLifecycleConfigurationInput, ...func(*s3.Options)) (*s3.GetBucketLifecycleConfigurationOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	DeleteObject(context.Context, *s3.DeleteObjectInput, ...func(*s3.Options)) (*s3.DeleteObjectOutput, error)
}

// STS is what is asked of it; *sts.Client has it.
type STS interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// Invalidations is what is asked of a CDN; *cloudfront.Driver has it.
type Invalidations interface {
	Since(ctx context.Context, distribution string, from time.Time, most int, known map[string][]freshet.Pattern) ([]cloudfront.Sent, error)
	Status(ctx context.Context, distribution, id string) (freshet.Receipt, error)
	InProgress(ctx context.Context, distribution string, known map[string]cdn.Progress) ([]cdn.Progress, error)
}

// Clients are whom is asked.
type Clients struct {
	CloudFront    CloudFront
	S3            Bucket
	Lambda        Lambda
	SQS           Queues // nil: queues are not looked at
	Logs          Logs   // nil likewise
	STS           STS    // nil for a running freshet, which has none
	Invalidations Invalidations
	// Fetch is a viewer's GET of a distribution's path.
	Fetch  func(ctx context.Context, d *distribution.Distribution, path string) (Reply, error)
	Region string // that is configured
	// Credentials is why there are none.
	Credentials error
}

// Place says where and as whom to ask. The zero value is AWS, with what the AWS
// CLI would use.
type Place struct {
	CloudFront  string // URL of its API; empty is Amazon's
	S3          string // URL; empty is Amazon's
	Region      string // empty is what is configured
	Credentials aws.CredentialsProvider

	Own       bool   // a running freshet, at Edge
	Edge      string // its URL
	EdgeTLS   string // URL; empty without TLS
	Authority string // file with the certificate to trust there
}

// credentialsWithin is how long credentials may take: they may come from another
// program or an address that does not answer.
const credentialsWithin = 20 * time.Second

// Dial makes clients, and fetches credentials without trying them.
func Dial(ctx context.Context, p Place) (Clients, error) {
	options := []func(*config.LoadOptions) error{config.WithRetryMaxAttempts(2)}
	if p.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(p.Credentials))
	}
	if p.Region != "" {
		options = append(options, config.WithRegion(p.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return Clients{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	c := Clients{Region: cfg.Region}
	limited, cancel := context.WithTimeout(ctx, credentialsWithin)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(limited); err != nil {
		c.Credentials = fmt.Errorf("%w (%w)", ErrNoCredentials, err)
		refused := c.Credentials
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, refused })
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	c.CloudFront = cf.NewFromConfig(cfg, func(o *cf.Options) {
		if p.CloudFront != "" {
			o.BaseEndpoint = &p.CloudFront
		}
	})
	c.S3 = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if p.S3 != "" {
			o.BaseEndpoint = &p.S3
		}
		o.UsePathStyle = o.BaseEndpoint != nil
	})
	if !p.Own {
		c.STS = sts.NewFromConfig(cfg)
		c.Lambda, c.SQS, c.Logs = lambda.NewFromConfig(cfg), sqs.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)
	}
	driver, err := cloudfront.New(ctx, cloudfront.Config{Endpoint: p.CloudFront, Credentials: cfg.Credentials})
	if err != nil {
		return Clients{}, err
	}
	c.Invalidations = driver
	c.Fetch, err = p.viewer()
	return c, err
}

// viewer returns a viewer of distributions.
func (p Place) viewer() (func(context.Context, *distribution.Distribution, string) (Reply, error), error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	if p.Own && p.EdgeTLS != "" {
		text, err := os.ReadFile(p.Authority)
		if err != nil {
			return nil, fmt.Errorf("read the running freshet's authority: %w", err)
		}
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(text)
		transport.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	}
	if p.Own {
		secure, plain := hostOf(p.EdgeTLS), hostOf(p.Edge)
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			at := plain
			if secure != "" {
				at = secure
			}
			return new(net.Dialer).DialContext(ctx, network, at)
		}
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	scheme := "https"
	if p.Own && p.EdgeTLS == "" {
		scheme = "http"
	}
	return func(ctx context.Context, d *distribution.Distribution, path string) (Reply, error) {
		return fetch(ctx, client, scheme+"://"+d.DomainName+path)
	}, nil
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// most is how much of a body is read.
const most = 64 << 10

func fetch(ctx context.Context, client *http.Client, address string) (Reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Reply{}, err
	}
	got, err := client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return Reply{}, err
	}
	defer func() { _ = got.Body.Close() }()
	var body strings.Builder
	if _, err := io.Copy(&body, io.LimitReader(got.Body, most)); err != nil {
		return Reply{}, fmt.Errorf("read the answer of %s: %w", address, err)
	}
	return Reply{Status: got.StatusCode, Cache: got.Header.Get("X-Cache"), Body: body.String()}, nil
}
