package lambdatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Limits of what is read.
const maxBody = 80 << 20

// failure is an error as Lambda answers it.
type failure struct {
	status  int
	code    string
	message string
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func refuse(status int, code, format string, args ...any) *failure {
	return &failure{status, code, fmt.Sprintf(format, args...)}
}

// routes are the operations with method and path.
// https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
func routes() []route {
	const name = `/functions/([^/]+)`
	return []route{
		{"GetFunction", http.MethodGet, regexp.MustCompile(`^/2015-03-31` + name + `$`), (*Lambda).getFunction},
		{"GetFunctionConfiguration", http.MethodGet, regexp.MustCompile(`^/2015-03-31` + name + `/configuration$`), (*Lambda).getConfiguration},
		{"UpdateFunctionCode", http.MethodPut, regexp.MustCompile(`^/2015-03-31` + name + `/code$`), (*Lambda).updateCode},
		{"PublishVersion", http.MethodPost, regexp.MustCompile(`^/2015-03-31` + name + `/versions$`), (*Lambda).publishVersion},
		{"GetAlias", http.MethodGet, regexp.MustCompile(`^/2015-03-31` + name + `/aliases/([^/]+)$`), (*Lambda).getAlias},
		{"UpdateAlias", http.MethodPut, regexp.MustCompile(`^/2015-03-31` + name + `/aliases/([^/]+)$`), (*Lambda).updateAlias},
		{"GetProvisionedConcurrencyConfig", http.MethodGet, regexp.MustCompile(`^/2019-09-30` + name + `/provisioned-concurrency$`), (*Lambda).getProvisioned},
	}
}

type route struct {
	operation string
	method    string
	path      *regexp.Regexp
	do        func(*Lambda, call) (any, error)
}

// call is one request that was understood.
type call struct {
	f         *function
	path      []string // what the path names after the function
	qualifier string
	body      struct {
		ZipFile         []byte
		ImageUri        string
		RevisionId      string
		CodeSha256      string
		FunctionVersion *string
		RoutingConfig   *struct{ AdditionalVersionWeights map[string]float64 }
	}
}

// ServeHTTP answers one call.
func (l *Lambda) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, to := range routes() {
		if m := to.path.FindStringSubmatch(r.URL.Path); m != nil && to.method == r.Method {
			l.serve(w, r, to, m[1:])
			return
		}
	}
	answer(w, http.StatusNotFound, nil, refuse(http.StatusNotFound, "UnknownOperationException", "%s %s", r.Method, r.URL.Path))
}

func (l *Lambda) serve(w http.ResponseWriter, r *http.Request, to route, path []string) {
	c := call{path: path[1:], qualifier: r.URL.Query().Get("Qualifier")}
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&c.body); err != nil {
			answer(w, 0, nil, refuse(http.StatusBadRequest, "InvalidRequestContentException", "%v", err))
			return
		}
	}
	l.mu.Lock()
	var broken *Fault
	if l.fault != nil {
		broken = l.fault(to.operation, l.seen[to.operation])
		l.seen[to.operation]++
	}
	var body any
	var err error
	if broken == nil || broken.Done {
		body, err = l.do(to, path[0], c)
	}
	l.mu.Unlock()
	switch {
	case broken != nil && broken.Status == 0:
		panic(http.ErrAbortHandler)
	case broken != nil:
		answer(w, 0, nil, refuse(broken.Status, broken.Code, "as the test wants it"))
	case to.method == http.MethodPost:
		answer(w, http.StatusCreated, body, err)
	default:
		answer(w, http.StatusOK, body, err)
	}
}

func (l *Lambda) do(to route, name string, c call) (any, error) {
	if at := strings.LastIndex(name, "function:"); at >= 0 {
		name = name[at+len("function:"):]
	}
	if c.f = l.functions[name]; c.f == nil {
		return nil, refuse(http.StatusNotFound, "ResourceNotFoundException", "Function not found: arn:aws:lambda:eu-west-1:123456789012:function:%s", name)
	}
	return to.do(l, c)
}

func answer(w http.ResponseWriter, status int, body any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if f, is := err.(*failure); is { //nolint:errorlint // of our own, never wrapped
		w.Header().Set("X-Amzn-Errortype", f.code)
		w.WriteHeader(f.status)
		body = map[string]string{"Type": "User", "Message": f.message}
	} else {
		w.WriteHeader(status)
	}
	_ = json.NewEncoder(w).Encode(body) // a caller who is gone needs no answer
}

func (l *Lambda) getFunction(c call) (any, error) {
	of, err := c.version()
	if err != nil {
		return nil, err
	}
	return map[string]any{"Configuration": c.f.configuration(of), "Code": where(of)}, nil
}

func where(of code) map[string]string {
	if of.image == "" {
		return map[string]string{"RepositoryType": "S3", "Location": "https://example.com/code.zip"}
	}
	return map[string]string{"RepositoryType": "ECR", "ImageUri": of.image, "ResolvedImageUri": of.resolved}
}

func (l *Lambda) getConfiguration(c call) (any, error) {
	of, err := c.version()
	if err != nil {
		return nil, err
	}
	return c.f.configuration(of), nil
}

// version is the code that the call's qualifier names.
func (c call) version() (code, error) {
	q := c.qualifier
	if a := c.f.aliases[q]; a != nil {
		q = a.version
	}
	of, ok := c.f.version(q)
	if !ok {
		return code{}, refuse(http.StatusNotFound, "ResourceNotFoundException", "Function not found: %s:%s", c.f.name, q)
	}
	return of, nil
}

const arn = "arn:aws:lambda:eu-west-1:123456789012:function:"

// configuration tells how far the code is: the function's by LastUpdateStatus, a
// version's by State. A failed update shows the hash of the code that failed.
func (f *function) configuration(of code) map[string]any {
	status, state, now := "Successful", "Active", time.Now()
	m := map[string]any{
		"FunctionName": f.name, "FunctionArn": arn + f.name, "Version": of.version, "CodeSha256": of.sha, "PackageType": "Zip",
		"Runtime": "provided.al2023", "Handler": "bootstrap", "Role": "arn:aws:iam::123456789012:role/site",
		"LastModified": "2026-11-21T04:00:00.000+0000",
	}
	if of.image != "" {
		m["PackageType"] = "Image"
	}
	revision := of.revision
	switch {
	case of.version != "$LATEST" && !of.ready(now):
		state, m["StateReason"], m["StateReasonCode"] = "Pending", "The function is being created.", "Creating"
	case of.version == "$LATEST" && !of.ready(now):
		status, m["LastUpdateStatusReason"], m["LastUpdateStatusReasonCode"] = "InProgress", "The function is being created.", "Creating"
		if of.script.Silent {
			status = ""
		}
	case of.version == "$LATEST" && of.script.Failed != "":
		status, m["LastUpdateStatusReason"], m["LastUpdateStatusReasonCode"] = "Failed", "as the test wants it", of.script.Failed
		revision += "a"
	case of.version == "$LATEST":
		revision += "a" // the end of an update is a revision of its own
	}
	m["State"], m["RevisionId"] = state, revision
	if status != "" {
		m["LastUpdateStatus"] = status
	}
	return m
}

func (l *Lambda) getProvisioned(c call) (any, error) {
	n := c.f.shared[c.qualifier]
	if n == 0 {
		return nil, refuse(http.StatusNotFound, "ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency Config found for this function")
	}
	status, ready := "READY", n
	if a := c.f.aliases[c.qualifier]; a != nil && time.Since(a.switched) < a.shared {
		status, ready = "IN_PROGRESS", 0
	}
	return map[string]any{"Status": status, "RequestedProvisionedConcurrentExecutions": n, "AllocatedProvisionedConcurrentExecutions": ready, "AvailableProvisionedConcurrentExecutions": ready}, nil
}
