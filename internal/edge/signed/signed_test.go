package signed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Unix(1_800_000_000, 0)

const url = "https://d1.cloudfront.net/a.css?v=1"

type signer struct {
	rsa   *rsa.PrivateKey
	ecdsa *ecdsa.PrivateKey
	keys  *Keys
}

func text(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := NewKeys(map[string]string{"KRSA": text(t, r.Public()), "KEC": text(t, e.Public())})
	if err != nil {
		t.Fatal(err)
	}
	return &signer{r, e, keys}
}

func encode(b []byte) string {
	return strings.NewReplacer("+", "-", "=", "_", "/", "~").Replace(base64.StdEncoding.EncodeToString(b))
}

// sign returns the parameters of a signature of text.
func (s *signer) sign(t testing.TB, id, hash, text string) string {
	t.Helper()
	h := crypto.SHA1
	sum := sha1.Sum([]byte(text))
	digest := sum[:]
	if hash == "SHA256" {
		longer := sha256.Sum256([]byte(text))
		h, digest = crypto.SHA256, longer[:]
	}
	var out []byte
	var err error
	if id == "KEC" {
		out, err = ecdsa.SignASN1(rand.Reader, s.ecdsa, digest)
	} else {
		out, err = rsa.SignPKCS1v15(rand.Reader, s.rsa, h, digest)
	}
	if err != nil {
		t.Fatal(err)
	}
	q := "Signature=" + encode(out) + "&Key-Pair-Id=" + id
	if hash != "" {
		q += "&Hash-Algorithm=" + hash
	}
	return q
}

func (s *signer) canned(t testing.TB, id, hash string, until time.Time) string {
	return fmt.Sprintf("v=1&Expires=%d&", until.Unix()) + s.sign(t, id, hash, fmt.Sprintf(`{"Statement":[{"Resource":"%s","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, url, until.Unix()))
}

func (s *signer) custom(t testing.TB, policy string) string {
	return "v=1&Policy=" + encode([]byte(policy)) + "&" + s.sign(t, "KRSA", "", policy)
}

func asking(query string) Request {
	return Request{URLs: []string{url}, Query: query, Viewer: netip.MustParseAddr("192.0.2.7"), Now: now}
}

// cookies turns the parameters of a URL into the cookies that mean the same.
func cookies(query string) []string {
	var pairs []string
	for _, p := range strings.Split(query, "&") {
		pairs = append(pairs, "CloudFront-"+p)
	}
	return []string{"other=1; " + strings.Join(pairs, "; ")}
}

func expect(t *testing.T, name string, got *Denial, code string) {
	t.Helper()
	if (got == nil) != (code == "") || got != nil && got.Code != code {
		t.Errorf("%s: %v, want %q", name, got, code)
	}
}

// A canned policy is for one URL until one date; RSA and ECDSA, SHA-1 and
// SHA-256; in the URL or in cookies.
func TestCannedPolicy(t *testing.T) {
	s := newSigner(t)
	for _, id := range []string{"KRSA", "KEC"} {
		for _, hash := range []string{"", "SHA1", "SHA256"} {
			good, late := s.canned(t, id, hash, now.Add(time.Second)), s.canned(t, id, hash, now)
			expect(t, id+hash, s.keys.Check(asking(good)), "")
			expect(t, id+hash+" expired", s.keys.Check(asking(late)), "AccessDenied")
			for name, query := range map[string]string{good: "", late: "AccessDenied"} {
				r := asking("v=1")
				r.Cookies = cookies(name)
				expect(t, id+hash+" in cookies", s.keys.Check(r), query)
			}
			r := asking(good)
			r.URLs = []string{"https://d1.cloudfront.net/b.css?v=1"}
			expect(t, id+hash+" for another URL", s.keys.Check(r), "AccessDenied")
			r.URLs = append(r.URLs, url)
			expect(t, id+hash+" for one of the spellings", s.keys.Check(r), "")
		}
	}
	good := s.canned(t, "KRSA", "SHA256", now.Add(time.Hour))
	for name, tt := range map[string]struct{ query, code string }{
		"nothing":            {"v=1", "MissingKey"},
		"no key":             {"Expires=1&Signature=x", "MissingKey"},
		"unknown key":        {strings.Replace(good, "KRSA", "K2", 1), "InvalidKey"},
		"the other key":      {strings.Replace(good, "KRSA", "KEC", 1), "AccessDenied"},
		"no signature":       {"Expires=1&Key-Pair-Id=KRSA", "MissingSignature"},
		"no policy":          {"Signature=x&Key-Pair-Id=KRSA", "MissingPolicy"},
		"no base64":          {"Expires=1&Signature=!&Key-Pair-Id=KRSA", "MalformedSignature"},
		"plain base64":       {"Expires=1&Signature=ab+=&Key-Pair-Id=KRSA", "MalformedSignature"},
		"later than signed":  {strings.Replace(good, "Expires=1", "Expires=2", 1), "AccessDenied"},
		"a date that is not": {strings.Replace(good, "Expires=1", "Expires=-1", 1), "MalformedPolicy"},
		"another hash":       {strings.Replace(good, "SHA256", "SHA1", 1), "AccessDenied"},
		"an unknown hash":    {strings.Replace(good, "SHA256", "MD5", 1), "AccessDenied"},
	} {
		expect(t, name, s.keys.Check(asking(tt.query)), tt.code)
	}
	bad := asking("Expires=1&Signature=x&Key-Pair-Id=K2")
	bad.Cookies = cookies(good)
	expect(t, "the URL counts before the cookies", s.keys.Check(bad), "InvalidKey")
}

// A custom policy has wildcards, a beginning, an end and addresses.
func TestCustomPolicy(t *testing.T) {
	s := newSigner(t)
	later, earlier := now.Add(time.Hour).Unix(), now.Add(-time.Hour).Unix()
	statement := func(resource, more string) string {
		return fmt.Sprintf(`{"Statement": [{"Resource":%q,"Condition":{"DateLessThan":{"AWS:EpochTime":%d}%s}}]}`, resource, later, more)
	}
	for name, tt := range map[string]struct{ policy, code string }{
		"exactly":             {statement(url, ""), ""},
		"a wildcard":          {statement("https://d1.cloudfront.net/*", ""), ""},
		"everything":          {statement("*", ""), ""},
		"any protocol":        {statement("http*://d1.cloudfront.net/a.*", ""), ""},
		"a single character":  {statement("https://d1.cloudfront.net/?.css?v=1", ""), ""},
		"no resource":         {fmt.Sprintf(`{"Statement":[{"Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, later), ""},
		"another folder":      {statement("https://d1.cloudfront.net/b/*", ""), "AccessDenied"},
		"without the query":   {statement("https://d1.cloudfront.net/a.css", ""), "AccessDenied"},
		"letter case":         {statement("https://d1.cloudfront.net/A.css*", ""), "AccessDenied"},
		"begun":               {statement("*", fmt.Sprintf(`,"DateGreaterThan":{"AWS:EpochTime":%d}`, earlier)), ""},
		"not begun":           {statement("*", fmt.Sprintf(`,"DateGreaterThan":{"AWS:EpochTime":%d}`, now.Unix())), "AccessDenied"},
		"expired":             {fmt.Sprintf(`{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":%d}}}]}`, earlier), "AccessDenied"},
		"the address":         {statement("*", `,"IpAddress":{"AWS:SourceIp":"192.0.2.7"}`), ""},
		"its range":           {statement("*", `,"IpAddress":{"AWS:SourceIp":"192.0.2.0/24"}`), ""},
		"every range":         {statement("*", `,"IpAddress":{"AWS:SourceIp":"0.0.0.0/0"}`), ""},
		"another address":     {statement("*", `,"IpAddress":{"AWS:SourceIp":"192.0.2.8/32"}`), "AccessDenied"},
		"no address":          {statement("*", `,"IpAddress":{"AWS:SourceIp":"home"}`), "MalformedPolicy"},
		"an unknown operator": {statement("*", `,"Bool":{"x":true}`), "MalformedPolicy"},
		"no end":              {`{"Statement":[{"Resource":"*","Condition":{}}]}`, "MalformedPolicy"},
		"two statements":      {strings.Replace(statement("*", ""), "[{", `[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1}}},{`, 1), "MalformedPolicy"},
		"no statement":        {`{"Statement":[]}`, "MalformedPolicy"},
		"no JSON":             {`hello`, "MalformedPolicy"},
		"JSON and more":       {statement("*", "") + "x", "MalformedPolicy"},
		"a time that is none": {`{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":1.5}}}]}`, "MalformedPolicy"},
	} {
		query := s.custom(t, tt.policy)
		expect(t, name, s.keys.Check(asking(query)), tt.code)
		r := asking("v=1")
		r.Cookies = cookies(query)
		expect(t, name+", in cookies", s.keys.Check(r), tt.code)
	}
	forged := strings.Replace(s.custom(t, statement(url, "")), "Policy=", "Policy="+encode([]byte(statement("*", "")))+"&Policy=", 1)
	expect(t, "a policy that is not the signed one", s.keys.Check(asking(forged)), "AccessDenied")
	expect(t, "a policy that is no base64", s.keys.Check(asking("Policy=!&Signature=&Key-Pair-Id=KRSA&Signature=AAAA")), "MalformedPolicy")
	mapped := asking(s.custom(t, statement("*", `,"IpAddress":{"AWS:SourceIp":"192.0.2.7"}`)))
	mapped.Viewer = netip.MustParseAddr("::ffff:192.0.2.7")
	expect(t, "a mapped address", s.keys.Check(mapped), "")
}

func TestStrip(t *testing.T) {
	for query, want := range map[string]string{
		"": "", "a=1": "a=1", "a=1&&b": "a=1&&b", "Expires=1&Signature=x&Key-Pair-Id=k": "", "a=1&Expires=2&b=3&Policy=p&Hash-Algorithm=SHA256&c": "a=1&b=3&c",
		"expires=1&Expired=2": "expires=1&Expired=2",
	} {
		if got := StripQuery(query); got != want {
			t.Errorf("%q became %q, want %q", query, got, want)
		}
	}
	for line, want := range map[string]string{
		"": "", "a=1; b=2": "a=1; b=2", "a=1;b=2": "a=1;b=2", "CloudFront-Policy=p; a=1;CloudFront-Signature=s; CloudFront-Key-Pair-Id=k;b=2": "a=1; b=2",
		"CloudFront-Expires=1": "", "CloudFront-Other=1; Policy=2": "CloudFront-Other=1; Policy=2",
	} {
		if got := StripCookie(line); got != want {
			t.Errorf("%q became %q, want %q", line, got, want)
		}
	}
}

func TestNewKeysRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{"nothing": "", "another curve": text(t, p384.Public()), "no key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))} {
		if _, err := NewKeys(map[string]string{"K": key}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestDenialXML(t *testing.T) {
	want := `<?xml version="1.0" encoding="UTF-8"?><Error><Code>MissingKey</Code><Message>Missing Key-Pair-Id query parameter or cookie value</Message></Error>`
	if got := newSigner(t).keys.Check(asking("")).XML(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What the AWS CLI signs is accepted.
func TestSignedByTheAWSCLI(t *testing.T) {
	cli, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("the AWS CLI is not installed")
		}
		t.Skip("the AWS CLI is not installed")
	}
	s := newSigner(t)
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.rsa)}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{nil, {"--date-greater-than", "2020-01-01", "--ip-address", "192.0.2.0/24"}} {
		args := append([]string{"cloudfront", "sign", "--url", url, "--key-pair-id", "KRSA", "--private-key", "file://" + file, "--date-less-than", "2038-01-01"}, more...)
		out, err := exec.CommandContext(t.Context(), cli, args...).Output()
		if err != nil {
			t.Fatalf("aws cloudfront sign: %v", err)
		}
		_, query, _ := strings.Cut(strings.TrimSpace(string(out)), "?")
		expect(t, string(out), s.keys.Check(asking(query)), "")
		if StripQuery(query) != "v=1" {
			t.Errorf("%s was stripped to %s", query, StripQuery(query))
		}
		r := asking(query)
		r.Now = time.Date(2039, 1, 1, 0, 0, 0, 0, time.UTC)
		expect(t, string(out), s.keys.Check(r), "AccessDenied")
	}
}

// No request makes it panic, and none without a signature passes.
func FuzzCheck(f *testing.F) {
	s := newSigner(f)
	f.Add("Expires=1&Signature=AAAA&Key-Pair-Id=KRSA", "CloudFront-Policy=e30_")
	f.Fuzz(func(t *testing.T, query, cookie string) {
		r := asking(query)
		r.Cookies = []string{cookie}
		if s.keys.Check(r) == nil {
			t.Errorf("%q, %q", query, cookie)
		}
		if again := StripQuery(StripQuery(query)); again != StripQuery(query) {
			t.Errorf("%q is stripped to %q and then to %q", query, StripQuery(query), again)
		}
		_, _ = readPolicy([]byte(query))
	})
}
