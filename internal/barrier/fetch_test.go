package barrier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/freshet/freshet/internal/barrier"
)

func TestURL(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	otherHost := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	var n atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "build 7\n") })
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "build 7\n")
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, otherHost+"/", http.StatusFound) })
	mux.HandleFunc("/port", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/", http.StatusFound) })
	mux.HandleFunc("/cloud", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	})
	mux.HandleFunc("/near", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/text", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		line := strings.Repeat("x", 1<<16)
		for range 1 << 10 { // ends when nobody reads on
			if _, err := io.WriteString(w, line); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, "build 7")
	})
	mux.HandleFunc("/flaps", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Version", []string{"6", "7", "6", "7", "7", "7", "7"}[min(n.Add(1)-1, 6)])
	})
	mux.HandleFunc("/tag", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", `W/"seven"`) })
	s := httptest.NewServer(mux)
	defer s.Close()
	for _, tt := range []struct {
		fact string // %s is the server
		want string // in the error; empty is success
	}{
		{`url %s/text matches "build \d"`, ""},
		{`url %s/text matches "build 8" within 1ms`, `last seen: body "build 7"`},
		{`url %s/text status 200`, ""},
		{`url %s/nothing status 200 within 1ms`, "last seen: 404 Not Found"},
		{`url %s/nothing status 404`, ""},
		{`url %s/down matches "build 7" within 1ms`, "last seen: 503"},
		{`url %s/down matches "build 7" status 503`, ""},
		{`url %s/near matches "build 7"`, ""},
		{`url %s/near status 302`, ""},
		{`url %s/away status 200 within 1ms`, "last seen: 302 Found to " + otherHost},
		{`url %s/port matches . within 1ms`, "leads away"},
		{`url %s/cloud matches . within 1ms`, "leads away"},
		{`url %s/loop matches . within 1ms`, "last seen: 302 Found to /loop"},
		{`url %s/long matches "build 7" within 1ms`, `last seen: body "xxx`},
		{`url %s/flaps header X-Version matches ^7$ times 3`, ""},
		{`url %s/text header X-Version matches . within 1ms`, `last seen: X-Version ""`},
		{`origin %s/tag etag seven`, ""},
		{`origin %s/tag etag '"seven"'`, ""},
		{`origin %s/tag etag six within 1ms`, "last seen: ETag seven"},
		{`origin %s/tag etag changed-from six`, ""},
		{`origin %s/tag etag changed-from W/"seven" within 1ms`, "last seen: ETag seven"},
		{`origin %s/text etag changed-from six within 1ms`, "without an ETag"},
		{`origin %s/down etag changed-from six within 1ms`, "503"},
		{`url http://127.0.0.1:1/ status 200 within 1ms`, "refused"},
	} {
		text := tt.fact
		if strings.Contains(text, "%s") {
			text = fmt.Sprintf(text, s.URL)
		}
		err := (&barrier.Waiter{Least: time.Minute}).Wait(t.Context(), fact(t, text))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", text, err, tt.want)
		}
	}
	if elsewhere.Load() > 0 {
		t.Error("a redirect led to another server")
	}
	if n.Load() < 6 {
		t.Errorf("three times in a row were seen after %d looks", n.Load())
	}
}

// A name that leads to such an address is found out at the connection.
func TestLinkLocalIsNotConnectedTo(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "0xA9FEA9FE", "[fe80::1]", "[fd00:ec2::254]", "[fd00:ec2::23]", "[2002:a9fe:a9fe::1]"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		transport := barrier.Transport()
		transport.Proxy = nil
		resp, err := transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if unknown := new(net.DNSError); err == nil || !strings.Contains(err.Error(), "link-local") && !errors.As(err, &unknown) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// heads notes which objects are asked for.
type heads []string

func (h *heads) HeadObject(_ context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	*h = append(*h, *in.Bucket+" "+*in.Key)
	return &s3.HeadObjectOutput{ETag: aws.String(`"x"`)}, nil
}

// An object is named by its key as it is, whatever would mean something in a URL.
func TestObjectsAreNamedByTheirKeys(t *testing.T) {
	var asked heads
	w := barrier.Waiter{Clients: barrier.Clients{S3: &asked}}
	for _, key := range []string{"a/b.html", "50%/a?b#c d.html", "%41", "/a", "a//b", "é"} {
		f, err := barrier.ParseWords([]string{"origin", "s3://bucket/" + key, "etag", "x"})
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		if err := w.Wait(t.Context(), []barrier.Fact{f}); err != nil || len(asked) != 1 || asked[0] != "bucket "+key {
			t.Errorf("%q: asked for %q, %v", key, asked, err)
		}
	}
}
