package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/freshet/freshet"
	"github.com/freshet/freshet/internal/verify"
)

// askElsewhere is how long a bucket elsewhere may take to say what it holds.
const askElsewhere = 30 * time.Second

// statElsewhere asks the origin that a bucket is, at the server that stands for
// it or at its own address, as the edge does without being somebody. What is not
// allowed to be read counts as not there, since viewers see neither.
func (u *Up) statElsewhere(ctx context.Context, bucket, key string) (verify.Object, bool, error) {
	base, host, known := u.serverOf(bucket)
	if !known {
		return verify.Object{}, false, fmt.Errorf("no distribution here has the bucket %s as an origin", bucket)
	}
	ctx, cancel := context.WithTimeout(ctx, askElsewhere)
	defer cancel()
	at := strings.TrimSuffix(base, "/") + freshet.KeyPaths(key)[0] // S3 takes a plus sign for a space
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, at, http.NoBody)
	if err != nil {
		return verify.Object{}, false, fmt.Errorf("ask for %s of %s: %w", key, bucket, err)
	}
	req.Host = host
	resp, err := u.toBucket.RoundTrip(req)
	if err != nil {
		return verify.Object{}, false, fmt.Errorf("ask for %s of %s: %w", key, bucket, err)
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		o := verify.Object{ETag: strings.Trim(resp.Header.Get("ETag"), `"`), Size: resp.ContentLength}
		o.Modified, _ = http.ParseTime(resp.Header.Get("Last-Modified"))
		return o, true, nil
	case http.StatusNotFound, http.StatusForbidden:
		return verify.Object{}, false, nil
	}
	return verify.Object{}, false, fmt.Errorf("ask for %s of %s: %s", key, bucket, resp.Status)
}

// serverOf finds where a bucket elsewhere is, and by which name.
func (u *Up) serverOf(bucket string) (base, host string, known bool) {
	instead := u.origins()
	for _, d := range u.catalog.Distributions() {
		for _, o := range d.Config.Origins {
			if name, ok := o.Bucket(); !ok || name != bucket {
				continue
			}
			if server := instead[strings.ToLower(o.DomainName)]; server != "" {
				return server, o.DomainName, true
			}
			base, host, known = "https://"+o.DomainName, o.DomainName, true
		}
	}
	return base, host, known
}
