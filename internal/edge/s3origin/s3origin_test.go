package s3origin_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/freshet/freshet/internal/edge/s3origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "wJalrXUtnFEMI"

// rawServer is an S3 API that sees request lines as they come over the wire.
type rawServer struct {
	url  string
	seen chan seen
}

// seen is one request as it was received.
type seen struct {
	target string
	header http.Header
	host   string
}

// listen answers one request per connection with 200 and "object".
func listen(t *testing.T) *rawServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{url: "http://" + l.Addr().String(), seen: make(chan seen, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.answer(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return s
}

func (s *rawServer) answer(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	got := seen{target: strings.Fields(line)[1], header: make(http.Header)}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok {
			break
		}
		got.header.Add(name, strings.TrimSpace(value))
	}
	got.host = got.header.Get("Host")
	s.seen <- got
	io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nobject")
}

// verify recomputes the signature over the target as it was received, by the
// published algorithm and not by the SDK.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func (s seen) verify(t *testing.T, method string) {
	t.Helper()
	scope, signed, signature := "", "", ""
	for field := range strings.SplitSeq(strings.TrimPrefix(s.header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ", ") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "Credential":
			_, scope, _ = strings.Cut(value, "/")
		case "SignedHeaders":
			signed = value
		case "Signature":
			signature = value
		}
	}
	path, query, _ := strings.Cut(s.target, "?")
	canonical := method + "\n" + path + "\n" + query + "\n"
	for name := range strings.SplitSeq(signed, ";") {
		value := s.header.Get(name)
		if name == "host" {
			value = s.host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + signed + "\n" + s.header.Get("X-Amz-Content-Sha256")
	sum := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + s.header.Get("X-Amz-Date") + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	if want := hex.EncodeToString(mac(key, text)); signature != want {
		t.Errorf("signature of %s is %s, want %s", s.target, signature, want)
	}
	for _, name := range []string{"host", "x-amz-content-sha256", "x-amz-date"} {
		if !slices.Contains(strings.Split(signed, ";"), name) {
			t.Errorf("%s is not signed", name)
		}
	}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, text)
	return h.Sum(nil)
}

func transport(t *testing.T, endpoint string) *s3origin.Transport {
	wire := &http.Transport{DisableCompression: true}
	t.Cleanup(wire.CloseIdleConnections)
	tr, err := s3origin.New(s3origin.Config{
		Endpoint: endpoint, Bucket: "my-bucket", Credentials: credentials.NewStaticCredentialsProvider("AKID", secret, ""), Transport: wire,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// request spells the path as a viewer did.
func request(t *testing.T, method, path string) *http.Request {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://elsewhere.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Path, r.URL.RawPath = decoded, path
	return r
}

// Keys reach the store unharmed, over the wire, with a signature over what was
// sent.
func TestKeysOnTheWire(t *testing.T) {
	long := strings.Repeat("k", 1000)
	tests := []struct{ path, key, target string }{
		{"/a.css", "a.css", "/my-bucket/a.css"},
		{"/a//b", "a//b", "/my-bucket/a//b"},
		{"//b", "/b", "/my-bucket//b"},
		{"/x/../y", "x/../y", "/my-bucket/x/../y"},
		{"/x/./y/", "x/./y/", "/my-bucket/x/./y/"},
		{"/" + long, long, "/my-bucket/" + long},
		{"/%C3%A9.png", "é.png", "/my-bucket/%C3%A9.png"},
		{"/%c3%a9.png", "é.png", "/my-bucket/%C3%A9.png"},
		{"/50%25.txt", "50%.txt", "/my-bucket/50%25.txt"},
		{"/%2525", "%25", "/my-bucket/%2525"},
		{"/what%3F", "what?", "/my-bucket/what%3F"},
		{"/a+b", "a b", "/my-bucket/a%20b"},
		{"/a%20b", "a b", "/my-bucket/a%20b"},
		{"/c%2B%2B", "c++", "/my-bucket/c%2B%2B"},
		{"/%61%2Fb", "a/b", "/my-bucket/a/b"},
		{"/(a)'b!,c;d=e&f@g:h$*~", "(a)'b!,c;d=e&f@g:h$*~", "/my-bucket/%28a%29%27b%21%2Cc%3Bd%3De%26f%40g%3Ah%24%2A~"},
		{"/%00%7F%FF", "\x00\x7f\xff", "/my-bucket/%00%7F%FF"},
	}
	s := listen(t)
	tr := transport(t, s.url)
	for _, tt := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			resp, err := tr.RoundTrip(request(t, method, tt.path))
			if err != nil {
				t.Fatalf("%s: %v", tt.path, err)
			}
			resp.Body.Close()
			got := <-s.seen
			if got.target != tt.target {
				t.Errorf("%s went out as %s, want %s", tt.path, got.target, tt.target)
			}
			key, err := url.PathUnescape(strings.TrimPrefix(got.target, "/my-bucket/"))
			if err != nil || key != tt.key {
				t.Errorf("%s reached the store as key %q (%v), want %q", tt.path, key, err, tt.key)
			}
			got.verify(t, method)
		}
	}
}

// Credentials fetch objects and nothing else: no listing, no policy, no other
// bucket, whatever a viewer writes.
func TestOnlyObjectsCanBeHad(t *testing.T) {
	tr := transport(t, "http://127.0.0.1:1") // nothing may be sent
	for path, status := range map[string]int{"/": 403, "": 403, "/../other/secret": 400, "/a/../../other/secret": 400, "/%2E%2E/other": 400, "/a/%2e%2e%2f..%2fother": 400, "//../other": 400} {
		resp, err := tr.RoundTrip(request(t, "GET", path))
		if err != nil {
			t.Errorf("%q: %v", path, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%q: %d, want %d", path, resp.StatusCode, status)
		}
	}
	for _, method := range []string{"DELETE", "PUT", "POST", "OPTIONS"} {
		resp, err := tr.RoundTrip(request(t, method, "/a"))
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		resp.Body.Close()
		if resp.StatusCode != 405 {
			t.Errorf("%s: %d, want 405", method, resp.StatusCode)
		}
	}

	s := listen(t)
	r := request(t, "GET", "/a")
	r.URL.RawQuery = "acl&list-type=2"
	passes := map[string]bool{
		"Range": true, "If-None-Match": true, "If-Modified-Since": true, "User-Agent": true,
		"X-Amz-Security-Token": false, "Authorization": false, "X-Amz-Server-Side-Encryption-Customer-Key": false, "X-Forwarded-For": false, "Cookie": false,
	}
	for name := range passes {
		r.Header.Set(name, "viewer's")
	}
	resp, err := transport(t, s.url).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	got := <-s.seen
	got.verify(t, "GET")
	if got.target != "/my-bucket/a" {
		t.Errorf("sent %s", got.target)
	}
	for name, sent := range passes {
		if (got.header.Get(name) == "viewer's") != sent {
			t.Errorf("%s: %q", name, got.header.Get(name))
		}
	}
}

func TestConfigErrors(t *testing.T) {
	valid := s3origin.Config{Endpoint: "http://127.0.0.1:9000", Bucket: "b", Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
	if _, err := s3origin.New(valid); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*s3origin.Config){
		"no endpoint": func(c *s3origin.Config) { c.Endpoint = "" }, "a path": func(c *s3origin.Config) { c.Endpoint += "/x" },
		"no bucket": func(c *s3origin.Config) { c.Bucket = "" }, "two segments": func(c *s3origin.Config) { c.Bucket = "a/b" },
		"no credentials": func(c *s3origin.Config) { c.Credentials = nil },
	} {
		c := valid
		change(&c)
		if _, err := s3origin.New(c); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add("/a%2Fb+c/../%zz")
	f.Fuzz(func(t *testing.T, path string) {
		key, err := s3origin.Key(path)
		if err != nil {
			return
		}
		// Resolving dot segments never leaves the bucket.
		var depth []string
		for segment := range strings.SplitSeq(key, "/") {
			switch segment {
			case "..":
				if len(depth) == 0 {
					t.Fatalf("%q leaves the bucket as %q", path, key)
				}
				depth = depth[:len(depth)-1]
			case ".", "":
			default:
				depth = append(depth, segment)
			}
		}
	})
}
