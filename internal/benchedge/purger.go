package benchedge

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // it is what nginx names its files by
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// purger invalidates at one contender, in the fastest way that its users have.
// All three return when the contender says that it is done.
type purger struct {
	how      string
	wildcard func(ctx context.Context, prefixes ...string) error // everything below any of them
	exact    func(ctx context.Context, path string) error
	tag      func(ctx context.Context, tag string) error // nil where there are no tags
	close    func()
}

// errNoTags is what a tag is answered with where there are none.
var errNoTags = errors.New("it has no tags")

func newPurger(ctx context.Context, p *process) (*purger, error) {
	switch p.name {
	case "nginx":
		return filePurger(p), nil
	case "Varnish":
		return banPurger(ctx, p)
	case ourName:
		return apiPurger(ctx, p)
	}
	return nil, fmt.Errorf("%s is not asked to invalidate here", p.name)
}

// apiPurger speaks to our CloudFront API, as the AWS CLI does, but over a
// connection that stays open.
func apiPurger(ctx context.Context, p *process) (*purger, error) {
	at, err := p.endpoints()
	if err != nil {
		return nil, err
	}
	v, err := newViewer(ctx, strings.TrimPrefix(at.API, "http://"))
	if err != nil {
		return nil, err
	}
	n := 0
	create := func(ctx context.Context, patterns ...string) error {
		n++
		var body bytes.Buffer
		fmt.Fprintf(&body, "<InvalidationBatch><CallerReference>%d-%d</CallerReference><Paths><Quantity>%d</Quantity><Items>", time.Now().UnixNano(), n, len(patterns))
		for _, each := range patterns {
			fmt.Fprintf(&body, "<Path>%s</Path>", each)
		}
		body.WriteString("</Items></Paths></InvalidationBatch>")
		const path = "/2020-05-31/distribution/E1BENCH/invalidation"
		headers, err := signed(ctx, at.API+path, body.Bytes(), at.AccessKey, at.SecretKey)
		if err != nil {
			return err
		}
		status, answer, err := v.ask("POST", path, headers+"\r\n"+body.String())
		if err == nil && status != http.StatusCreated {
			err = fmt.Errorf("the API answers %d: %s", status, answer)
		}
		return err
	}
	return &purger{
		how: "CreateInvalidation of the CloudFront API",
		wildcard: func(ctx context.Context, prefixes ...string) error {
			patterns := make([]string, len(prefixes))
			for i, prefix := range prefixes {
				patterns[i] = prefix + "*"
			}
			return create(ctx, patterns...)
		},
		exact: func(ctx context.Context, path string) error { return create(ctx, path) },
		tag:   func(ctx context.Context, tag string) error { return create(ctx, "#"+tag) },
		close: v.close,
	}, nil
}

// signed are the headers of a POST to our API, signed.
func signed(ctx context.Context, url string, body []byte, access, secret string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("make a request: %w", err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: access, SecretAccessKey: secret}, r, hex.EncodeToString(sum[:]), "cloudfront", "us-east-1", time.Now()); err != nil {
		return "", fmt.Errorf("sign a request: %w", err)
	}
	var text strings.Builder
	for name, values := range r.Header {
		fmt.Fprintf(&text, "%s: %s\r\n", name, values[0])
	}
	fmt.Fprintf(&text, "Content-Length: %d\r\n", len(body))
	return text.String(), nil
}

// banPurger has Varnish's own rules do it, as banning is in its VCL.
func banPurger(ctx context.Context, p *process) (*purger, error) {
	v, err := newViewer(ctx, p.addr)
	if err != nil {
		return nil, err
	}
	say := func(method, header, value string) error {
		status, answer, err := v.ask(method, "/", header+": "+value+"\r\n")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%s is answered with %d: %s", method, status, answer)
		}
		return err
	}
	banned := &purger{
		how: "a ban for each, by a request",
		wildcard: func(_ context.Context, prefixes ...string) error {
			for _, prefix := range prefixes {
				if err := say("BAN", "X-Ban", "^"+regexp.QuoteMeta(prefix)); err != nil {
					return err
				}
			}
			return nil
		},
		exact: func(_ context.Context, path string) error { return say("BAN", "X-Ban", "^"+regexp.QuoteMeta(path)+"$") },
		close: v.close,
	}
	if xkeyInstalled() {
		banned.tag = func(_ context.Context, tag string) error { return say("XKEY", "X-Tag", tag) }
	}
	return banned, nil
}

// xkeyInstalled reports whether Varnish has its module of tags.
func xkeyInstalled() bool {
	found, _ := filepath.Glob("/usr/lib/*/varnish/vmods/libvmod_xkey.so")
	return len(found) > 0
}

// filePurger removes nginx's files: it has no other way in the form that is free.
func filePurger(p *process) *purger {
	cache := filepath.Join(p.dir, "cache")
	return &purger{
		how: "finding and removing its files",
		wildcard: func(_ context.Context, prefixes ...string) error {
			keys := make([][]byte, len(prefixes))
			for i, prefix := range prefixes {
				keys[i] = []byte("\nKEY: " + hostOf(p.addr) + prefix)
			}
			return filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return nil //nolint:nilerr // nginx removes files, too
				}
				return removeIf(path, keys)
			})
		},
		exact: func(_ context.Context, path string) error {
			name := nginxFile(hostOf(p.addr) + path)
			if err := os.Remove(filepath.Join(cache, name[31:], name[29:31], name)); err != nil {
				return fmt.Errorf("remove a file: %w", err)
			}
			return nil
		},
		close: func() {},
	}
}

// hostOf is what nginx calls a host, which is without its port.
func hostOf(addr string) string {
	host, _, _ := strings.Cut(addr, ":")
	return host
}

// nginxFile is the name of the file that nginx keeps a key in.
func nginxFile(key string) string {
	sum := md5.Sum([]byte(key))
	return hex.EncodeToString(sum[:])
}

// removeIf removes a file of nginx's cache whose key begins like one of keys.
func removeIf(path string, keys [][]byte) error {
	f, err := os.Open(path)
	if err != nil {
		return nil //nolint:nilerr // it is gone
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 1024)
	n, _ := f.Read(head)
	for _, key := range keys {
		if bytes.Contains(head[:n], key) {
			_ = os.Remove(path) // by whomever
			return nil
		}
	}
	return nil
}
