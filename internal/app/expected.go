package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/distribution"
	"github.com/freshet/freshet/internal/probe"
	"github.com/freshet/freshet/internal/variant"
	"github.com/freshet/freshet/internal/verify"
)

func canonical(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return freshet.CanonicalPath(path)
	}
	return "/"
}

// source is who says what a variant of a URL should show: what was given, the
// origin that was named, or the bucket behind the URL. It is asked once for all
// that it says the same of.
func (v *Viewers) source(u *url.URL, one variant.Variant) *verify.Source {
	if v.opts.Expected != nil {
		return always(*v.opts.Expected)
	}
	name := u.String()
	one.Encoding = variant.None
	if v.opts.Origin != nil {
		name += "\n" + one.String()
	}
	if s := v.sources[name]; s != nil {
		return s
	}
	s := &verify.Source{}
	if v.opts.Origin != nil {
		s.Ask = func(ctx context.Context) (verify.Expected, error) { return v.atOrigin(ctx, u, one) }
	} else {
		s.Ask = v.behind(u, one)
	}
	v.sources[name] = s
	return s
}

func always(want verify.Expected) *verify.Source {
	return &verify.Source{Ask: func(context.Context) (verify.Expected, error) { return want, nil }}
}

// atOrigin asks the origin that was named as an edge would.
func (v *Viewers) atOrigin(ctx context.Context, u *url.URL, one variant.Variant) (verify.Expected, error) {
	base := v.opts.Origin
	to := *u
	to.Scheme, to.Host = base.Scheme, base.Host
	if prefix := strings.TrimSuffix(base.EscapedPath(), "/"); prefix != "" {
		to.RawPath = prefix + u.EscapedPath()
		var err error
		if to.Path, err = url.PathUnescape(to.RawPath); err != nil {
			return verify.Expected{}, fmt.Errorf("ask the origin: %w", err)
		}
	}
	ask := probe.AskFor(&to, one)
	ask.Sums = true
	a, err := v.Client.Fetch(ctx, ask)
	if err != nil {
		return verify.Expected{}, fmt.Errorf("ask the origin: %w", err)
	}
	want := verify.Expected{From: "the origin"}
	switch {
	case a.Status >= 500 || a.Status == http.StatusTooManyRequests:
		return verify.Expected{}, fmt.Errorf("ask the origin: %s answered %d", a.URL, a.Status)
	case a.Status == http.StatusNotFound || a.Status == http.StatusForbidden || a.Status == http.StatusGone:
		want.Gone = true
		return want, nil
	case a.Status != http.StatusOK:
		want.Status, want.Location = a.Status, a.Location
	}
	want.SHA256, want.Size, want.Opaque = a.Decoded.SHA256, a.Size, true
	if !a.Whole {
		want.Size = max(a.Length, 0)
	}
	if want.ETag, _ = a.ETag(); want.ETag != "" {
		want.Modified = a.Modified() // of what is made anew each time it says nothing
	}
	return want, nil
}

// behind returns what asks the bucket behind a URL for its object. The way there
// is found once. URLs that no object answers as it is are not judged by one.
func (v *Viewers) behind(u *url.URL, one variant.Variant) func(context.Context) (verify.Expected, error) {
	d := v.answering(u)
	if d == nil {
		return nil
	}
	if b := d.Config.Behavior(canonical(u)); len(b.TrustedKeyGroups)+len(b.TrustedSigners) > 0 && !isSigned(u, one) {
		return func(context.Context) (verify.Expected, error) {
			return verify.Expected{}, errors.New("only those who have a signed URL or signed cookies are answered there")
		}
	}
	var objects []object
	found := false
	return func(ctx context.Context) (want verify.Expected, err error) {
		if !found {
			if objects, err = v.objects(ctx, u, d); err != nil {
				return verify.Expected{}, err
			}
			found = true
		}
		for _, o := range objects {
			if want, err = v.buckets.stat(ctx, o); err != nil || !want.Gone {
				break
			}
		}
		return want, err
	}
}

// isSigned reports whether a request carries what CloudFront asks for where keys
// are trusted.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-choosing-signed-urls-cookies.html
func isSigned(u *url.URL, one variant.Variant) bool {
	if u.Query().Has("Key-Pair-Id") {
		return true
	}
	for _, c := range one.Cookies {
		if c.Name == "CloudFront-Key-Pair-Id" {
			return true
		}
	}
	return false
}

// object is one that an origin answers a URL with as it is.
type object struct{ bucket, key, region string }

// objects finds the objects behind a URL, the one that answers first.
func (v *Viewers) objects(ctx context.Context, u *url.URL, d *distribution.Distribution) ([]object, error) {
	e, err := v.explain(ctx, u)
	if err != nil {
		return nil, err
	}
	var found []object
	for _, stop := range e.Distributions {
		if stop.Distribution != d.ID {
			continue
		}
		for _, at := range stop.URLs {
			for _, p := range at.Patterns {
				if p.Served && p.Bucket != "" && (p.URL == at.URL || p.URL == canonical(u)) {
					found = append(found, object{p.Bucket, p.Key, regionOf(d, p.Bucket)})
				}
			}
		}
	}
	return found, nil
}

var regionHost = regexp.MustCompile(`\.s3(?:-fips)?(?:\.dualstack)?[.-]([a-z]{2}(?:-[a-z]+)+-\d+)\.amazonaws\.com(?:\.cn)?$`)

// regionOf is the region that the domain name of a bucket's origin says; empty
// where it says none.
func regionOf(d *distribution.Distribution, bucket string) string {
	for _, o := range d.Config.Origins {
		if name, ok := o.Bucket(); !ok || name != bucket {
			continue
		}
		if m := regionHost.FindStringSubmatch(strings.ToLower(o.DomainName)); m != nil {
			return m[1]
		}
	}
	return ""
}

// buckets asks S3 what it holds: that of the running freshet, or AWS.
type buckets struct {
	running *Running

	mu      sync.Mutex
	clients map[string]*s3.Client // by region
}

// stat says what a bucket holds under a key.
func (b *buckets) stat(ctx context.Context, o object) (verify.Expected, error) {
	from := "bucket " + o.bucket
	client, err := b.client(ctx, o.region)
	if err != nil {
		return verify.Expected{}, err
	}
	head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.bucket, Key: &o.key})
	if _, missing := errors.AsType[*types.NotFound](err); missing {
		return verify.Expected{From: from, Gone: true}, nil
	}
	if err != nil {
		return verify.Expected{}, fmt.Errorf("ask %s for %s: %w", from, o.key, err)
	}
	return verify.Expected{
		From: from, ETag: strings.Trim(aws.ToString(head.ETag), `"`), Size: aws.ToInt64(head.ContentLength), Modified: aws.ToTime(head.LastModified),
		Opaque: head.SSECustomerAlgorithm != nil || head.ServerSideEncryption != "" && head.ServerSideEncryption != types.ServerSideEncryptionAes256,
	}, nil
}

func (b *buckets) client(ctx context.Context, region string) (*s3.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.clients[region]; c != nil {
		return c, nil
	}
	var c *s3.Client
	if b.running != nil {
		c = s3.New(s3.Options{
			BaseEndpoint: &b.running.S3, UsePathStyle: true, Region: b.running.Region,
			Credentials: credentials.NewStaticCredentialsProvider(b.running.AccessKey, b.running.SecretKey, ""),
		})
	} else {
		cfg, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the AWS configuration: %w", err)
		}
		c = s3.NewFromConfig(cfg, func(o *s3.Options) {
			if region != "" {
				o.Region = region
			}
			o.UsePathStyle = os.Getenv("AWS_ENDPOINT_URL_S3")+os.Getenv("AWS_ENDPOINT_URL") != ""
		})
	}
	if b.clients == nil {
		b.clients = make(map[string]*s3.Client)
	}
	b.clients[region] = c
	return c, nil
}
