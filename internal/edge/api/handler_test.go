package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet/freshet/internal/edge/api"
	"github.com/freshet/freshet/internal/sigv4"
)

const (
	create = "/2020-05-31/distribution/E1PLAIN/invalidation"
	xmlns  = `xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"`
)

// batch is the body of CreateInvalidation.
func batch(reference string, paths ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<InvalidationBatch %s><CallerReference>%s</CallerReference><Paths><Quantity>%d</Quantity><Items>`, xmlns, reference, len(paths))
	for _, path := range paths {
		b.WriteString("<Path>")
		_ = xml.EscapeText(&b, []byte(path))
		b.WriteString("</Path>")
	}
	return b.String() + `</Items></Paths></InvalidationBatch>`
}

func TestErrors(t *testing.T) {
	r := open(t, &edge{}, nil)
	s := serve(t, r, nil)
	if got := send(t, s, "POST", create, batch("used", "/a")); got.status != 201 {
		t.Fatalf("got %+v", got)
	}
	many := make([]string, 3001)
	for i := range many {
		many[i] = fmt.Sprintf("/%d", i)
	}
	wild := make([]string, 16)
	for i := range wild {
		wild[i] = fmt.Sprintf("/%d*", i)
	}
	doc := func(inside string) string {
		return "<InvalidationBatch " + xmlns + ">" + inside + "</InvalidationBatch>"
	}
	const paths = "<Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths>"
	const reference = "<CallerReference>r</CallerReference>"
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"unknown distribution, create":  {"POST", "/2020-05-31/distribution/ENONE/invalidation", batch("r", "/a"), 404, "NoSuchDistribution"},
		"unknown distribution, get":     {"GET", "/2020-05-31/distribution/ENONE", "", 404, "NoSuchDistribution"},
		"unknown distribution, config":  {"GET", "/2020-05-31/distribution/ENONE/config", "", 404, "NoSuchDistribution"},
		"unknown distribution, list":    {"GET", "/2020-05-31/distribution/ENONE/invalidation", "", 404, "NoSuchDistribution"},
		"unknown distribution, get inv": {"GET", "/2020-05-31/distribution/ENONE/invalidation/I1", "", 404, "NoSuchDistribution"},
		"odd distribution":              {"GET", "/2020-05-31/distribution/a%2Fb%20%C3%A9", "", 404, "NoSuchDistribution"},
		"no distribution":               {"GET", "/2020-05-31/distribution//config", "", 404, "NoSuchDistribution"},
		"unknown invalidation":          {"GET", create + "/INONE", "", 404, "NoSuchInvalidation"},
		"tenant, create":                {"POST", "/2020-05-31/distribution-tenant/dt_1/invalidation", batch("r", "/a"), 404, "EntityNotFound"},
		"tenant, list":                  {"GET", "/2020-05-31/distribution-tenant/dt_1/invalidation", "", 404, "EntityNotFound"},
		"tenant, get":                   {"GET", "/2020-05-31/distribution-tenant/dt_1/invalidation/I1", "", 404, "EntityNotFound"},
		"no body":                       {"POST", create, "", 400, "MissingBody"},
		"blank body":                    {"POST", create, " \n", 400, "MissingBody"},
		"no XML":                        {"POST", create, "{}", 400, "MalformedInput"},
		"cut off":                       {"POST", create, doc(reference + paths)[:80], 400, "MalformedInput"},
		"two documents":                 {"POST", create, doc(reference+paths) + doc(reference+paths), 400, "MalformedInput"},
		"text behind":                   {"POST", create, doc(reference+paths) + "x", 400, "MalformedInput"},
		"other root":                    {"POST", create, "<Paths " + xmlns + "/>", 400, "MalformedInput"},
		"other namespace":               {"POST", create, strings.Replace(doc(reference+paths), "2020-05-31", "2010-11-01", 1), 400, "MalformedInput"},
		"unknown element":               {"POST", create, doc(reference + paths + "<Soft>true</Soft>"), 400, "MalformedInput"},
		"unknown element in Items":      {"POST", create, doc(reference + "<Paths><Quantity>0</Quantity><Items><Pfad>/a</Pfad></Items></Paths>"), 400, "MalformedInput"},
		"other encoding":                {"POST", create, `<?xml version="1.0" encoding="UTF-16"?>` + doc(reference+paths), 400, "MalformedInput"},
		"entity":                        {"POST", create, `<!DOCTYPE x [<!ENTITY e "/a">]>` + doc(reference+"<Paths><Quantity>1</Quantity><Items><Path>&e;</Path></Items></Paths>"), 400, "MalformedInput"},
		"no caller reference":           {"POST", create, doc(paths), 400, "MalformedXML"},
		"two caller references":         {"POST", create, doc(reference + reference + paths), 400, "MalformedXML"},
		"empty caller reference":        {"POST", create, doc("<CallerReference/>" + paths), 400, "InvalidArgument"},
		"no paths":                      {"POST", create, doc(reference), 400, "MalformedXML"},
		"paths twice":                   {"POST", create, doc(reference + paths + paths), 400, "MalformedXML"},
		"no quantity":                   {"POST", create, doc(reference + "<Paths><Items><Path>/a</Path></Items></Paths>"), 400, "MalformedXML"},
		"items twice":                   {"POST", create, doc(reference + "<Paths><Quantity>1</Quantity><Items/><Items><Path>/a</Path></Items></Paths>"), 400, "MalformedXML"},
		"quantity no number":            {"POST", create, doc(reference + "<Paths><Quantity>one</Quantity><Items><Path>/a</Path></Items></Paths>"), 400, "MalformedInput"},
		"quantity too small":            {"POST", create, doc(reference + "<Paths><Quantity>1</Quantity><Items><Path>/a</Path><Path>/b</Path></Items></Paths>"), 400, "InconsistentQuantities"},
		"quantity too large":            {"POST", create, doc(reference + "<Paths><Quantity>2</Quantity><Items><Path>/a</Path></Items></Paths>"), 400, "InconsistentQuantities"},
		"quantity without items":        {"POST", create, doc(reference + "<Paths><Quantity>1</Quantity></Paths>"), 400, "InconsistentQuantities"},
		"nothing to invalidate":         {"POST", create, doc(reference + "<Paths><Quantity>0</Quantity></Paths>"), 400, "InvalidArgument"},
		"empty items":                   {"POST", create, batch("r"), 400, "InvalidArgument"},
		"bad path":                      {"POST", create, batch("r", "/a", "b"), 400, "InvalidArgument"},
		"space around a path":           {"POST", create, batch("r", " /a"), 400, "InvalidArgument"},
		"tag":                           {"POST", create, batch("r", "#a"), 400, "InvalidArgument"},
		"too many paths":                {"POST", create, batch("r", many...), 413, "BatchTooLarge"},
		"too many wildcards":            {"POST", create, batch("r", wild...), 400, "TooManyInvalidationsInProgress"},
		"more than 16 MiB":              {"POST", create, strings.Repeat(" ", api.MaxBody+1), 413, "BatchTooLarge"},
		"reference used":                {"POST", create, batch("used", "/b"), 400, "InvalidArgument"},
		"MaxItems 0":                    {"GET", create + "?MaxItems=0", "", 400, "InvalidArgument"},
		"MaxItems -1":                   {"GET", create + "?MaxItems=-1", "", 400, "InvalidArgument"},
		"MaxItems x":                    {"GET", create + "?MaxItems=x", "", 400, "InvalidArgument"},
		"MaxItems empty":                {"GET", create + "?MaxItems=", "", 400, "InvalidArgument"},
		"MaxItems x, distributions":     {"GET", "/2020-05-31/distribution?MaxItems=x", "", 400, "InvalidArgument"},
		"unknown marker":                {"GET", create + "?Marker=INONE", "", 400, "InvalidArgument"},
		"unknown route":                 {"GET", "/2020-05-31/streaming", "", 400, "UnsupportedOperation"},
		"root":                          {"GET", "/", "", 400, "UnsupportedOperation"},
		"other version":                 {"GET", "/2010-11-01/distribution", "", 400, "UnsupportedOperation"},
		"version only":                  {"GET", "/2020-05-31", "", 400, "UnsupportedOperation"},
		"trailing slash":                {"GET", "/2020-05-31/distribution/E1PLAIN/", "", 400, "UnsupportedOperation"},
		"other method":                  {"DELETE", create, "", 400, "UnsupportedOperation"},
		"put":                           {"PUT", "/2020-05-31/distribution/E1PLAIN", "<a/>", 400, "UnsupportedOperation"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, send(t, s, tt.method, tt.path, tt.body), tt.status, tt.code)
		})
	}
	if page, err := r.List("E1PLAIN", "", 10); err != nil || len(page.Invalidations) != 1 {
		t.Errorf("after all these errors: %+v, %v", page, err)
	}
}

func wantError(t *testing.T, got response, status int, code string) {
	t.Helper()
	var doc struct {
		XMLName xml.Name `xml:"http://cloudfront.amazonaws.com/doc/2020-05-31/ ErrorResponse"`
		Error   struct {
			Type, Code, Message string
		}
		RequestId string // CloudFront's spelling
	}
	if err := xml.Unmarshal([]byte(got.body), &doc); err != nil {
		t.Fatalf("%d %q: %v", got.status, got.body, err)
	}
	kind := "Sender"
	if status >= 500 {
		kind = "Receiver"
	}
	if got.status != status || doc.Error.Code != code || doc.Error.Type != kind || doc.Error.Message == "" || len(doc.Error.Message) > 600 {
		t.Errorf("got %d %+v, want %d %s", got.status, doc, status, code)
	}
	if id := got.header.Get("x-amzn-RequestId"); id == "" || doc.RequestId != id {
		t.Errorf("request ID %q in the header, %q in the body", id, doc.RequestId)
	}
	if kind := got.header.Get("Content-Type"); kind != "text/xml" {
		t.Errorf("content type %q", kind)
	}
}

func TestSignatureIsAskedForFirst(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	for _, path := range []string{"/", create, "/2020-05-31/distribution/ENONE"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, do(t, s, r), 403, "MissingAuthenticationToken")
	}
}

func TestCreateAnswer(t *testing.T) {
	e := &edge{}
	defer e.hold()()
	s := serve(t, open(t, e, nil), nil)
	got := send(t, s, "POST", create, batch("r&amp;", "/a", "/b?x=1&y=<"))
	if got.status == 201 {
		t.Fatal("a < in a path was accepted")
	}
	got = send(t, s, "POST", create, batch("r&amp;", "/a", "/b?x=1&y=2"))
	want := regexp.MustCompile(`^<\?xml version="1.0"\?>\n<Invalidation ` + xmlns + `><Id>(I[A-Z0-9]{13})</Id><Status>InProgress</Status>` +
		`<CreateTime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z</CreateTime><InvalidationBatch><Paths><Quantity>2</Quantity><Items><Path>/a</Path><Path>/b\?x=1&amp;y=2</Path></Items></Paths>` +
		`<CallerReference>r&amp;</CallerReference></InvalidationBatch></Invalidation>$`)
	match := want.FindStringSubmatch(got.body)
	if got.status != 201 || match == nil {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if location := got.header.Get("Location"); location != s.URL+create+"/"+match[1] {
		t.Errorf("Location %q", location)
	}
	if again := send(t, s, "POST", create, batch("r&amp;", "/b?x=1&y=2", "/a")); again.status != 201 || again.body != got.body || again.header.Get("Location") != got.header.Get("Location") {
		t.Errorf("repeated: %+v", again)
	}
	if found := send(t, s, "GET", create+"/"+match[1], ""); found.status != 200 || found.body != got.body {
		t.Errorf("found: %+v", found)
	}
}

func TestAcceptedSpellingsOfABatch(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	const reference, quantity, items = "<CallerReference>r</CallerReference>", "<Quantity>1</Quantity>", "<Items><Path>/a</Path></Items>"
	var first string
	for _, body := range []string{
		"<InvalidationBatch " + xmlns + ">" + reference + "<Paths>" + items + quantity + "</Paths></InvalidationBatch>",
		"<InvalidationBatch " + xmlns + "><Paths>" + quantity + items + "</Paths>" + reference + "</InvalidationBatch>",
		"<InvalidationBatch>" + reference + "<Paths>" + quantity + items + "</Paths></InvalidationBatch>",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- c --><f:InvalidationBatch " + strings.Replace(xmlns, "xmlns", "xmlns:f", 1) + ">\n <f:CallerReference>r</f:CallerReference>\n <f:Paths><f:Quantity> 1\n</f:Quantity><f:Items><f:Path><![CDATA[/a]]></f:Path></f:Items></f:Paths>\n</f:InvalidationBatch>\n<!-- c -->\n",
	} {
		got := send(t, s, "POST", create, body)
		id := regexp.MustCompile("<Id>.*</Id>").FindString(got.body)
		if got.status != 201 || first != "" && id != first {
			t.Errorf("%s: %+v", body, got)
		}
		first = id
	}
}

func TestListAnswers(t *testing.T) {
	e := &edge{}
	defer e.hold()()
	s := serve(t, open(t, e, nil), nil)
	empty := `<InvalidationList ` + xmlns + `><Marker></Marker><MaxItems>100</MaxItems><IsTruncated>false</IsTruncated><Quantity>0</Quantity></InvalidationList>`
	if got := send(t, s, "GET", create, ""); got.status != 200 || !strings.HasSuffix(got.body, empty) {
		t.Errorf("empty: %+v", got)
	}
	for n := range 3 {
		send(t, s, "POST", create, batch(fmt.Sprint(n), "/a"))
	}
	got := send(t, s, "GET", create+"?MaxItems=2", "")
	want := regexp.MustCompile(`<Marker></Marker><NextMarker>(I\w+)</NextMarker><MaxItems>2</MaxItems><IsTruncated>true</IsTruncated><Quantity>2</Quantity><Items><InvalidationSummary><Id>\w+</Id><CreateTime>[^<]+</CreateTime><Status>InProgress</Status></InvalidationSummary><InvalidationSummary><Id>(I\w+)</Id>`)
	match := want.FindStringSubmatch(got.body)
	if got.status != 200 || match == nil || match[1] != match[2] {
		t.Fatalf("first page: %+v", got)
	}
	got = send(t, s, "GET", create+"?MaxItems=1000&Marker="+match[1], "")
	if want := "<Marker>" + match[1] + "</Marker><MaxItems>100</MaxItems><IsTruncated>false</IsTruncated><Quantity>1</Quantity>"; !strings.Contains(got.body, want) {
		t.Errorf("second page: %+v", got)
	}
	if got := send(t, s, "GET", "/2020-05-31/distribution/E1PLAIN", ""); !strings.Contains(got.body, "<InProgressInvalidationBatches>3</InProgressInvalidationBatches>") {
		t.Errorf("the distribution does not count them: %+v", got)
	}
}

func TestDistributionPages(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	var ids []string
	for _, query := range []string{"?MaxItems=1", "?MaxItems=1&Marker=E1PLAIN"} {
		got := send(t, s, "GET", "/2020-05-31/distribution"+query, "")
		ids = append(ids, regexp.MustCompile("<NextMarker>.*</NextMarker>").FindString(got.body),
			regexp.MustCompile("<DistributionSummary><Id>[^<]*").FindString(got.body))
	}
	want := []string{"<NextMarker>E1PLAIN</NextMarker>", "<DistributionSummary><Id>E1PLAIN", "", "<DistributionSummary><Id>E2RICH"}
	if !slices.Equal(ids, want) {
		t.Errorf("got %q", ids)
	}
}

func TestETagFollowsTheConfiguration(t *testing.T) {
	config := distributions()
	r := open(t, &edge{}, nil)
	s := serve(t, r, nil)
	etag := func(path string) string {
		return send(t, s, "GET", "/2020-05-31/distribution/"+path, "").header.Get("ETag")
	}
	plain := etag("E1PLAIN")
	if !regexp.MustCompile(`^E[A-Z0-9]{13}$`).MatchString(plain) || plain != etag("E1PLAIN/config") || plain == etag("E2RICH") {
		t.Errorf("ETag %q", plain)
	}
	config[1].Config.Comment = "changed"
	if got := send(t, serve(t, open(t, &edge{}, func(c *api.RegisterConfig) { c.Distributions = func() []dist { return config } }), nil), "GET", "/2020-05-31/distribution/E1PLAIN", "").header.Get("ETag"); got == plain {
		t.Error("another configuration has the same ETag")
	}
}

func TestHandlerNeedsCredentials(t *testing.T) {
	r := open(t, &edge{}, nil)
	for _, cfg := range []api.HandlerConfig{{}, {Register: r}, {Register: r, Credentials: sigv4.Credentials{AccessKeyID: "a"}},
		{Register: r, Credentials: sigv4.Credentials{Secret: "s"}}, {Credentials: sigv4.Credentials{AccessKeyID: "a", Secret: "s"}}} {
		if _, err := api.NewHandler(cfg); err == nil {
			t.Errorf("%+v made a handler", cfg)
		}
	}
}

func TestFaults(t *testing.T) {
	e := &edge{}
	r := open(t, e, nil)
	var next api.Fault
	var asked []string
	s := serve(t, r, func(c *api.HandlerConfig) {
		c.Fault = func(operation string) api.Fault { asked = append(asked, operation); return next }
	})
	next = api.Fault{Err: api.ErrThrottled()}
	wantError(t, send(t, s, "POST", create, batch("r", "/a")), 400, "Throttling")
	next = api.Fault{Err: api.ErrUnavailable()}
	wantError(t, send(t, s, "GET", create, ""), 503, "ServiceUnavailable")
	if len(e.seen()) != 0 {
		t.Errorf("the edge was told %v", e.seen())
	}
	next = api.Fault{LoseAnswer: true}
	lost := signed(t, s, "POST", create, batch("r", "/a"))
	if answer, err := s.Client().Do(lost); err == nil {
		_ = answer.Body.Close()
		t.Errorf("a lost answer arrived: %d", answer.StatusCode)
	}
	eventually(t, "what the lost answer was about", func() bool { return len(e.seen()) == 1 })
	next = api.Fault{}
	if got := send(t, s, "POST", create, batch("r", "/a")); got.status != 201 {
		t.Errorf("repeated: %+v", got)
	}
	if page, _ := r.List("E1PLAIN", "", 10); len(page.Invalidations) != 1 {
		t.Errorf("%d invalidations", len(page.Invalidations))
	}
	if want := []string{"CreateInvalidation", "ListInvalidations", "CreateInvalidation", "CreateInvalidation"}; !slices.Equal(asked, want) {
		t.Errorf("asked for faults of %v", asked)
	}
}

func TestDelayIsServedAndEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := api.Open(context.Background(), api.RegisterConfig{Distributions: distributions, Invalidator: &edge{}, Log: &api.MemoryLog{}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		h, err := api.NewHandler(api.HandlerConfig{Register: r, Credentials: sigv4.Credentials{AccessKeyID: keyID, Secret: secret},
			Fault: func(string) api.Fault { return api.Fault{Delay: time.Minute} }})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(ctx context.Context) time.Duration {
			request := httptest.NewRequest(http.MethodGet, create, nil).WithContext(ctx)
			sign(t, request, "")
			begun := time.Now()
			h.ServeHTTP(httptest.NewRecorder(), request)
			return time.Since(begun)
		}
		if took := ask(context.Background()); took != time.Minute {
			t.Errorf("took %v of fake time", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if took := ask(ctx); took != time.Second {
			t.Errorf("took %v of fake time", took)
		}
	})
}

// A client that stops in the middle of its body is not answered with a verdict
// on its signature.
func TestTornBody(t *testing.T) {
	h, err := api.NewHandler(api.HandlerConfig{Register: open(t, &edge{}, nil), Credentials: sigv4.Credentials{AccessKeyID: keyID, Secret: secret}})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, create, io.MultiReader(strings.NewReader("<a"), torn{}))
	sign(t, request, "<a")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	wantError(t, response{w.Code, w.Header(), w.Body.String()}, 503, "ServiceUnavailable")
}

type torn struct{}

func (torn) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A client that sends everything before it looks at the answer gets one.
func TestAnswerToABodyThatIsTooLong(t *testing.T) {
	s := serve(t, open(t, &edge{}, nil), nil)
	body := strings.Repeat("x", api.MaxBody+1<<20)
	r := signed(t, s, http.MethodPost, create, body)
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.Copy(conn, &text); err != nil {
		t.Fatalf("send: %v", err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(said), "<Code>BatchTooLarge</Code>") {
		t.Errorf("%d %s, %v", answer.StatusCode, said, err)
	}
}
