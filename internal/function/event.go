package function

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Event is what a function is called with.
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
type Event struct {
	Version  string    `json:"version"` // 1.0
	Context  Context   `json:"context"`
	Viewer   Viewer    `json:"viewer"`
	Request  Request   `json:"request"`
	Response *Response `json:"response,omitempty"` // at viewer-response
}

// Context says where the event comes from. All but the type may be empty.
type Context struct {
	DistributionDomainName string    `json:"distributionDomainName,omitempty"`
	Endpoint               string    `json:"endpoint,omitempty"` // of a connection group, with multi-tenant distributions
	DistributionID         string    `json:"distributionId,omitempty"`
	EventType              EventType `json:"eventType"`
	RequestID              string    `json:"requestId,omitempty"`
}

// Viewer is who asked.
type Viewer struct {
	IP string `json:"ip"`
}

// Request is a request as functions see it.
type Request struct {
	Method      string `json:"method"`
	URI         string `json:"uri"` // the path, escaped as the viewer sent it
	QueryString Fields `json:"querystring"`
	Headers     Fields `json:"headers"` // names in lower case, without cookies
	Cookies     Fields `json:"cookies"`

	// Raw is the query string as it was sent, without its question mark, and nil
	// where there is not even a question mark. A function that leaves
	// QueryString alone leaves it alone, too. Events in JSON have none.
	Raw *string `json:"-"`
}

// Response is a response as functions see it, or as they make it.
type Response struct {
	StatusCode        int    `json:"statusCode"`
	StatusDescription string `json:"statusDescription,omitempty"`
	Headers           Fields `json:"headers"` // names in lower case, without Set-Cookie
	Cookies           Fields `json:"cookies"`
	Body              *Body  `json:"body,omitempty"` // nil: the body of the cache or origin stays
}

// Body is a body made by a function.
type Body struct {
	Encoding string `json:"encoding"` // text or base64
	Data     string `json:"data"`
}

// Bytes returns the body as it is sent. The error says what is wrong with its
// encoding.
func (b Body) Bytes() ([]byte, error) {
	switch b.Encoding {
	case "text":
		return []byte(b.Data), nil
	case "base64":
		raw, err := base64.StdEncoding.DecodeString(b.Data)
		if err != nil {
			return nil, fmt.Errorf("data is not valid base64: %w", err)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("encoding is %q: it can be text or base64", b.Encoding)
}

// UnmarshalJSON also takes a string, which is text.
func (b *Body) UnmarshalJSON(text []byte) error {
	var plain string
	if json.Unmarshal(text, &plain) == nil {
		*b = Body{Encoding: "text", Data: plain}
		return nil
	}
	type object Body
	return json.Unmarshal(text, (*object)(b))
}

// ParseEvent reads an event in JSON, as aws cloudfront test-function takes it:
// at most 40,960 bytes; identifiers, headers, cookies and query string may be
// left out.
func ParseEvent(text []byte) (Event, error) {
	if len(text) > maxEvent {
		return Event{}, fmt.Errorf("read event: %d bytes, CloudFront takes %d", len(text), maxEvent)
	}
	var ev Event
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &ev); err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	if ev.Version == "" {
		ev.Version = "1.0"
	}
	if err := ev.check(); err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	return ev, nil
}

func (ev Event) check() error {
	switch {
	case ev.Version != "1.0":
		return fmt.Errorf("version is %q: there is only 1.0", ev.Version)
	case ev.Context.EventType != ViewerRequest && ev.Context.EventType != ViewerResponse:
		return fmt.Errorf("context.eventType is %q: it can be viewer-request or viewer-response", ev.Context.EventType)
	case ev.Request.Method == "":
		return fmt.Errorf("request.method is missing")
	case !strings.HasPrefix(ev.Request.URI, "/"):
		return fmt.Errorf("request.uri is %q: it must begin with /", ev.Request.URI)
	case ev.Context.EventType == ViewerResponse && ev.Response == nil:
		return fmt.Errorf("response is missing: a viewer-response event has one")
	}
	return nil
}

// Output writes the result as CloudFront's TestFunction does: an object with
// request or response. It is empty if there is neither.
func (r Result) Output() ([]byte, error) {
	if r.Request == nil && r.Response == nil {
		return nil, nil
	}
	return plainJSON(struct {
		Request  *Request  `json:"request,omitempty"`
		Response *Response `json:"response,omitempty"`
	}{r.Request, r.Response})
}
