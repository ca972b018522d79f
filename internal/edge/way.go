package edge

import "net/http"

// Way is what the edge does with one request: all that is decided before an
// origin is asked, and what follows for whatever it may answer. Durations are
// whole seconds. Parts are nil that the request does not reach.
type Way struct {
	Distribution string       `json:"distribution"`
	Method       string       `json:"method"`
	URL          string       `json:"url"`
	Viewer       string       `json:"viewer"`            // address
	Matched      string       `json:"matched,omitempty"` // path that behaviors are held against
	Behavior     string       `json:"behavior,omitempty"`
	Access       *Access      `json:"access,omitempty"`
	Refused      *Refused     `json:"refused,omitempty"`  // ends the way
	Function     *FunctionRun `json:"function,omitempty"` // at viewer-request
	LastFunction string       `json:"last_function,omitempty"`
	Key          *Key         `json:"key,omitempty"`
	Uncached     string       `json:"uncached,omitempty"` // why no cache is asked
	Ask          *Ask         `json:"ask,omitempty"`
	Lifetimes    []Lifetime   `json:"lifetimes,omitempty"`
	Errors       []ErrorRule  `json:"errors,omitempty"`
	Dressing     *Dressing    `json:"dressing,omitempty"`
	Compression  *Compression `json:"compression,omitempty"`
	Names        []string     `json:"names,omitempty"` // an invalidation that covers one of them removes the copy
	Live         *Live        `json:"live,omitempty"`  // nil where a running edge was not asked
	Notes        []string     `json:"notes,omitempty"`
}

// Access is what the behavior wants of viewers.
type Access struct {
	Policy  string   `json:"viewer_protocol_policy"`
	Secure  bool     `json:"secure"` // this viewer comes over HTTPS
	Allowed []string `json:"allowed_methods"`
	Cached  []string `json:"cached_methods"`
	Signed  bool     `json:"signed"` // viewers need a signature
}

// Refused is an answer of the edge itself.
type Refused struct {
	Status   int    `json:"status"`
	Reason   string `json:"reason"`
	Location string `json:"location,omitempty"`
	Page     string `json:"page,omitempty"` // custom error page that is served
}

// FunctionRun is what became of a function's run.
type FunctionRun struct {
	ARN         string     `json:"arn"`
	Logs        []string   `json:"logs,omitempty"`
	Utilization int        `json:"utilization"` // percent of the steps it may take
	Error       string     `json:"error,omitempty"`
	URL         string     `json:"url,omitempty"` // path and query string that the request goes on with
	Changes     []Change   `json:"changes,omitempty"`
	Generated   *Generated `json:"generated,omitempty"` // answers the viewer
}

// Change is one thing about a request that a function has changed.
type Change struct {
	What   string `json:"what"` // uri, query string, header, cookie, or origin by the method of that name
	Name   string `json:"name,omitempty"`
	Before string `json:"before"`
	After  string `json:"after"`
	Added  bool   `json:"added,omitempty"`
	Gone   bool   `json:"gone,omitempty"`
}

// Generated is a function's own answer.
type Generated struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	Body   string      `json:"body,omitempty"`
}

// Key is the cache key of a request. Two requests share a copy if URL and
// Variant are equal.
type Key struct {
	URL     string    `json:"url"`     // path, and the part of the query string that counts
	Variant string    `json:"variant"` // all the rest
	Source  string    `json:"source"`  // what of the configuration says so
	Parts   []Part    `json:"parts,omitempty"`
	Out     []LeftOut `json:"left_out,omitempty"`
}

// Part is one thing of a request that is in the key beside its URL.
type Part struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Sent  string `json:"sent,omitempty"` // by the viewer, where that is something else
	None  bool   `json:"none,omitempty"` // the viewer sends none
}

// LeftOut is what of a request makes no difference to the cache.
type LeftOut struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Ask is the request that the origin gets where the cache has no answer.
type Ask struct {
	Origin    string      `json:"origin"` // ID
	Method    string      `json:"method"`
	URL       string      `json:"url"`
	Host      string      `json:"host"`
	Header    http.Header `json:"header"`
	Added     []string    `json:"added,omitempty"`   // names of headers that neither the viewer nor the function has sent
	Changed   []string    `json:"changed,omitempty"` // names of those that were sent otherwise
	Removed   []LeftOut   `json:"removed,omitempty"`
	Signing   string      `json:"signing,omitempty"` // what signs the request, where something does
	Attempts  int         `json:"attempts"`          // to connect, or to get the answer to a GET or HEAD
	Timeouts  Timeouts    `json:"timeouts"`
	FailsOver []int       `json:"fails_over,omitempty"` // statuses for which Second is asked; no connection counts as 503, no answer in time as 504
	Second    *Ask        `json:"second,omitempty"`     // of the other origin of the group, where the method allows it
}

// Timeouts of an origin, in seconds.
type Timeouts struct {
	Connect  float64 `json:"connect"`
	Response float64 `json:"response"`           // until the first byte, and between any two
	Complete float64 `json:"complete,omitempty"` // for all of a response; 0 for no limit
	Idle     float64 `json:"idle"`               // of a connection that is kept
}

// Answer is one that an origin may give.
type Answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
}

// Lifetime is for how long an answer of the origin is kept, and why. Durations
// are seconds.
type Lifetime struct {
	Answer Answer `json:"answer"`
	Stored bool   `json:"stored"`
	Fresh  int64  `json:"fresh"`          // served without asking the origin
	By     string `json:"by,omitempty"`   // MinTTL, DefaultTTL, MaxTTL or ErrorCachingMinTTL where that decides
	Said   string `json:"said,omitempty"` // directive or header of the origin that was heeded
	Behind int64  `json:"behind"`         // thereafter served at once while the origin is asked
	Stale  int64  `json:"stale"`          // thereafter served if the origin fails; -1: without limit
	Reason string `json:"reason"`
}

// ErrorRule is what happens to errors of one status.
type ErrorRule struct {
	Status   int    `json:"status"`
	MinTTL   int64  `json:"min_ttl"` // seconds
	Page     string `json:"page,omitempty"`
	Behavior string `json:"behavior,omitempty"` // that answers for the page
	As       int    `json:"as,omitempty"`       // status that the page is served with
}

// Dressing is what a response headers policy does with every answer.
type Dressing struct {
	Policy  string   `json:"policy"`
	Set     []Dress  `json:"set,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Timing  float64  `json:"server_timing,omitempty"` // percent of answers that get Server-Timing
}

// Dress is one header that a policy sets.
type Dress struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	Override bool   `json:"override"` // also where the origin sends one
}

// Compression is whether the edge compresses what the origin sends.
type Compression struct {
	Coding string `json:"coding,omitempty"` // empty for none
	Reason string `json:"reason"`
}

// Live is what the edge has at the moment. Nothing is counted or changed by
// looking.
type Live struct {
	XCache   string   `json:"x_cache"` // that this request would get, as far as that is known without asking the origin
	Course   string   `json:"course"`  // what happens in words
	Copy     *Copy    `json:"copy,omitempty"`
	Variants []string `json:"variants,omitempty"` // keys of other copies of the URL, the part that is not the URL
	Fetching bool     `json:"fetching,omitempty"` // a fetch is under way that the request would wait for
}

// Copy is a stored response. Durations are seconds.
type Copy struct {
	Status   int         `json:"status"` // that the viewer gets, unless an error page stands in
	Header   http.Header `json:"header"` // likewise
	Bytes    int64       `json:"bytes"`  // of the stored body
	Part     bool        `json:"part,omitempty"`
	Disk     bool        `json:"disk,omitempty"` // it is not in memory, or its body is not
	Fetched  string      `json:"fetched"`        // time
	Age      int64       `json:"age"`
	Left     int64       `json:"left"` // until it expires; negative since
	Lifetime Lifetime    `json:"lifetime"`
}
